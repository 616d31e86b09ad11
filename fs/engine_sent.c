#include "fs/engine_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "fs/events.h"
#include "net/clock.h"
#include "net/crashpoint.h"
#include "net/error_text.h"
#include "net/log.h"

#define LOOK_HASH_MS 3000 /* a hash that comes late, facts 4 */
#define MAX_LOOKS    6

/* ---- the end ------------------------------------------------------------- */

/* Its hash was waited for, and somebody renamed or moved it meanwhile: that is
 * not how the service keeps our name, but news, for the merger. */
static bool forget_news(struct job *j)
{
	const struct attempt *a = j->attempt;

	if (a->op != ATTEMPT_CREATE || !j->answer_etag[0] ||
	    !strcmp(j->item.etag, j->answer_etag))
		return false;
	memcpy(j->item.etag, j->answer_etag, sizeof(j->item.etag));
	memcpy(j->item.name, a->name, sizeof(j->item.name));
	memcpy(j->item.parent_id, a->parent_id, sizeof(j->item.parent_id));
	return true;
}

static void noted(struct engine *e, struct job *j, bool verified)
{
	bool news = forget_news(j);
	bool told = j->attempt->op == ATTEMPT_CREATE && engine_was_told(e, j);
	int rc;

	CRASH_POINT("upload-verified");
	rc = outcome_sent(&e->outcome, j->attempt, &j->item, verified);
	CRASH_POINT("upload-noted");
	if (rc < 0) {
		engine_give_up(e, j, "state.db", rc);
		return;
	}
	log_info("ino=%" PRIu64 " name=\"%s\" id=%s bytes=%" PRIu64
	         " uploaded=%s",
	         j->ino, j->attempt->name, j->item.id, j->attempt->size,
	         verified ? "verified" : "unverified");
	events_put(e->opt.events, EVENT_UPLOADED, j->ino, NULL, j->item.id,
	           verified ? NULL : "unverified");
	if (told || news)
		engine_start_look(e, 0, j->item.id);
	engine_full_over(e);
	engine_went_well(e, j->ino);
	e->uploaded_files++;
	e->uploaded_bytes += j->attempt->size;
	engine_job_done(e, j);
}

/* The server holds other bytes than were sent: the item is ours, its content
 * is not; it is sent again under the item's id, and reported if that does not
 * help (facts 12.1). */
static void differs(struct engine *e, struct job *j)
{
	struct todo_entry *t = todo_find(e->todo, j->ino);
	struct attempt *a = j->attempt;
	int rc;

	log_error("ino=%" PRIu64 " id=%s size=%" PRIu64 " sent=%" PRIu64
	          " the server holds other bytes than were sent kept=local",
	          j->ino, j->item.id, j->item.size, a->size);
	a->gen = 0; /* holds nothing of this node */
	a->has_plain_hash = false;
	rc = outcome_sent(&e->outcome, a, &j->item, false);
	if (rc == 0 && t && t->fails)
		engine_block(e, j->ino, -EIO,
		             "the server keeps other bytes than were sent");
	engine_give_up(e, j, "verify", rc < 0 ? rc : -EIO);
}

/* ...and under another tag than the upload got: somebody wrote over it before
 * its hash was seen. Ours counts as not sent, the merger keeps both. */
static void replaced(struct engine *e, struct job *j)
{
	int rc = outcome_not_sent(&e->outcome, j->attempt->aid);

	log_warn("ino=%" PRIu64 " id=%s was changed there before it could be "
	         "verified kept=local",
	         j->ino, j->item.id);
	if (rc == 0)
		rc = engine_take_looked(e, j);
	if (rc < 0)
		engine_give_up(e, j, "merge", rc);
	else
		engine_job_done(e, j);
}

static void verify(struct engine *e, struct job *j);

static void looked_for_hash(struct engine *e, struct job *j)
{
	if (j->rc == 0 && j->has_item)
		verify(e, j);
	else
		engine_give_up(e, j, "verify", j->rc < 0 ? j->rc : -EIO);
}

static void look(struct engine *e, struct job *j);

static void read_back(struct engine *e, struct job *j)
{
	if (j->rc == 0)
		verify(e, j);
	else if (j->rc == -ESTALE || j->rc == -ENOENT)
		look(e, j);
	else if (j->rc == -EACCES || j->rc == -EPERM)
		noted(e, j, false); /* it took them, and keeps them to itself */
	else
		engine_give_up(e, j, "read back", j->rc);
}

static void look_for_hash(struct engine *e, struct job *j)
{
	int rc;

	graph_prepared_done(&j->call);
	rc = graph_prepare_get_item(e->opt.graph, j->item_id, &j->call);
	if (rc < 0) {
		engine_give_up(e, j, "verify", rc);
		return;
	}
	j->call.c.prio = HTTP_PRIO_META;
	j->call.c.batch = true;
	job_send(j, looked_for_hash, job_answered);
}

static void verify(struct engine *e, struct job *j)
{
	const struct attempt *a = j->attempt;
	int same = item_same_content(&j->item, a->size,
	                             a->has_hash ? a->hash : NULL);

	if (a->op == ATTEMPT_CREATE && e->opt.codec->ops->authenticates &&
	    strcmp(j->item.name, a->name) != 0)
		engine_look_place(e, j); /* not the name that was sent */
	else if (same == 1)
		noted(e, j, true);
	else if (same == 0 && strcmp(j->item.etag, j->answer_etag) != 0)
		replaced(e, j);
	else if (same == 0)
		differs(e, j);
	else if (j->looks++ < MAX_LOOKS) {
		memcpy(j->item_id, j->item.id, sizeof(j->item_id));
		job_delay(j, LOOK_HASH_MS, look_for_hash);
	} else {
		engine_read_back(e, j, read_back);
	}
}

