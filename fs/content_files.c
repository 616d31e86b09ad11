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
#include <sys/statvfs.h>
#include <unistd.h>

#include "fs/db.h"
#include "fs/lock.h"
#include "fs/store.h"
#include "net/clock.h"
#include "net/log.h"

#define NAME_SIZE 48

static void file_name(uint64_t cid, const char *suffix, char out[NAME_SIZE])
{
	snprintf(out, NAME_SIZE, "%02x/%016" PRIx64 "%s",
	         (unsigned)(cid & 0xff), cid, suffix);
}

int content_file_open(struct contents *cs, uint64_t cid, const char *suffix,
                      int flags)
{
	char name[NAME_SIZE], shard[3];
	int fd;

	file_name(cid, suffix, name);
	fd = openat(cs->dirfd, name, flags | O_CLOEXEC, 0600);
	if (fd < 0 && errno == ENOENT && flags & O_CREAT) {
		memcpy(shard, name, 2);
		shard[2] = '\0';
		if (mkdirat(cs->dirfd, shard, 0700) < 0 && errno != EEXIST)
			return -errno;
		fd = openat(cs->dirfd, name, flags | O_CLOEXEC, 0600);
	}
	return fd < 0 ? -errno : fd;
}

void content_file_remove(struct contents *cs, uint64_t cid, const char *suffix)
{
	char name[NAME_SIZE];

	file_name(cid, suffix, name);
	if (unlinkat(cs->dirfd, name, 0) < 0 && errno != ENOENT)
		log_warn("content cid=%" PRIx64 " can't be removed: %s", cid,
		         strerror(errno));
}

void content_usage_change(struct contents *cs, const struct cfile *before,
                          const struct cfile *after)
{
	lock_take(&cs->lock, LOCK_LEAF);
	if (before) {
		cs->used_all -= before->blocks * 512;
		if (before->flags & CFILE_CLEAN)
			cs->used_clean -= before->blocks * 512;
	}
	if (after) {
		cs->used_all += after->blocks * 512;
		if (after->flags & CFILE_CLEAN)
			cs->used_clean += after->blocks * 512;
	}
	lock_drop(&cs->lock, LOCK_LEAF);
}

void contents_get_usage(struct contents *cs, uint64_t *out_all,
                        uint64_t *out_clean)
{
	lock_take(&cs->lock, LOCK_LEAF);
	*out_all = cs->used_all;
	*out_clean = cs->used_clean;
	lock_drop(&cs->lock, LOCK_LEAF);
}

int contents_get_free(struct contents *cs, uint64_t *out_bytes)
{
	struct statvfs v;

	if (fstatvfs(cs->dirfd, &v) < 0)
		return -errno;
	*out_bytes = (uint64_t)v.f_bavail * v.f_frsize;
	return 0;
}

/* ---- opening the directory --------------------------------------------- */

static int open_dir(const char *state_dir, const char *name)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", state_dir, name);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int contents_new(const char *state_dir, struct store *store,
                 struct contents **out_cs)
{
	struct contents *cs = calloc(1, sizeof(*cs));
	struct db *db;
	int rc = -ENOMEM;

	if (!cs)
		return -ENOMEM;
	cs->store = store;
	cs->dirfd = cs->quarantine_fd = -1;
	pthread_mutex_init(&cs->lock, NULL);
	pthread_cond_init(&cs->evicted, NULL);
	cs->state_dir = strdup(state_dir);
	if (!cs->state_dir)
		goto err_free;
	rc = cs->dirfd = open_dir(state_dir, "content");
	if (rc < 0)
		goto err_free;
	rc = cs->quarantine_fd = open_dir(state_dir, "quarantine");
	if (rc < 0)
		goto err_free;
	rc = store_reader(store, &db);
	if (rc < 0)
		goto err_free;
	rc = cfile_sum_blocks(db, &cs->used_all, &cs->used_clean);
	store_reader_done(store, db);
	if (rc < 0)
		goto err_free;
	*out_cs = cs;
	return 0;

err_free:
	contents_free(cs);
	return rc;
}

void contents_set_changed(struct contents *cs, content_changed_fn *changed,
                          void *arg)
{
	cs->changed = changed;
	cs->changed_arg = arg;
}

void contents_free(struct contents *cs)
{
	if (!cs)
		return;
	if (cs->dirfd >= 0)
		close(cs->dirfd);
	if (cs->quarantine_fd >= 0)
		close(cs->quarantine_fd);
	pthread_cond_destroy(&cs->evicted);
	pthread_mutex_destroy(&cs->lock);
	free(cs->state_dir);
	free(cs);
}

/* ---- rows ---------------------------------------------------------------- */

int content_add_empty(struct contents *cs, struct db *db, uint64_t ino,
                      uint64_t gen, uint64_t prev, uint64_t *out_cid)
{
	struct cfile row = {
		.cid = store_next_cid(cs->store),
		.ino = ino,
		.flags = CFILE_SOFT | CFILE_WHOLE | CFILE_FRESH,
		.gen = gen,
		.prev = prev,
		.used = clock_real_ns() / NS_PER_SEC,
	};
	int rc = cfile_insert(db, &row);

	if (rc == 0)
		*out_cid = row.cid;
	return rc;
}

int content_add_absent(struct contents *cs, struct db *db, struct cfile *row)
{
	row->cid = store_next_cid(cs->store);
	row->flags = CFILE_CLEAN;
	row->base_len = row->size;
	row->used = clock_real_ns() / NS_PER_SEC;
	row->blocks = 0;
	row->prev = 0;
	return cfile_insert(db, row);
}

/* ---- quarantine, recovery, scan ------------------------------------------ */

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
	char name[NAME_SIZE];

	file_name(cid, "", name);
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
