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
#include "net/crashpoint.h"
#include "net/fdio.h"
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

static void format_stamp(char out[STORE_STAMP_SIZE])
{
	int64_t now = clock_real_ns();
	time_t s = (time_t)(now / NS_PER_SEC);
	struct tm tm;

	gmtime_r(&s, &tm);
	strftime(out, STORE_STAMP_SIZE, "%Y%m%dT%H%M%S", &tm);
	snprintf(out + strlen(out), 16, ".%06dZ",
	         (int)(now % NS_PER_SEC / 1000));
}

static bool read_stamp(const char *path, char out[STORE_STAMP_SIZE])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, STORE_STAMP_SIZE - 1);

	if (fd >= 0)
		close(fd);
	out[n < 0 ? 0 : n] = '\0';
	out[strcspn(out, "\n/")] = '\0';
	return out[0] != '\0';
}

static int write_stamp(const char *path, const char *stamp)
{
	int rc, fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	/* On a full disk the name alone says enough. */
	rc = fdio_write_all(fd, stamp, strlen(stamp));
	if (fsync(fd) < 0 && rc == 0)
		rc = -errno;
	close(fd);
	return rc;
}

int store_mark_damaged(const char *dir, char out_stamp[STORE_STAMP_SIZE])
{
	char path[PATH_MAX];
	int rc = join(path, dir, MARK);

	if (rc == 0 && read_stamp(path, out_stamp))
		return 0;
	format_stamp(out_stamp);
	return rc < 0 ? rc : write_stamp(path, out_stamp);
}

void store_note_damage(struct store *s)
{
	char dir[PATH_MAX], stamp[STORE_STAMP_SIZE];
	const char *slash = s->path ? strrchr(s->path, '/') : NULL;

	if (!slash || atomic_exchange(&s->damaged, true))
		return;
	snprintf(dir, sizeof(dir), "%.*s", (int)(slash - s->path), s->path);
	store_mark_damaged(dir, stamp);
	if (s->on_damage)
		s->on_damage(s->on_damage_arg);
}

void store_on_damage(struct store *s, store_damage_fn *fn, void *arg)
{
	s->on_damage_arg = arg;
	s->on_damage = fn;
}

/* Indexes too: they hold names and places a second time, which is the only
 * way to see that a byte of such a value was flipped. */
int store_check(struct store *s)
{
	struct sqlite3_stmt *q;
	char text[256] = "";
	struct db *db;
	int rc = store_reader(s, &db);

	if (rc < 0)
		return rc;
	rc = db_query(db, "PRAGMA integrity_check(1)", DB_NONE, &q);
	if (rc == 0)
		rc = db_next(db, q);
	if (rc == 1) {
		db_col_text(q, 0, text, sizeof(text));
		rc = strcmp(text, "ok") ? -EUCLEAN : 0;
	}
	db_finish(q);
	store_reader_done(s, db);
	if (rc == -EUCLEAN)
		log_error("state.db is damaged: %s action=rebuild", text);
	if (rc == -EUCLEAN)
		store_note_damage(s);
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
	CRASH_POINT("state-set-aside");
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
	char path[PATH_MAX], stamp[STORE_STAMP_SIZE];
	int rc = join(path, dir, "quarantine");

	if (rc == 0 && mkdir(path, 0700) < 0 && errno != EEXIST)
		rc = -errno;
	store_mark_damaged(dir, stamp); /* it is moved with or without */
	for (size_t i = 0; i < 3 && rc == 0; i++)
		rc = move_one(dir, names[i], stamp);
	if (rc == 0)
		rc = join(path, dir, MARK);
	if (rc == 0 && unlink(path) < 0 && errno != ENOENT)
		rc = -errno;
	return rc;
}