static void look(struct engine *e, struct job *j)
{
	if (j->attempt->op == ATTEMPT_CREATE)
		engine_look_place(e, j);
	else
		engine_look_item(e, j, j->attempt->item_id);
}

/* The session may live on, and hold the name (Business, facts 5.1). */
static void drop_session(struct engine *e, struct job *j)
{
	if (j->attempt->url[0] && j->status != 404)
		upload_abandon(e->opt.graph, j->attempt->url);
	j->attempt->url[0] = '\0';
}

/* Nothing arrived, or not all of it: the attempt ends without effect. */
static void not_sent(struct engine *e, struct job *j, const char *what)
{
	int rc;

	drop_session(e, j);
	rc = outcome_not_sent(&e->outcome, j->attempt->aid);
	CRASH_POINT("upload-given-up");
	engine_give_up(e, j, what, rc < 0 ? rc : j->rc);
}

static void send_refused(struct engine *e, struct job *j)
{
	struct todo_entry *t = todo_find(e->todo, j->ino);
	char why[256];

	drop_session(e, j);
	snprintf(why, sizeof(why),
	         "the upload was refused by OneDrive: %s (%ld%s%s)",
	         error_text(j->rc), j->status, j->code[0] ? " " : "", j->code);
	engine_block(e, j->ino, j->rc, why);
	engine_set_error(e, "%s", why);
	log_warn("ino=%" PRIu64 " blocked: %s kept=local", j->ino, why);
	outcome_not_sent(&e->outcome, j->attempt->aid);
	if (t)
		todo_set_due(e->todo, t, clock_mono_ms() + ENGINE_BLOCKED_MS);
	engine_job_done(e, j);
}

static void resume_later(struct engine *e, struct job *j)
{
	upload_free(j->upload);
	j->upload = NULL;
	if (j->abandoned)
		engine_abandon(e, j);
	else
		engine_start_upload(e, j);
}

static int64_t back_off(struct engine *e, uint64_t ino)
{
	struct todo_entry *t = todo_find(e->todo, ino);

	return engine_back_off(t ? t->fails++ : 0, 60000);
}

void engine_sent(struct engine *e, struct job *j)
{
	CRASH_POINT("upload-answered");
	if (j->rc == 0 && j->has_item) {
		memcpy(j->answer_etag, j->item.etag, sizeof(j->answer_etag));
		verify(e, j);
	} else if (j->abandoned) {
		engine_abandon(e, j);
	} else if (j->rc == -ECANCELED) {
		engine_job_done(e, j);
	} else if (j->rc == 0 || j->verdict == RETRY_LOOK) {
		look(e, j);
	} else if (j->verdict == RETRY_RESTART || j->status == 404) {
		drop_session(e, j);
		if (j->attempt->has_hash)
			look(e, j);
		else
			not_sent(e, j, "upload session is gone");
	} else if (j->rc == -ESTALE) { /* no snapshot, or not for that key */
		engine_abandon(e, j);
	} else if (j->verdict == RETRY_WAIT && j->upload) {
		job_delay(j, back_off(e, j->ino), resume_later);
	} else if (engine_is_signed_out(e, j)) {
		not_sent(e, j, "upload");
	} else if (j->rc == -EINVAL || j->rc == -ENAMETOOLONG ||
	           j->rc == -EACCES || j->rc == -EPERM || j->rc == -EFBIG) {
		send_refused(e, j);
	} else if (j->verdict == RETRY_FAIL) {
		not_sent(e, j, "upload");
	} else {
		look(e, j);
	}
}

/* ---- a drive whose tags move for no reason ------------------------------- */

/* Promise 3: everything is there but not committed; the item is looked at, and
 * if it is as we knew it the commit follows at once. */

static void committed(struct engine *e, struct job *j)
{
	engine_sent(e, j);
}

static void looked_before_commit(struct engine *e, struct job *j)
{
	struct attempt *a = j->attempt;
	const char *tag;
	int rc;

	if (j->rc < 0 || !j->has_item || !engine_only_tag_moved(e, j)) {
		engine_abandon(e,
		               j); /* look again, and let the merger decide */
		return;
	}
	tag = engine_tag_after_look(j);
	CRASH_POINT("upload-uncommitted");
	log_warn("ino=%" PRIu64 " id=%s commit %s, looked at just now", j->ino,
	         a->item_id, tag ? "with its new tag" : "without a tag");
	j->next = committed;
	rc = upload_commit(e->opt.graph, a->url, j->item.parent_id,
	                   j->item.name, true, tag, job_answered, j);
	if (rc < 0)
		engine_give_up(e, j, "commit", rc);
}

void engine_sent_deferred(struct engine *e, struct job *j)
{
	int rc;

	if (j->rc != 0 || j->has_item || j->abandoned) {
		engine_sent(e, j);
		return;
	}
	graph_prepared_done(&j->call);
	rc = graph_prepare_get_item(e->opt.graph, j->attempt->item_id,
	                            &j->call);
	if (rc < 0) {
		engine_give_up(e, j, "look", rc);
		return;
	}
	j->call.c.prio = HTTP_PRIO_META;
	job_send(j, looked_before_commit, job_answered);
}
