#include "fs/engine_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/content.h"
#include "fs/db.h"
#include "fs/store.h"
#include "net/crashpoint.h"

#define SETTLE_TRIES 20 /* a program that never stops writing */

/* ---- preparing, on a worker ---------------------------------------------- */

struct memory {
	const uint8_t *data;
	size_t len;
};

static int read_memory(void *arg, void *buf, size_t len, uint64_t off)
{
	const struct memory *m = arg;

	if (off > m->len || len > m->len - off)
		return -EIO;
	memcpy(buf, m->data + off, len);
	return 0;
}

static int new_writer(struct job *j, bool fresh)
{
	const struct codec *codec = j->e->opt.codec;
	struct attempt *a = j->attempt;
	char path[8192] = "";
	struct db *db;

	/* Only a hint for those who look later: none is no harm. */
	if (fresh && codec->ops->header_size &&
	    store_reader(j->e->opt.store, &db) == 0) {
		if (node_path(db, j->ino, path, sizeof(path)) < 0)
			path[0] = '\0';
		store_reader_done(j->e->opt.store, db);
	}
	return codec->ops->writer_new(codec, a->plain_size, fresh, &j->base,
	                              path, &a->seed, &j->writer);
}

static int seal_small(struct job *j, const uint8_t *plain, size_t len)
{
	const struct codec *codec = j->e->opt.codec;
	struct attempt *a = j->attempt;
	struct memory m = { plain, len };
	int rc;

	a->plain_size = len;
	a->size = codec->ops->sealed_size(codec, len);
	rc = new_writer(j, true);
	if (rc < 0)
		return rc;
	j->small = malloc(a->size ? a->size : 1);
	if (!j->small)
		return -ENOMEM;
	rc = codec->ops->writer_read(j->writer, read_memory, &m, j->small,
	                             a->size, 0);
	if (rc < 0)
		return rc;
	quickxor_init(&j->hash);
	quickxor_update(&j->hash, j->small, a->size);
	quickxor_final(&j->hash, a->hash);
	a->has_hash = true;
	plainhash_of(plain, len, a->plain_hash);
	a->has_plain_hash = true;
	return 0;
}

/* Not as an fsync left it any more: settled by that, soft since. */
static bool was_written(const struct job *j)
{
	return j->synced && content_is_soft(j->content);
}

/* Reads one generation whole. A write that comes in between opens the next one
 * first, so an unchanged number says that the bytes are of one piece. */
static int read_small(struct job *j, uint8_t **out_plain, size_t *out_len)
{
	struct content *c = j->content;
	uint64_t gen = content_freeze(c), size = content_size(c);
	uint8_t *plain;
	ssize_t n;

	if (size > j->e->opt.codec->ops->small_max)
		return -E2BIG;
	plain = malloc(size ? size : 1);
	if (!plain)
		return -ENOMEM;
	n = content_pread(c, plain, size, 0);
	if (n >= 0 &&
	    ((uint64_t)n != size || content_gen(c) != gen || was_written(j)))
		n = -EBUSY;
	if (n < 0) {
		free(plain);
		return (int)n;
	}
	j->attempt->gen = gen;
	*out_plain = plain;
	*out_len = size;
	return 0;
}

/* A symlink whose target is too long for its name. */
static int read_target(struct job *j, uint8_t **out_plain, size_t *out_len)
{
	const struct codec *codec = j->e->opt.codec;
	struct node *n = malloc(sizeof(*n));
	char *target = calloc(1, 4096);
	ssize_t len = 0;
	struct db *db;
	int rc = n && target ? store_reader(j->e->opt.store, &db) : -ENOMEM;

	if (rc == 0) {
		rc = node_get(db, j->ino, n);
		if (rc == 0 && S_ISLNK(n->mode))
			len = node_get_target(db, j->ino, target, 4096);
		store_reader_done(j->e->opt.store, db);
	}
	if (rc == 0 && len < 0)
		rc = (int)len;
	if (rc == 0 && len > 0 && codec->ops->target_in_content &&
	    codec->ops->target_in_content(codec, n, target)) {
		*out_plain = (uint8_t *)target;
		*out_len = (size_t)len;
		target = NULL;
	}
	free(target);
	free(n);
	return rc;
}

