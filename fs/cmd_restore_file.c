#include "fs/cmd_restore.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "fs/cmd_common.h"
#include "fs/cmd_copy.h"
#include "fs/cmd_item.h"
#include "fs/codec.h"
#include "fs/config.h"
#include "fs/exit.h"
#include "fs/output.h"
#include "fs/past.h"
#include "fs/past_fetch.h"
#include "fs/past_read.h"
#include "fs/past_tree.h"
#include "fs/paths.h"
#include "fs/recycle.h"
#include "fs/when.h"
#include "net/clock.h"
#include "net/fdio.h"
#include "net/json.h"

/* First all of it comes into a file without a name, and is checked; only then
 * anything changes where it goes. */

#define PIECE (1u << 20)

struct copy {
	int fd;
	mode_t mode;
	int64_t mtime;
	bool sure;
	const char *doubt;      /* "": none */
	const char *other_path; /* as it was called then, if not as now */
};

/* ---- the file without a name --------------------------------------------- */

static int open_copy(const struct restoring *r, char *why)
{
	char dir[PATH_MAX], name[PATH_MAX + 16];
	int rc = paths_state_dir(r->config, dir, sizeof(dir)), fd;

	if (rc == 0)
		rc = paths_make_private(dir, why, DIRECT_WHY);
	if (rc < 0)
		return rc;
	fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0)
		return fd;
	snprintf(name, sizeof(name), "%s/restore.XXXXXX", dir);
	fd = mkostemp(name, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	unlink(name);
	return fd;
}

static int begin_copy(void *arg)
{
	const struct copy *c = arg;

	if (ftruncate(c->fd, 0) < 0 || lseek(c->fd, 0, SEEK_SET) < 0)
		return -errno;
	return 0;
}

static int write_copy(void *arg, const void *data, size_t len)
{
	const struct copy *c = arg;

	return fdio_write_all(c->fd, data, len);
}

/* ---- where it goes ------------------------------------------------------- */

static uint64_t size_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int copy_out(const struct copy *c, struct output *out)
{
	char *piece = malloc(PIECE);
	ssize_t n = 1;
	int rc = piece ? 0 : -ENOMEM;

	while (rc == 0 && n > 0) {
		n = read(c->fd, piece, PIECE);
		rc = n < 0 ? -errno : output_write(out, piece, (size_t)n);
	}
	free(piece);
	return rc;
}

/* A directory takes the file under its own name, which must be free. */
static void say_taken(struct restoring *r)
{
	struct stat st;

	if (stat(r->dest, &st) == 0 && S_ISDIR(st.st_mode))
		snprintf(r->why, sizeof(r->why),
		         "%.400s/%.400s is there already; name the file after "
		         "PATH, with --force, to replace it",
		         r->dest, base_name(r->path));
	else
		snprintf(r->why, sizeof(r->why),
		         "%.800s is there already; --force replaces it",
		         r->dest);
}

static int put_in_dest(struct restoring *r, const struct copy *c)
{
	struct output out;
	struct stat st;
	int rc = 0;

	if (!r->force && strcmp(r->dest, "-") != 0 &&
	    lstat(r->dest, &st) == 0 && S_ISREG(st.st_mode))
		rc = -EEXIST;
	if (rc == 0)
		rc = output_open(r->dest, base_name(r->path),
		                 c->mode & 0777 & ~r->umask, &out);
	if (rc == 0)
		rc = output_end(&out, copy_out(c, &out), c->mtime);
	if (rc == -EEXIST)
		say_taken(r);
	else if (rc < 0)
		snprintf(r->why, sizeof(r->why), "%.800s: %s", r->dest,
		         strerror(-rc));
	return rc;
}

/* What a mount says of the file that is there: may it be replaced? */
static int check_stored(struct restoring *r, const char *target)
{
	char why[CMD_WHY_BYTES];
	cJSON *answer = NULL;
	const char *state;
	int rc = cmd_ask(&r->running, "status", target, &answer, why,
	                 sizeof(why));

	if (rc < 0) {
		snprintf(r->why, sizeof(r->why), "%.900s: %.100s", target, why);
		return rc;
	}
	state = json_str(answer, "state");
	if (!state ||
	    (strcmp(state, "synced") != 0 && strcmp(state, "cloud") != 0)) {
		snprintf(r->why, sizeof(r->why),
		         "%.800s: what is there now is not stored on OneDrive "
		         "yet; "
		         "`nmbackupfs flush` first, or --force",
		         target);
		rc = -EBUSY;
	}
	cJSON_Delete(answer);
	return rc;
}

