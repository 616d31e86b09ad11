#include "fs/store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fs/db.h"
#include "net/clock.h"
#include "net/log.h"

/* Lies beside the database once a check found it damaged, so that the next
 * start does not trust it, however well it opens. */
#define MARK "damaged"

static int join(char out[PATH_MAX], const char *dir, const char *name)
{
	return snprintf(out, PATH_MAX, "%s/%s", dir, name) < PATH_MAX
	               ? 0
	               : -ENAMETOOLONG;
}

bool store_is_marked(const char *dir)
{
	char path[PATH_MAX];

	return join(path, dir, MARK) == 0 && access(path, F_OK) == 0;
}

static void mark(const struct store *s)
{
	char path[PATH_MAX];
	const char *slash = s->path ? strrchr(s->path, '/') : NULL;
	int fd;

	if (!slash || snprintf(path, sizeof(path), "%.*s/" MARK,
	                       (int)(slash - s->path), s->path) >= PATH_MAX)
		return;
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
}

int store_check(struct store *s)
{
	struct sqlite3_stmt *q;
	char text[256] = "";
	struct db *db;
	int rc = store_reader(s, &db);

	if (rc < 0)
		return rc;
	rc = db_query(db, "PRAGMA quick_check(1)", DB_NONE, &q);
	if (rc == 0)
		rc = db_next(db, q);
	if (rc == 1) {
		db_col_text(q, 0, text, sizeof(text));
		rc = strcmp(text, "ok") ? -EUCLEAN : 0;
	}
	db_finish(q);
	store_reader_done(s, db);
	if (rc == -EUCLEAN)
		log_error(
			"state.db is damaged: %s action=rebuild_at_next_start",
			text);
	if (rc == -EUCLEAN)
		mark(s);
	return rc;
}

/* ---- setting aside ------------------------------------------------------- */

static int move_one(const char *dir, const char *name, const char *stamp)
{
	char from[PATH_MAX], to[PATH_MAX];
	int rc = join(from, dir, name);

	if (rc == 0 && snprintf(to, sizeof(to), "%s/quarantine/%s-%s", dir,
	                        stamp, name) >= PATH_MAX)
		rc = -ENAMETOOLONG;
	if (rc < 0)
		return rc;
	if (rename(from, to) < 0)
		return errno == ENOENT ? 0 : -errno;
	log_warn("state.db moved_to=\"%s\"", to);
	return 0;
}

int store_set_aside(const char *dir)
{
	/* The log first: without it the database would be another one, and
	 * with half of them moved the next start goes on here. */
	static const char *const names[] = { "state.db-wal", "state.db-shm",
		                             "state.db" };
	int64_t now = clock_real_ns();
	time_t s = (time_t)(now / NS_PER_SEC);
	char path[PATH_MAX], stamp[64];
	struct tm tm;
	int rc = join(path, dir, "quarantine");

	if (rc == 0 && mkdir(path, 0700) < 0 && errno != EEXIST)
		rc = -errno;
	gmtime_r(&s, &tm);
	strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%S", &tm);
	snprintf(stamp + strlen(stamp), 16, ".%06dZ",
	         (int)(now % NS_PER_SEC / 1000));
	for (size_t i = 0; i < 3 && rc == 0; i++)
		rc = move_one(dir, names[i], stamp);
	if (rc == 0)
		rc = join(path, dir, MARK);
	if (rc == 0 && unlink(path) < 0 && errno != ENOENT)
		rc = -errno;
	return rc;
}
