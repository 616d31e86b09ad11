#include "fs/engine_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/errand.h"
#include "fs/events.h"
#include "fs/store.h"
#include "net/clock.h"
#include "net/crashpoint.h"
#include "net/error_text.h"
#include "net/log.h"

#define LOOK_FRESH_MS 2000 /* design, promise 3 */

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

/* ---- errands (fs/errand.h) ----------------------------------------------- */

/* Before the request leaves. */
static int note_errand(struct engine *e, const struct job *j)
{
	bool stays = j->action == PLAN_ASIDE;
	struct db *db;
	int rc = store_begin(e->opt.store, &db);

	if (rc < 0)
		return rc;
	rc = errand_put(db, j->ino, stays ? "" : j->parent_id, j->name);
	rc = store_end(e->opt.store, rc);
	CRASH_POINT("errand-noted");
	return rc;
}

/* It had no effect, or what it had is noted. */
void engine_drop_errand(struct engine *e, const struct job *j)
{
	bool has = j->action == PLAN_MKDIR || j->action == PLAN_MOVE ||
	           j->action == PLAN_ASIDE;
	struct db *db;
	int rc = has ? store_begin(e->opt.store, &db) : -ENOENT;

	if (rc < 0)
		return; /* else it is looked at once more */
	rc = errand_delete(db, j->ino);
	store_end(e->opt.store, rc);
	CRASH_POINT("errand-dropped");
}

/* The answer says so, or there was nothing to answer. */
static void drop_if_vain(struct engine *e, const struct job *j)
{
	if (j->rc < 0 && j->rc != -ECANCELED &&
	    (!j->was_sent || (j->status >= 400 && j->status < 500)))
		engine_drop_errand(e, j);
}

/* ---- refusals ------------------------------------------------------------ */

/* No use in trying the same again: a person must act, or something else must
 * change first. */
static bool is_for_people(int rc)
{
	return rc == -EINVAL || rc == -ENAMETOOLONG || rc == -EACCES ||
	       rc == -EPERM || rc == -EFBIG || rc == -EROFS;
}

void engine_refused(struct engine *e, struct job *j, const char *what)
{
	char why[256];
	struct todo_entry *t = todo_find(e->todo, j->ino);

	if (j->rc == -ECANCELED || !is_for_people(j->rc) ||
	    engine_is_signed_out(e, j)) {
		engine_give_up(e, j, what, j->rc);
		return;
	}
	snprintf(why, sizeof(why), "%s was refused by OneDrive: %s (%ld%s%s)",
	         what, error_text(j->rc), j->status, j->code[0] ? " " : "",
	         j->code);
	engine_block(e, j->ino, j->rc, why);
	engine_set_error(e, "%s", why);
	log_warn("ino=%" PRIu64 " blocked: %s kept=local", j->ino, why);
	if (t)
		todo_set_due(e->todo, t, clock_mono_ms() + ENGINE_BLOCKED_MS);
	engine_job_done(e, j);
}

static void tell(struct engine *e, const struct job *j, enum event_kind kind,
                 int rc, const char *id)
{
	if (rc >= 0 && j->action != PLAN_ASIDE)
		events_put(e->opt.events, kind, j->ino, NULL, id, NULL);
}

/* ---- mkdir --------------------------------------------------------------- */

static void made(struct engine *e, struct job *j)
{
	bool told;
	int rc;

	CRASH_POINT("folder-answered");
	drop_if_vain(e, j);
	if (j->rc == -ECANCELED) {
		engine_job_done(e, j);
	} else if (j->rc == 0 && j->has_item) {
		told = engine_was_told(e, j);
		rc = outcome_made(&e->outcome, j->ino, j->parent, &j->item);
		CRASH_POINT("folder-noted");
		engine_went_well(e, j->ino);
		if (told)
			engine_start_look(e, 0, j->item.id);
		if (e->full.probe == j->ino)
			engine_full_over(e);
		tell(e, j, EVENT_MADE, rc, j->item.id);
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
		engine_refused(e, j, "the folder");
	}
}

void engine_start_mkdir(struct engine *e, struct plan_view *v)
{
	struct job *j = engine_meta_job(e, v, PLAN_MKDIR);
	int rc;

	if (!j)
		return;
	rc = graph_prepare_mkdir(e->opt.graph, j->parent_id, j->name, &j->call);
	if (rc == 0)
		rc = note_errand(e, j);
	if (rc < 0) {
		engine_give_up(e, j, "mkdir", rc);
		return;
	}
	j->call.c.prio = HTTP_PRIO_META;
	j->call.c.batch = true;
	job_send(j, made, job_answered);
}

