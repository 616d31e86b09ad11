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
#include "fs/lock.h"
#include "fs/store.h"
#include "net/log.h"

static int quarantine_file(struct contents *cs, const char *name,
                           const char *why)
{
	const char *base = strrchr(name, '/');
	char to[NAME_MAX + 1];

	snprintf(to, sizeof(to), "%s-%s", why, base ? base + 1 : name);
	if (renameat(cs->dirfd, name, cs->quarantine_fd, to) < 0)
		return errno == ENOENT ? 0 : -errno;
	log_warn("content file=%s moved_to=quarantine/%s", name, to);
	return 0;
}

int content_quarantine(struct contents *cs, uint64_t cid, const char *why)
{
	char name[CONTENT_NAME_SIZE];

	content_file_name(cid, "", name);
	return quarantine_file(cs, name, why);
}

struct soft_list {
	struct cfile *rows;
	size_t n, cap;
};

static int collect_row(void *arg, const struct cfile *f)
{
	struct soft_list *l = arg;
	size_t cap = l->cap ? l->cap * 2 : 16;
	struct cfile *rows;

	if (l->n == l->cap) {
		rows = realloc(l->rows, cap * sizeof(*rows));
		if (!rows)
			return -ENOMEM;
		l->rows = rows;
		l->cap = cap;
	}
	l->rows[l->n++] = *f;
	return 0;
}

/* The bytes are as the program left them: take the size from the file. */
static int recover_size(struct contents *cs, struct db *db, struct cfile *f)
{
	int fd = content_file_open(cs, f->cid, "", O_RDONLY);
	struct stat st = { .st_size = 0 };
	int rc;

	if (fd >= 0) {
		if (fstat(fd, &st) < 0) {
			close(fd);
			return -EIO;
		}
		close(fd);
	} else if (fd != -ENOENT) {
		return fd;
	}
	f->size = (uint64_t)st.st_size;
	f->blocks = (uint64_t)st.st_blocks;
	rc = cfile_update(db, f);
	if (rc == 0)
		rc = cfile_drop_sums(db, f->cid);
	return rc < 0 ? rc : node_set_size(db, f->ino, f->cid, f->size);
}

/* What was never durable is gone after a power cut: back to what it replaced,
 * or to what the server has, or out with the name. */
static int revert(struct contents *cs, struct db *db, const struct cfile *f)
{
	struct node n;
	struct cfile prev = { 0 };
	int rc;

	rc = content_quarantine(cs, f->cid, "powercut");
	if (rc == 0)
		rc = node_get(db, f->ino, &n);
	if (rc == -ENOENT || (rc == 0 && n.cid != f->cid))
		return cfile_delete(db, f->cid);
	if (rc < 0)
		return rc;
	if (f->prev) {
		rc = cfile_get(db, f->prev, &prev);
		if (rc < 0 && rc != -ENOENT)
			return rc;
	}
	if (prev.cid) {
		n.cid = prev.cid;
		n.gen = prev.gen;
		n.size = prev.size;
		prev.ino = n.ino;
		rc = cfile_update(db, &prev);
	} else if (n.s_gen) {
		n.cid = 0;
		n.gen = n.s_gen;
		n.size = n.s_len;
	} else {
		rc = cfile_delete(db, f->cid);
		return rc < 0 ? rc : node_delete(db, n.ino);
	}
	n.flags |= NODE_DIRTY;
	if (rc == 0)
		rc = node_update(db, &n);
	return rc < 0 ? rc : cfile_delete(db, f->cid);
}

int contents_recover(struct contents *cs, bool rebooted,
                     struct content_recovery *out)
{
	struct content_recovery done = { 0 };
	struct soft_list l = { 0 };
	struct db *db;
	int rc = store_begin(cs->store, &db);

	if (rc < 0)
		return rc;
	rc = cfile_each_soft(db, collect_row, &l);
	for (size_t i = 0; i < l.n && rc == 0; i++) {
		if (rebooted && l.rows[i].flags & CFILE_FRESH) {
			rc = revert(cs, db, &l.rows[i]);
			done.reverted++;
		} else {
			rc = recover_size(cs, db, &l.rows[i]);
			done.resized++;
		}
	}
	free(l.rows);
	rc = rc < 0 ? store_rollback(cs->store, rc) : store_commit(cs->store);
	if (rc == 0)
		*out = done;
	return rc;
}

/* True for a file that belongs to a row, or to a snapshot of one. */
static bool is_known(struct db *db, const char *name)
{
	struct cfile row;
	uint64_t cid;
	char *end;

	cid = strtoull(name, &end, 16);
	if (end != name + 16 || (*end && strcmp(end, ".snap")))
		return false;
	return cfile_get(db, cid, &row) != -ENOENT;
}

static int scan_shard(struct contents *cs, const char *shard, unsigned *moved)
{
	int fd = openat(cs->dirfd, shard, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	struct db *db;
	int rc;

	if (!dir) {
		rc = -errno;
		if (fd >= 0)
			close(fd);
		return rc == -ENOTDIR ? 0 : rc;
	}
	rc = store_reader(cs->store, &db);
	while (rc == 0 && (e = readdir(dir))) {
		char name[NAME_MAX + 8];

		if (e->d_name[0] == '.' || is_known(db, e->d_name))
			continue;
		snprintf(name, sizeof(name), "%s/%s", shard, e->d_name);
		rc = quarantine_file(cs, name, "unknown");
		(*moved)++;
	}
	if (rc != -EMFILE)
		store_reader_done(cs->store, db);
	closedir(dir);
	return rc;
}

int contents_scan(struct contents *cs, unsigned *out_moved)
{
	unsigned moved = 0;
	char shard[3];
	int rc = 0;

	for (unsigned i = 0; i < 256 && (rc == 0 || rc == -ENOENT); i++) {
		snprintf(shard, sizeof(shard), "%02x", i);
		rc = scan_shard(cs, shard, &moved);
	}
	*out_moved = moved;
	return rc == -ENOENT ? 0 : rc;
}
