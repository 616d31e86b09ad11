#include "fs/content_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/aside.h"
#include "fs/content_walk.h"
#include "fs/db.h"
#include "fs/store.h"
#include "net/crashpoint.h"
#include "net/log.h"

/* ---- quarantine -------------------------------------------------------- */

int content_quarantine(struct contents *cs, uint64_t cid, const char *why)
{
	char name[CONTENT_NAME_SIZE];

	content_file_name(cid, "", name);
	return aside_quarantine(cs->dirfd, name, cs->quarantine_fd, why);
}

/* ---- files without a row ----------------------------------------------- */

struct scan {
	struct contents *cs;
	struct content_scan found;
};

static int has_row(struct contents *cs, uint64_t cid)
{
	struct cfile row;
	struct db *db;
	int rc = store_reader(cs->store, &db);

	if (rc < 0)
		return rc;
	rc = cfile_get(db, cid, &row);
	store_reader_done(cs->store, db);
	return rc == -ENOENT ? 0 : rc < 0 ? rc : 1;
}

static void move_unknown(struct scan *s, const char *name)
{
	if (aside_quarantine(s->cs->dirfd, name, s->cs->quarantine_fd,
	                     "unknown") == 0)
		s->found.moved++;
}

/* `name` is content's by its form. One that is just being removed is waited
 * for. */
static void look_at_known_form(struct scan *s, const char *path, uint64_t cid,
                               bool snap)
{
	struct content *claim;

	if (has_row(s->cs, cid) != 0 ||
	    content_claim(s->cs, cid, false, &claim) < 0)
		return;
	if (has_row(s->cs, cid) == 0) {
		if (snap) /* copies of what an upload was about */
			content_file_remove(s->cs, cid, ".snap");
		else
			move_unknown(s, path);
	}
	content_release_claim(claim);
}

static int look_at_file(void *arg, const char *name, enum content_kind kind,
                        uint64_t cid)
{
	if (kind == CONTENT_FOREIGN)
		move_unknown(arg, name);
	else
		look_at_known_form(arg, name, cid, kind == CONTENT_SNAP);
	return 0;
}

/* ---- rows without a use, or without a file ----------------------------- */

#define ROWS_AT_ONCE 256

struct row_batch {
	struct cfile rows[ROWS_AT_ONCE];
	bool needed[ROWS_AT_ONCE];
	size_t n;
};

static int add_row(void *arg, const struct cfile *f)
{
	struct row_batch *b = arg;

	if (b->n == ROWS_AT_ONCE)
		return 1;
	b->rows[b->n++] = *f;
	return 0;
}

static int read_batch(struct contents *cs, uint64_t after, struct row_batch *b)
{
	struct db *db;
	int rc = store_reader(cs->store, &db);

	if (rc < 0)
		return rc;
	b->n = 0;
	rc = cfile_each(db, after, add_row, b);
	for (size_t i = 0; i < b->n && rc == 0; i++) {
		int needed = cfile_is_needed(db, b->rows[i].cid);

		b->needed[i] = needed;
		rc = needed < 0 ? needed : 0;
	}
	store_reader_done(cs->store, db);
	return rc;
}

static bool has_lost_file(struct contents *cs, const struct cfile *f)
{
	char name[CONTENT_NAME_SIZE];
	struct stat st;

	if (cfile_is_base(f) || (f->flags & CFILE_WHOLE && !f->size))
		return false;
	content_file_name(f->cid, "", name);
	if (fstatat(cs->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT || errno == ENOTDIR;
	return !S_ISREG(st.st_mode);
}

static void look_at_row(struct scan *s, const struct cfile *f, bool needed)
{
	if (!needed) {
		content_collect(s->cs, f->cid);
		s->found.collected++;
	} else if (has_lost_file(s->cs, f)) {
		log_error("content cid=%" PRIx64 " ino=%" PRIu64
		          " file missing, not on the server",
		          f->cid, f->ino);
		s->found.lost++;
	}
}

static int scan_rows(struct scan *s)
{
	struct row_batch *b = malloc(sizeof(*b));
	uint64_t after = 0;
	int rc = b ? 0 : -ENOMEM;

	while (rc == 0) {
		rc = read_batch(s->cs, after, b);
		if (rc < 0 || !b->n)
			break;
		after = b->rows[b->n - 1].cid;
		for (size_t i = 0; i < b->n; i++)
			look_at_row(s, &b->rows[i], b->needed[i]);
	}
	free(b);
	return rc;
}

int contents_scan(struct contents *cs, struct content_scan *out)
{
	struct scan s = { .cs = cs };
	int rc = scan_rows(&s);

	CRASH_POINT("scan-rows-seen");
	if (rc == 0)
		rc = content_walk(cs->dirfd, look_at_file, &s);
	CRASH_POINT("scan-files-seen");
	if (rc < 0)
		return rc;
	*out = s.found;
	contents_tidy(cs); /* what it can't do now has nothing to do with us */
	return 0;
}
