#include "fs/engine_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "fs/errand.h"
#include "fs/naming.h"
#include "fs/store.h"
#include "net/clock.h"
#include "net/crashpoint.h"
#include "net/log.h"
#include "net/names.h"

#define MAX_LOOKS     6
#define MAX_VAIN      2    /* after that many it waits */
#define LOOK_AGAIN_MS 3000 /* a hash that comes late, facts 4 */
#define TAG_MOVES     2    /* design, promise 3: that many in a row mark it */

static int node_of_id(struct engine *e, const char *id, struct node *out)
{
	struct db *db;
	int rc = store_reader(e->opt.store, &db);

	if (rc < 0)
		return rc;
	rc = node_get_by_id(db, id, out);
	store_reader_done(e->opt.store, db);
	return rc;
}

int engine_node_of_ino(struct engine *e, uint64_t ino, struct node *out)
{
	struct db *db;
	int rc = store_reader(e->opt.store, &db);

	if (rc < 0)
		return rc;
	rc = node_get(db, ino, out);
	store_reader_done(e->opt.store, db);
	return rc;
}

/* Is what was found there the attempt's own content? 1, 0, or -ENODATA: can't
 * be told yet. An attempt whose final hash is not known never sent its last
 * byte (engine_send.c). */
static int is_ours(const struct job *j)
{
	const struct attempt *a = j->attempt;

	if (!a->has_hash || j->item.kind != ITEM_FILE)
		return 0; /* an empty folder is as large as an empty file */
	if (a->op == ATTEMPT_CREATE && strcmp(a->name, j->item.name) != 0)
		return 0;
	return item_same_content(&j->item, a->size, a->hash);
}

/* Settles the job's open attempt by what a look found. False: look `again`, or
 * the job comes back as `looked`, or has ended. An item without a hash is read:
 * it may still hold what was there before, in the same size. */
static bool settle_attempt(struct engine *e, struct job *j, bool found,
                           job_fn *again, job_fn *looked)
{
	int ours, rc;

	if (!j->attempt)
		return true;
	ours = found ? is_ours(j) : 0;
	if (ours == -ENODATA && j->looks++ < MAX_LOOKS) {
		job_delay(j, LOOK_AGAIN_MS, again);
		return false;
	}
	if (ours == -ENODATA) {
		engine_read_back(e, j, looked);
		return false;
	}
	CRASH_POINT("attempt-looked-for");
	if (ours)
		rc = outcome_sent(&e->outcome, j->attempt, &j->item, true);
	else
		rc = outcome_not_sent(&e->outcome, j->attempt->aid);
	if (!ours && j->attempt->url[0])
		upload_abandon(e->opt.graph, j->attempt->url);
	CRASH_POINT("attempt-settled");
	if (rc < 0) {
		engine_give_up(e, j, "state.db", rc);
		return false;
	}
	if (ours) {
		log_info("ino=%" PRIu64 " id=%s content found on the server, "
		         "it had arrived",
		         j->ino, j->item.id);
		e->uploaded_files++;
		e->uploaded_bytes += j->attempt->size;
	}
	return true;
}

/* The answer may be older than what was heard of the item since: ask again. */
static bool is_overtaken(struct engine *e, struct job *j, const char *id)
{
	return told_since(e->told, id, j->asked) && j->looks++ < MAX_LOOKS;
}

bool engine_is_busy(void *arg, uint64_t ino)
{
	struct engine *e = arg;
	const struct todo_entry *t = todo_find(e->todo, ino);

	return t && t->job && t->job != e->speaks;
}

bool engine_is_making(void *arg, const char *parent_id, const char *name)
{
	struct engine *e = arg;

	for (const struct job *j = e->all; j; j = j->sibling) {
		if (j->action == PLAN_MKDIR && j != e->speaks &&
		    !strcmp(j->parent_id, parent_id) && !strcmp(j->name, name))
			return true;
	}
	return false;
}

int engine_take_looked(struct engine *e, struct job *j)
{
	int rc;

	e->speaks = j;
	rc = remote_take_looked(e->remote, &j->item);
	e->speaks = NULL;
	return rc;
}

static void looked_place(struct engine *e, struct job *j);

static void look_place_again(struct engine *e, struct job *j)
{
	engine_look_place(e, j);
}

static void look_item_again(struct engine *e, struct job *j)
{
	engine_look_item(e, j, j->item_id);
}

static bool names_equal(const char *a, const char *b)
{
	char *fa = names_fold(a), *fb = names_fold(b);
	bool equal = fa && fb && !strcmp(fa, fb);

	free(fa);
	free(fb);
	return equal;
}

/* The merge may have given the node another name, or another place. */
static bool still_wants(struct engine *e, const struct job *j)
{
	struct node *n = malloc(sizeof(*n));
	char want[NODE_REMOTE_MAX + 1];
	const char *why;
	struct db *db;
	bool wants = false;

	if (n && store_reader(e->opt.store, &db) == 0) {
		wants = node_get(db, j->ino, n) == 0 &&
		        n->parent == j->parent &&
		        naming_seal(e->opt.codec, db, n, want, &why) == 0 &&
		        !strcmp(want, j->name);
		store_reader_done(e->opt.store, db);
	}
	free(n);
	return wants;
}

