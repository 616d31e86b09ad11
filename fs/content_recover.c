#include "fs/content_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/attempt.h"
#include "fs/db.h"
#include "fs/lock.h"
#include "fs/store.h"
#include "fs/tree_internal.h"
#include "net/clock.h"
#include "net/crashpoint.h"
#include "net/log.h"

/* What the last run left SOFT, and what is to become of it. One transaction
 * decides about all; files are moved after it, so that a start that dies in
 * between can be repeated. */
struct recovery {
	struct contents *cs;
	struct db *db;
	bool rebooted;
	struct soft {
		struct cfile f;
		bool dropped; /* the file goes into quarantine */
	} * rows;
	size_t n, cap;
	struct content_recovery done;
};

static int add_row(void *arg, const struct cfile *f)
{
	struct recovery *r = arg;
	size_t cap = r->cap ? r->cap * 2 : 16;
	struct soft *rows;

	if (r->n == r->cap) {
		rows = realloc(r->rows, cap * sizeof(*rows));
		if (!rows)
			return -ENOMEM;
		r->rows = rows;
		r->cap = cap;
	}
	r->rows[r->n++] = (struct soft){ .f = *f };
	return 0;
}

static void log_lost(struct recovery *r, const struct cfile *f,
                     const char *what)
{
	char path[PATH_MAX];

	if (node_path(r->db, f->ino, path, sizeof(path)) < 0)
		path[0] = '\0';
	log_warn("content cid=%" PRIx64 " ino=%" PRIu64 " path=\"%s\" %s",
	         f->cid, f->ino, path, what);
}

/* ---- what is taken as it is found ------------------------------------- */

static int get_file_stat(struct contents *cs, uint64_t cid, struct stat *st)
{
	int rc = 0, fd = content_file_open(cs, cid, "", O_RDONLY);

	if (fd < 0)
		return fd;
	if (fstat(fd, st) < 0)
		rc = -errno;
	else if (!S_ISREG(st->st_mode))
		rc = -ENOENT;
	close(fd);
	return rc;
}

#define DISK_BLOCK 4096u

static bool is_zero(const uint8_t *buf, size_t len)
{
	return !len || (!buf[0] && !memcmp(buf, buf + 1, len - 1));
}

/* Where the file ends on a disk that had noted its new size, but not yet the
 * bytes that were added to its last block: file systems may write a size
 * first if it takes no new block. out_size: what was durable before, or
 * `size`. */
static int find_end(struct recovery *r, const struct cfile *f, uint64_t size,
                    uint64_t *out_size)
{
	uint64_t in_block = f->hard % DISK_BLOCK;
	uint8_t buf[DISK_BLOCK];
	size_t len = (size_t)(size - f->hard);
	int fd, rc = 0;

	*out_size = size;
	if (!in_block || size <= f->hard || len > DISK_BLOCK - in_block)
		return 0;
	fd = content_file_open(r->cs, f->cid, "", O_RDWR);
	if (fd < 0)
		return fd;
	if (pread(fd, buf, len, (off_t)f->hard) == (ssize_t)len &&
	    is_zero(buf, len)) {
		log_lost(r, f, "zeros behind what was durable, action=cut");
		*out_size = f->hard;
		rc = ftruncate(fd, (off_t)f->hard) < 0 ? -errno : 0;
	}
	close(fd);
	return rc;
}

/* The bytes are as the program left them: the size is the file's, what is
 * known of checksums is not. */
static int take_as_found(struct recovery *r, struct cfile *f)
{
	struct stat st = { .st_size = 0 };
	uint64_t size;
	int rc = get_file_stat(r->cs, f->cid, &st);

	if (rc == -ENOENT && (f->size || !(f->flags & CFILE_WHOLE))) {
		/* Bytes that were promised: reads fail, nothing is sent. */
		log_lost(r, f, "file missing, not on the server");
		r->done.lost++;
		return 0;
	}
	if (rc == -ENOENT)
		rc = 0;
	size = (uint64_t)st.st_size;
	if (rc == 0 && r->rebooted)
		rc = find_end(r, f, size, &size);
	if (rc < 0)
		return rc;
	r->done.resized += f->size != size;
	f->size = size;
	if (f->base_len > f->size)
		f->base_len = f->size; /* cut, and not saved: stays cut */
	f->blocks = (uint64_t)st.st_blocks;
	rc = cfile_update(r->db, f);
	if (rc == 0)
		rc = cfile_drop_sums(r->db, f->cid);
	return rc < 0 ? rc : node_set_size(r->db, f->ino, f->cid, f->size);
}