static int put_in_mount(struct restoring *r, const struct copy *c,
                        uint64_t *out_before, bool *out_replaced)
{
	char target[PATH_MAX];
	struct stat st;
	int rc = 0;

	if (snprintf(target, sizeof(target), "%s/%s", r->running.mountpoint,
	             r->path) >= (int)sizeof(target))
		rc = -ENAMETOOLONG;
	*out_replaced = rc == 0 && lstat(target, &st) == 0;
	if (*out_replaced) {
		*out_before = (uint64_t)st.st_size;
		if (S_ISDIR(st.st_mode))
			rc = -EISDIR;
		else if (!r->force)
			rc = check_stored(r, target);
	}
	if (rc == 0)
		rc = cmd_copy_in(
			c->fd, &(struct cmd_copy){
				       .target = target,
				       .top = strlen(r->running.mountpoint) + 1,
				       .size = size_of(c->fd),
				       .mode = c->mode & 07777,
				       .mask = r->umask,
				       .mtime = clock_ns_to_timespec(c->mtime),
			       });
	if (rc < 0 && !r->why[0])
		snprintf(r->why, sizeof(r->why), "%.900s: %s", target,
		         rc == -EINTR ? "interrupted" : strerror(-rc));
	return rc;
}

static int put_on_drive(struct restoring *r, const struct copy *c,
                        uint64_t *out_before, bool *out_replaced)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
		                     clock_ns_to_timespec(c->mtime) };
	struct direct_file *f = calloc(1, sizeof(*f));
	struct item *it = calloc(1, sizeof(*it));
	struct direct_place at;
	int rc =
		f && it ? direct_find(&r->direct, r->path, true, &at) : -ENOMEM;

	if (rc == 0)
		rc = direct_look(&r->direct, &at, f);
	*out_replaced = rc == 0;
	if (rc == 0)
		r->direct.codec->ops->plain_size(r->direct.codec, f->item.size,
		                                 out_before);
	if (rc == -ENOENT)
		rc = 0;
	if (rc == 0 &&
	    (fchmod(c->fd, c->mode & 07777) < 0 || futimens(c->fd, times) < 0))
		rc = -errno;
	if (rc == 0)
		rc = direct_put(&r->direct, &at, c->fd, 0, NULL, NULL, it);
	free(it);
	free(f);
	return rc;
}

static int put_in_place(struct restoring *r, const struct copy *c)
{
	char now[CMD_SIZE_TEXT], was[CMD_SIZE_TEXT];
	uint64_t before = 0;
	bool replaced;
	int rc = r->running.mounted ? put_in_mount(r, c, &before, &replaced)
	                            : put_on_drive(r, c, &before, &replaced);

	if (rc < 0)
		return rc;
	cmd_format_size(size_of(c->fd), now);
	cmd_format_size(before, was);
	if (replaced)
		fprintf(stderr,
		        "nmbackupfs: restored (%s); what was there (%s) stays "
		        "as a version of it\n",
		        now, was);
	else
		fprintf(stderr, "nmbackupfs: restored (%s)\n", now);
	return 0;
}

static int deliver(struct restoring *r, const struct copy *c)
{
	int rc;

	r->why[0] = '\0';
	rc = lseek(c->fd, 0, SEEK_SET) < 0 ? -errno : 0;
	if (rc == 0)
		rc = r->dest ? put_in_dest(r, c) : put_in_place(r, c);
	if (rc < 0)
		return restore_failed(r);
	if (c->other_path)
		cmd_fail(0, "it was called %s then", c->other_path);
	if (c->sure && !c->doubt[0])
		return EXIT_OK;
	return cmd_fail(EXIT_INCOMPLETE, "%s: maybe not what it was then: %s",
	                r->what,
	                c->doubt[0] ? c->doubt
	                            : "the version was told by its time or "
	                              "size only");
}

/* ---- one version --------------------------------------------------------- */

int restore_version(struct restoring *r)
{
	struct direct_file *f = malloc(sizeof(*f));
	struct copy c = { .doubt = "" };
	struct past_sink sink = { begin_copy, write_copy, &c };
	struct past_got got = { 0 };
	int rc = f ? cmd_find_item(&r->direct, r->path[0] ? r->path : NULL,
	                           r->what, f)
	           : -ENOMEM;
	int status;

	c.fd = rc < 0 ? rc : open_copy(r, r->why);
	if (rc == 0 && c.fd < 0)
		rc = c.fd;
	if (rc == 0)
		rc = past_fetch_version(&r->direct, f, r->version, &sink, &got);
	if (rc == 0) {
		c.mode = f->node.mode;
		c.mtime = got.time;
		c.sure = true;
		/* By id: the name it has there. */
		if (!strcmp(f->item.id, r->what))
			snprintf(r->path, sizeof(r->path), "%s", f->node.name);
	}
	if (rc == 0 && !r->dest && !strcmp(f->item.id, r->what))
		status = cmd_fail(EXIT_USAGE, "by id: say where to");
	else
		status = rc < 0 ? restore_failed(r) : deliver(r, &c);
	if (c.fd >= 0)
		close(c.fd);
	free(f);
	return status;
}

