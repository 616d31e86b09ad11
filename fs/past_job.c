#include "fs/past_job.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/direct.h"
#include "fs/past_fetch.h"
#include "fs/restore.h"
#include "net/buf.h"

int past_job_init(struct past_job *j, const struct past_item *it, size_t skip)
{
	*j = (struct past_job){ .it = *it };
	j->id = strdup(it->id);
	j->path = strdup(it->path);
	j->target = strdup(it->target);
	if (!j->id || !j->path || !j->target)
		return -ENOMEM;
	j->it.id = j->id;
	j->it.path = j->path;
	j->it.target = j->target;
	j->rel = j->path + skip;
	return 0;
}

void past_job_done(struct past_job *j)
{
	free(j->id);
	free(j->path);
	free(j->target);
}

/* ---- places -------------------------------------------------------------- */

/* Names are what a ledger, or a server, says. */
static bool leads_out(const char *rel)
{
	for (;; rel++) {
		size_t len = strcspn(rel, "/");

		if (!len || (len == 1 && rel[0] == '.') ||
		    (len == 2 && rel[0] == '.' && rel[1] == '.'))
			return true;
		rel += len;
		if (!*rel)
			return false;
	}
}

/* The directory that holds the last part of `rel`, which comes back in
 * *out_name; never through a link. */
static int open_way(int dest, const char *rel, const char **out_name)
{
	int fd;

	if (leads_out(rel))
		return -EINVAL;
	fd = fcntl(dest, F_DUPFD_CLOEXEC, 0);

	for (const char *slash; fd >= 0 && (slash = strchr(rel, '/'));
	     rel = slash + 1) {
		char *name = strndup(rel, (size_t)(slash - rel));
		int below = name ? openat(fd, name,
		                          O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
		                                  O_CLOEXEC)
		                 : -1;

		free(name);
		close(fd);
		fd = below;
	}
	*out_name = rel;
	/* "Gone" is said of items. */
	return fd >= 0 ? fd : errno == ENOENT ? -ENOTDIR : -errno;
}

static int describe(const struct past_job *j, const char *name,
                    struct restore_item *out)
{
	*out = (struct restore_item){ .mode = j->it.mode,
		                      .uid = RESTORE_NOBODY,
		                      .gid = (gid_t)-1,
		                      .mtime = j->it.mtime,
		                      .size = j->it.plain_size,
		                      .target = j->it.target };
	if (strlen(name) >= sizeof(out->name))
		return -ENAMETOOLONG;
	strcpy(out->name, name);
	if (S_ISDIR(out->mode) && !(out->mode & 07777))
		out->mode |= 0755; /* it was never told */
	return 0;
}

/* ---- one file ------------------------------------------------------------ */

static int begin_again(void *arg)
{
	const struct restore_file *f = arg;

	if (ftruncate(f->fd, 0) < 0 || lseek(f->fd, 0, SEEK_SET) < 0)
		return -errno;
	return 0;
}

static int restore_regular(struct direct *d, struct past_job *j, int64_t at,
                           int dir, struct restore_item *ri,
                           struct past_got *got)
{
	struct restore_file f;
	struct past_sink sink = { .begin = begin_again,
		                  .write = restore_write,
		                  .arg = &f };
	struct stat st;
	int rc = restore_begin(dir, ri, &f);

	if (rc < 0)
		return rc;
	rc = past_fetch(d, &j->it, at, &sink, got);
	if (rc == 0 && fstat(f.fd, &st) == 0)
		j->it.plain_size = (uint64_t)st.st_size;
	if (!ri->mtime)
		ri->mtime = got->time;
	return restore_end(&f, ri, rc);
}

static int drop_all(void *arg)
{
	buf_clear(arg);
	return 0;
}

static int add_target(void *arg, const void *data, size_t len)
{
	struct buf *b = arg;

	return b->len + len >= DIRECT_TARGET ? -ENAMETOOLONG
	                                     : buf_add(b, data, len);
}

/* A target that did not fit into the name is the item's content. */
static int restore_link(struct direct *d, struct past_job *j, int64_t at,
                        int dir, struct restore_item *ri, struct past_got *got)
{
	struct buf target = BUF_INIT;
	struct past_sink sink = { .begin = drop_all,
		                  .write = add_target,
		                  .arg = &target };
	int rc = 0;

	if (!j->it.target[0]) {
		rc = past_fetch(d, &j->it, at, &sink, got);
		if (rc == 0 &&
		    (!target.len || strlen(target.data) != target.len))
			rc = -EBADMSG;
		if (rc == 0)
			ri->target = target.data;
	}
	if (rc == 0)
		rc = restore_node(dir, ri);
	buf_done(&target);
	return rc;
}

int past_job_restore(struct past_job *j, struct direct *d, int dest, int64_t at,
                     struct past_got *got)
{
	struct restore_item *ri = calloc(1, sizeof(*ri));
	const char *name;
	int dir = ri ? open_way(dest, j->rel, &name) : -ENOMEM;
	int rc = dir < 0 ? dir : describe(j, name, ri);

	got->sure = true;
	if (rc == 0 && S_ISREG(ri->mode))
		rc = restore_regular(d, j, at, dir, ri, got);
	else if (rc == 0 && S_ISLNK(ri->mode))
		rc = restore_link(d, j, at, dir, ri, got);
	else if (rc == 0 && (S_ISFIFO(ri->mode) || S_ISSOCK(ri->mode)))
		rc = restore_node(dir, ri);
	else if (rc == 0) {
		snprintf(d->why, DIRECT_WHY,
		         "it was a device, whose numbers were not noted");
		rc = -ENODATA;
	}
	if (dir >= 0)
		close(dir);
	free(ri);
	return rc;
}

/* ---- folders ------------------------------------------------------------- */

int past_job_enter(const struct past_job *j, int dest)
{
	struct restore_item ri;
	const char *name;
	int dir = open_way(dest, j->rel, &name), fd;
	int rc = dir < 0 ? dir : describe(j, name, &ri);

	if (rc == 0)
		rc = restore_enter(dir, &ri, &fd);
	if (rc == 0)
		close(fd);
	if (dir >= 0)
		close(dir);
	return rc;
}

void past_job_leave(const struct past_job *j, int dest)
{
	struct restore_item ri;
	const char *name;
	int dir = open_way(dest, j->rel, &name), fd;

	if (dir < 0)
		return;
	fd = describe(j, name, &ri) < 0
	             ? -1
	             : openat(dir, name,
	                      O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0)
		restore_leave(fd, &ri);
	close(dir);
}
