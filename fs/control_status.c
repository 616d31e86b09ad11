#include "fs/control_status.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/tokens.h"
#include "fs/attempt.h"
#include "fs/cfile.h"
#include "fs/config.h"
#include "fs/db.h"
#include "fs/drill.h"
#include "fs/engine.h"
#include "fs/held.h"
#include "fs/nmb.h"
#include "fs/node.h"
#include "fs/plan.h"
#include "fs/session.h"
#include "fs/space.h"
#include "fs/store.h"
#include "net/clock.h"
#include "net/json.h"
#include "net/log.h"

#define PATH_BYTES        8192
#define MAX_LISTED        100
#define MAX_EXAMPLES      1000
#define MAX_EXAMPLE_BYTES (256 << 10)

static void add_bytes(cJSON *o, const char *name, int64_t v)
{
	if (v < 0)
		cJSON_AddNullToObject(o, name);
	else
		cJSON_AddNumberToObject(o, name, (double)v);
}

void control_add_text(cJSON *o, const char *name, const char *text)
{
	size_t size = strlen(text) * 4 + 1;
	char *safe = malloc(size);

	if (safe) {
		log_sanitize(text, safe, size);
		cJSON_AddStringToObject(o, name, safe);
	}
	free(safe);
}

struct listing {
	struct nmb *nmb;
	struct db *db;
	cJSON *array;
	int n;
};

static int add_blocked(void *arg, const struct node *n)
{
	struct listing *l = arg;
	char *path = malloc(PATH_BYTES), why[512] = "";
	cJSON *o;
	int rc;

	if (!path)
		return -ENOMEM;
	node_get_blocked(l->db, n->ino, &rc, why, sizeof(why));
	if (node_path(l->db, n->ino, path, PATH_BYTES) < 0 || !path[0])
		snprintf(path, PATH_BYTES, "(removed) %s", n->name);
	o = cJSON_CreateObject();
	control_add_text(o, "path", path);
	control_add_text(o, "reason", why);
	cJSON_AddItemToArray(l->array, o);
	free(path);
	return ++l->n >= MAX_LISTED;
}

static int add_upload(void *arg, uint64_t ino, uint64_t sent, uint64_t total)
{
	struct listing *l = arg;
	char *path = malloc(PATH_BYTES);
	cJSON *o;

	if (!path)
		return -ENOMEM;
	if (node_path(l->db, ino, path, PATH_BYTES) < 0 || !path[0])
		snprintf(path, PATH_BYTES, "(removed)");
	o = cJSON_CreateObject();
	control_add_text(o, "path", path);
	cJSON_AddNumberToObject(o, "sent", (double)sent);
	cJSON_AddNumberToObject(o, "total", (double)total);
	cJSON_AddItemToArray(l->array, o);
	free(path);
	return 0;
}

/* What has neither begun nor been refused, in the order of its making. */
struct waiting_list {
	struct listing *l;
	struct node_inos busy;
	unsigned left;
};

static int note_busy(void *arg, uint64_t ino, uint64_t sent, uint64_t total)
{
	const struct node n = { .ino = ino };

	(void)sent;
	(void)total;
	return node_add_ino(arg, &n);
}

static int add_one_waiting(void *arg, const struct node *n)
{
	struct waiting_list *w = arg;
	char path[PATH_BYTES], why[16];
	cJSON *o;
	int rc;

	for (size_t i = 0; i < w->busy.n; i++) {
		if (w->busy.ino[i] == n->ino)
			return 0;
	}
	if (n->ino == NODE_ROOT || !n->parent ||
	    node_get_blocked(w->l->db, n->ino, &rc, why, sizeof(why)) == 0 ||
	    node_path(w->l->db, n->ino, path, sizeof(path)) < 0)
		return 0;
	o = cJSON_CreateObject();
	control_add_text(o, "path", path);
	cJSON_AddNumberToObject(o, "size",
	                        plan_content_differs(n) ? (double)n->size : 0);
	cJSON_AddItemToArray(w->l->array, o);
	return --w->left == 0;
}

static void add_waiting(struct listing *l, cJSON *o, unsigned max)
{
	struct waiting_list w = { .l = l, .left = max };

	l->array = cJSON_AddArrayToObject(o, "waiting");
	engine_each_upload(l->nmb->engine, note_busy, &w.busy);
	node_each_dirty(l->db, 0, add_one_waiting, &w);
	free(w.busy.ino);
}

struct examples {
	cJSON *array;
	size_t bytes;
};

static int add_path(void *arg, const char *path)
{
	struct examples *e = arg;
	size_t size = strlen(path) * 4 + 1;
	char *safe = malloc(size);

	if (safe) {
		log_sanitize(path, safe, size);
		e->bytes += strlen(safe);
		cJSON_AddItemToArray(e->array, cJSON_CreateString(safe));
	}
	free(safe);
	return e->bytes > MAX_EXAMPLE_BYTES;
}

