#include "fs/engine_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "fs/db.h"
#include "fs/seen.h"
#include "fs/store.h"
#include "net/clock.h"
#include "net/log.h"

/* Which feed there is (facts/graph.md 7.1). Below one folder on personal
 * drives: the rest of the drive is none of our business. Of the whole drive on
 * others, filtered by ancestry. Where there is none, as in some national
 * clouds, each folder is listed in turn, and what does not come is looked at as
 * after any full enumeration.
 *
 * Kept in the store (table meta): feed, as below. It only goes down, and anew
 * with a new state. */
enum feed { FEED_UNKNOWN, FEED_FOLDER, FEED_DRIVE, FEED_NONE };

#define MAX_LOST   3  /* folder feeds that start anew each time: seen in 2021 */
#define WALK_SHARE 20 /* one part of the time is for listing */

int engine_feed_load(struct engine *e, struct db *db)
{
	int64_t kind = FEED_UNKNOWN;
	int rc = store_get_int(db, "feed", FEED_UNKNOWN, &kind);

	e->feed.kind = (int)kind;
	return rc;
}

static int get_kind(const struct engine *e)
{
	if (e->feed.kind != FEED_UNKNOWN)
		return e->feed.kind;
	return e->gather.personal ? FEED_FOLDER : FEED_DRIVE;
}

static void set_kind(struct engine *e, int kind, const char *why)
{
	struct db *db;
	int rc = store_begin(e->opt.store, &db);

	if (rc == 0)
		store_end(e->opt.store, store_set_int(db, "feed", kind));
	e->feed.kind = kind; /* for now, if it can't be kept */
	log_info("delta %s: %s", why,
	         kind == FEED_DRIVE ? "that of the whole drive is read"
	                            : "all folders are listed");
}

int engine_feed_prepare(struct engine *e, struct job *j)
{
	struct node *n;
	struct db *db;
	int rc;

	if (get_kind(e) != FEED_FOLDER)
		return graph_prepare_delta(e->opt.graph, NULL, false, &j->call);
	n = malloc(sizeof(*n));
	rc = n ? store_reader(e->opt.store, &db) : -ENOMEM;
	if (rc == 0) {
		rc = node_get(db, NODE_ROOT, n);
		store_reader_done(e->opt.store, db);
	}
	if (rc == 0)
		rc = graph_prepare_delta(e->opt.graph, n->s_id, false,
		                         &j->call);
	free(n);
	return rc;
}

bool engine_feed_refused(struct engine *e, long status)
{
	if (status != 501 && status != 400 && status != 405)
		return false;
	if (get_kind(e) == FEED_FOLDER)
		set_kind(e, FEED_DRIVE, "has no feed of a folder");
	else
		set_kind(e, FEED_NONE, "has no feed");
	e->delta_full = true;
	return true;
}

void engine_feed_lost(struct engine *e)
{
	if (get_kind(e) == FEED_FOLDER && ++e->feed.lost == MAX_LOST)
		set_kind(e, FEED_DRIVE,
		         "of a folder starts anew again and again");
}

void engine_feed_works(struct engine *e)
{
	e->feed.lost = 0;
}

int64_t engine_feed_pause(const struct engine *e)
{
	int64_t ms = e->opt.poll_interval_ms;
	int64_t took = e->round_ended_ms - e->feed.began_ms;

	if (get_kind(e) == FEED_NONE && ms < took * WALK_SHARE)
		ms = took * WALK_SHARE;
	return ms;
}

/* ---- listing all folders ------------------------------------------------- */

static void walk_on(struct engine *e, struct job *j);

bool engine_feed_walks(const struct engine *e)
{
	return get_kind(e) == FEED_NONE;
}

/* The next folder, our own first. Those found under way have greater numbers.
 */
static int next_folder(struct engine *e, struct job *j)
{
	struct sqlite3_stmt *q;
	struct db *db;
	int rc = store_reader(e->opt.store, &db);

	if (rc < 0)
		return rc;
	rc = db_query(db,
	              "SELECT ino,s_id FROM node WHERE ino>? AND s_id IS NOT"
	              " NULL AND mode&61440=16384 ORDER BY ino LIMIT 1",
	              DB_ARGS(DB_INT(e->feed.walked)), &q);
	if (rc == 0)
		rc = db_next(db, q);
	if (rc == 1) {
		e->feed.walked = (uint64_t)db_col_int(q, 0);
		if (!db_col_text(q, 1, j->item_id, sizeof(j->item_id)))
			rc = -EUCLEAN;
	}
	db_finish(q);
	store_reader_done(e->opt.store, db);
	return rc;
}

static void send_page(struct engine *e, struct job *j, const char *link);

static void page_came(struct engine *e, struct job *j)
{
	struct graph_page page;
	struct item *items;
	size_t n;
	int rc;

	if (j->status == 404) { /* its own folder does not bring it: a look */
		walk_on(e, j);
		return;
	}
	rc = j->rc < 0 ? j->rc
	     : j->json ? graph_parse_page(e->opt.graph, j->json, &page)
	               : -EBADMSG;
	if (rc == 0 && page.next_link)
		rc = graph_walk_on(&j->walk, &page);
	if (rc == 0)
		rc = engine_page_items(&page, &items, &n);
	if (rc == 0) {
		rc = remote_take_page(e->remote, items, n, e->round, true,
		                      j->asked, NULL, NULL);
		free(items);
	}
	if (rc < 0)
		engine_delta_later(e, j, rc);
	else if (page.next_link)
		send_page(e, j, page.next_link);
	else
		walk_on(e, j);
}

/* `link` lies in j->json. */
static void send_page(struct engine *e, struct job *j, const char *link)
{
	int rc;

	graph_prepared_done(&j->call);
	rc = link ? graph_prepare_link(e->opt.graph, link, &j->call)
	          : graph_prepare_list(e->opt.graph, j->item_id, &j->call);
	cJSON_Delete(j->json);
	j->json = NULL;
	if (rc < 0) {
		engine_delta_later(e, j, rc);
		return;
	}
	j->call.c.prio = HTTP_PRIO_META;
	job_send(j, page_came, job_answered_json);
}

static void walk_on(struct engine *e, struct job *j)
{
	int rc = next_folder(e, j);

	if (rc < 0)
		engine_delta_later(e, j, rc);
	else if (rc == 0)
		engine_delta_listed(e, j);
	else {
		j->walk = (struct graph_walk){ 0 };
		send_page(e, j, NULL);
	}
}

void engine_feed_walk(struct engine *e, struct job *j)
{
	struct db *db;
	int rc = store_begin(e->opt.store, &db);

	if (rc == 0) {
		rc = listed_clear(db);
		rc = store_end(e->opt.store, rc);
	}
	e->missing.on = false;
	e->feed.began_ms = clock_mono_ms();
	e->feed.walked = 0;
	if (rc < 0)
		engine_delta_later(e, j, rc);
	else
		walk_on(e, j);
}
