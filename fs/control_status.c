#include "fs/control_status.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/tokens.h"
#include "fs/attempt.h"
#include "fs/cfile.h"
#include "fs/config.h"
#include "fs/engine.h"
#include "fs/nmb.h"
#include "fs/node.h"
#include "fs/plan.h"
#include "fs/session.h"
#include "fs/space.h"
#include "fs/store.h"
#include "net/clock.h"
#include "net/log.h"

#define PATH_BYTES 8192
#define MAX_LISTED 100

static void add_time(cJSON *o, const char *name, int64_t ns)
{
	char text[CLOCK_RFC3339_SIZE];

	if (!ns) {
		cJSON_AddNullToObject(o, name);
		return;
	}
	clock_format_rfc3339(ns, 0, text);
	cJSON_AddStringToObject(o, name, text);
}

static void add_bytes(cJSON *o, const char *name, int64_t v)
{
	if (v < 0)
		cJSON_AddNullToObject(o, name);
	else
		cJSON_AddNumberToObject(o, name, (double)v);
}

/* Paths may hold any byte; JSON takes UTF-8. */
static void add_text(cJSON *o, const char *name, const char *text)
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
	add_text(o, "path", path);
	add_text(o, "reason", why);
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
	add_text(o, "path", path);
	cJSON_AddNumberToObject(o, "sent", (double)sent);
	cJSON_AddNumberToObject(o, "total", (double)total);
	cJSON_AddItemToArray(l->array, o);
	free(path);
	return 0;
}

static void add_lists(struct nmb *nmb, cJSON *o)
{
	struct listing l = { .nmb = nmb };

	if (store_reader(nmb->store, &l.db) < 0)
		return;
	l.array = cJSON_AddArrayToObject(o, "uploading");
	engine_each_upload(nmb->engine, add_upload, &l);
	l.array = cJSON_AddArrayToObject(o, "blocked");
	node_each_blocked(l.db, add_blocked, &l);
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
	add_text(o, "last_error", trouble[0] ? trouble : s->last_error);
}

cJSON *control_status(struct nmb *nmb)
{
	cJSON *o = cJSON_CreateObject();
	struct engine_status s;
	uint64_t used, budget;
	int64_t throttled = 0;

	if (!o)
		return NULL;
	engine_get_status(nmb->engine, &s);
	space_get(nmb->space, &used, &budget);
	if (s.throttled_until_ms)
		throttled = clock_real_ns() +
		            (s.throttled_until_ms - clock_mono_ms()) * 1000000;
	cJSON_AddStringToObject(o, "state", engine_state_name(s.state));
	cJSON_AddNumberToObject(o, "pending_files", (double)s.pending_files);
	cJSON_AddNumberToObject(o, "pending_bytes", (double)s.pending_bytes);
	cJSON_AddNumberToObject(o, "pending_changes", (double)s.pending_nodes);
	add_lists(nmb, o);
	cJSON_AddNumberToObject(o, "uploaded_files", (double)s.uploaded_files);
	cJSON_AddNumberToObject(o, "uploaded_bytes", (double)s.uploaded_bytes);
	cJSON_AddNumberToObject(o, "cached_bytes", (double)used);
	cJSON_AddNumberToObject(o, "cache_size", (double)budget);
	add_quota(o, &s);
	add_time(o, "throttled_until", throttled);
	add_last_error(nmb, o, &s);
	add_time(o, "last_sync", s.last_sync_ns);
	cJSON_AddBoolToObject(o, "listed", s.listed);
	add_text(o, "mountpoint", nmb->mountpoint);
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
	int rc;

	if (node_get_blocked(db, n->ino, &rc, why, size) == 0)
		return "blocked";
	if (attempt_get_by_ino(db, n->ino, a) == 0)
		return "uploading";
	if (n->flags & NODE_DIRTY)
		return "pending";
	if (!node_on_server(n))
		return "local";
	if (!node_is_file(n) || (n->cid && cfile_get(db, n->cid, &row) == 0 &&
	                         row.flags & CFILE_WHOLE))
		return "synced";
	return "cloud";
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

		add_text(o, "path", path);
		cJSON_AddStringToObject(o, "state",
		                        node_state(db, n, a, why, sizeof(why)));
		cJSON_AddNumberToObject(o, "size", (double)n->size);
		add_text(o, "id", n->s_id);
		add_text(o, "error", why);
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
	struct node *n = malloc(sizeof(*n));
	char name[NODE_NAME_MAX + 1];
	uint64_t ino = NODE_ROOT;
	struct db *db;
	int rc = n ? store_reader(nmb->store, &db) : -ENOMEM;

	if (rc < 0) {
		free(n);
		return rc;
	}
	if (!strncmp(path, nmb->mountpoint, len) &&
	    (path[len] == '/' || !path[len]))
		path += len;
	while (*(path += strspn(path, "/")) && rc == 0) {
		size_t part = strcspn(path, "/");

		if (part >= sizeof(name)) {
			rc = -ENAMETOOLONG;
			break;
		}
		memcpy(name, path, part);
		name[part] = '\0';
		path += part;
		rc = node_get_child(db, ino, name, n);
		ino = n->ino;
	}
	store_reader_done(nmb->store, db);
	free(n);
	if (rc == 0)
		*out_ino = ino;
	return rc;
}