/* NULL: nothing is held. */
static int describe_held(struct db *db, enum hold_dir dir, int64_t max,
                         cJSON **out)
{
	struct examples e = { NULL, 0 };
	struct held held = { .deletes = 0 };
	int64_t since;
	cJSON *o;
	int rc = hold_get_since(db, dir, &since);

	*out = NULL;
	if (rc == 0 && since)
		rc = held_count(db, dir, &held);
	if (rc < 0 || !since || !(held.deletes + held.overwrites))
		return rc;
	o = cJSON_CreateObject();
	cJSON_AddStringToObject(o, "direction",
	                        dir == HOLD_OUT ? "outgoing" : "incoming");
	json_add_time(o, "since", since);
	cJSON_AddNumberToObject(o, "deletes", (double)held.deletes);
	cJSON_AddNumberToObject(o, "overwrites", (double)held.overwrites);
	e.array = cJSON_AddArrayToObject(o, "examples");
	rc = held_each_path(db, dir, max, add_path, &e);
	*out = o;
	return rc;
}

static void add_held(struct db *db, enum hold_dir dir, cJSON *array)
{
	cJSON *o;

	describe_held(db, dir, HELD_EXAMPLES, &o);
	if (o)
		cJSON_AddItemToArray(array, o);
}

int control_held(struct nmb *nmb, enum hold_dir dir, cJSON **out)
{
	struct db *db;
	int rc = store_reader(nmb->store, &db);

	if (rc < 0)
		return rc;
	rc = describe_held(db, dir, MAX_EXAMPLES, out);
	store_reader_done(nmb->store, db);
	if (rc < 0) {
		cJSON_Delete(*out);
		*out = NULL;
	}
	return rc;
}

cJSON *control_held_at(const char *state_dir)
{
	cJSON *array = cJSON_CreateArray();
	char path[PATH_MAX];
	struct db *db;
	int rc = 0;

	if (snprintf(path, sizeof(path), "%s/state.db", state_dir) >=
	    (int)sizeof(path))
		rc = -ENAMETOOLONG;
	if (array && rc == 0)
		rc = db_open_look(path, &db);
	if (!array || rc < 0) {
		cJSON_Delete(array);
		return rc == -ENOENT ? cJSON_CreateArray() : NULL;
	}
	add_held(db, HOLD_OUT, array);
	add_held(db, HOLD_IN, array);
	db_close(db);
	return array;
}

static void add_lists(struct nmb *nmb, cJSON *o, unsigned waiting)
{
	struct listing l = { .nmb = nmb };

	if (store_reader(nmb->store, &l.db) < 0)
		return;
	l.array = cJSON_AddArrayToObject(o, "uploading");
	engine_each_upload(nmb->engine, add_upload, &l);
	l.array = cJSON_AddArrayToObject(o, "blocked");
	node_each_blocked(l.db, add_blocked, &l);
	l.array = cJSON_AddArrayToObject(o, "held");
	add_held(l.db, HOLD_OUT, l.array);
	add_held(l.db, HOLD_IN, l.array);
	if (waiting)
		add_waiting(&l, o, waiting);
	store_reader_done(nmb->store, l.db);
}

static void add_quota(cJSON *o, const struct engine_status *s)
{
	cJSON *q = cJSON_AddObjectToObject(o, "quota");

	add_bytes(q, "total", s->quota_total);
	add_bytes(q, "used", s->quota_used);
	add_bytes(q, "remaining", s->quota_remaining);
}

/* Signed out, what a person must do comes before what it led to. */
static void add_last_error(struct nmb *nmb, cJSON *o,
                           const struct engine_status *s)
{
	char trouble[512] = "";

	if (s->state == ENGINE_SIGNED_OUT)
		tokens_get_trouble(nmb->session->tokens, trouble,
		                   sizeof(trouble));
	control_add_text(o, "last_error", trouble[0] ? trouble : s->last_error);
}

int64_t control_wall_time(int64_t mono_ms)
{
	return mono_ms ? clock_real_ns() + (mono_ms - clock_mono_ms()) * 1000000
	               : 0;
}

static void add_traffic(struct nmb *nmb, cJSON *o)
{
	uint64_t sent, received;

	http_get_traffic(nmb->session->http, &sent, &received);
	cJSON_AddNumberToObject(o, "sent_bytes", (double)sent);
	cJSON_AddNumberToObject(o, "received_bytes", (double)received);
}