/* ---- the machine died -------------------------------------------------- */

static bool was_never_durable(const struct cfile *f)
{
	return (f->flags & (CFILE_SOFT | CFILE_FRESH)) ==
	       (CFILE_SOFT | CFILE_FRESH);
}

/* What `f` replaced and was durable; out_prev->cid 0 if nothing. */
static int find_fallback(struct recovery *r, const struct cfile *f,
                         struct cfile *out_prev)
{
	struct cfile p = { .prev = f->prev };
	int rc = 0;

	do {
		uint64_t cid = p.prev;

		p = (struct cfile){ 0 };
		if (cid)
			rc = cfile_get(r->db, cid, &p);
	} while (rc == 0 && p.cid && was_never_durable(&p));
	*out_prev = p;
	return rc == -ENOENT ? 0 : rc;
}

/* The first number that an open attempt can't make pass for synced, should it
 * turn out to have reached the server; 0: there is no attempt. */
static int find_free_gen(struct recovery *r, const struct cfile *f,
                         uint64_t *out_gen)
{
	struct attempt *a = attempt_alloc();
	int rc = a ? attempt_get_by_ino(r->db, f->ino, a) : -ENOMEM;

	*out_gen = 0;
	if (rc == 0)
		*out_gen = (a->gen > f->gen ? a->gen : f->gen) + 1;
	attempt_free(a);
	return rc == -ENOENT ? 0 : rc;
}

/* Gives the node back what it had. Under a new number if that was another
 * node's (rename over it), whatever the server has of this one. What was clean
 * and is not any more stays in doubt, if it had come from the server: nobody
 * had flushed it. */
static int give_back(struct recovery *r, struct node *n, struct cfile *prev,
                     uint64_t free_gen)
{
	if (prev->ino != n->ino && !free_gen) {
		free_gen = prev->gen > n->gen ? prev->gen : n->gen;
		free_gen = (n->s_gen > free_gen ? n->s_gen : free_gen) + 1;
	}
	if (free_gen) {
		prev->gen = free_gen;
		prev->flags &= ~(uint32_t)CFILE_CLEAN;
	}
	prev->ino = n->ino;
	n->cid = prev->cid;
	n->gen = prev->gen;
	n->size = prev->size;
	return cfile_update(r->db, prev);
}

static void take_server_version(struct node *n, uint64_t free_gen)
{
	if (free_gen)
		n->s_gen = free_gen;
	n->cid = 0;
	n->gen = n->s_gen;
	n->size = n->s_len;
}

/* Nobody is left to ask what became of it: what it made there comes as news. */
static int forget_attempt(struct recovery *r, uint64_t ino)
{
	struct attempt *a = attempt_alloc();
	int rc = a ? attempt_get_by_ino(r->db, ino, a) : -ENOMEM;

	if (rc == 0)
		rc = attempt_delete(r->db, a->aid);
	attempt_free(a);
	return rc == -ENOENT ? 0 : rc;
}

/* A new file whose bytes are gone. If it had taken over the item of an unlinked
 * one, that is still to be deleted there: so it goes as an unlinked file goes.
 */
static int take_away(struct recovery *r, struct node *n)
{
	if (!node_on_server(n)) {
		int rc = forget_attempt(r, n->ino);

		return rc < 0 ? rc : node_delete(r->db, n->ino);
	}
	n->cid = 0;
	n->gen = n->s_gen;
	n->size = 0;
	return tree_unlink_row(r->db, n, 0, clock_real_ns());
}

/* Back to what it replaced, or to what the server has, or out with the name:
 * as if the writes since had not happened. */
static int revert_node(struct recovery *r, const struct cfile *f)
{
	struct cfile prev;
	struct node n;
	uint64_t free_gen = 0;
	int rc = node_get(r->db, f->ino, &n);

	if (rc < 0 || n.cid != f->cid) /* nobody's any more */
		return rc == -ENOENT ? 0 : rc;
	rc = find_fallback(r, f, &prev);
	if (rc == 0)
		rc = find_free_gen(r, f, &free_gen);
	if (rc < 0)
		return rc;
	r->done.reverted++;
	n.flags |= NODE_DIRTY;
	if (n.s_gen && (n.s_gen == f->gen || !prev.cid)) {
		log_lost(r, f, "not durable, action=server_version");
		take_server_version(&n, free_gen);
		content_collect(r->cs, prev.cid);
	} else if (prev.cid) {
		log_lost(r, f, "not durable, action=previous_version");
		rc = give_back(r, &n, &prev, free_gen);
	} else {
		log_lost(r, f, "not durable, action=remove");
		return take_away(r, &n);
	}
	return rc < 0 ? rc : node_update(r->db, &n);
}

