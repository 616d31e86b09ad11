#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/cfile.h"
#include "fs/check_internal.h"
#include "fs/content_internal.h"
#include "fs/db.h"

#define ROWS_AT_ONCE 64

struct pass {
	struct check *c;
	int fd; /* content/, -1: it is gone */
	uint64_t done, total;
	struct cfile rows[ROWS_AT_ONCE];
	size_t n;
	uint8_t buf[CHUNK_SIZE];
	uint64_t present[GROUP_CHUNKS / 64], sums[GROUP_CHUNKS];
};

/* ---- the file is not there ----------------------------------------------- */

/* Nothing of it is here: as after its eviction. */
static int forget_clean(struct check *c, const struct cfile *f)
{
	int rc = db_run(c->db,
	                "UPDATE node SET cid=0 WHERE ino=?1 AND cid=?2 AND"
	                " gen=s_gen",
	                DB_ARGS(DB_INT(f->ino), DB_INT(f->cid)));

	if (rc == 0)
		rc = cfile_is_needed(c->db, f->cid);
	/* An upload or a node that differs after all: only its bytes go. */
	if (rc == 1)
		rc = cfile_drop_groups(c->db, f->cid, 0);
	else if (rc == 0)
		return cfile_delete(c->db, f->cid);
	return rc;
}

static int deal_with_missing(struct pass *p, const struct cfile *f,
                             const char *what)
{
	struct check_finding found = {
		.level = CHECK_DAMAGE,
		.kind = cfile_is_base(f) ? "content" : "lost",
		.advice = cfile_is_base(f)
		                  ? "it is fetched again when it is read"
		                  : "look in quarantine/, or for another "
		                    "copy, and write it again; else remove it",
		.repaired = cfile_is_base(f) && p->c->opt->repair,
	};
	char path[PATH_MAX];

	check_path(p->c, f->ino, path);
	found.path = path;
	check_found(p->c, &found,
	            cfile_is_base(f) ? "its local copy %s"
	                             : "it was never sent, and its content %s",
	            what);
	return found.repaired ? forget_clean(p->c, f) : 0;
}

/* ---- its bytes ----------------------------------------------------------- */

/* All of a whole file is here: now chunk by chunk, so that one can be not. */
static int split_whole(struct pass *p, struct cfile *f)
{
	uint64_t n = (f->size + CHUNK_SIZE - 1) / CHUNK_SIZE;
	int rc = 0;

	for (uint64_t at = 0; at < n && rc == 0; at += GROUP_CHUNKS) {
		rc = cfile_get_group(p->c->db, f->cid, at / GROUP_CHUNKS,
		                     p->present, p->sums);
		for (uint64_t i = 0; i < GROUP_CHUNKS && at + i < n; i++)
			p->present[i / 64] |= UINT64_C(1) << i % 64;
		if (rc == 0)
			rc = cfile_set_group(p->c->db, f->cid,
			                     at / GROUP_CHUNKS, p->present,
			                     p->sums, GROUP_CHUNKS);
	}
	f->flags &= ~(uint32_t)CFILE_WHOLE;
	f->base_len = f->size;
	return rc < 0 ? rc : cfile_update(p->c->db, f);
}

/* The chunk is fetched anew. */
static int drop_chunk(struct pass *p, struct cfile *f, uint64_t idx)
{
	uint64_t grp = idx / GROUP_CHUNKS, i = idx % GROUP_CHUNKS;
	int rc = f->flags & CFILE_WHOLE ? split_whole(p, f) : 0;

	if (rc == 0)
		rc = cfile_get_group(p->c->db, f->cid, grp, p->present,
		                     p->sums);
	p->present[i / 64] &= ~(UINT64_C(1) << i % 64);
	p->sums[i] = 0;
	return rc < 0 ? rc
	              : cfile_set_group(p->c->db, f->cid, grp, p->present,
	                                p->sums, GROUP_CHUNKS);
}

static bool is_good(struct pass *p, const struct cfile *f, int fd, uint64_t idx,
                    uint64_t sum)
{
	uint64_t off = idx * CHUNK_SIZE;
	size_t len = f->size - off < CHUNK_SIZE ? (size_t)(f->size - off)
	                                        : CHUNK_SIZE;
	ssize_t n = content_pread_full(fd, p->buf, len, off);

	if (n < 0)
		return false;
	memset(p->buf + n, 0, len - (size_t)n);
	return content_sum(p->buf, len) == sum;
}

static int deal_with_bad(struct pass *p, struct cfile *f, uint64_t idx,
                         unsigned nbad)
{
	struct check_finding found = {
		.level = CHECK_DAMAGE,
		.kind = cfile_is_base(f) ? "content" : "damaged",
		.advice = cfile_is_base(f)
		                  ? "that part is fetched again when it is "
		                    "read"
		                  : "it can't be read there; save the rest, "
		                    "write it again",
		.repaired = cfile_is_base(f) && p->c->opt->repair,
	};
	char path[PATH_MAX];

	if (nbad == 1) { /* one line for each file */
		check_path(p->c, f->ino, path);
		found.path = path;
		check_found(p->c, &found,
		            cfile_is_base(f)
		                    ? "its local copy is damaged at byte "
		                      "%" PRIu64
		                    : "it was not sent yet, and is damaged "
		                      "at byte %" PRIu64
		                      " (file content/%02x/%016" PRIx64 ")",
		            idx * CHUNK_SIZE, (unsigned)(f->cid & 0xff),
		            f->cid);
	}
	return found.repaired ? drop_chunk(p, f, idx) : 0;
}

