#include "fs/engine_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/content.h"
#include "fs/events.h"
#include "fs/db.h"
#include "fs/tree.h"
#include "net/clock.h"
#include "net/crashpoint.h"
#include "net/download.h"
#include "net/error_text.h"
#include "net/log.h"
#include "net/work.h"

/* A content goes to the server in these steps:
 *
 *	engine   start_send     a job, an attempt in memory
 *	worker   prepare_...    freezes the generation; small: reads and seals
 *	                        it, big: settles it and begins a snapshot
 *	engine   prepared       waits for its fellows
 *	engine   start_ready    attempts of all that are prepared: one
 *	                        transaction, one sync; then requests start
 *	worker   read_piece     (sessions) seals what the network takes next
 *	engine   sent           verifies size and hash, notes the outcome
 *
 * Durable before the last byte of a session leaves: the hash of all of it. So
 * an attempt without a hash can't have become an item. */

/* ---- memory -------------------------------------------------------------- */

void engine_send_release(struct job *j)
{
	struct engine *e = j->e;

	upload_free(j->upload);
	j->upload = NULL;
	download_free(j->download);
	if (j->snapshot && !e->stopping) /* else kept for the next start */
		content_snapshot_end(j->content);
	content_put(j->content);
	if (j->writer)
		e->opt.codec->ops->writer_free(j->writer);
	attempt_free(j->attempt);
	free(j->sums);
	free(j->small);
	plainhash_free(j->plain);
	if (j->counted_send) {
		if (j->big)
			e->nbig--;
		else
			e->nsmall--;
		e->small_bytes -= j->counted_bytes;
	}
}

static void count_send(struct engine *e, struct job *j)
{
	j->counted_send = true;
	j->shown_total = j->attempt->size;
	j->shown_sent = j->attempt->next;
	if (j->big) {
		e->nbig++;
		return;
	}
	e->nsmall++;
	j->counted_bytes = j->attempt->size;
	e->small_bytes += j->counted_bytes;
}

void engine_give_up(struct engine *e, struct job *j, const char *what, int rc)
{
	if (rc == -ENOSPC && j->status)
		engine_full_note(e, j);
	else
		engine_again_later(e, j->ino, what, rc);
	if (j->verdict == RETRY_FAIL && j->status)
		engine_note_stuck(e, j, what, rc);
	engine_job_done(e, j);
}

/* ---- uploads ------------------------------------------------------------- */

static void upload_ended(void *arg, const struct upload_end *end)
{
	struct job *j = arg;

	j->rc = end->rc;
	j->verdict = end->verdict;
	j->status = end->status;
	j->offline = end->offline;
	j->wait_ms = end->wait_ms;
	snprintf(j->code, sizeof(j->code), "%s", end->code ? end->code : "");
	j->has_item = end->item && item_copy(end->item, &j->item) == 0;
	job_post(j);
}

static void tell_begin(struct engine *e, const struct job *j)
{
	events_put(e->opt.events, EVENT_UPLOADING, j->ino, NULL, NULL, NULL);
}

void engine_start_upload(struct engine *e, struct job *j)
{
	const struct attempt *a = j->attempt;
	struct upload_spec spec = {
		.graph = e->opt.graph,
		.work = e->opt.work,
		.total = a->size,
		.has_mtime = e->opt.codec->ops->times_in_item,
		.mtime_ns = a->mtime,
		.url = a->url[0] ? a->url : NULL,
		.prio = HTTP_PRIO_BULK,
		.read = engine_read_piece,
		.note = engine_note_progress,
		.done = upload_ended,
		.arg = j,
	};
	int rc;

	if (a->op == ATTEMPT_CREATE) {
		spec.parent_id = a->parent_id;
		spec.name = a->name;
	} else {
		spec.item_id = a->item_id;
		spec.etag = a->etag[0] && !j->deferred ? a->etag : NULL;
		spec.defer_commit = j->deferred;
	}
	j->next = j->deferred ? engine_sent_deferred : engine_sent;
	j->asked = told_now(e->told);
	rc = upload_start(&spec, &j->upload);
	if (rc < 0)
		engine_give_up(e, j, "upload", rc);
}

static void start_put(struct engine *e, struct job *j)
{
	const struct attempt *a = j->attempt;
	int rc;

	if (a->op == ATTEMPT_CREATE)
		rc = graph_prepare_put_new(e->opt.graph, a->parent_id, a->name,
		                           j->small, a->size, &j->call);
	else
		rc = graph_prepare_put(e->opt.graph, a->item_id,
		                       a->etag[0] ? a->etag : NULL, j->small,
		                       a->size, &j->call);
	if (rc < 0) {
		engine_give_up(e, j, "upload", rc);
		return;
	}
	j->call.c.prio = HTTP_PRIO_BULK;
	job_send(j, engine_sent, job_answered);
}

