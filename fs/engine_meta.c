#include "fs/engine_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "fs/db.h"
#include "fs/naming.h"
#include "fs/store.h"
#include "fs/tree.h"
#include "net/clock.h"
#include "net/log.h"
#include "net/names.h"

#define MAX_LOOKS     6
#define LOOK_AGAIN_MS 3000 /* a hash that comes late, facts 4 */
#define LOOK_FRESH_MS 2000 /* design, promise 3 */
#define TAG_MOVES     2    /* design, promise 3: that many in a row mark it */

struct job *engine_meta_job(struct engine *e, const struct plan_view *v,
                            enum plan_action action)
{
	struct job *j = job_new(e, v->n.ino, action);

	if (!j) {
		engine_again_later(e, v->n.ino, "job", -ENOMEM);
		return NULL;
	}
	j->counted_meta = true;
	e->nmeta++;
	j->parent = v->n.parent;
	memcpy(j->parent_id, v->parent_id, sizeof(j->parent_id));
	memcpy(j->item_id, v->n.s_id, sizeof(j->item_id));
	if (v->in.want_name)
		memcpy(j->name, v->want_name, sizeof(j->name));
	return j;
}

/* ---- refusals ------------------------------------------------------------ */

/* No use in trying the same again: a person must act, or something else must
 * change first. */
static bool is_for_people(int rc)
{
	return rc == -EINVAL || rc == -ENAMETOOLONG || rc == -EACCES ||
	       rc == -EPERM || rc == -EFBIG || rc == -EROFS;
}

static void refused(struct engine *e, struct job *j, const char *what)
{
	char why[256];
	struct todo_entry *t = todo_find(e->todo, j->ino);

	if (j->rc == -ECANCELED || !is_for_people(j->rc) ||
	    engine_is_signed_out(e, j)) {
		engine_give_up(e, j, what, j->rc);
		return;
	}
	snprintf(why, sizeof(why), "%s was refused by OneDrive: %s (%ld%s%s)",
	         what, strerror(-j->rc), j->status, j->code[0] ? " " : "",
	         j->code);
	outcome_blocked(&e->outcome, j->ino, j->rc, why);
	engine_set_error(e, "%s", why);
	log_warn("ino=%" PRIu64 " blocked: %s kept=local", j->ino, why);
	if (t)
		todo_set_due(e->todo, t, clock_mono_ms() + ENGINE_BLOCKED_MS);
	engine_job_done(e, j);
}

/* ---- looking ------------------------------------------------------------- */

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

static int node_of_ino(struct engine *e, uint64_t ino, struct node *out)
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
	if (ours)
		rc = outcome_sent(&e->outcome, j->attempt, &j->item, true);
	else
		rc = outcome_not_sent(&e->outcome, j->attempt->aid);
	if (!ours && j->attempt->url[0])
		upload_abandon(e->opt.graph, j->attempt->url);
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
static void looked_item(struct engine *e, struct job *j);

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
	outcome_blocked(&e->outcome, j->ino, -EEXIST, why);
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
	if (j->status == 404) { /* it was held a moment ago: soon again */
		note_held(e, j->ino);
		engine_give_up(e, j, "name refused as taken, yet not found",
		               -EEXIST);
		return;
	}
	if (j->action == PLAN_MKDIR && j->lost &&
	    j->item.kind == ITEM_FOLDER) { /* it had arrived */
		rc = outcome_made(&e->outcome, j->ino, j->parent, &j->item);
		if (rc < 0)
			engine_give_up(e, j, "state.db", rc);
		else
			engine_job_done(e, j);
		return;
	}
	rc = engine_take_looked(e, j);
	other = malloc(sizeof(*other));
	if (other && (rc == 0 || rc == -EAGAIN) &&
	    node_of_id(e, j->item.id, other) == 0 && other->ino != j->ino &&
	    other->parent == j->parent)
		wait_for_holder(e, j, other);
	free(other);
	if (rc < 0)
		engine_give_up(e, j, "merge", rc);
	else
		engine_job_done(e, j);
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
	            node_of_ino(e, n->s_parent, p) == 0 &&
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
static int take_tombstone(struct engine *e, struct job *j)
{
	memset(&j->item, 0, sizeof(j->item));
	memcpy(j->item.id, j->item_id, sizeof(j->item.id));
	j->item.deleted = true;
	return engine_take_looked(e, j);
}

static int note_moved(struct engine *e, struct job *j)
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

