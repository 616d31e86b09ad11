#include "fs/content_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/db.h"
#include "fs/store.h"
#include "net/log.h"

/* ---- quarantine -------------------------------------------------------- */

/* Moves without replacing anything. */
static int move_to(struct contents *cs, const char *name, const char *to)
{
	struct stat st;

	if (renameat2(cs->dirfd, name, cs->quarantine_fd, to,
	              RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	/* A file system that can't: nobody else moves things here. */
	if (fstatat(cs->quarantine_fd, to, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return -EEXIST;
	return renameat(cs->dirfd, name, cs->quarantine_fd, to) < 0 ? -errno
	                                                            : 0;
}

static int quarantine_file(struct contents *cs, const char *name,
                           const char *why)
{
	const char *base = strrchr(name, '/');
	char to[NAME_MAX + 1];
	int rc = -EEXIST;

	base = base ? base + 1 : name;
	for (unsigned i = 0; rc == -EEXIST && i < 1000; i++) {
		snprintf(to, sizeof(to), i ? "%s-%.200s.%u" : "%s-%.200s", why,
		         base, i);
		rc = move_to(cs, name, to);
	}
	if (rc == 0)
		log_warn("content file=\"%s\" moved_to=\"quarantine/%s\"", name,
		         to);
	else if (rc != -ENOENT)
		log_error("content file=\"%s\" can't be moved: %s", name,
		          strerror(-rc));
	return rc;
}

int content_quarantine(struct contents *cs, uint64_t cid, const char *why)
{
	char name[CONTENT_NAME_SIZE];

	content_file_name(cid, "", name);
	return quarantine_file(cs, name, why);
}

/* ---- files without a row ----------------------------------------------- */

struct scan {
	struct contents *cs;
	struct content_scan found;
};

/* "00f3..." or "00f3....snap" in the right shard. */
static bool parse_name(const char *shard, const char *name, uint64_t *out_cid,
                       bool *out_snap)
{
	char want[CONTENT_NAME_SIZE], have[CONTENT_NAME_SIZE];
	char *end;
	uint64_t cid = strtoull(name, &end, 16);

	*out_snap = strcmp(end, ".snap") == 0;
	*out_cid = cid;
	content_file_name(cid, *out_snap ? ".snap" : "", want);
	return snprintf(have, sizeof(have), "%s/%s", shard, name) <
	               CONTENT_NAME_SIZE &&
	       strcmp(want, have) == 0;
}

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
	if (quarantine_file(s->cs, name, "unknown") == 0)
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

static bool is_dots(const char *name)
{
	return !strcmp(name, ".") || !strcmp(name, "..");
}

static int scan_shard(struct scan *s, const char *shard)
{
	int fd = openat(s->cs->dirfd, shard,
	                O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int rc = dir ? 0 : -errno;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return rc == -ENOENT ? 0 : rc;
	}
	while ((e = readdir(dir))) {
		char path[2 * NAME_MAX + 2];
		uint64_t cid;
		bool snap;

		if (is_dots(e->d_name))
			continue;
		snprintf(path, sizeof(path), "%s/%s", shard, e->d_name);
		if (parse_name(shard, e->d_name, &cid, &snap))
			look_at_known_form(s, path, cid, snap);
		else
			move_unknown(s, path);
	}
	closedir(dir);
	return 0;
}

static bool is_shard(const char *name)
{
	return strspn(name, "0123456789abcdef") == 2 && name[2] == '\0';
}

static int scan_files(struct scan *s)
{
	int fd = openat(s->cs->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int rc = dir ? 0 : -errno;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return rc;
	}
	while (rc == 0 && (e = readdir(dir))) {
		if (is_dots(e->d_name))
			continue;
		rc = is_shard(e->d_name) ? scan_shard(s, e->d_name) : -ENOTDIR;
		if (rc == -ENOTDIR || rc == -ELOOP) {
			move_unknown(s, e->d_name);
			rc = 0;
		}
	}
	closedir(dir);
	return rc;
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

	if (f->flags & CFILE_CLEAN || (f->flags & CFILE_WHOLE && !f->size))
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

	if (rc == 0)
		rc = scan_files(&s);
	if (rc < 0)
		return rc;
	*out = s.found;
	contents_tidy(cs); /* what it can't do now has nothing to do with us */
	return 0;
}
