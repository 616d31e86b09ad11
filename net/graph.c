#include "net/graph.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "net/clock.h"
#include "net/graph_internal.h"
#include "net/log.h"

/* ---- who still needs it -------------------------------------------------- */

void graph_ref(struct graph *g)
{
	pthread_mutex_lock(&g->lock);
	g->users++;
	pthread_mutex_unlock(&g->lock);
}

int graph_ref_running(struct graph *g)
{
	bool running;

	pthread_mutex_lock(&g->lock);
	running = !g->stopping;
	if (running)
		g->users++;
	pthread_mutex_unlock(&g->lock);
	return running ? 0 : -ESHUTDOWN;
}

void graph_unref(struct graph *g)
{
	pthread_mutex_lock(&g->lock);
	if (--g->users == 0)
		pthread_cond_broadcast(&g->changed);
	pthread_mutex_unlock(&g->lock);
}

/* ---- the mailbox --------------------------------------------------------- */

/* Who waits in the gate is sent away by the next pump. */
static void stop_here(struct graph *g)
{
	g->stopped = true;
	graph_trip_cancel_all(g);
	graph_gate_stop(g);
}

void graph_open_mails(struct graph *g)
{
	struct graph_mails mails = STAILQ_HEAD_INITIALIZER(mails);
	struct graph_mail *m;
	bool kick, stop;

	pthread_mutex_lock(&g->lock);
	STAILQ_CONCAT(&mails, &g->mails);
	kick = g->kick;
	stop = g->stop;
	g->kick = g->stop = false;
	pthread_mutex_unlock(&g->lock);

	while ((m = STAILQ_FIRST(&mails))) {
		STAILQ_REMOVE_HEAD(&mails, link);
		m->open(m);
	}
	if (kick)
		graph_gate_kick(g);
	if (stop)
		stop_here(g);
	graph_gate_pump(g);
}

/* The poke is a user until its mail is open. */
static void poked(void *arg)
{
	struct graph *g = arg;

	pthread_mutex_lock(&g->lock);
	g->poked = false;
	pthread_mutex_unlock(&g->lock);
	graph_open_mails(g);
	graph_unref(g);
}

static int poke_locked(struct graph *g)
{
	int rc;

	if (g->poked)
		return 0;
	rc = http_call_later(g->http, 0, poked, g, NULL);
	if (rc < 0)
		return rc;
	g->poked = true;
	g->users++;
	return 0;
}

int graph_post(struct graph *g, struct graph_mail *m)
{
	int rc;

	pthread_mutex_lock(&g->lock);
	rc = poke_locked(g);
	if (rc == 0)
		STAILQ_INSERT_TAIL(&g->mails, m, link);
	pthread_mutex_unlock(&g->lock);
	return rc;
}

void graph_post_surely(struct graph *g, struct graph_mail *m)
{
	pthread_mutex_lock(&g->lock);
	STAILQ_INSERT_TAIL(&g->mails, m, link);
	(void)poke_locked(g);
	pthread_mutex_unlock(&g->lock);
}

void graph_kick(struct graph *g)
{
	pthread_mutex_lock(&g->lock);
	g->kick = true;
	(void)poke_locked(g); /* no memory: with the next mail */
	pthread_mutex_unlock(&g->lock);
}

/* ---- the account --------------------------------------------------------- */

static bool is_china(const char *base_url)
{
	return http_same_origin(base_url,
	                        "https://microsoftgraph.chinacloudapi.cn");
}