/* What was written anew takes the place of the version there, which may be all
 * that is left of what was there before: of that and this, one is on the disk
 * first. */
static int settle_replacing(struct content *c)
{
	struct cfile row;
	int rc;

	content_get_row(c, &row);
	if (!(row.flags & CFILE_FRESH) || !row.prev)
		return 0;
	rc = content_settle(c);
	return rc < 0 ? rc : 0;
}

void engine_prepare_small(void *arg)
{
	struct job *j = arg;
	uint8_t *plain = NULL;
	size_t len = 0;
	int rc = 0;

	if (j->attempt->cid) {
		rc = content_get(j->e->opt.contents, j->attempt->cid, false,
		                 &j->content);
		if (rc == 0)
			rc = settle_replacing(j->content);
		if (rc == 0)
			rc = read_small(j, &plain, &len);
	} else {
		rc = read_target(j, &plain, &len);
	}
	if (rc == 0)
		rc = seal_small(j, plain, len);
	free(plain);
	j->rc = rc;
	job_post(j);
}

/* Settled, frozen, and not written since: then the checksums are those of the
 * generation. */
static int freeze_settled(struct job *j)
{
	struct content *c = j->content;
	int rc;

	for (int i = 0; i < SETTLE_TRIES; i++) {
		rc = j->synced ? 0 : content_settle(c);
		if (rc < 0)
			return rc;
		if (rc == 1)
			continue;
		j->attempt->gen = content_freeze(c);
		if (!content_is_soft(c))
			return 0;
		if (j->synced)
			break;
	}
	return -EBUSY;
}

static int begin_snapshot(struct job *j)
{
	struct attempt *a = j->attempt;
	struct content *c = j->content;
	int rc;

	rc = content_get_sums(c, &j->sums, &j->nsums);
	if (rc < 0)
		return rc;
	a->plain_size = content_size(c);
	rc = content_snapshot_begin(c, a->plain_size, j->sums, false);
	if (rc < 0)
		return rc;
	j->snapshot = true;
	/* From here on writers set old chunks aside; did one come before? */
	return content_gen(c) == a->gen ? 0 : -EBUSY;
}

void engine_prepare_big(void *arg)
{
	struct job *j = arg;
	const struct codec *codec = j->e->opt.codec;
	struct attempt *a = j->attempt;
	int rc = content_get(j->e->opt.contents, a->cid, false, &j->content);

	if (rc == 0)
		rc = freeze_settled(j);
	if (rc == 0)
		rc = begin_snapshot(j);
	if (rc == 0) {
		a->size = codec->ops->sealed_size(codec, a->plain_size);
		rc = new_writer(j, true);
	}
	quickxor_init(&j->hash);
	j->plain = plainhash_new(); /* without memory there is none */
	j->rc = rc;
	job_post(j);
}

/* ---- uploads ------------------------------------------------------------- */

static int read_snapshot(void *arg, void *buf, size_t len, uint64_t off)
{
	struct job *j = arg;
	ssize_t n = content_snapshot_read(j->content, buf, len, off);

	if (n < 0)
		return (int)n;
	if ((size_t)n != len)
		return -ESTALE;
	if (j->plain)
		plainhash_update(j->plain, buf, len, off);
	return 0;
}

static int seal_piece(struct job *j, void *buf, size_t len, uint64_t off)
{
	if (j->small) {
		if (off > j->attempt->size || len > j->attempt->size - off)
			return -EINVAL;
		memcpy(buf, j->small + off, len);
		return 0;
	}
	return j->e->opt.codec->ops->writer_read(j->writer, read_snapshot, j,
	                                         buf, len, off);
}

int engine_edit(struct store *s, int (*edit)(struct db *, void *), void *arg,
                bool sync)
{
	struct db *db;
	int rc = store_begin(s, &db);

	if (rc < 0)
		return rc;
	rc = edit(db, arg);
	rc = store_end(s, rc);
	return rc == 0 && sync ? store_sync(s) : rc;
}

static int edit_hash(struct db *db, void *arg)
{
	const struct job *j = arg;

	return attempt_set_hash(db, j->attempt->aid, j->attempt->hash);
}