static bool by_session(const struct engine *e, const struct job *j)
{
	return j->big || (j->deferred && j->attempt->size > 0) ||
	       (e->opt.codec->ops->times_in_item && j->attempt->size > 0);
}

/* ---- starting ------------------------------------------------------------ */

static int insert_ready(struct db *db, void *arg)
{
	struct engine *e = arg;
	int rc = 0;

	for (struct job *j = e->ready; j && rc == 0; j = j->link) {
		rc = attempt_insert(db, j->attempt);
		if (rc == 0 && j->big)
			rc = attempt_set_sums(db, j->attempt->aid, j->sums,
			                      j->nsums);
	}
	return rc;
}

void engine_start_ready(struct engine *e)
{
	struct job *list;
	int rc;

	if (!e->ready)
		return;
	CRASH_POINT("attempts-ready");
	rc = engine_edit(e->opt.store, insert_ready, e, true);
	CRASH_POINT("attempts-durable");
	list = e->ready;
	e->ready = NULL;
	e->ready_tail = &e->ready;
	while (list) {
		struct job *j = list;

		list = j->link;
		j->link = NULL;
		if (rc == 0)
			tell_begin(e, j);
		if (rc < 0)
			engine_give_up(e, j, "state.db", rc);
		else if (by_session(e, j))
			engine_start_upload(e, j);
		else
			start_put(e, j);
	}
}

static void prepared(struct engine *e, struct job *j)
{
	/* To read it all took long, and nobody was told if it went then. */
	if (j->rc == 0 && j->big && !engine_still_wants(e, j->ino, j->action) &&
	    !e->view2->n.parent)
		j->rc = -EBUSY;
	if (j->rc == -EBUSY || j->rc == -EAGAIN || j->rc == -E2BIG ||
	    j->rc == -ENOENT) { /* it changed meanwhile: plan anew */
		struct todo_entry *t = todo_find(e->todo, j->ino);

		if (t)
			todo_set_due(e->todo, t, clock_mono_ms() + 200);
		engine_job_done(e, j);
		return;
	}
	if (j->rc < 0) {
		engine_give_up(e, j, "content", j->rc);
		return;
	}
	tree_note_snapshot(e->opt.tree, j->ino);
	j->attempt->state = j->big ? ATTEMPT_SESSION : ATTEMPT_SENT;
	j->attempt->started = clock_real_ns() / NS_PER_SEC;
	j->link = NULL;
	*e->ready_tail = j;
	e->ready_tail = &j->link;
}

static void fill_attempt(struct attempt *a, const struct plan_view *v)
{
	const struct node *n = &v->n;

	a->ino = n->ino;
	a->op = node_on_server(n) ? ATTEMPT_REPLACE : ATTEMPT_CREATE;
	a->cid = n->cid;
	a->gen = n->gen;
	a->parent = n->parent;
	a->mtime = n->mtime;
	memcpy(a->parent_id, v->parent_id, sizeof(a->parent_id));
	memcpy(a->name, v->want_name, sizeof(a->name));
	memcpy(a->item_id, n->s_id, sizeof(a->item_id));
	memcpy(a->etag, n->s_etag, sizeof(a->etag));
}

static void set_place(struct job *j, const struct attempt *a)
{
	j->parent = a->parent;
	memcpy(j->parent_id, a->parent_id, sizeof(j->parent_id));
	memcpy(j->name, a->name, sizeof(j->name));
	memcpy(j->item_id, a->item_id, sizeof(j->item_id));
}

void engine_start_send(struct engine *e, struct plan_view *v)
{
	const struct codec *codec = e->opt.codec;
	struct job *j = job_new(e, v->n.ino, PLAN_CREATE);
	int rc;

	if (j)
		j->attempt = attempt_alloc();
	if (!j || !j->attempt) {
		engine_again_later(e, v->n.ino, "upload", -ENOMEM);
		if (j)
			job_free(j);
		return;
	}
	fill_attempt(j->attempt, v);
	if (j->attempt->op == ATTEMPT_CREATE && engine_is_held(e, j->ino))
		engine_aside_name(j->attempt->name, sizeof(j->attempt->name));
	j->attempt->size = codec->ops->sealed_size(codec, v->n.size);
	set_place(j, j->attempt);
	j->base = v->bond;
	j->big = j->attempt->size > codec->ops->small_max;
	j->deferred = j->attempt->op == ATTEMPT_REPLACE &&
	              (engine_must_look_first(e) || !j->attempt->etag[0]);
	/* Once it is quiet, whoever wrote last is done. */
	j->synced = v->in.writers && !v->in.hurry && plan_is_synced(&v->in) &&
	            v->in.now_ms - v->in.wrote_ms < v->in.quiet_ms;
	count_send(e, j);
	j->next = prepared;
	rc = work_submit(e->opt.work,
	                 j->big ? engine_prepare_big : engine_prepare_small, j);
	if (rc < 0)
		engine_give_up(e, j, "upload", rc);
}

