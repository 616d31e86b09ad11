#include "net/upload_internal.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "net/clock.h"
#include "net/log.h"

#define PATIENCE_MS (60 * 1000)
#define ANSWER_MS   (10 * 60 * 1000) /* a commit: as the last fragment */
#define BRIEF_MS    5000             /* each step of what somebody waits for */

/* One request without a body to a session's URL. */
struct errand {
	struct graph *g;
	struct graph_mail mail;
	struct graph_slot slot;
	const char *method;
	char *url; /* guarded memory */
	bool brief;
	struct graph_prepared other; /* the second form of a commit */
	graph_done_fn *done;         /* NULL: nobody wants to know */
	void *arg;
};

static void free_errand(struct errand *e)
{
	struct graph *g = e->g;

	graph_prepared_done(&e->other);
	sodium_free(e->url);
	free(e);
	graph_unref(g);
}

static void finish(struct errand *e, const struct graph_answer *a)
{
	if (e->done)
		e->done(e->arg, a);
	free_errand(e);
}

static void finish_failed(struct errand *e, int rc, enum retry_verdict verdict)
{
	struct graph_answer a = { .rc = rc, .verdict = verdict, .code = "" };

	finish(e, &a);
}

/* The service does not know this form: nothing was done. */
static bool is_refused(const struct http_answer *a)
{
	return a->rc == 0 && (a->status == 400 || a->status == 404 ||
	                      a->status == 405 || a->status == 501);
}

static bool try_other_form(struct errand *e)
{
	e->other.c.done = e->done;
	e->other.c.arg = e->arg;
	if (!e->other.path || graph_start(e->g, &e->other.c) < 0)
		return false;
	free_errand(e);
	return true;
}

static void tell(struct errand *e, const struct http_answer *a)
{
	cJSON *json = a->body_len ? json_parse(a->body, a->body_len) : NULL;
	struct retry_in in = { .kind = RETRY_CREATE,
		               .transport_rc = a->rc,
		               .was_sent = a->was_sent,
		               .status = a->status,
		               .code = graph_error_code(json),
		               .retry_after_ms = -1,
		               .random = randombytes_random() };
	struct retry_out out = retry_decide(&in);
	struct graph_answer answer = { .rc = out.rc,
		                       .verdict = out.verdict,
		                       .status = a->status,
		                       .code = in.code,
		                       .json = json,
		                       .was_sent = a->was_sent,
		                       .offline = out.offline,
		                       .wait_ms = out.wait_ms };

	finish(e, &answer);
	cJSON_Delete(json);
}

static void request_done(void *arg, const struct http_answer *a)
{
	struct errand *e = arg;
	struct graph *g = e->g;
	struct graph_outcome o = graph_http_outcome(a);

	graph_ref(g);
	log_debug("upload_errand method=%s status=%ld rc=%d", e->method,
	          a->status, a->rc);
	graph_gate_leave(g, &e->slot, &o);
	if (!is_refused(a) || !try_other_form(e))
		tell(e, a);
	graph_gate_pump(g);
	graph_unref(g);
}

static struct errand *errand_of(struct graph_slot *s)
{
	return (struct errand *)((char *)s - offsetof(struct errand, slot));
}

static void slot_granted(struct graph_slot *s)
{
	struct errand *e = errand_of(s);
	struct graph_outcome o = graph_no_outcome();
	struct http_spec spec = { .method = e->method,
		                  .url = e->url,
		                  .secret_url = true,
		                  .prio = HTTP_PRIO_META,
		                  .done = request_done,
		                  .arg = e,
		                  .connect_ms = e->brief ? BRIEF_MS : 0,
		                  .answer_ms =
		                          e->brief ? BRIEF_MS : ANSWER_MS };
	int rc;

	graph_gate_begin(e->g, s, s->units);
	rc = http_start(e->g->http, &spec, NULL);
	if (rc == 0)
		return;
	graph_gate_leave(e->g, s, &o);
	finish_failed(e, rc, RETRY_WAIT);
}

static void slot_expired(struct graph_slot *s)
{
	struct errand *e = errand_of(s);

	finish_failed(e, e->g->stopped ? -ECANCELED : -ETIMEDOUT, RETRY_WAIT);
}

static void begin(struct graph_mail *m)
{
	struct errand *e =
		(struct errand *)((char *)m - offsetof(struct errand, mail));

	e->slot.until_ms =
		clock_mono_ms() + (e->brief ? BRIEF_MS : PATIENCE_MS);
	graph_gate_enter(e->g, &e->slot);
}