static void show(struct pass *p, uint64_t more)
{
	p->done += more;
	if (p->c->opt->progress)
		p->c->opt->progress(p->c->opt->arg, p->done, p->total);
}

/* Chunks whose checksum is known; of what is in flux none is. */
static int check_sums(struct pass *p, struct cfile *f, int fd)
{
	uint64_t n = (f->size + CHUNK_SIZE - 1) / CHUNK_SIZE;
	uint64_t sums[GROUP_CHUNKS];
	unsigned nbad = 0;
	int rc = 0;

	for (uint64_t idx = 0; idx < n && rc == 0; idx++) {
		if (idx % GROUP_CHUNKS == 0) {
			rc = cfile_get_group(p->c->db, f->cid,
			                     idx / GROUP_CHUNKS, p->present,
			                     sums);
			if (rc < 0)
				break;
		}
		if (!sums[idx % GROUP_CHUNKS])
			continue;
		if (!is_good(p, f, fd, idx, sums[idx % GROUP_CHUNKS]))
			rc = deal_with_bad(p, f, idx, ++nbad);
		show(p, CHUNK_SIZE);
	}
	return rc;
}

/* ---- all rows ------------------------------------------------------------ */

static bool has_bytes(struct check *c, const struct cfile *f)
{
	int64_t groups = 0;

	if (f->flags & CFILE_WHOLE)
		return f->size > 0;
	if (!cfile_is_base(f) || f->blocks)
		return true;
	db_query_int(c->db, "SELECT count(*) FROM chunk WHERE cid=?",
	             DB_ARGS(DB_INT(f->cid)), 0, &groups);
	return groups > 0;
}

static void note_failed(struct pass *p, const struct cfile *f)
{
	struct check_finding found = {
		.level = CHECK_DAMAGE,
		.kind = "refused",
		.advice = "look at it; write it again elsewhere on this "
			  "machine's disk, if the disk is sound",
	};
	char path[PATH_MAX];

	check_path(p->c, f->ino, path);
	found.path = path;
	check_found(p->c, &found,
	            "the disk once failed to write it; it is kept, and not "
	            "sent");
}

static int check_file(struct pass *p, struct cfile *f)
{
	char name[CONTENT_NAME_SIZE];
	struct stat st;
	int fd, rc = 0;

	if (f->flags & CFILE_FAILED)
		note_failed(p, f);
	content_file_name(f->cid, "", name);
	fd = p->fd < 0 ? -1
	               : openat(p->fd, name,
	                        O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (p->fd >= 0 && fd < 0 && errno != ENOENT && errno != ELOOP &&
	    errno != ENOTDIR && errno != ENXIO)
		return -errno;
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		if (!(f->flags & CFILE_SOFT))
			rc = check_sums(p, f, fd);
	} else if (has_bytes(p->c, f)) {
		rc = deal_with_missing(
			p, f, fd < 0 ? "is gone" : "is no file any more");
	}
	if (fd >= 0)
		close(fd);
	return rc;
}

static int add_row(void *arg, const struct cfile *f)
{
	struct pass *p = arg;

	if (p->n == ROWS_AT_ONCE)
		return 1;
	p->rows[p->n++] = *f;
	return 0;
}

static int check_batch(struct pass *p)
{
	int rc = 0;

	for (size_t i = 0; i < p->n && rc == 0; i++) {
		struct cfile *f = &p->rows[i];

		if (f->flags & CFILE_GONE)
			continue;
		rc = cfile_is_needed(p->c->db, f->cid);
		if (rc == 1)
			rc = check_file(p, f);
	}
	return rc;
}

static int check_all(struct pass *p)
{
	uint64_t after = 0, clean;
	int rc = cfile_sum_blocks(p->c->db, &p->total, &clean);

	while (rc == 0) {
		p->n = 0;
		rc = cfile_each(p->c->db, after, add_row, p);
		if (rc < 0 || !p->n)
			break;
		after = p->rows[p->n - 1].cid;
		rc = check_batch(p);
	}
	return rc;
}

int check_content(struct check *c)
{
	static const struct check_finding gone = { .level = CHECK_DAMAGE,
		                                   .kind = "content",
		                                   .path = "content" };
	struct pass *p = calloc(1, sizeof(*p));
	int64_t rows = 0;
	int rc = p ? 0 : -ENOMEM;

	if (rc == 0)
		rc = db_query_int(c->db, "SELECT count(*) FROM cfile", DB_NONE,
		                  0, &rows);
	if (rc < 0) {
		free(p);
		return rc;
	}
	p->c = c;
	p->fd = openat(c->dirfd, "content", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p->fd < 0 && rows)
		check_found(c, &gone, "the whole directory is gone");
	rc = check_all(p);
	if (p->fd >= 0)
		close(p->fd);
	free(p);
	return rc;
}
