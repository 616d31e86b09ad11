#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "net/clock.h"
#include "net/json.h"
#include "tests/graphd/control_internal.h"
#include "tests/graphd/fault.h"
#include "tests/graphd/ids.h"
#include "tests/graphd/item_json.h"
#include "tests/graphd/must.h"
#include "tests/graphd/session.h"
#include "tests/graphd/stats.h"

#define DEFAULT_TIMEOUT_MS 10000

static const char *const types[] = { "file", "folder", "package" };
static const char *const states[] = { "live", "binned", "gone" };

cJSON *control_item_json(struct graphd *g, struct item *item)
{
	char *etag = ids_etag(g->opt.kind, item, item->etag_n);
	cJSON *o = cJSON_CreateObject();
	struct buf path = BUF_INIT;
	char mtime[CLOCK_RFC3339_SIZE];

	drive_path(item, false, &path);
	cJSON_AddStringToObject(o, "path", path.len ? must_text(&path) : "/");
	cJSON_AddStringToObject(o, "id", item->id);
	cJSON_AddStringToObject(o, "type", types[item->type]);
	if (item->state != ITEM_LIVE)
		cJSON_AddStringToObject(o, "state", states[item->state]);
	cJSON_AddStringToObject(o, "eTag", etag);
	cJSON_AddNumberToObject(o, "size",
	                        item->blob ? (double)item->blob->size
	                                   : (double)item->size);
	if (item->blob)
		cJSON_AddStringToObject(o, "quickXorHash",
		                        item->blob->quickxor);
	clock_format_rfc3339(item->fs_modified_ns, 3, mtime);
	cJSON_AddStringToObject(o, "mtime", mtime);
	cJSON_AddNumberToObject(o, "versions", (double)item->nversions);
	buf_done(&path);
	free(etag);
	return o;
}

static void dump_tree(struct graphd *g, struct item *item, cJSON *list)
{
	cJSON_AddItemToArray(list, control_item_json(g, item));
	for (struct item *c = item->first; c; c = c->next)
		dump_tree(g, c, list);
}

void control_dump(struct graphd *g, const struct request *req,
                  struct answer *out)
{
	cJSON *json = cJSON_CreateObject();
	cJSON *list = cJSON_AddArrayToObject(json, "items");

	if (query_get(&req->query, "bin")) {
		for (struct item *i = g->drive->oldest; i; i = i->newer)
			cJSON_AddItemToArray(list, control_item_json(g, i));
	} else {
		dump_tree(g, g->drive->root, list);
	}
	cJSON_AddItemToObject(json, "sessions", session_dump(g));
	answer_json(out, 200, json);
}

void control_content(struct graphd *g, const struct request *req,
                     struct answer *out)
{
	const char *id = query_get(&req->query, "id");
	const char *version = query_get(&req->query, "version");
	struct item *item =
		id ? drive_find_any(g->drive, id)
		   : control_find(g, query_get(&req->query, "path"));
	struct blob *blob = item && !version ? item->blob : NULL;
	unsigned n = version ? (unsigned)strtoul(version, NULL, 10) : 0;

	for (size_t i = 0; item && i < item->nversions; i++) {
		if (i + 1 == n)
			blob = item->versions[i].blob;
	}
	if (!blob) {
		control_bad(out, "no such file");
		return;
	}
	answer_empty(out, 200);
	answer_header(out, "Content-Type", "application/octet-stream");
	out->fd = blob_open(g->blobs, blob);
	out->fd_len = blob->size;
}

/* ---- waiting
 * ------------------------------------------------------------------------ */

static bool class_holds(struct graphd *g, const struct query *q)
{
	const char *class = query_get(q, "class");
	const char *count = query_get(q, "count");
	const char *done = query_get(q, "done");
	enum route_class c = class ? route_class_of(class) : CLASS_COUNT;

	if (c == CLASS_COUNT)
		return !class;
	return (!count ||
	        stats_count(g->stats, c) >= strtoull(count, NULL, 10)) &&
	       (!done || stats_done(g->stats, c) >= strtoull(done, NULL, 10));
}

static bool path_holds(struct graphd *g, const struct query *q)
{
	const char *path = query_get(q, "path"), *size = query_get(q, "size");
	const char *hash = query_get(q, "hash");
	const char *etag_not = query_get(q, "etag_not");
	struct item *item = control_find(g, path);
	bool ok = true;
	char *etag;

	if (!path)
		return true;
	if (!item)
		return false;
	if (size)
		ok = item->blob && item->blob->size == strtoull(size, NULL, 10);
	if (hash)
		ok = ok && item->blob && !strcmp(item->blob->quickxor, hash);
	if (etag_not) {
		etag = ids_etag(g->opt.kind, item, item->etag_n);
		ok = ok && strcmp(etag, etag_not);
		free(etag);
	}
	return ok;
}

static bool fault_holds(struct graphd *g, const struct query *q)
{
	const char *name = query_get(q, "fired");
	const char *times = query_get(q, "times");

	return !name || faults_fired(g->faults, name) >=
	                        (times ? strtoull(times, NULL, 10) : 1);
}

static bool idle_holds(struct graphd *g, const struct query *q, int64_t *next)
{
	const char *idle = query_get(q, "idle_ms");
	int64_t until;

	if (!idle)
		return true;
	if (!stats_is_idle(g->stats, &until))
		return false;
	until += strtoll(idle, NULL, 10);
	if (clock_mono_ms() >= until)
		return true;
	if (until < *next)
		*next = until;
	return false;
}

static bool all_hold(struct graphd *g, const struct query *q, int64_t *next)
{
	const char *gone = query_get(q, "gone"), *items = query_get(q, "items");

	return class_holds(g, q) && path_holds(g, q) && fault_holds(g, q) &&
	       (!gone || !control_find(g, gone)) &&
	       (!items || g->drive->nlive >= strtoull(items, NULL, 10)) &&
	       idle_holds(g, q, next);
}

static void wait_until(struct graphd *g, int64_t at_ms)
{
	int64_t left_ms = at_ms - clock_mono_ms();
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts = clock_ns_to_timespec(clock_timespec_to_ns(ts) +
	                          (left_ms > 0 ? left_ms : 0) * 1000000);
	pthread_cond_timedwait(&g->event, &g->lock, &ts);
}

void control_wait(struct graphd *g, const struct request *req,
                  struct answer *out)
{
	const char *timeout = query_get(&req->query, "timeout_ms");
	int64_t end = clock_mono_ms() + (timeout ? strtoll(timeout, NULL, 10)
	                                         : DEFAULT_TIMEOUT_MS);
	int64_t next;
	bool ok;

	pthread_mutex_lock(&g->lock);
	for (;;) {
		next = end;
		ok = all_hold(g, &req->query, &next);
		if (ok || g->stopping || clock_mono_ms() >= end)
			break;
		wait_until(g, next);
	}
	pthread_mutex_unlock(&g->lock);
	answer_json(out, ok ? 200 : 408, cJSON_CreateObject());
}
