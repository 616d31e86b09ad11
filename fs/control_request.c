#include "fs/control_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/bond.h"
#include "fs/control_status.h"
#include "fs/engine.h"
#include "fs/fetch.h"
#include "fs/lock.h"
#include "fs/nmb.h"
#include "fs/node.h"
#include "fs/session.h"
#include "fs/store.h"
#include "net/buf.h"
#include "net/graph.h"
#include "net/json.h"
#include "net/log.h"

#define MAX_UNSENT  (1 << 20) /* a peer that does not read is dropped */
#define MAX_WAITING 100

/* ---- answers ------------------------------------------------------------- */

void control_send_json(struct peer *p, cJSON *o)
{
	char *text = o ? cJSON_PrintUnformatted(o) : NULL;

	cJSON_Delete(o);
	if (!text) {
		p->closing = true;
		return;
	}
	buf_add_str(&p->out, text);
	buf_add_char(&p->out, '\n');
	cJSON_free(text);
	if (p->out.failed || p->out.len > MAX_UNSENT)
		p->closing = true;
}

static void send_error(struct peer *p, int rc, const char *text)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddBoolToObject(o, "ok", false);
	cJSON_AddNumberToObject(o, "errno", -rc);
	cJSON_AddStringToObject(o, "error", text);
	control_send_json(p, o);
}

static void send_ok(struct peer *p, cJSON *o)
{
	if (!o)
		o = cJSON_CreateObject();
	cJSON_AddBoolToObject(o, "ok", true);
	control_send_json(p, o);
}

/* ---- waiting ------------------------------------------------------------- */

