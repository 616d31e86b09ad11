#include "fs/content_internal.h"

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

#include "fs/lock.h"
#include "fs/store.h"
#include "net/clock.h"
#include "net/log.h"

void content_file_name(uint64_t cid, const char *suffix,
                       char out[CONTENT_NAME_SIZE])
{
	snprintf(out, CONTENT_NAME_SIZE, "%02x/%016" PRIx64 "%s",
	         (unsigned)(cid & 0xff), cid, suffix);
}

int content_file_open(struct contents *cs, uint64_t cid, const char *suffix,
                      int flags)
{
	char name[CONTENT_NAME_SIZE], shard[3];
	int fd;

	content_file_name(cid, suffix, name);
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
	char name[CONTENT_NAME_SIZE];

	content_file_name(cid, suffix, name);
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
