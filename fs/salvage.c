#include "fs/salvage.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/aside.h"
#include "fs/cfile.h"
#include "fs/content_walk.h"
#include "fs/db.h"
#include "fs/node.h"
#include "net/log.h"

#define MAX_DEPTH 512 /* of damaged rows */

struct job {
	struct db *db;
	int dirfd, content_fd;
	const char *stamp;
	struct salvage done;
};

/* ---- what the rows say --------------------------------------------------- */

struct row {
	uint64_t ino;
	uint32_t flags;
};

/* 1: found. Any error means the same as no row. */
static int get_row(struct db *db, uint64_t cid, struct row *out)
{
	struct sqlite3_stmt *q;
	int rc = db_query(db, "SELECT ino,flags FROM cfile WHERE cid=? --named",
	                  DB_ARGS(DB_INT(cid)), &q);

	if (rc == 0)
		rc = db_next(db, q);
	if (rc == 1) {
		out->ino = (uint64_t)db_col_int(q, 0);
		out->flags = (uint32_t)db_col_int(q, 1);
	}
	db_finish(q);
	return rc;
}

struct place {
	uint64_t parent, cid;
	char name[NODE_NAME_MAX + 1];
};

static bool is_fit(const char *name)
{
	return *name && strcmp(name, ".") && strcmp(name, "..") &&
	       !strchr(name, '/');
}

static int get_place(struct db *db, uint64_t ino, struct place *out)
{
	struct sqlite3_stmt *q;
	int rc = db_query(db, "SELECT parent,cid,name FROM node WHERE ino=?",
	                  DB_ARGS(DB_INT(ino)), &q);

	if (rc == 0)
		rc = db_next(db, q);
	if (rc == 1) {
		out->parent = (uint64_t)db_col_int(q, 0);
		out->cid = (uint64_t)db_col_int(q, 1);
		if (!db_col_text(q, 2, out->name, sizeof(out->name)) ||
		    !is_fit(out->name))
			rc = 0;
	}
	db_finish(q);
	return rc;
}

/* Puts "name" or "name/" in front of what begins at *at. */
static bool put_before(char *path, size_t *at, const char *name,
                       const char *end)
{
	size_t len = strlen(name), more = strlen(end);

	if (len + more > *at)
		return false;
	*at -= len + more;
	memcpy(path + *at, name, len);
	memcpy(path + *at + len, end, more);
	return true;
}

/* The path of `ino` without "/" in front, as far up as rows are found. What
 * was unlinked has only its name. False: not even that is known. */
static bool find_path(struct db *db, uint64_t ino, uint64_t cid,
                      const char *suffix, char *out, size_t size)
{
	size_t at = size - 1;
	struct place p;

	out[at] = '\0';
	if (get_place(db, ino, &p) != 1 || !put_before(out, &at, suffix, "") ||
	    (p.cid != cid && !put_before(out, &at, ".previous", "")) ||
	    !put_before(out, &at, p.name, ""))
		return false;
	for (int i = 0; i < MAX_DEPTH && p.parent && p.parent != NODE_ROOT;
	     i++) {
		if (get_place(db, p.parent, &p) != 1 ||
		    !put_before(out, &at, p.name, "/"))
			break;
	}
	memmove(out, out + at, size - at);
	return true;
}

/* ---- moving -------------------------------------------------------------- */

static int make_parents(int dirfd, char *path)
{
	for (char *p = strchr(path, '/'); p; p = strchr(p + 1, '/')) {
		int rc;

		*p = '\0';
		rc = mkdirat(dirfd, path, 0700) < 0 ? -errno : 0;
		*p = '/';
		if (rc < 0 && rc != -EEXIST)
			return rc;
	}
	return 0;
}

static int move_to(const struct job *j, const char *name, char *to)
{
	int rc = make_parents(j->dirfd, to);

	return rc < 0 ? rc : aside_move(j->content_fd, name, j->dirfd, to);
}

static int move_named(const struct job *j, const char *name, const char *kind,
                      const char *path, uint64_t cid)
{
	char to[PATH_MAX];
	int n, rc = -EEXIST;

	for (unsigned i = 0; i < 3 && rc == -EEXIST; i++) {
		n = i == 0 ? snprintf(to, sizeof(to), "quarantine/%s-%s/%s",
		                      j->stamp, kind, path)
		           : snprintf(to, sizeof(to),
		                      "quarantine/%s-%s/%s.%" PRIx64, j->stamp,
		                      kind, path, cid);
		rc = n < (int)sizeof(to) ? move_to(j, name, to) : -ENAMETOOLONG;
	}
	/* A way that can't be made: at least the right heap. */
	if (rc == -ENAMETOOLONG || rc == -ENOTDIR || rc == -EEXIST) {
		snprintf(to, sizeof(to), "quarantine/%s-%s/%016" PRIx64,
		         j->stamp, kind, cid);
		rc = move_to(j, name, to);
	}
	if (rc == 0)
		log_warn("content file=\"%s\" moved_to=\"%s\"", name, to);
	return rc;
}

static int salvage_one(void *arg, const char *name, enum content_kind kind,
                       uint64_t cid)
{
	struct job *j = arg;
	char path[PATH_MAX];
	bool clean, incomplete;
	struct row row;
	int rc;

	if (kind != CONTENT_FILE)
		return 0;
	j->done.unnamed++;
	if (get_row(j->db, cid, &row) != 1)
		return 0;
	clean = row.flags & CFILE_CLEAN;
	incomplete = !clean && !(row.flags & CFILE_WHOLE);
	if (!find_path(j->db, row.ino, cid, incomplete ? ".incomplete" : "",
	               path, sizeof(path)))
		return 0;
	rc = move_named(j, name, clean ? "cached" : "unsent", path, cid);
	if (rc < 0)
		return rc;
	j->done.unnamed--;
	j->done.cached += clean;
	j->done.unsent += !clean;
	return 0;
}

static int open_content(struct job *j, const char *state_dir)
{
	j->dirfd = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (j->dirfd < 0)
		return -errno;
	if (mkdirat(j->dirfd, "quarantine", 0700) < 0 && errno != EEXIST)
		return -errno;
	j->content_fd =
		openat(j->dirfd, "content", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return j->content_fd < 0 ? -errno : 0;
}

int salvage_content(const char *state_dir, const char *stamp,
                    struct salvage *out)
{
	struct job j = { .dirfd = -1, .content_fd = -1, .stamp = stamp };
	char path[PATH_MAX];
	int rc;

	*out = (struct salvage){ 0 };
	if (snprintf(path, sizeof(path), "%s/state.db", state_dir) >=
	    (int)sizeof(path))
		return -ENAMETOOLONG;
	if (db_open_look(path, &j.db) < 0)
		return 0; /* it says nothing */
	rc = open_content(&j, state_dir);
	if (rc == 0)
		rc = content_walk(j.content_fd, salvage_one, &j);
	db_close(j.db);
	if (j.content_fd >= 0)
		close(j.content_fd);
	if (j.dirfd >= 0)
		close(j.dirfd);
	*out = j.done;
	return rc == -ENOENT ? 0 : rc;
}
