#include "fs/engine_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/db.h"
#include "fs/lock.h"
#include "fs/store.h"
#include "fs/tree.h"
#include "net/clock.h"
#include "net/crashpoint.h"
#include "net/error_text.h"
#include "net/log.h"
#include "net/names.h"

/* Our folder on the drive: found, or made, once; its id is the root's s_id and
 * is all that later starts need. The drive is asked for its id (faults 50:
 * another account's drive is never written to) and its quota, at every start
 * and now and then. Kept in the store: drive_id, drive_type. */

#define QUOTA_EVERY_MS 600000
#define LIST_NEW_MS    600000

struct list_wait {
	struct list_wait *next;
	uint64_t ino;
	int64_t until_ms;
	engine_wake_fn *wake;
	void *arg;
	bool running; /* a job lists it */
};

/* ---- our folder ---------------------------------------------------------- */

static void folder_later(struct engine *e, struct job *j, const char *what,
                         int rc)
{
	int64_t ms = engine_back_off(e->folder_fails++, ENGINE_RETRY_MAX_MS);

	if (rc != -ECANCELED) {
		log_warn("folder \"%s\": %s: %s retry_in_ms=%" PRId64,
		         e->folder, what, error_text(rc), ms);
		engine_set_error(e, "%s: %s", what, error_text(rc));
	}
	e->folder_wanted = false;
	e->folder_due_ms = clock_mono_ms() + ms;
	job_free(j);
}

static int edit_root(struct engine *e, const struct item *it)
{
	struct node *n = malloc(sizeof(*n));
	struct db *db;
	int rc = n ? store_begin(e->opt.store, &db) : -ENOMEM;

	if (rc < 0) {
		free(n);
		return rc;
	}
	rc = node_get(db, NODE_ROOT, n);
	if (rc == 0) {
		bool same = !strcmp(n->s_id, it->id);

		remote_set_synced(&e->gather, n, it, 0);
		n->flags &= ~(uint32_t)NODE_DIRTY;
		if (!same)
			n->flags |= NODE_UNLISTED;
		rc = node_update(db, n);
	}
	free(n);
	return store_end(e->opt.store, rc);
}

static void folder_found(struct engine *e, struct job *j)
{
	int rc = edit_root(e, &j->item);

	CRASH_POINT("home-found");
	if (rc < 0) {
		folder_later(e, j, "state.db", rc);
		return;
	}
	log_info("folder \"%s\" id=%s", e->folder, j->item.id);
	e->folder_known = true;
	e->folder_wanted = false;
	e->folder_fails = 0;
	job_free(j);
	engine_again(e, NODE_ROOT);
	e->delta_due_now = true;
}

static void find_part(struct engine *e, struct job *j);

/* j->item is the folder reached; j->looks: how much of the path that is. */
static void next_part(struct engine *e, struct job *j)
{
	const char *part = e->folder + j->looks;
	int rc = names_next_part(&part, j->name, sizeof(j->name));

	if (rc == 0) {
		folder_found(e, j);
		return;
	}
	if (rc < 0) {
		folder_later(e, j, "the folder's name", rc);
		return;
	}
	j->looks = (unsigned)(part - e->folder);
	memcpy(j->parent_id, j->item.id, sizeof(j->parent_id));
	find_part(e, j);
}

static void part_made(struct engine *e, struct job *j)
{
	if (j->rc == 0 && j->has_item)
		next_part(e, j);
	else if (j->rc == 0 || j->verdict == RETRY_LOOK || j->status == 409)
		find_part(e, j); /* somebody was faster */
	else
		folder_later(e, j, "making the folder", j->rc);
}

static void part_looked(struct engine *e, struct job *j)
{
	int rc;

	if (j->rc == 0 && j->has_item && j->item.kind == ITEM_FOLDER) {
		next_part(e, j);
		return;
	}
	if (j->rc == 0) {
		folder_later(e, j,
		             "there is something else by the folder's "
		             "name, choose another --folder",
		             -ENOTDIR);
		return;
	}
	if (j->status != 404 || e->opt.read_only) {
		folder_later(e, j, "looking for the folder", j->rc);
		return;
	}
	graph_prepared_done(&j->call);
	rc = graph_prepare_mkdir(e->opt.graph, j->parent_id, j->name, &j->call);
	if (rc < 0)
		folder_later(e, j, "making the folder", rc);
	else
		job_send(j, part_made, job_answered);
}