/* The name is held by `other`, which is not what this job is about. */
static void wait_for_holder(struct engine *e, struct job *j,
                            const struct node *other)
{
	struct todo_entry *t = todo_find(e->todo, j->ino);
	int64_t now = clock_mono_ms();
	char why[512];

	if (!t || !still_wants(e, j))
		return;
	if (other->flags & NODE_DIRTY) {
		todo_wait_on(e->todo, t, other->ino, now, now + 10000);
		return;
	}
	snprintf(why, sizeof(why),
	         "OneDrive holds this name equal to \"%s\", which is in the "
	         "same folder: rename one of them",
	         other->name);
	engine_block(e, j->ino, -EEXIST, why);
	log_warn("ino=%" PRIu64 " blocked: %s kept=local", j->ino, why);
	todo_set_due(e->todo, t, now + ENGINE_BLOCKED_MS);
}

void engine_aside_name(char *out, size_t size)
{
	snprintf(out, size, PLAN_ASIDE_PREFIX "%08x%08x", randombytes_random(),
	         randombytes_random());
}

/* An upload session may hold a new name (Business, facts 5.1), and if its URL
 * got lost, with an answer or with us, nobody can end it for days. */
#define HELD_TRIES 2

static void note_held(struct engine *e, uint64_t ino)
{
	struct todo_entry *t = todo_find(e->todo, ino);

	if (t)
		t->held++;
}

bool engine_is_held(struct engine *e, uint64_t ino)
{
	const struct todo_entry *t = todo_find(e->todo, ino);

	return t && t->held >= HELD_TRIES;
}

static void looked_to_an_end(struct engine *e, struct job *j, int rc);

/* The feed was faster, or somebody else was. */
static bool is_others(struct engine *e, const struct job *j)
{
	struct node *n = malloc(sizeof(*n));
	bool others =
		n && node_of_id(e, j->item.id, n) == 0 && n->ino != j->ino;

	free(n);
	return others;
}

static void looked_place(struct engine *e, struct job *j)
{
	struct node *other;
	int rc;

	if (j->rc < 0 && j->status != 404) {
		engine_give_up(e, j, "look", j->rc);
		return;
	}
	if (j->rc == 0 &&
	    (!j->has_item || !names_equal(j->item.name, j->name))) {
		/* By-path answers may be another item, facts 2.1. */
		engine_give_up(e, j, "the service answered with another item",
		               -EIO);
		return;
	}
	if (j->rc == 0 && is_overtaken(e, j, j->item.id)) {
		engine_look_place(e, j);
		return;
	}
	if (!settle_attempt(e, j, j->rc == 0, look_place_again, looked_place))
		return;
	if (j->errand && j->status == 404) { /* it never arrived */
		engine_drop_errand(e, j);
		engine_job_done(e, j);
		return;
	}
	if (j->status == 404) { /* it was held a moment ago: soon again */
		note_held(e, j->ino);
		engine_give_up(e, j, "name refused as taken, yet not found",
		               -EEXIST);
		return;
	}
	if (j->action == PLAN_MKDIR && j->lost && j->item.kind == ITEM_FOLDER &&
	    !is_others(e, j)) { /* it had arrived */
		rc = outcome_made(&e->outcome, j->ino, j->parent, &j->item);
		if (rc < 0)
			engine_give_up(e, j, "state.db", rc);
		else
			engine_job_done(e, j);
		return;
	}
	engine_drop_errand(e, j);
	rc = engine_take_looked(e, j);
	other = malloc(sizeof(*other));
	if (other && (rc == 0 || rc == -EAGAIN) &&
	    node_of_id(e, j->item.id, other) == 0 && other->ino != j->ino &&
	    other->parent == j->parent)
		wait_for_holder(e, j, other);
	free(other);
	looked_to_an_end(e, j, rc);
}

void engine_look_place(struct engine *e, struct job *j)
{
	int rc;

	graph_prepared_done(&j->call);
	rc = graph_prepare_get_child(e->opt.graph, j->parent_id, j->name,
	                             &j->call);
	if (rc < 0) {
		engine_give_up(e, j, "look", rc);
		return;
	}
	j->call.c.prio = HTTP_PRIO_META;
	j->call.c.batch = true;
	job_send(j, looked_place, job_answered);
}