/* ---- move, rename, times; aside ------------------------------------------ */

/* A folder was refused where it is to go. Another device may have put that
 * place below it meanwhile: the feed knows, and the planner then makes way.
 * True if a round that tells it is still to come. */
static bool waits_for_news(struct engine *e, struct job *j)
{
	struct todo_entry *t = todo_find(e->todo, j->ino);
	int64_t heard = e->delta_running ? e->round - 1 : e->round;
	struct node *n = malloc(sizeof(*n));
	bool waits = false;

	if (t && n && is_for_people(j->rc) && !engine_is_signed_out(e, j) &&
	    engine_node_of_ino(e, j->ino, n) == 0 && node_is_dir(n) &&
	    n->parent != n->s_parent) {
		if (!t->refused)
			t->refused = e->round;
		waits = heard <= t->refused;
	}
	if (waits)
		engine_wait_round(e, t);
	else if (t)
		t->refused = 0;
	free(n);
	return waits;
}

static void moved(struct engine *e, struct job *j)
{
	int rc;

	CRASH_POINT("move-answered");
	drop_if_vain(e, j);
	if (j->rc == -ECANCELED) {
		engine_job_done(e, j);
	} else if (j->rc == 0 && j->has_item) {
		if (j->sets_mtime) /* as sent: it may keep it more coarsely */
			j->item.mtime = j->mtime;
		rc = engine_note_moved(e, j);
		engine_went_well(e, j->ino);
		CRASH_POINT("move-noted");
		tell(e, j, EVENT_MOVED, rc, j->item.id);
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
	} else if (waits_for_news(e, j)) {
		engine_job_done(e, j);
	} else {
		engine_refused(e, j, "the rename");
	}
}

static void send_move(struct engine *e, struct job *j)
{
	int rc = note_errand(e, j);

	if (rc < 0) {
		engine_give_up(e, j, "state.db", rc);
		return;
	}
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
		engine_looked_item(e, j);
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
	int rc = n ? engine_node_of_ino(e, j->ino, n) : -ENOMEM;

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
	if (engine_must_look_first(e) || !n->s_etag[0]) {
		look_first(e, j, looked_before_move);
		return;
	}
	rc = prepare_move(e, j, &m);
	if (rc < 0)
		engine_give_up(e, j, "move", rc);
	else
		send_move(e, j);
}

/* ---- after a start ------------------------------------------------------- */

void engine_start_errand(struct engine *e, struct plan_view *v,
                         const struct errand *x)
{
	bool there = node_on_server(&v->n);
	enum plan_action moves = x->parent_id[0] ? PLAN_MOVE : PLAN_ASIDE;
	struct job *j = engine_meta_job(e, v, there ? moves : PLAN_MKDIR);

	if (!j)
		return;
	j->errand = j->lost = true;
	j->parent = there ? v->n.s_parent : v->n.parent;
	memcpy(j->parent_id, x->parent_id, sizeof(j->parent_id));
	memcpy(j->name, x->name, sizeof(j->name));
	if (there)
		engine_look_item(e, j, v->n.s_id);
	else
		engine_look_place(e, j);
}

/* ---- delete -------------------------------------------------------------- */

static void deleted(struct engine *e, struct job *j)
{
	int rc;

	CRASH_POINT("delete-answered");
	if (j->rc == -ECANCELED) {
		engine_job_done(e, j);
	} else if (j->rc == 0 || j->status == 404) {
		rc = outcome_deleted(&e->outcome, j->ino);
		CRASH_POINT("delete-noted");
		engine_full_hurry(e);
		tell(e, j, EVENT_DELETED, rc, j->item_id);
		if (rc == 1)
			rc = engine_take_tombstone(e, j);
		if (rc < 0)
			engine_give_up(e, j, "state.db", rc);
		else
			engine_job_done(e, j);
	} else if (j->verdict == RETRY_LOOK || j->verdict == RETRY_RESTART) {
		engine_look_item(e, j, j->item_id);
	} else {
		engine_refused(e, j, "the delete");
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
	if (engine_must_look_first(e) || !v->n.s_etag[0])
		look_first(e, j, looked_before_delete);
	else
		send_delete(e, j, v->n.s_etag);
}