/* Goes on hashing where the state at hand ends: after a restart, or where
 * fragments were cut anew, bytes are made once more for that. */
static int hash_up_to(struct job *j, uint64_t off)
{
	uint8_t buf[65536];

	while (j->hash.len < off) {
		uint64_t left = off - j->hash.len;
		size_t n = left < sizeof(buf) ? (size_t)left : sizeof(buf);
		int rc = seal_piece(j, buf, n, j->hash.len);

		if (rc < 0)
			return rc;
		quickxor_update(&j->hash, buf, n);
	}
	return 0;
}

/* A vault's key may have been replaced since it began. */
static bool is_current(const struct job *j)
{
	const struct codec *codec = j->e->opt.codec;

	return !codec->ops->writer_is_current ||
	       codec->ops->writer_is_current(codec, j->writer);
}

int engine_read_piece(void *arg, void *buf, size_t len, uint64_t off)
{
	struct job *j = arg;
	struct attempt *a = j->attempt;
	int rc = is_current(j) ? seal_piece(j, buf, len, off) : -ESTALE;

	CRASH_POINT("piece-sealed");
	if (rc == 0 && off > j->hash.len)
		rc = hash_up_to(j, off);
	if (rc < 0)
		return rc;
	if (off + len > j->hash.len) {
		size_t skip = (size_t)(j->hash.len - off);

		quickxor_update(&j->hash, (uint8_t *)buf + skip, len - skip);
	}
	if (j->hash.len == a->size && !a->has_hash) {
		quickxor_final(&j->hash, a->hash);
		a->has_hash = true;
		a->has_plain_hash =
			plainhash_final(j->plain, a->plain_size, a->plain_hash);
		rc = engine_edit(j->e->opt.store, edit_hash, j, true);
		CRASH_POINT("hash-durable");
	}
	return rc;
}

struct progress {
	struct job *j;
	const char *url;
	uint64_t next;
};

static int edit_progress(struct db *db, void *arg)
{
	const struct progress *p = arg;
	struct job *j = p->j;
	int rc = engine_note_tags(j, db);

	if (rc < 0)
		return rc;
	return attempt_set_progress(db, j->attempt->aid, p->url, p->next,
	                            j->hash.len == p->next ? &j->hash : NULL);
}

int engine_note_progress(void *arg, const char *url, uint64_t next)
{
	struct job *j = arg;
	struct progress p = { j, url, next };
	int rc;

	CRASH_POINT("fragment-confirmed");
	if (strlen(url) > ATTEMPT_URL_MAX)
		return -EMSGSIZE;
	memcpy(j->attempt->url, url, strlen(url) + 1);
	j->shown_sent = next;
	/* What goes in one piece has nothing to go on with after a power cut:
	 * it is sent anew. */
	rc = engine_edit(j->e->opt.store, edit_progress, &p, !j->small);
	CRASH_POINT("fragment-noted");
	return rc;
}

static int load_sums(struct engine *e, struct job *j)
{
	size_t n = (size_t)((j->attempt->plain_size + CHUNK_SIZE - 1) /
	                    CHUNK_SIZE);
	struct db *db;
	int rc = store_reader(e->opt.store, &db);

	if (rc < 0)
		return rc;
	j->nsums = n;
	rc = attempt_get_sums(db, j->attempt->aid, n, &j->sums);
	store_reader_done(e->opt.store, db);
	return rc;
}

void engine_prepare_resume(void *arg)
{
	struct job *j = arg;
	struct attempt *a = j->attempt;
	int rc = load_sums(j->e, j);

	if (rc == 0)
		rc = content_get(j->e->opt.contents, a->cid, false,
		                 &j->content);
	if (rc == 0)
		rc = content_snapshot_begin(j->content, a->plain_size, j->sums,
		                            true);
	if (rc == 0) {
		j->snapshot = true;
		rc = new_writer(j, false);
	}
	if (rc == 0)
		rc = engine_load_tags(j);
	quickxor_init(&j->hash);
	if (a->has_hash_state && a->hash_state.len <= a->size)
		j->hash = a->hash_state;
	j->rc = rc;
	job_post(j);
}