static int send_errand(struct errand *e)
{
	int rc;

	e->mail.open = begin;
	e->slot.class = PACE_META;
	e->slot.content = true;
	e->slot.units = 2;
	e->slot.granted = slot_granted;
	e->slot.expired = slot_expired;
	rc = graph_post(e->g, &e->mail);
	if (rc < 0)
		free_errand(e);
	return rc;
}

static int new_errand(struct graph *g, const char *method, const char *url,
                      struct errand **out_e)
{
	struct errand *e = calloc(1, sizeof(*e));
	int rc;

	if (!e)
		return -ENOMEM;
	e->method = method;
	e->url = graph_copy_guarded(url);
	rc = e->url ? graph_ref_running(g) : -ENOMEM;
	if (rc < 0) {
		sodium_free(e->url);
		free(e);
		return rc;
	}
	e->g = g;
	*out_e = e;
	return 0;
}

void upload_abandon(struct graph *g, const char *url)
{
	struct errand *e;
	int rc = new_errand(g, "DELETE", url, &e);

	if (rc == 0)
		rc = send_errand(e);
	if (rc < 0)
		log_info("upload_abandon rc=%d then=expires_by_itself", rc);
}

int upload_end(struct graph *g, const char *url, graph_done_fn *done, void *arg)
{
	struct errand *e;
	int rc = new_errand(g, "DELETE", url, &e);

	if (rc < 0)
		return rc;
	e->done = done;
	e->arg = arg;
	return send_errand(e);
}

struct waiter {
	pthread_mutex_t lock;
	pthread_cond_t over;
	bool ended;
};

static void wake_waiter(void *arg, const struct graph_answer *a)
{
	struct waiter *w = arg;

	(void)a;
	pthread_mutex_lock(&w->lock);
	w->ended = true;
	pthread_cond_signal(&w->over);
	pthread_mutex_unlock(&w->lock);
}

void upload_abandon_wait(struct graph *g, const char *url)
{
	struct waiter w = { .ended = false };
	struct errand *e;
	int rc = new_errand(g, "DELETE", url, &e);

	pthread_mutex_init(&w.lock, NULL);
	pthread_cond_init(&w.over, NULL);
	if (rc == 0) {
		e->brief = true;
		e->done = wake_waiter;
		e->arg = &w;
		rc = send_errand(e);
	}
	pthread_mutex_lock(&w.lock);
	while (rc == 0 && !w.ended)
		pthread_cond_wait(&w.over, &w.lock);
	pthread_mutex_unlock(&w.lock);
	pthread_cond_destroy(&w.over);
	pthread_mutex_destroy(&w.lock);
}

static int prepare_other(struct errand *e, const char *parent_id,
                         const char *name, bool replace, const char *etag)
{
	struct graph_prepared *p = &e->other;
	struct buf path = BUF_INIT;
	cJSON *json = cJSON_CreateObject();

	graph_add_child(e->g, &path, parent_id, name, "", "");
	if (cJSON_AddStringToObject(json, "name", name) &&
	    cJSON_AddStringToObject(json, "@microsoft.graph.conflictBehavior",
	                            replace ? "replace" : "fail") &&
	    cJSON_AddStringToObject(json, "@microsoft.graph.sourceUrl", e->url))
		p->body = cJSON_PrintUnformatted(json);
	cJSON_Delete(json);
	p->path = buf_steal(&path);
	p->etag = etag ? strdup(etag) : NULL;
	if (!p->body || !p->path || (etag && !p->etag))
		return -ENOMEM;
	p->c = (struct graph_call){ .kind = RETRY_CREATE,
		                    .method = "PUT",
		                    .path = p->path,
		                    .if_match = p->etag,
		                    .body = p->body,
		                    .body_len = strlen(p->body),
		                    .prio = HTTP_PRIO_META };
	return 0;
}

int upload_commit(struct graph *g, const char *url, const char *parent_id,
                  const char *name, bool replace, const char *etag,
                  graph_done_fn *done, void *arg)
{
	struct errand *e;
	int rc = new_errand(g, "POST", url, &e);

	if (rc < 0)
		return rc;
	e->done = done;
	e->arg = arg;
	rc = prepare_other(e, parent_id, name, replace, etag);
	if (rc < 0) {
		free_errand(e);
		return rc;
	}
	return send_errand(e);
}
