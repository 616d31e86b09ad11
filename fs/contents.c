#include "fs/content_internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "fs/db.h"
#include "fs/lock.h"
#include "fs/store.h"
#include "net/clock.h"

static int open_dir(const char *state_dir, const char *name)
{
	char path[PATH_MAX];
	int fd;

	if (snprintf(path, sizeof(path), "%s/%s", state_dir, name) >= PATH_MAX)
		return -ENAMETOOLONG;
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int contents_count(struct contents *cs)
{
	uint64_t all, clean;
	struct db *db;
	int rc = store_reader(cs->store, &db);

	if (rc < 0)
		return rc;
	rc = cfile_sum_blocks(db, &all, &clean);
	store_reader_done(cs->store, db);
	if (rc < 0)
		return rc;
	lock_take(&cs->lock, LOCK_LEAF);
	cs->used_all = all;
	cs->used_clean = clean;
	lock_drop(&cs->lock, LOCK_LEAF);
	return 0;
}

int contents_new(const char *state_dir, struct store *store,
                 struct contents **out_cs)
{
	struct contents *cs = calloc(1, sizeof(*cs));
	int rc;

	if (!cs)
		return -ENOMEM;
	cs->store = store;
	cs->dirfd = cs->quarantine_fd = -1;
	pthread_mutex_init(&cs->lock, NULL);
	pthread_cond_init(&cs->ready, NULL);
	rc = cs->dirfd = open_dir(state_dir, "content");
	if (rc >= 0)
		rc = cs->quarantine_fd = open_dir(state_dir, "quarantine");
	if (rc >= 0)
		rc = contents_count(cs);
	if (rc < 0) {
		contents_free(cs);
		return rc;
	}
	*out_cs = cs;
	return 0;
}

void contents_set_changed(struct contents *cs, content_changed_fn *changed,
                          void *arg)
{
	cs->changed = changed;
	cs->changed_arg = arg;
}

void contents_set_untidy(struct contents *cs, contents_untidy_fn *untidy,
                         void *arg)
{
	cs->untidy = untidy;
	cs->untidy_arg = arg;
}

void content_note_untidy(struct contents *cs)
{
	if (cs->untidy)
		cs->untidy(cs->untidy_arg);
}

void contents_free(struct contents *cs)
{
	if (!cs)
		return;
	cs->untidy = NULL;
	contents_tidy(cs);
	for (size_t i = 0; i < CONTENT_TABLE; i++) { /* SOFT in the store */
		while (cs->table[i])
			content_forget_idle(cs->table[i]);
	}
	if (cs->dirfd >= 0)
		close(cs->dirfd);
	if (cs->quarantine_fd >= 0)
		close(cs->quarantine_fd);
	pthread_cond_destroy(&cs->ready);
	pthread_mutex_destroy(&cs->lock);
	free(cs->doomed);
	free(cs);
}

/* ---- the disk ---------------------------------------------------------- */

int contents_flush(struct contents *cs)
{
	uint_fast64_t n = atomic_fetch_add(&cs->flush_begun, 1) + 1;
	uint_fast64_t done = atomic_load(&cs->flush_done);

	if (syncfs(cs->dirfd) < 0)
		return -errno;
	while (done < n &&
	       !atomic_compare_exchange_weak(&cs->flush_done, &done, n))
		;
	return 0;
}

int contents_get_free(struct contents *cs, uint64_t *out_bytes)
{
	struct statvfs v;

	if (fstatvfs(cs->dirfd, &v) < 0)
		return -errno;
	*out_bytes = (uint64_t)v.f_bavail * v.f_frsize;
	return 0;
}

void contents_get_usage(struct contents *cs, uint64_t *out_all,
                        uint64_t *out_clean)
{
	lock_take(&cs->lock, LOCK_LEAF);
	*out_all = cs->used_all;
	*out_clean = cs->used_clean;
	lock_drop(&cs->lock, LOCK_LEAF);
}

/* What is evicted counts no more, though its file may still be there. */
static uint64_t count_bytes(const struct cfile *f, uint32_t with)
{
	if (!f || f->flags & CFILE_GONE || (f->flags & with) != with)
		return 0;
	return f->blocks * 512;
}

void content_usage_change(struct contents *cs, const struct cfile *before,
                          const struct cfile *after)
{
	lock_take(&cs->lock, LOCK_LEAF);
	cs->used_all += count_bytes(after, 0) - count_bytes(before, 0);
	cs->used_clean += count_bytes(after, CFILE_CLEAN) -
	                  count_bytes(before, CFILE_CLEAN);
	lock_drop(&cs->lock, LOCK_LEAF);
}

/* ---- new rows ---------------------------------------------------------- */

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