static void find_part(struct engine *e, struct job *j)
{
	int rc;

	graph_prepared_done(&j->call);
	rc = graph_prepare_get_child(e->opt.graph, j->parent_id, j->name,
	                             &j->call);
	if (rc < 0) {
		folder_later(e, j, "looking for the folder", rc);
		return;
	}
	j->call.c.prio = HTTP_PRIO_USER;
	job_send(j, part_looked, job_answered);
}

static void root_came(struct engine *e, struct job *j)
{
	if (j->rc < 0 || !j->has_item) {
		folder_later(e, j, "the drive's root",
		             j->rc < 0 ? j->rc : -EBADMSG);
		return;
	}
	j->looks = 0;
	next_part(e, j);
}

/* ---- the drive ----------------------------------------------------------- */

static void note_quota(struct engine *e, const struct graph_drive *d)
{
	lock_take(&e->lock, LOCK_LEAF);
	e->status.quota_total = d->total > 0 ? d->total : -1;
	e->status.quota_used = d->used;
	e->status.quota_remaining = d->total > 0 ? d->remaining : -1;
	lock_drop(&e->lock, LOCK_LEAF);
}

/* "https://HOST/personal/user_domain/Documents": what the service counts is
 * this path, with a slash behind it (facts/graph.md 11.1). As sent, so that a
 * letter that is escaped counts too much, not too little. */
static unsigned service_units(const struct graph_drive *d)
{
	const char *host = d->web_url ? strstr(d->web_url, "://") : NULL;
	const char *path = host ? strchr(host + 3, '/') : NULL;
	size_t len = path ? strcspn(path + 1, "?#") + 1 : 0;

	return len > TREE_SERVICE_UNITS && len < 300 ? (unsigned)len
	                                             : TREE_SERVICE_UNITS;
}

static int note_drive(struct engine *e, const struct graph_drive *d)
{
	unsigned units = service_units(d);
	char known[NODE_ID_MAX + 1];
	struct db *db;
	int rc = store_begin(e->opt.store, &db);

	if (rc < 0)
		return rc;
	rc = store_get_text(db, "drive_id", known, sizeof(known));
	if (rc == 0 && known[0] && !graph_same_drive(known, d->id))
		rc = -EXDEV;
	if (rc == 0)
		rc = store_set_text(db, "drive_id", d->id);
	if (rc == 0)
		rc = store_set_text(db, "drive_type", d->type ? d->type : "");
	if (rc == 0)
		rc = store_set_int(db, TREE_SERVICE_KEY, units);
	rc = store_end(e->opt.store, rc);
	if (rc < 0)
		return rc;
	e->gather.personal = d->type && !strcmp(d->type, "personal");
	tree_set_service_units(e->opt.tree, units);
	note_quota(e, d);
	return graph_set_drive(e->opt.graph, d->id);
}

static void drive_came(struct engine *e, struct job *j)
{
	struct graph_drive d;
	int rc = j->rc < 0 ? j->rc
	         : j->json ? graph_parse_drive(j->json, &d)
	                   : -EBADMSG;

	if (rc == 0 && (!d.id || !d.id[0]))
		rc = -EBADMSG;
	if (rc == 0)
		rc = note_drive(e, &d);
	if (rc == -EXDEV) {
		e->folder_known = false;
		folder_later(e, j,
		             "signed in as another account than this profile's "
		             "files belong to: sign in again, or use another "
		             "--profile",
		             rc);
		return;
	}
	cJSON_Delete(j->json);
	j->json = NULL;
	if (rc < 0) {
		folder_later(e, j, "the drive", rc);
		return;
	}
	if (e->folder_known) { /* it was only asked for its quota */
		e->folder_wanted = false;
		e->folder_fails = 0;
		job_free(j);
		return;
	}
	graph_prepared_done(&j->call);
	rc = graph_prepare_get_root(e->opt.graph, &j->call);
	if (rc < 0)
		folder_later(e, j, "the drive's root", rc);
	else
		job_send(j, root_came, job_answered);
}

void engine_folder_start(struct engine *e)
{
	struct job *j = job_new(e, 0, PLAN_WAIT_ROUND);
	int rc;

	e->folder_due_ms = clock_mono_ms() + QUOTA_EVERY_MS;
	if (!j)
		return;
	e->folder_wanted = true;
	rc = graph_prepare_get_drive(e->opt.graph, &j->call);
	if (rc < 0) {
		folder_later(e, j, "the drive", rc);
		return;
	}
	j->call.c.prio = HTTP_PRIO_USER;
	job_send(j, drive_came, job_answered_json);
}

