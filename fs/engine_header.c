#include "fs/engine_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fs/bond.h"
#include "fs/store.h"
#include "net/clock.h"
#include "net/download.h"
#include "net/log.h"

/* A new version carries on its item's file id and version number (facts/
 * names.md C4). Usually they are known: this device wrote or read the version
 * before. If not (a file overwritten here that another device made), its header
 * is read first. */

#define PATIENCE_MS 30000

static int header_data(void *arg, uint64_t off, const void *data, size_t len)
{
	struct job *j = arg;
	size_t want = j->e->opt.codec->ops->header_size;

	if (off + len > want)
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
	return rc < 0 ? store_rollback(e->opt.store, rc)
	              : store_commit(e->opt.store);
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

static void header_read(struct engine *e, struct job *j)
{
	const struct codec_ops *ops = e->opt.codec->ops;
	const char *why = "it is too short";
	struct codec_bond bond;
	int rc = j->rc;

	if (rc == -ESTALE || rc == -ENOENT) {
		engine_look(e, j->ino);
		engine_again_later(e, j->ino, "header", rc);
		engine_job_done(e, j);
		return;
	}
	if (rc < 0 && rc != -ERANGE) {
		engine_again_later(e, j->ino, "header", rc);
		engine_job_done(e, j);
		return;
	}
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

void engine_start_header(struct engine *e, struct plan_view *v)
{
	size_t want = e->opt.codec->ops->header_size;
	struct job *j = job_new(e, v->n.ino, PLAN_READ_HEADER);
	int rc = j ? 0 : -ENOMEM;

	if (!j) {
		engine_again_later(e, v->n.ino, "job", rc);
		return;
	}
	j->counted_meta = true;
	e->nmeta++;
	memcpy(j->item_id, v->n.s_id, sizeof(j->item_id));
	j->hash.len = 0;
	j->next = header_read;
	if (v->n.s_size < want) {
		unreadable(e, j, "it is too short");
		return;
	}
	j->small = malloc(want);
	if (!j->small)
		rc = -ENOMEM;
	if (rc == 0)
		rc = download_new(e->opt.graph, v->n.s_id, v->n.s_etag,
		                  v->n.s_size, NULL, NULL, &j->download);
	if (rc == 0)
		rc = download_start(j->download, 0, want, HTTP_PRIO_META,
		                    PATIENCE_MS, header_data, header_ended, j,
		                    &j->range);
	if (rc < 0) {
		engine_again_later(e, j->ino, "header", rc);
		engine_job_done(e, j);
	}
}