/* ---- as of a time -------------------------------------------------------- */

struct wanted {
	const char *id;
	struct restoring *r;
	struct copy *copy;
	const struct past_deletes *deletes;
	char path[DIRECT_PATH]; /* then */
	bool found;
	int rc;
};

/* With what lies in the bin taken out for a while. */
static int fetch_deleted(struct wanted *w, const struct past_item *it,
                         const struct past_sink *sink, struct past_got *got)
{
	struct direct *d = &w->r->direct;
	const struct past_delete *top = past_delete_at(w->deletes, it->deleted);
	struct recycle bin = { 0 };
	char when[WHEN_TEXT], why[DIRECT_WHY];
	int rc = w->r->leave_bin
	                 ? -ENOENT
	                 : recycle_borrow(d, &bin, top ? top->id : it->id);

	if (rc == 0) {
		rc = past_fetch(d, it, w->r->at, sink, got);
		snprintf(why, sizeof(why), "%s", d->why);
		if (recycle_give_back(d, &bin) < 0)
			cmd_fail(0, "%s", d->why);
		recycle_done(d, &bin);
		if (rc < 0)
			snprintf(d->why, DIRECT_WHY, "%s", why);
		return rc;
	}
	recycle_done(d, &bin);
	when_format_local(it->deleted, when);
	snprintf(why, sizeof(why), "it was deleted (%s). %.900s", when, d->why);
	snprintf(d->why, DIRECT_WHY, "%s", why);
	return rc;
}

/* past_each_fn */
static int fetch_if_wanted(void *arg, const struct past_item *it)
{
	struct wanted *w = arg;
	struct past_sink sink = { begin_copy, write_copy, w->copy };
	struct past_got got = { 0 };
	struct direct *d = &w->r->direct;

	if (strcmp(it->id, w->id) != 0 || it->doubts & PAST_BACK)
		return 0;
	w->found = true;
	snprintf(w->path, sizeof(w->path), "%s", it->path);
	w->rc = past_fetch(d, it, w->r->at, &sink, &got);
	if (w->rc == -ENOENT && it->deleted)
		w->rc = fetch_deleted(w, it, &sink, &got);
	w->copy->mode = it->mode;
	w->copy->mtime = it->mtime ? it->mtime : got.time;
	w->copy->sure = got.sure;
	w->copy->doubt = past_doubt_text(it->doubts);
	return 1;
}

/* Where it is now may tell more than the ledger. */
static int see(struct restoring *r, struct past *p, const char *id)
{
	struct direct_file *f = malloc(sizeof(*f));
	int rc = f ? direct_look_id(&r->direct, id, f) : -ENOMEM;

	if (rc == 0)
		rc = past_see_one(p, f, f->node.name);
	free(f);
	return rc == -ENOENT ? 0 : rc;
}

int restore_file(struct restoring *r, struct past *p,
                 const struct past_deletes *deletes, const char *id)
{
	struct copy c = { .doubt = "" };
	struct wanted w = { .id = id, .r = r, .copy = &c, .deletes = deletes };
	int rc = see(r, p, id), status;

	if (rc < 0)
		return restore_failed(r);
	c.fd = open_copy(r, r->why);
	if (c.fd < 0) {
		if (!r->why[0])
			snprintf(r->why, sizeof(r->why), "%s", strerror(-c.fd));
		return restore_failed(r);
	}
	rc = past_each(p, fetch_if_wanted, &w);
	if (rc < 0)
		w.rc = rc;
	if (rc >= 0 && !w.found)
		status = cmd_fail(EXIT_FAILED,
		                  "%s: it was not there yet, or not any more, "
		                  "by then",
		                  r->what);
	else if (w.rc == -ENODATA || w.rc == -ENOENT || w.rc == -EOPNOTSUPP)
		status = cmd_fail(EXIT_INCOMPLETE, "%s: %s", r->what, r->why);
	else if (w.rc < 0)
		status = restore_failed(r);
	else {
		if (strcmp(w.path, r->path) != 0)
			c.other_path = w.path;
		status = deliver(r, &c);
	}
	close(c.fd);
	return status;
}