int engine_folder_load(struct engine *e)
{
	char id[NODE_ID_MAX + 1], type[64];
	struct node *n = malloc(sizeof(*n));
	struct db *db;
	int rc = n ? store_reader(e->opt.store, &db) : -ENOMEM;

	if (rc < 0) {
		free(n);
		return rc;
	}
	rc = node_get(db, NODE_ROOT, n);
	if (rc == 0)
		rc = store_get_text(db, "drive_id", id, sizeof(id));
	if (rc == 0)
		rc = store_get_text(db, "drive_type", type, sizeof(type));
	store_reader_done(e->opt.store, db);
	if (rc == 0 && id[0]) {
		e->folder_known = node_on_server(n);
		e->gather.personal = !strcmp(type, "personal");
		rc = graph_set_drive(e->opt.graph, id);
	}
	free(n);
	return rc;
}

/* ---- listing one folder -------------------------------------------------- */

int engine_list(struct engine *e, uint64_t ino, int64_t deadline_ms,
                engine_wake_fn *wake, void *arg)
{
	struct list_wait *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->ino = ino;
	w->until_ms = clock_mono_ms() + deadline_ms;
	w->wake = wake;
	w->arg = arg;
	lock_take(&e->lock, LOCK_LEAF);
	w->next = e->list_waits;
	e->list_waits = w;
	e->list_wanted = true;
	pthread_cond_signal(&e->wake);
	lock_drop(&e->lock, LOCK_LEAF);
	return 0;
}

static void call_all(struct list_wait *done, int rc)
{
	while (done) {
		struct list_wait *w = done;

		done = w->next;
		if (w->wake)
			w->wake(w->arg, rc);
		free(w);
	}
}

/* Those for `ino` (0: all), or whose time is over (`now_ms` >= 0). */
static struct list_wait *take_waits(struct engine *e, uint64_t ino,
                                    int64_t now_ms)
{
	struct list_wait **pp, *done = NULL;

	lock_take(&e->lock, LOCK_LEAF);
	pp = &e->list_waits;
	while (*pp) {
		struct list_wait *w = *pp;

		if (now_ms >= 0 ? w->until_ms > now_ms : ino && w->ino != ino) {
			pp = &w->next;
			continue;
		}
		*pp = w->next;
		w->next = done;
		done = w;
	}
	lock_drop(&e->lock, LOCK_LEAF);
	return done;
}

void engine_list_end_all(struct engine *e, int rc)
{
	call_all(take_waits(e, 0, -1), rc);
}

void engine_list_expire(struct engine *e, int64_t now_ms)
{
	call_all(take_waits(e, 0, now_ms), -ETIMEDOUT);
}

int64_t engine_list_next_ms(struct engine *e)
{
	int64_t ms = TODO_NEVER;

	lock_take(&e->lock, LOCK_LEAF);
	for (struct list_wait *w = e->list_waits; w; w = w->next) {
		if (w->until_ms < ms)
			ms = w->until_ms;
	}
	lock_drop(&e->lock, LOCK_LEAF);
	return ms;
}

static bool is_waited_for(struct engine *e, uint64_t ino)
{
	bool waited = false;

	lock_take(&e->lock, LOCK_LEAF);
	for (struct list_wait *w = e->list_waits; w && !waited; w = w->next)
		waited = w->ino == ino;
	lock_drop(&e->lock, LOCK_LEAF);
	return waited;
}

/* A folder that came without its children (moved in from outside, or a page
 * that tells nothing of them): NODE_UNLISTED stays, and it is listed when
 * somebody looks into it, or now. */
void engine_list_new(struct engine *e)
{
	struct node_inos l = { 0 };
	struct sqlite3_stmt *q;
	struct node n = { .ino = 0 };
	struct db *db;
	int rc = store_reader(e->opt.store, &db);

	if (rc < 0)
		return;
	rc = db_query(db,
	              "SELECT ino FROM node INDEXED BY node_unlisted WHERE"
	              " flags & 4 AND s_id IS NOT"
	              " NULL AND parent IS NOT NULL LIMIT 1000",
	              DB_NONE, &q);
	while (rc == 0 && db_next(db, q) == 1) {
		n.ino = (uint64_t)db_col_int(q, 0);
		rc = node_add_ino(&l, &n);
	}
	db_finish(q);
	store_reader_done(e->opt.store, db);
	for (size_t i = 0; i < l.n; i++) {
		if (!is_waited_for(e, l.ino[i]))
			engine_list(e, l.ino[i], LIST_NEW_MS, NULL, NULL);
	}
	free(l.ino);
}