int graph_new(const struct graph_options *opt, struct graph **out_g)
{
	struct graph *g;

	if (!http_url_allowed(opt->base_url))
		return -EPROTO;
	if (sodium_init() < 0) /* guarded memory */
		return -EIO;
	g = calloc(1, sizeof(*g));
	if (!g)
		return -ENOMEM;
	g->http = opt->http;
	g->token = opt->token;
	g->token_arg = opt->token_arg;
	g->base_url = strdup(opt->base_url);
	g->drive = strdup("/me/drive");
	if (!g->base_url || !g->drive) {
		free(g->base_url);
		free(g->drive);
		free(g);
		return -ENOMEM;
	}
	g->china = opt->china || is_china(g->base_url);
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->changed, NULL);
	STAILQ_INIT(&g->mails);
	LIST_INIT(&g->trips);
	graph_gate_init(&g->gate);
	*out_g = g;
	return 0;
}

/* The end goes through the mailbox too; it can't do without the poke. */
void graph_stop(struct graph *g)
{
	pthread_mutex_lock(&g->lock);
	g->stopping = g->stop = true;
	while (poke_locked(g) == -ENOMEM) {
		pthread_mutex_unlock(&g->lock);
		usleep(10000);
		pthread_mutex_lock(&g->lock);
	}
	pthread_mutex_unlock(&g->lock);
}

void graph_free(struct graph *g)
{
	if (!g)
		return;
	graph_stop(g);
	pthread_mutex_lock(&g->lock);
	while (g->users)
		pthread_cond_wait(&g->changed, &g->lock);
	pthread_mutex_unlock(&g->lock);
	pthread_cond_destroy(&g->changed);
	pthread_mutex_destroy(&g->lock);
	sodium_free(g->bearer.text);
	free(g->base_url);
	free(g->drive);
	free(g);
}

int graph_set_drive(struct graph *g, const char *drive_id)
{
	struct buf path = BUF_INIT;
	char *drive;

	buf_add_str(&path, "/drives/");
	graph_add_id(&path, drive_id);
	drive = buf_steal(&path);
	if (!drive)
		return -ENOMEM;
	pthread_mutex_lock(&g->lock);
	free(g->drive);
	g->drive = drive;
	pthread_mutex_unlock(&g->lock);
	return 0;
}

void graph_add_drive(struct graph *g, struct buf *b)
{
	pthread_mutex_lock(&g->lock);
	buf_add_str(b, g->drive);
	pthread_mutex_unlock(&g->lock);
}

char *graph_copy_guarded(const char *s)
{
	char *copy = sodium_malloc(strlen(s) + 1);

	if (copy)
		strcpy(copy, s);
	return copy;
}

struct http *graph_http(struct graph *g)
{
	return g->http;
}

bool graph_is_own_url(const struct graph *g, const char *url)
{
	return http_same_origin(g->base_url, url);
}

bool graph_is_china(const struct graph *g)
{
	return g->china;
}

void graph_publish_state(struct graph *g)
{
	struct graph_state now = {
		.offline = g->gate.offline,
		.signed_out = g->bearer.no_entry,
		.frozen_until_ms =
			pace_frozen_until(&g->gate.pace, clock_mono_ms()),
		.in_flight = g->gate.pace.in_flight,
		.requests = g->requests,
	};

	graph_changed_fn *changed = NULL;
	void *arg;

	pthread_mutex_lock(&g->lock);
	if (now.offline != g->state.offline ||
	    now.signed_out != g->state.signed_out ||
	    now.frozen_until_ms != g->state.frozen_until_ms)
		changed = g->on_change;
	arg = g->on_change_arg;
	g->state = now;
	pthread_mutex_unlock(&g->lock);
	if (changed)
		changed(arg);
}

void graph_on_change(struct graph *g, graph_changed_fn *changed, void *arg)
{
	pthread_mutex_lock(&g->lock);
	g->on_change = changed;
	g->on_change_arg = arg;
	pthread_mutex_unlock(&g->lock);
}

void graph_get_state(struct graph *g, struct graph_state *out)
{
	pthread_mutex_lock(&g->lock);
	*out = g->state;
	pthread_mutex_unlock(&g->lock);
	out->bulk_sent = http_get_bulk_sent(g->http);
	if (out->frozen_until_ms <= clock_mono_ms())
		out->frozen_until_ms = 0;
}