/* Nothing but the tag differs from what we knew. */
bool engine_only_tag_moved(struct engine *e, const struct job *j)
{
	struct node *n = malloc(sizeof(*n));
	struct node *p = malloc(sizeof(*p));
	bool same = n && p && node_of_id(e, j->item.id, n) == 0 &&
	            engine_node_of_ino(e, n->s_parent, p) == 0 &&
	            !strcmp(n->s_name, j->item.name) &&
	            !strcmp(p->s_id, j->item.parent_id) &&
	            (node_is_dir(n) || !strcmp(n->s_etag, j->item.etag) ||
	             item_same_content(&j->item, n->s_size,
	                               n->flags & NODE_HASHED ? n->s_hash
	                                                      : NULL) == 1);

	free(n);
	free(p);
	return same;
}

static void note_tag_move(struct engine *e, struct job *j)
{
	struct todo_entry *t = todo_find(e->todo, j->ino);

	if (!t || !engine_only_tag_moved(e, j))
		return;
	if (++t->tag_moves == TAG_MOVES && !e->tags_move) {
		e->tags_move = true;
		log_warn("drive moves tags of unchanged items: guarded by "
		         "looking first from now on");
	}
}

/* The job's item is there no more. */
int engine_take_tombstone(struct engine *e, struct job *j)
{
	memset(&j->item, 0, sizeof(j->item));
	memcpy(j->item.id, j->item_id, sizeof(j->item.id));
	j->item.deleted = true;
	return engine_take_looked(e, j);
}

int engine_note_moved(struct engine *e, struct job *j)
{
	return outcome_moved(&e->outcome, j->ino, j->parent, j->name, &j->item,
	                     j->action == PLAN_ASIDE);
}

/* Is the item where the job's rename wanted it? */
static bool is_as_sent(const struct job *j)
{
	if (j->action != PLAN_MOVE && j->action != PLAN_ASIDE)
		return false;
	return !strcmp(j->item.name, j->name) &&
	       (j->action == PLAN_ASIDE ||
	        !strcmp(j->item.parent_id, j->parent_id));
}

/* The node is planned anew, now or, if looking led nowhere before, later: the
 * service may say for ever that the request is not right and the item is. */
static void looked_to_an_end(struct engine *e, struct job *j, int rc)
{
	struct todo_entry *t = j->ino ? todo_find(e->todo, j->ino) : NULL;

	if (rc < 0) /* -EAGAIN: what it says has to wait for something */
		engine_give_up(e, j, "merge", rc);
	else if (t && ++t->vain > MAX_VAIN)
		engine_give_up(e, j, "refused although nothing has changed",
		               -EBUSY);
	else
		engine_job_done(e, j);
}

void engine_looked_item(struct engine *e, struct job *j)
{
	int rc;

	if (j->rc < 0 && j->status != 404) {
		engine_give_up(e, j, "look", j->rc);
		return;
	}
	if (j->rc == 0 && !j->has_item) {
		engine_give_up(e, j, "the service answered without an item",
		               -EIO);
		return;
	}
	if (is_overtaken(e, j, j->item_id)) {
		engine_look_item(e, j, j->item_id);
		return;
	}
	if (!settle_attempt(e, j, j->rc == 0, look_item_again,
	                    engine_looked_item))
		return;
	if (j->status == 404 || !is_as_sent(j))
		engine_drop_errand(e, j);
	if (j->status == 404) {
		rc = engine_take_tombstone(e, j);
	} else {
		note_tag_move(e, j);
		/* It arrived without an answer: then it is no news that
		 * somebody moved it there. */
		rc = is_as_sent(j) ? engine_note_moved(e, j) : 0;
		if (rc == 0)
			rc = engine_take_looked(e, j);
	}
	looked_to_an_end(e, j, rc);
}

void engine_look_item(struct engine *e, struct job *j, const char *item_id)
{
	int rc;

	if (item_id != j->item_id)
		snprintf(j->item_id, sizeof(j->item_id), "%s", item_id);
	graph_prepared_done(&j->call);
	rc = graph_prepare_get_item(e->opt.graph, j->item_id, &j->call);
	if (rc < 0) {
		engine_give_up(e, j, "look", rc);
		return;
	}
	j->call.c.prio = HTTP_PRIO_META;
	j->call.c.batch = true;
	job_send(j, engine_looked_item, job_answered);
}

static bool is_looked_at(struct engine *e, const char *item_id)
{
	for (const struct job *j = e->all; j; j = j->sibling) {
		if (!j->ino && !strcmp(j->item_id, item_id))
			return true;
	}
	return false;
}

void engine_start_look(struct engine *e, uint64_t ino, const char *item_id)
{
	struct node *n = calloc(1, sizeof(*n));
	struct job *j;

	if (!n)
		return;
	if (item_id)
		snprintf(n->s_id, sizeof(n->s_id), "%s", item_id);
	else if (engine_node_of_ino(e, ino, n) < 0)
		n->s_id[0] = '\0';
	if (n->s_id[0] && !is_looked_at(e, n->s_id)) {
		j = job_new(e, 0, PLAN_WAIT_JOB);
		if (j)
			engine_look_item(e, j, n->s_id);
	}
	free(n);
}

bool engine_was_told(struct engine *e, const struct job *j)
{
	return told_since(e->told, j->item.id, j->asked);
}