/* What a lookup or a listing may fail with; the log has the rest. */
static int waiter_rc(int rc)
{
	return rc == 0 || rc == -ENOENT || rc == -EACCES || rc == -ECANCELED
	               ? rc
	               : -EIO;
}

static void list_ended(struct engine *e, struct job *j, int rc)
{
	if (rc < 0 && rc != -ECANCELED)
		log_warn("list ino=%" PRIu64 ": %s", j->parent, error_text(rc));
	if (rc == -ENOENT) /* has the folder gone? */
		engine_start_look(e, j->parent, NULL);
	call_all(take_waits(e, j->parent, -1), waiter_rc(rc));
	if (rc == 0 && !e->delta_full) /* there may be more in it */
		engine_list_new(e);
	job_free(j);
}

static int note_listed(void *arg, struct db *db)
{
	const struct job *j = arg;

	return node_set_flags(db, j->parent, 0, NODE_UNLISTED);
}

static void list_page(struct engine *e, struct job *j)
{
	struct graph_page page;
	struct item *items;
	size_t n;
	int rc;

	if (j->rc < 0 || !j->json) {
		list_ended(e, j, j->rc < 0 ? j->rc : -EBADMSG);
		return;
	}
	rc = graph_parse_page(e->opt.graph, j->json, &page);
	if (rc == 0 && page.next_link)
		rc = graph_walk_on(&j->walk, &page);
	if (rc == 0)
		rc = engine_page_items(&page, &items, &n);
	if (rc == 0) {
		rc = remote_take_page(e->remote, items, n, e->round, false,
		                      j->asked,
		                      page.next_link ? NULL : note_listed, j);
		free(items);
	}
	if (rc < 0 || !page.next_link) {
		e->settle_wanted = true;
		list_ended(e, j, rc);
		return;
	}
	graph_prepared_done(&j->call);
	rc = graph_prepare_link(e->opt.graph, page.next_link, &j->call);
	cJSON_Delete(j->json);
	j->json = NULL;
	if (rc < 0) {
		list_ended(e, j, rc);
		return;
	}
	j->call.c.prio = HTTP_PRIO_USER;
	job_send(j, list_page, job_answered_json);
}

static void list_folder(struct engine *e, uint64_t ino)
{
	struct node *n = malloc(sizeof(*n));
	struct job *j = job_new(e, 0, PLAN_WAIT_ROUND);
	struct db *db;
	int rc = n && j ? store_reader(e->opt.store, &db) : -ENOMEM;

	if (rc == 0) {
		rc = node_get(db, ino, n);
		store_reader_done(e->opt.store, db);
	}
	if (j)
		j->parent = ino;
	if (rc == 0 && (!(n->flags & NODE_UNLISTED) || !node_on_server(n)))
		rc = 1; /* known by now, or nothing there to be listed */
	if (rc == 0)
		rc = graph_prepare_list(e->opt.graph, n->s_id, &j->call);
	free(n);
	if (rc != 0) {
		if (j)
			list_ended(e, j, rc < 0 ? rc : 0);
		return;
	}
	j->call.c.prio = HTTP_PRIO_USER;
	job_send(j, list_page, job_answered_json);
}

static bool is_listing_locked(const struct engine *e, uint64_t ino)
{
	for (const struct list_wait *w = e->list_waits; w; w = w->next) {
		if (w->running && w->ino == ino)
			return true;
	}
	return false;
}

void engine_list_start(struct engine *e)
{
	uint64_t ino;

	do {
		ino = 0;
		lock_take(&e->lock, LOCK_LEAF);
		for (struct list_wait *w = e->list_waits; w && !ino;
		     w = w->next) {
			if (w->running)
				continue;
			if (!is_listing_locked(e, w->ino))
				ino = w->ino;
			w->running = true;
		}
		lock_drop(&e->lock, LOCK_LEAF);
		if (ino)
			list_folder(e, ino);
	} while (ino);
}