/* ---- after a restart ----------------------------------------------------- */

/* What can't be resumed had no effect as long as its last byte was not sent;
 * else it must be looked for. No byte is sent before its session's URL is
 * noted, though not on the disk if all goes in one piece. */
static bool may_have_arrived(const struct engine *e, const struct job *j)
{
	return j->attempt->has_hash &&
	       (j->attempt->url[0] || !by_session(e, j) ||
	        j->attempt->state == ATTEMPT_LOOK);
}

static void look_how_it_ended(struct engine *e, struct job *j)
{
	if (j->attempt->op == ATTEMPT_CREATE)
		engine_look_place(e, j);
	else
		engine_look_item(e, j, j->attempt->item_id);
}

static void session_ended(struct engine *e, struct job *j)
{
	bool answered = j->status >= 200 && j->status < 500 && j->status != 429;

	if (!answered) {
		engine_give_up(e, j, "ending an upload session",
		               j->rc < 0 ? j->rc : -EIO);
		return;
	}
	j->attempt->url[0] = '\0';
	look_how_it_ended(e, j);
}

/* Its last bytes may still be on their way, from this life or the one before:
 * first the session ends, then its outcome can be looked at. */
static void end_session(struct engine *e, struct job *j)
{
	int rc;

	j->next = session_ended;
	rc = upload_end(e->opt.graph, j->attempt->url, job_answered, j);
	if (rc < 0)
		engine_give_up(e, j, "ending an upload session", rc);
}

void engine_abandon(struct engine *e, struct job *j)
{
	struct attempt *a = j->attempt;
	int rc;

	if (may_have_arrived(e, j)) {
		if (a->url[0])
			end_session(e, j);
		else
			look_how_it_ended(e, j);
		return;
	}
	if (a->url[0])
		upload_abandon(e->opt.graph, a->url);
	rc = outcome_not_sent(&e->outcome, a->aid);
	if (rc < 0)
		engine_give_up(e, j, "state.db", rc);
	else
		engine_job_done(e, j);
}

static void resumed(struct engine *e, struct job *j)
{
	CRASH_POINT("upload-resumed");
	if (j->rc < 0) {
		log_warn("ino=%" PRIu64 " upload can't be resumed: %s, it "
		         "starts over",
		         j->ino, error_text(j->rc));
		engine_abandon(e, j);
		return;
	}
	tell_begin(e, j);
	log_info("ino=%" PRIu64 " upload resumed at=%" PRIu64 " of=%" PRIu64,
	         j->ino, j->attempt->next, j->attempt->size);
	engine_start_upload(e, j);
}

static struct job *attempt_job(struct engine *e, const struct plan_view *v)
{
	struct job *j = job_new(e, v->n.ino, PLAN_RESUME);

	if (j)
		j->attempt = attempt_alloc();
	if (!j || !j->attempt) {
		engine_again_later(e, v->n.ino, "upload", -ENOMEM);
		if (j)
			job_free(j);
		return NULL;
	}
	*j->attempt = *v->attempt;
	set_place(j, j->attempt);
	return j;
}

void engine_start_resume(struct engine *e, struct plan_view *v)
{
	struct job *j = attempt_job(e, v);
	int rc;

	if (!j)
		return;
	j->big = j->resumed = true;
	count_send(e, j);
	j->next = resumed;
	rc = work_submit(e->opt.work, engine_prepare_resume, j);
	if (rc < 0)
		engine_give_up(e, j, "upload", rc);
}

void engine_start_abandon(struct engine *e, struct plan_view *v,
                          struct job *running)
{
	struct job *j;

	if (running) {
		if (running->upload && !running->abandoned) {
			running->abandoned = true;
			upload_cancel(running->upload);
		}
		return;
	}
	j = attempt_job(e, v);
	if (j)
		engine_abandon(e, j);
}
