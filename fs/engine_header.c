#include "fs/engine_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fs/bond.h"
#include "fs/store.h"
#include "fs/tree.h"
#include "net/clock.h"
#include "net/download.h"
#include "net/log.h"

/* A new version carries on its item's file id and version number (facts/
 * names.md C4). Usually they are known: this device wrote or read the version
 * before. If not (a file overwritten here that another device made), its header
 * is read first. */

#define PATIENCE_MS     30000
#define TARGET_SIZE     4096
#define LINK_MAX_SEALED 8192 /* a header, a target, a tag */

static int header_data(void *arg, uint64_t off, const void *data, size_t len)
{
	struct job *j = arg;
	if (off + len > j->nsmall)
		return -EPROTO;
	memcpy(j->small + off, data, len);
	j->hash.len = off + len;
	return 0;
}

static void header_ended(void *arg, int rc)
{
	struct job *j = arg;

	j->rc = rc;
	job_post(j);
}

static int note_bond(struct engine *e, const struct job *j,
                     const struct codec_bond *b)
{
	struct db *db;
	int rc = store_begin(e->opt.store, &db);

	if (rc < 0)
		return rc;
	rc = bond_put(db, j->item_id, b);
	return store_end(e->opt.store, rc);
}

/* What is there is no file of this vault, or damaged: it is replaced all the
 * same (its bytes stay as a version), as the first version of a new file. */
static void unreadable(struct engine *e, struct job *j, const char *why)
{
	struct todo_entry *t = todo_find(e->todo, j->ino);

	log_warn("ino=%" PRIu64 " id=%s header: %s; replaced as a new file",
	         j->ino, j->item_id, why);
	if (t)
		t->header_failed = true;
	engine_again(e, j->ino);
	engine_job_done(e, j);
}

/* True: it did not come, and is asked for again later. */
static bool failed(struct engine *e, struct job *j, const char *what)
{
	if (j->rc == 0)
		return false;
	if (j->rc == -ESTALE || j->rc == -ENOENT)
		engine_look(e, j->ino);
	engine_again_later(e, j->ino, what, j->rc);
	engine_job_done(e, j);
	return true;
}

static void header_read(struct engine *e, struct job *j)
{
	const struct codec_ops *ops = e->opt.codec->ops;
	const char *why = "it is too short";
	struct codec_bond bond;
	int rc;

	if (failed(e, j, "header"))
		return;
	rc = ops->read_header(e->opt.codec, j->small, (size_t)j->hash.len,
	                      &bond, &why);
	if (rc == -ENOMEM) {
		engine_again_later(e, j->ino, "header", rc);
	} else if (rc < 0) {
		unreadable(e, j, why);
		return;
	} else {
		rc = note_bond(e, j, &bond);
		if (rc < 0)
			engine_again_later(e, j->ino, "state.db", rc);
		else
			engine_again(e, j->ino);
	}
	engine_job_done(e, j);
}

/* ---- link targets -------------------------------------------------------- */

static int open_target(struct engine *e, const struct job *j, char *out,
                       size_t *out_len, const char **out_why)
{
	const struct codec_ops *ops = e->opt.codec->ops;
	struct codec_bond none = { 0 };
	struct codec_reader *r;
	uint64_t idx;
	const void *plain;
	int rc = ops->reader_new(e->opt.codec, j->nsmall, &none, &r);

	if (rc < 0)
		return rc;
	rc = ops->reader_feed(r, 0, j->small, j->nsmall, out_why);
	if (rc == 0 && (ops->reader_take(r, &idx, &plain, out_len) != 1 ||
	                *out_len >= TARGET_SIZE || !*out_len ||
	                memchr(plain, '\0', *out_len))) {
		*out_why = "it is no link target";
		rc = -EBADMSG;
	}
	if (rc == 0) {
		memcpy(out, plain, *out_len);
		out[*out_len] = '\0';
	}
	ops->reader_free(r);
	return rc;
}

static int note_target(struct engine *e, const struct job *j,
                       const char *target)
{
	struct tree_edit *edit;
	struct db *db;
	int rc = tree_edit_begin(e->opt.tree, &edit, &db);

	if (rc < 0)
		return rc;
	rc = node_set_target(db, j->ino, target);
	if (rc == 0)
		rc = node_set_size(db, j->ino, 0, strlen(target));
	if (rc == 0)
		tree_edit_attr(edit, j->ino);
	return tree_edit_end(edit, rc);
}

static void link_read(struct engine *e, struct job *j)
{
	char target[TARGET_SIZE];
	const char *why = "damaged";
	size_t len;
	int rc;

	if (failed(e, j, "link"))
		return;
	rc = open_target(e, j, target, &len, &why);
	if (rc == 0)
		rc = note_target(e, j, target);
	else
		log_error("ino=%" PRIu64 " id=%s link target: %s", j->ino,
		          j->item_id, why);
	if (rc < 0)
		engine_again_later(e, j->ino, "link", rc);
	else
		engine_again(e, j->ino);
	engine_job_done(e, j);
}

/* ---- starting ------------------------------------------------------------ */

static struct job *reading_job(struct engine *e, const struct plan_view *v,
                               enum plan_action action, size_t want,
                               job_fn *next)
{
	struct job *j = engine_meta_job(e, v, action);

	if (!j)
		return NULL;
	j->hash.len = 0;
	j->next = next;
	j->nsmall = want;
	return j;
}

static void start_reading(struct engine *e, struct job *j, const struct node *n)
{
	int rc;

	j->small = malloc(j->nsmall);
	rc = j->small ? 0 : -ENOMEM;
	if (rc == 0)
		rc = download_new(e->opt.graph, n->s_id, n->s_etag, n->s_size,
		                  NULL, NULL, &j->download);
	if (rc == 0)
		rc = download_start(j->download, 0, j->nsmall, HTTP_PRIO_META,
		                    PATIENCE_MS, header_data, header_ended, j,
		                    &j->range);
	if (rc < 0) {
		engine_again_later(e, j->ino, "reading", rc);
		engine_job_done(e, j);
	}
}

void engine_start_header(struct engine *e, struct plan_view *v)
{
	size_t want = e->opt.codec->ops->header_size;
	struct job *j = reading_job(e, v, PLAN_READ_HEADER, want, header_read);

	if (!j)
		return;
	if (v->n.s_size < want)
		unreadable(e, j, "it is too short");
	else
		start_reading(e, j, &v->n);
}

void engine_start_link(struct engine *e, struct plan_view *v)
{
	struct job *j;

	if (v->n.s_size > LINK_MAX_SEALED) {
		outcome_blocked(&e->outcome, v->n.ino, -EFBIG,
		                "its link target is longer than Linux allows");
		todo_set_due(e->todo, todo_find(e->todo, v->n.ino),
		             clock_mono_ms() + ENGINE_BLOCKED_MS);
		return;
	}
	j = reading_job(e, v, PLAN_READ_LINK, (size_t)v->n.s_size, link_read);
	if (j)
		start_reading(e, j, &v->n);
}