static void looked_item(struct engine *e, struct job *j)
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
	if (!settle_attempt(e, j, j->rc == 0, look_item_again, looked_item))
		return;
	if (j->status == 404) {
		rc = take_tombstone(e, j);
	} else {
		note_tag_move(e, j);
		/* It arrived without an answer: then it is no news that
		 * somebody moved it there. */
		rc = is_as_sent(j) ? note_moved(e, j) : 0;
		if (rc == 0)
			rc = engine_take_looked(e, j);
	}
	if (rc < 0) /* -EAGAIN: what it says has to wait for something */
		engine_give_up(e, j, "merge", rc);
	else
		engine_job_done(e, j);
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
	job_send(j, looked_item, job_answered);
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
	else if (node_of_ino(e, ino, n) < 0)
		n->s_id[0] = '\0';
	if (n->s_id[0] && !is_looked_at(e, n->s_id)) {
		j = job_new(e, 0, PLAN_WAIT_JOB);
		if (j)
			engine_look_item(e, j, n->s_id);
	}
	free(n);
}

/* ---- mkdir --------------------------------------------------------------- */

static void made(struct engine *e, struct job *j)
{
	int rc;

	if (j->rc == -ECANCELED) {
		engine_job_done(e, j);
	} else if (j->rc == 0 && j->has_item) {
		rc = outcome_made(&e->outcome, j->ino, j->parent, &j->item);
		if (rc < 0)
			engine_give_up(e, j, "state.db", rc);
		else
			engine_job_done(e, j);
	} else if (j->status == 404) { /* the folder it was to lie in */
		engine_start_look(e, j->parent, NULL);
		engine_give_up(e, j, "folder is gone", -ENOENT);
	} else if (j->rc == 0 || j->verdict == RETRY_LOOK) {
		j->lost = j->status != 409;
		engine_look_place(e, j);
	} else {
		refused(e, j, "the folder");
	}
}

void engine_start_mkdir(struct engine *e, struct plan_view *v)
{
	struct job *j = engine_meta_job(e, v, PLAN_MKDIR);
	int rc;

	if (!j)
		return;
	rc = graph_prepare_mkdir(e->opt.graph, j->parent_id, j->name, &j->call);
	if (rc < 0) {
		engine_give_up(e, j, "mkdir", rc);
		return;
	}
	j->call.c.prio = HTTP_PRIO_META;
	j->call.c.batch = true;
	job_send(j, made, job_answered);
}

/* ---- move, rename, times; aside ------------------------------------------ */

static void moved(struct engine *e, struct job *j)
{
	int rc;

	if (j->rc == -ECANCELED) {
		engine_job_done(e, j);
	} else if (j->rc == 0 && j->has_item) {
		if (j->sets_mtime) /* as sent: it may keep it more coarsely */
			j->item.mtime = j->mtime;
		rc = note_moved(e, j);
		if (rc < 0)
			engine_give_up(e, j, "state.db", rc);
		else
			engine_job_done(e, j);
	} else if (j->status == 409) {
		engine_look_place(e, j);
	} else if (j->status == 404) { /* the item, or where it goes */
		engine_start_look(e, 0, j->item_id);
		engine_start_look(e, j->parent, NULL);
		engine_give_up(e, j, "item or folder is gone", -ENOENT);
	} else if (j->rc == 0 || j->verdict == RETRY_LOOK) {
		engine_look_item(e, j, j->item_id);
	} else {
		refused(e, j, "the rename");
	}
}

static void send_move(struct engine *e, struct job *j)
{
	(void)e;
	j->call.c.prio = HTTP_PRIO_META;
	j->call.c.batch = true;
	job_send(j, moved, job_answered);
}

const char *engine_tag_after_look(const struct job *j)
{
	return clock_mono_ms() - j->sent_ms <= LOOK_FRESH_MS ? NULL
	                                                     : j->item.etag;
}

/* On a drive whose tags move for no reason: what was just looked at is as we
 * knew it, so the request goes out unguarded, within two seconds (promise 3).
 */
static void unguarded(struct engine *e, struct job *j, job_fn *send)
{
	if (j->rc == 0 && j->has_item && engine_only_tag_moved(e, j)) {
		log_warn("ino=%" PRIu64 " id=%s %s %s, looked at just now",
		         j->ino, j->item_id, plan_action_name(j->action),
		         engine_tag_after_look(j) ? "with its new tag"
		                                  : "without a tag");
		send(e, j);
	} else {
		looked_item(e, j);
	}
}

struct moving {
	const char *etag, *parent_id, *name;
	const int64_t *mtime;
};

