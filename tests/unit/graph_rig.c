#include "tests/unit/graph_rig.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "net/clock.h"
#include "tests/unit/check.h"

static void record(struct rig *r, const struct fake_request *q)
{
	struct record *c = &r->records[r->nrecords % 256];

	free(c->body);
	*c = (struct record){ .len = q->len, .at_ms = clock_mono_ms() };
	snprintf(c->line, sizeof(c->line), "%s %s", q->method, q->target);
	snprintf(c->auth, sizeof(c->auth), "%.63s",
	         fake_header(q, "Authorization"));
	snprintf(c->if_match, sizeof(c->if_match), "%.63s",
	         fake_header(q, "If-Match"));
	snprintf(c->type, sizeof(c->type), "%.63s",
	         fake_header(q, "Content-Type"));
	c->body = malloc(q->len + 1);
	memcpy(c->body, q->body, q->len + 1);
	r->nrecords++;
}

static bool fits(const struct step *s, const struct record *q)
{
	return !strncmp(q->line, s->want, strlen(s->want)) &&
	       (!s->token || !strcmp(q->auth + strlen("Bearer "), s->token));
}

static const struct step *take_step(struct rig *r, const struct record *q)
{
	for (size_t i = 0; i < r->nsteps; i++) {
		const struct step *s = &r->steps[i];
		unsigned times = s->times ? s->times : 1;

		if (r->used[i] < times && fits(s, q)) {
			r->used[i]++;
			return s;
		}
	}
	return NULL;
}

static void answer(void *arg, const struct fake_request *q,
                   struct fake_reply *reply)
{
	struct rig *r = arg;
	const struct step *s;

	record(r, q);
	s = take_step(r, &r->records[(r->nrecords - 1) % 256]);
	if (!s) {
		r->unexpected++;
		fprintf(stderr, "  unexpected: %s %s\n", q->method, q->target);
		reply->status = 599;
		return;
	}
	reply->status = s->status;
	reply->hang = s->hang;
	if (s->headers)
		buf_add_str(&reply->headers, s->headers);
	else if (s->body)
		buf_add_str(&reply->headers,
		            "Content-Type: application/json\r\n");
	if (s->body)
		buf_add_str(&reply->body, s->body);
}

struct late_token {
	graph_got_token_fn *got;
	void *arg;
	int rc;
	char bearer[64];
};

static void *answer_late(void *arg)
{
	struct late_token *t = arg;

	t->got(t->arg, t->rc, t->rc < 0 ? NULL : t->bearer);
	free(t);
	return NULL;
}

static void give_token(void *token_arg, const char *stale,
                       graph_got_token_fn *got, void *arg)
{
	struct rig *r = token_arg;
	struct late_token *t = calloc(1, sizeof(*t));
	pthread_t thread;
	bool late;

	pthread_mutex_lock(&r->lock);
	r->token_calls++;
	snprintf(t->bearer, sizeof(t->bearer), "token-%u", r->token_n);
	if (stale) {
		snprintf(r->stale, sizeof(r->stale), "%s", stale);
		if (!strcmp(stale, t->bearer)) {
			r->refreshes++;
			snprintf(t->bearer, sizeof(t->bearer), "token-%u",
			         ++r->token_n);
		}
	}
	t->got = got;
	t->arg = arg;
	t->rc = r->token_rc;
	late = r->late;
	pthread_mutex_unlock(&r->lock);
	if (!late) {
		answer_late(t);
		return;
	}
	pthread_create(&thread, NULL, answer_late, t);
	pthread_detach(thread);
}

void rig_start(struct rig *r, const struct step *steps, size_t nsteps)
{
	struct http_options options = { 0 };
	struct graph_options opt = { .base_url = r->base,
		                     .token = give_token,
		                     .token_arg = r };

	memset(r, 0, sizeof(*r));
	pthread_mutex_init(&r->lock, NULL);
	rig_script(r, steps, nsteps);
	r->server = fake_start(answer, NULL, r);
	snprintf(r->base, sizeof(r->base), "%s/v1.0", fake_url(r->server));
	CHECK_EQ(http_new(&options, &r->http), 0);
	opt.http = r->http;
	CHECK_EQ(graph_new(&opt, &r->g), 0);
}

void rig_script(struct rig *r, const struct step *steps, size_t nsteps)
{
	r->steps = steps;
	r->nsteps = nsteps;
	memset(r->used, 0, sizeof(r->used));
}

void rig_token_rc(struct rig *r, int rc)
{
	pthread_mutex_lock(&r->lock);
	r->token_rc = rc;
	pthread_mutex_unlock(&r->lock);
}

void rig_stop(struct rig *r)
{
	graph_free(r->g);
	http_free(r->http);
	fake_stop(r->server);
	CHECK_EQ(r->unexpected, 0);
	for (size_t i = 0; i < 256; i++)
		free(r->records[i].body);
	pthread_mutex_destroy(&r->lock);
}

struct graph_call rig_get(const char *path, int64_t patience_ms)
{
	return (struct graph_call){ .kind = RETRY_READ,
		                    .method = "GET",
		                    .path = path,
		                    .patience_ms = patience_ms };
}

/* ---- ends ---------------------------------------------------------------- */

struct ending {
	struct ends *e;
	unsigned id;
};

static void note_end(void *arg, const struct graph_answer *a)
{
	struct ending *ending = arg;
	struct ends *e = ending->e;
	struct end end = { .id = ending->id,
		           .rc = a->rc,
		           .verdict = a->verdict,
		           .status = a->status,
		           .was_sent = a->was_sent,
		           .offline = a->offline,
		           .at_ms = clock_mono_ms() };

	snprintf(end.code, sizeof(end.code), "%s", a->code);
	pthread_mutex_lock(&e->lock);
	e->end[e->n++ % 256] = end;
	pthread_cond_broadcast(&e->more);
	pthread_mutex_unlock(&e->lock);
	free(ending);
}

void ends_init(struct ends *e)
{
	memset(e, 0, sizeof(*e));
	pthread_mutex_init(&e->lock, NULL);
	pthread_cond_init(&e->more, NULL);
}

void ends_done(struct ends *e)
{
	pthread_cond_destroy(&e->more);
	pthread_mutex_destroy(&e->lock);
}

void ends_wait(struct ends *e, unsigned n)
{
	pthread_mutex_lock(&e->lock);
	while (e->n < n)
		pthread_cond_wait(&e->more, &e->lock);
	pthread_mutex_unlock(&e->lock);
}

int ends_start(struct ends *e, struct graph *g, struct graph_call c,
               unsigned id)
{
	struct ending *ending = malloc(sizeof(*ending));
	int rc;

	*ending = (struct ending){ e, id };
	c.done = note_end;
	c.arg = ending;
	rc = graph_start(g, &c);
	if (rc < 0)
		free(ending);
	return rc;
}

const struct end *ends_find(struct ends *e, unsigned id)
{
	const struct end *found = NULL;

	pthread_mutex_lock(&e->lock);
	for (unsigned i = 0; i < e->n && !found; i++)
		if (e->end[i].id == id)
			found = &e->end[i];
	pthread_mutex_unlock(&e->lock);
	return found;
}