void control_ring(struct control *c)
{
	uint64_t one = 1;

	if (write(c->event_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		log_error("control: %s", strerror(errno));
}

static void waiting_free(struct waiting *w)
{
	cJSON_Delete(w->answer);
	free(w);
}

/* From the engine's thread. */
static void wait_ended(void *arg, int rc)
{
	struct waiting *w = arg;
	struct control *c = w->control;
	bool orphan;

	lock_take(&c->lock, LOCK_LEAF);
	w->rc = rc;
	w->ended = true;
	orphan = w->orphan;
	lock_drop(&c->lock, LOCK_LEAF);
	if (orphan)
		waiting_free(w);
	else
		control_ring(c);
}

static struct waiting *waiting_new(struct control *c)
{
	struct waiting *w = calloc(1, sizeof(*w));

	if (w)
		w->control = c;
	return w;
}

void control_leave_waiting(struct control *c, struct peer *p)
{
	struct waiting *w = p->waiting;
	uint64_t ticket;
	bool ended;

	if (!w)
		return;
	p->waiting = NULL;
	lock_take(&c->lock, LOCK_LEAF);
	ended = w->ended;
	ticket = w->ticket;
	w->orphan = true;
	lock_drop(&c->lock, LOCK_LEAF);
	if (ended)
		waiting_free(w);
	else if (ticket)
		engine_flush_cancel(c->nmb->engine, ticket);
}

static void send_progress(struct control *c, struct peer *p)
{
	uint64_t files, bytes;
	cJSON *o;

	engine_flush_left(c->nmb->engine, p->waiting->ticket, &files, &bytes);
	if (files == p->left_files && bytes == p->left_bytes)
		return;
	p->left_files = files;
	p->left_bytes = bytes;
	o = cJSON_CreateObject();
	cJSON_AddNumberToObject(o, "left_files", (double)files);
	cJSON_AddNumberToObject(o, "left_bytes", (double)bytes);
	control_send_json(p, o);
}

void control_check_waiting(struct control *c, struct peer *p, int64_t now)
{
	struct waiting *w = p->waiting;
	bool ended;
	int rc;

	if (!w)
		return;
	lock_take(&c->lock, LOCK_LEAF);
	ended = w->ended;
	rc = w->rc;
	lock_drop(&c->lock, LOCK_LEAF);
	if (ended) {
		cJSON *answer = w->answer;

		p->waiting = NULL;
		w->answer = NULL;
		waiting_free(w);
		if (rc == 0)
			send_ok(p, answer);
		else
			send_error(p, rc,
			           rc == -ETIMEDOUT
			                   ? "not everything is on the server "
			                     "yet"
			           : rc == -EPERM
			                   ? "something is held, see status"
			           : rc == -EIO
			                   ? "something is blocked, see status"
			                   : strerror(-rc));
	} else if (p->flush && now >= p->progress_ms) {
		p->progress_ms = now + CONTROL_PROGRESS_MS;
		send_progress(c, p);
	}
}

/* ---- requests ------------------------------------------------------------ */

static int find_path(struct control *c, const cJSON *req, uint64_t *out_ino)
{
	const char *path = json_str(req, "path");

	*out_ino = NODE_ROOT;
	return path ? control_find(c->nmb, path, out_ino) : 0;
}

static void do_status(struct control *c, struct peer *p, const cJSON *req)
{
	cJSON *o = NULL;
	uint64_t ino;
	int rc;

	if (!json_str(req, "path")) {
		int64_t n = json_i64(req, "waiting", 0);

		send_ok(p, control_status(c->nmb, n > 0 && n < MAX_WAITING
		                                          ? (unsigned)n
		                                  : n > 0 ? MAX_WAITING
		                                          : 0));
		return;
	}
	rc = find_path(c, req, &ino);
	if (rc == 0)
		rc = control_node_status(c->nmb, ino, &o);
	if (rc < 0)
		send_error(p, rc, strerror(-rc));
	else
		send_ok(p, o);
}

static void do_flush(struct control *c, struct peer *p, const cJSON *req)
{
	struct waiting *w = waiting_new(c);
	uint64_t ino, ticket = 0;
	int rc = w ? find_path(c, req, &ino) : -ENOMEM;

	if (rc == 0)
		rc = engine_flush(c->nmb->engine, ino,
		                  json_i64(req, "timeout_ms", -1), wait_ended,
		                  w, &ticket);
	if (rc < 0) {
		free(w);
		send_error(p, rc, strerror(-rc));
		return;
	}
	lock_take(&c->lock, LOCK_LEAF);
	w->ticket = ticket;
	lock_drop(&c->lock, LOCK_LEAF);
	p->waiting = w;
	p->flush = true;
	p->left_files = p->left_bytes = UINT64_MAX;
	p->progress_ms = 0;
}

static void do_poll(struct control *c, struct peer *p)
{
	struct waiting *w = waiting_new(c);
	int rc = w ? engine_poll(c->nmb->engine, wait_ended, w) : -ENOMEM;

	if (rc < 0) {
		free(w);
		send_error(p, rc, strerror(-rc));
		return;
	}
	p->waiting = w;
	p->flush = false;
}

static int get_direction(const cJSON *req, enum hold_dir *out)
{
	const char *text = json_str(req, "direction");

	if (!text || (strcmp(text, "outgoing") && strcmp(text, "incoming")))
		return -EINVAL;
	*out = !strcmp(text, "incoming") ? HOLD_IN : HOLD_OUT;
	return 0;
}

/* From the engine's thread. */
static void decided(void *arg, int rc, const struct engine_decided *d)
{
	struct waiting *w = arg;
	cJSON *o = cJSON_CreateObject();

	cJSON_AddNumberToObject(o, "done", (double)d->done);
	cJSON_AddNumberToObject(o, "kept", (double)d->kept);
	cJSON_AddNumberToObject(o, "busy", (double)d->busy);
	cJSON_AddNumberToObject(o, "lost", (double)d->lost);
	cJSON_AddStringToObject(o, "where", d->where);
	w->answer = o;
	wait_ended(w, rc);
}

static void do_decide(struct control *c, struct peer *p, const cJSON *req,
                      enum engine_verdict verdict)
{
	struct waiting *w = waiting_new(c);
	enum hold_dir dir;
	int rc = w ? get_direction(req, &dir) : -ENOMEM;

	if (rc == 0)
		rc = engine_decide(c->nmb->engine, dir, verdict, decided, w);
	if (rc < 0) {
		free(w);
		send_error(p, rc, strerror(-rc));
		return;
	}
	p->waiting = w;
	p->flush = false;
}

static void do_held(struct control *c, struct peer *p, const cJSON *req)
{
	enum hold_dir dir;
	cJSON *o, *held = NULL;
	int rc = get_direction(req, &dir);

	if (rc == 0)
		rc = control_held(c->nmb, dir, &held);
	if (rc < 0) {
		send_error(p, rc, strerror(-rc));
		return;
	}
	o = cJSON_CreateObject();
	cJSON_AddItemToObject(o, "held", held ? held : cJSON_CreateNull());
	send_ok(p, o);
}

void control_kick(struct control *c)
{
	session_kick(c->nmb->session);
	engine_kick(c->nmb->engine);
	fetch_kick(c->nmb->fetch);
}

/* What runs on connections of a network that is no more ends soon; what waits
 * for one is tried. */
void control_network_changed(struct control *c)
{
	struct graph_state g;

	http_drop_connections(c->nmb->session->http);
	graph_get_state(c->nmb->session->graph, &g);
	log_debug("network changed offline=%d", g.offline);
	if (g.offline)
		control_kick(c);
}

static void do_kick(struct control *c, struct peer *p)
{
	control_kick(c);
	send_ok(p, NULL);
}

/* What this device knows of the item's versions is forgotten: the next one that
 * is seen is believed. */
static int forget_bond(struct nmb *nmb, uint64_t ino)
{
	struct node *n = malloc(sizeof(*n));
	struct db *db;
	int rc = n ? store_begin(nmb->store, &db) : -ENOMEM;

	if (rc < 0) {
		free(n);
		return rc;
	}
	rc = node_get(db, ino, n);
	if (rc == 0 && !node_on_server(n))
		rc = -ENOENT;
	if (rc == 0)
		rc = bond_forget(db, n->s_id);
	free(n);
	return rc < 0 ? store_rollback(nmb->store, rc)
	              : store_commit(nmb->store);
}

static void do_accept(struct control *c, struct peer *p, const cJSON *req)
{
	uint64_t ino;
	int rc = json_str(req, "path") ? find_path(c, req, &ino) : -EINVAL;

	if (rc == 0)
		rc = forget_bond(c->nmb, ino);
	if (rc < 0)
		send_error(p, rc, strerror(-rc));
	else
		send_ok(p, NULL);
}

void control_request(struct control *c, struct peer *p, const cJSON *req)
{
	const char *what = json_str(req, "do");

	if (!what || p->waiting) {
		send_error(p, -EINVAL, "not a request");
	} else if (!strcmp(what, "status")) {
		do_status(c, p, req);
	} else if (!strcmp(what, "flush")) {
		do_flush(c, p, req);
	} else if (!strcmp(what, "poll")) {
		do_poll(c, p);
	} else if (!strcmp(what, "kick")) {
		do_kick(c, p);
	} else if (!strcmp(what, "accept")) {
		do_accept(c, p, req);
	} else if (!strcmp(what, "held")) {
		do_held(c, p, req);
	} else if (!strcmp(what, "approve")) {
		do_decide(c, p, req, ENGINE_APPROVE);
	} else if (!strcmp(what, "undo")) {
		do_decide(c, p, req, ENGINE_UNDO);
	} else if (!strcmp(what, "events")) {
		control_events_begin(c, p);
	} else if (!strcmp(what, "stop")) {
		send_ok(p, NULL);
		c->nmb->stop(c->nmb);
	} else {
		send_error(p, -ENOSYS, "unknown request");
	}
}