cJSON *control_status(struct nmb *nmb, unsigned waiting)
{
	cJSON *o = cJSON_CreateObject();
	struct engine_status s;
	uint64_t used, budget;
	int64_t throttled;

	if (!o)
		return NULL;
	engine_get_status(nmb->engine, &s);
	space_get(nmb->space, &used, &budget);
	throttled = control_wall_time(s.throttled_until_ms);
	cJSON_AddStringToObject(o, "state", engine_state_name(s.state));
	cJSON_AddNumberToObject(o, "pending_files", (double)s.pending_files);
	cJSON_AddNumberToObject(o, "pending_bytes", (double)s.pending_bytes);
	cJSON_AddNumberToObject(o, "pending_changes", (double)s.pending_nodes);
	add_lists(nmb, o, waiting);
	cJSON_AddNumberToObject(o, "uploaded_files", (double)s.uploaded_files);
	cJSON_AddNumberToObject(o, "uploaded_bytes", (double)s.uploaded_bytes);
	cJSON_AddNumberToObject(o, "cached_bytes", (double)used);
	cJSON_AddNumberToObject(o, "cache_size", (double)budget);
	add_traffic(nmb, o);
	add_quota(o, &s);
	json_add_time(o, "throttled_until", throttled);
	json_add_time(o, "full_until", control_wall_time(s.full_until_ms));
	if (s.paused)
		cJSON_AddStringToObject(o, "paused", s.paused);
	else
		cJSON_AddNullToObject(o, "paused");
	add_last_error(nmb, o, &s);
	json_add_time(o, "last_sync", s.last_sync_ns);
	cJSON_AddBoolToObject(o, "listed", s.listed);
	cJSON_AddItemToObject(o, "last_drill", drill_json(nmb->state_dir));
	control_add_text(o, "mountpoint", nmb->mountpoint);
	cJSON_AddStringToObject(o, "profile",
	                        config_text(nmb->config, CONFIG_PROFILE));
	cJSON_AddNumberToObject(o, "pid", getpid());
	cJSON_AddStringToObject(o, "version", NMB_VERSION);
	return o;
}

/* ---- one node ------------------------------------------------------------ */

static const char *node_state(struct db *db, const struct node *n,
                              struct attempt *a, char *why, size_t size)
{
	struct cfile row;
	int64_t since;
	int rc;

	if (node_get_blocked(db, n->ino, &rc, why, size) == 0)
		return "blocked";
	if (attempt_get_by_ino(db, n->ino, a) == 0)
		return "uploading";
	if (held_is(n) && hold_get_since(db, HOLD_OUT, &since) == 0 && since)
		return "held";
	if (n->flags & NODE_DIRTY)
		return "pending";
	if (!node_on_server(n))
		return "local";
	if (!node_is_file(n) || (n->cid && cfile_get(db, n->cid, &row) == 0 &&
	                         row.flags & CFILE_WHOLE))
		return "synced";
	return "cloud";
}

struct below {
	struct db *db;
	uint64_t ino;
	unsigned pending, blocked, held;
	bool hold;
};

static int count_below(void *arg, const struct node *n)
{
	struct below *b = arg;
	char why[16];
	int rc = n->ino == b->ino ? 0 : node_is_below(b->db, n->ino, b->ino);
	int ignored;

	if (rc <= 0)
		return rc;
	if (node_get_blocked(b->db, n->ino, &ignored, why, sizeof(why)) == 0)
		b->blocked++;
	else if (b->hold && held_is(n))
		b->held++;
	else
		b->pending++;
	return 0;
}

static void add_below(struct db *db, uint64_t ino, cJSON *node)
{
	struct below b = { .db = db, .ino = ino };
	int64_t since;
	cJSON *o;

	b.hold = hold_get_since(db, HOLD_OUT, &since) == 0 && since;
	if (node_each_dirty(db, 0, count_below, &b) < 0)
		return;
	o = cJSON_AddObjectToObject(node, "below");
	cJSON_AddNumberToObject(o, "pending", b.pending);
	cJSON_AddNumberToObject(o, "blocked", b.blocked);
	cJSON_AddNumberToObject(o, "held", b.held);
}

int control_node_status(struct nmb *nmb, uint64_t ino, cJSON **out)
{
	struct node *n = malloc(sizeof(*n));
	struct attempt *a = attempt_alloc();
	char why[512] = "", *path = malloc(PATH_BYTES);
	struct db *db;
	int rc = n && a && path ? store_reader(nmb->store, &db) : -ENOMEM;

	if (rc < 0)
		goto out;
	rc = node_get(db, ino, n);
	if (rc == 0)
		rc = node_path(db, ino, path, PATH_BYTES);
	if (rc == 0) {
		cJSON *o = cJSON_CreateObject();

		control_add_text(o, "path", path);
		cJSON_AddStringToObject(o, "state",
		                        node_state(db, n, a, why, sizeof(why)));
		cJSON_AddNumberToObject(o, "size", (double)n->size);
		control_add_text(o, "id", n->s_id);
		control_add_text(o, "error", why);
		if (node_is_dir(n))
			add_below(db, ino, o);
		*out = o;
	}
	store_reader_done(nmb->store, db);
out:
	free(path);
	attempt_free(a);
	free(n);
	return rc;
}

int control_find(struct nmb *nmb, const char *path, uint64_t *out_ino)
{
	size_t len = strlen(nmb->mountpoint);
	struct db *db;
	int rc = store_reader(nmb->store, &db);

	if (rc < 0)
		return rc;
	if (!strncmp(path, nmb->mountpoint, len) &&
	    (path[len] == '/' || !path[len]))
		path += len;
	rc = node_find(db, path, out_ino);
	store_reader_done(nmb->store, db);
	return rc;
}