static int prepare_move(struct engine *e, struct job *j, const struct moving *m)
{
	return graph_prepare_patch(e->opt.graph, j->item_id, m->etag,
	                           m->parent_id, m->name, m->mtime, &j->call);
}

static void move_unguarded(struct engine *e, struct job *j)
{
	struct node *n = malloc(sizeof(*n));
	struct moving m = { .etag = engine_tag_after_look(j),
		            .name = j->name,
		            .mtime = j->sets_mtime ? &j->mtime : NULL };
	int rc = n ? node_of_ino(e, j->ino, n) : -ENOMEM;

	if (rc == 0 && j->action == PLAN_MOVE && n->parent != n->s_parent)
		m.parent_id = j->parent_id;
	free(n);
	graph_prepared_done(&j->call);
	if (rc == 0)
		rc = prepare_move(e, j, &m);
	if (rc < 0)
		engine_give_up(e, j, "move", rc);
	else
		send_move(e, j);
}

static void looked_before_move(struct engine *e, struct job *j)
{
	unguarded(e, j, move_unguarded);
}

static void look_first(struct engine *e, struct job *j, job_fn *then)
{
	int rc = graph_prepare_get_item(e->opt.graph, j->item_id, &j->call);

	if (rc < 0) {
		engine_give_up(e, j, "look", rc);
		return;
	}
	j->call.c.prio = HTTP_PRIO_META;
	job_send(j, then, job_answered);
}

bool engine_must_look_first(const struct engine *e)
{
	return e->tags_move;
}

void engine_start_move(struct engine *e, struct plan_view *v, bool aside)
{
	const struct node *n = &v->n;
	struct job *j = engine_meta_job(e, v, aside ? PLAN_ASIDE : PLAN_MOVE);
	struct moving m = { .etag = n->s_etag[0] ? n->s_etag : NULL };
	bool times = e->opt.codec->ops->times_in_item && node_is_file(n) &&
	             v->in.sets_times && !plan_content_differs(n);
	int rc;

	if (!j)
		return;
	if (aside) {
		engine_aside_name(j->name, sizeof(j->name));
		j->parent = n->s_parent;
		m.name = j->name;
	} else {
		if (n->parent != n->s_parent)
			m.parent_id = j->parent_id;
		if (strcmp(n->s_name, v->want_name) != 0)
			m.name = j->name;
		if (times) {
			j->sets_mtime = true;
			j->mtime = n->mtime;
			m.mtime = &j->mtime;
		}
	}
	if (engine_must_look_first(e)) {
		look_first(e, j, looked_before_move);
		return;
	}
	rc = prepare_move(e, j, &m);
	if (rc < 0)
		engine_give_up(e, j, "move", rc);
	else
		send_move(e, j);
}

/* ---- delete -------------------------------------------------------------- */

static void deleted(struct engine *e, struct job *j)
{
	int rc;

	if (j->rc == -ECANCELED) {
		engine_job_done(e, j);
	} else if (j->rc == 0 || j->status == 404) {
		rc = outcome_deleted(&e->outcome, j->ino);
		if (rc == 1)
			rc = take_tombstone(e, j);
		if (rc < 0)
			engine_give_up(e, j, "state.db", rc);
		else
			engine_job_done(e, j);
	} else if (j->verdict == RETRY_LOOK || j->verdict == RETRY_RESTART) {
		engine_look_item(e, j, j->item_id);
	} else {
		refused(e, j, "the delete");
	}
}

static void send_delete(struct engine *e, struct job *j, const char *etag)
{
	int rc;

	graph_prepared_done(&j->call);
	rc = graph_prepare_delete(e->opt.graph, j->item_id, etag, &j->call);
	if (rc < 0) {
		engine_give_up(e, j, "delete", rc);
		return;
	}
	j->call.c.prio = HTTP_PRIO_META;
	j->call.c.batch = true;
	job_send(j, deleted, job_answered);
}

static void delete_unguarded(struct engine *e, struct job *j)
{
	if (!engine_still_wants(e, j->ino, PLAN_DELETE)) {
		engine_job_done(e, j);
		return;
	}
	send_delete(e, j, engine_tag_after_look(j));
}

static void looked_before_delete(struct engine *e, struct job *j)
{
	unguarded(e, j, delete_unguarded);
}

void engine_start_delete(struct engine *e, struct plan_view *v)
{
	struct job *j = engine_meta_job(e, v, PLAN_DELETE);

	if (!j)
		return;
	if (engine_must_look_first(e))
		look_first(e, j, looked_before_delete);
	else
		send_delete(e, j, v->n.s_etag[0] ? v->n.s_etag : NULL);
}