/* Blocks may be older than the generation that they were written in. What the
 * server has of that is whole: its version counts. Else they are another
 * generation, or an upload that turns out to have arrived would make them pass
 * for what arrived. */
static int doubt_bytes(struct recovery *r, struct cfile *f, bool *out_dropped)
{
	uint64_t free_gen;
	struct node n;
	int rc = node_get(r->db, f->ino, &n);

	if (rc < 0 || n.cid != f->cid)
		return rc == -ENOENT ? 0 : rc;
	if (n.s_gen && n.s_gen == f->gen) {
		log_lost(r, f, "perhaps not durable, action=server_version");
		take_server_version(&n, 0);
		r->done.reverted++;
		*out_dropped = true;
		rc = cfile_delete(r->db, f->cid);
		return rc < 0 ? rc : node_update(r->db, &n);
	}
	rc = find_free_gen(r, f, &free_gen);
	if (rc < 0 || !free_gen)
		return rc;
	f->gen = free_gen;
	return node_set_gen(r->db, f->ino, f->cid, f->gen);
}

static int revert(struct recovery *r)
{
	int rc = 0;

	/* Rows are steps to each other's fallback: none goes before all nodes
	 * are served. */
	for (size_t i = 0; i < r->n && rc == 0; i++) {
		r->rows[i].dropped = was_never_durable(&r->rows[i].f);
		if (r->rows[i].dropped)
			rc = revert_node(r, &r->rows[i].f);
	}
	for (size_t i = 0; i < r->n && rc == 0; i++) {
		if (r->rows[i].dropped)
			rc = cfile_delete(r->db, r->rows[i].f.cid);
	}
	return rc;
}

static void move_reverted(struct recovery *r)
{
	for (size_t i = 0; i < r->n; i++) {
		if (r->rows[i].dropped &&
		    content_quarantine(r->cs, r->rows[i].f.cid, "powercut") ==
		            0)
			r->done.quarantined++;
	}
}

/* ---- both -------------------------------------------------------------- */

/* Rows may have changed in the store: a fallback that is SOFT itself. */
static int take_row_as_found(struct recovery *r, struct soft *s)
{
	struct cfile f;
	int rc = cfile_get(r->db, s->f.cid, &f);

	if (rc == 0 && r->rebooted)
		rc = doubt_bytes(r, &f, &s->dropped);
	if (rc == 0 && !s->dropped)
		rc = take_as_found(r, &f);
	return rc == -ENOENT ? 0 : rc;
}

/* Drops from the list what had lost its last use when the program ended: its
 * file may be gone already. */
static int leave_out_unneeded(struct recovery *r)
{
	size_t kept = 0;

	for (size_t i = 0; i < r->n; i++) {
		int needed = cfile_is_needed(r->db, r->rows[i].f.cid);

		if (needed < 0)
			return needed;
		if (needed)
			r->rows[kept++] = r->rows[i];
		else
			content_collect(r->cs, r->rows[i].f.cid);
	}
	r->n = kept;
	return 0;
}

static int decide(struct recovery *r)
{
	int rc = cfile_each_soft(r->db, add_row, r);

	if (rc == 0)
		rc = leave_out_unneeded(r);
	if (rc == 0 && r->rebooted)
		rc = cfile_doubt_fetched(r->db);
	if (rc == 0 && r->rebooted)
		rc = revert(r);
	if (rc == 0 && r->rebooted)
		rc = attempt_doubt_all(r->db);
	for (size_t i = 0; i < r->n && rc == 0; i++) {
		if (!r->rows[i].dropped)
			rc = take_row_as_found(r, &r->rows[i]);
	}
	/* Until here a restart would have to look at it as after the cut. */
	return rc < 0 ? rc : store_note_boot(r->db);
}

int contents_recover(struct contents *cs, bool rebooted,
                     struct content_recovery *out)
{
	struct recovery r = { .cs = cs, .rebooted = rebooted };
	int rc = store_begin(cs->store, &r.db);

	if (rc < 0)
		return rc;
	rc = decide(&r);
	CRASH_POINT("recovery-decided");
	rc = store_end(cs->store, rc);
	CRASH_POINT("recovery-committed");
	if (rc == 0 && rebooted)
		rc = store_sync(cs->store);
	if (rc == 0 && rebooted)
		move_reverted(&r);
	free(r.rows);
	if (rc == 0)
		rc = contents_count(cs);
	if (rc == 0)
		*out = r.done;
	return rc;
}
