#include "fs/check.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/check_internal.h"
#include "fs/db.h"
#include "fs/node.h"
#include "fs/salvage.h"
#include "fs/store.h"

#define MOST_LINES 5 /* of what SQLite says about one database */

/* ---- telling ------------------------------------------------------------- */

void check_found(struct check *c, const struct check_finding *f,
                 const char *text, ...)
{
	struct check_finding told = *f;
	char line[1024];
	va_list args;

	va_start(args, text);
	vsnprintf(line, sizeof(line), text, args);
	va_end(args);
	told.text = line;
	if (!told.path)
		told.path = "";
	if (!told.advice)
		told.advice = "";
	c->done.notes += f->level == CHECK_NOTE;
	c->done.damages += f->level == CHECK_DAMAGE;
	c->done.repaired += f->level == CHECK_DAMAGE && f->repaired;
	c->opt->report(c->opt->arg, &told);
}

void check_path(struct check *c, uint64_t ino, char out[PATH_MAX])
{
	if (node_path(c->db, ino, out, PATH_MAX) < 0 || !out[0])
		snprintf(out, PATH_MAX, "#%" PRIu64, ino);
}

/* ---- the database as a whole --------------------------------------------- */

/* -EUCLEAN: can't be trusted, `why` of one line; what a rebuild does is the
 * same for all. */
static void report_broken(struct check *c, const char *why)
{
	struct check_finding f = {
		.level = CHECK_DAMAGE,
		.kind = "database",
		.path = "state.db",
		.advice =
			c->opt->repair
				? "it is set aside in quarantine/; the next "
				  "mount lists the server anew"
				: "check --repair, or the next mount, sets it "
				  "aside with all content it knew and lists "
				  "the server anew",
		.repaired = c->opt->repair,
	};

	check_found(c, &f, "%s", why);
}

/* What SQLite itself finds: pages, order of rows, indexes. */
static int check_structure(struct check *c)
{
	struct sqlite3_stmt *q;
	char line[512], *end;
	int lines = 0;
	int rc = db_query(c->db, "PRAGMA integrity_check(5)", DB_NONE, &q);

	while (rc == 0 && (rc = db_next(c->db, q)) == 1) {
		rc = 0;
		db_col_text(q, 0, line, sizeof(line));
		end = strchr(line, '\n');
		if (end)
			*end = '\0';
		if (!strcmp(line, "ok"))
			continue;
		if (lines++ < MOST_LINES)
			report_broken(c, line);
	}
	db_finish(q);
	if (rc == -EUCLEAN && !lines)
		report_broken(c, "damaged: it can't be read to its end");
	return lines ? -EUCLEAN : rc;
}

static int check_version(struct check *c)
{
	static const struct check_finding newer = {
		.level = CHECK_DAMAGE,
		.kind = "version",
		.path = "state.db",
		.advice = "upgrade nmbackupfs; nothing was changed",
	};
	static const struct check_finding older = { .level = CHECK_NOTE,
		                                    .kind = "version",
		                                    .path = "state.db" };
	int64_t have = 0, version = 0;
	int rc = db_query_int(
		c->db, "SELECT count(*) FROM sqlite_master WHERE name='meta'",
		DB_NONE, 0, &have);

	if (rc == 0 && have)
		rc = store_get_int(c->db, "schema", 0, &version);
	if (rc < 0)
		return rc;
	if (version <= 0) {
		report_broken(c, "it is not a database of nmbackupfs");
		return -EUCLEAN;
	}
	if (version > STORE_SCHEMA) {
		check_found(c, &newer,
		            "made by a newer version of nmbackupfs (%" PRId64
		            ", this one knows %d)",
		            version, STORE_SCHEMA);
		return -ENOTSUP;
	}
	if (version < STORE_SCHEMA) {
		check_found(c, &older,
		            "of an older version of nmbackupfs; the next mount "
		            "brings it up to date, only then its rows can be "
		            "checked");
		return -ESTALE;
	}
	return 0;
}

static int64_t read_number_beside(struct check *c)
{
	char text[32] = "";
	int64_t n = 0;
	int fd = openat(c->dirfd, "incarnation", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	if (read(fd, text, sizeof(text) - 1) > 0)
		sscanf(text, "%" SCNd64, &n);
	close(fd);
	return n;
}

/* Is it the database of the last run? */
static int check_last_run(struct check *c)
{
	static const struct check_finding unclean = { .level = CHECK_NOTE,
		                                      .kind = "last-run" };
	int64_t inside, clean = 0, starting = 0, known = 0;
	int64_t beside = read_number_beside(c);
	struct check_finding f = {
		.kind = "older-copy",
		.path = "state.db",
		.advice = "nothing: the next mount believes the server, sends "
			  "no delete and lists everything anew",
	};
	int rc = store_get_int(c->db, "incarnation", 0, &inside);

	if (rc == 0)
		rc = store_get_int(c->db, "clean", 0, &clean);
	if (rc == 0)
		rc = store_get_int(c->db, "starting", 0, &starting);
	if (rc == 0)
		rc = store_get_int(c->db, "rolled_back", 0, &known);
	if (rc < 0)
		return rc;
	c->clean = clean;
	if (!store_numbers_fit(inside, (uint64_t)beside, starting)) {
		/* The next start finds and judges the same, this only says so:
		 * to be repaired is nothing. */
		f.level = known || c->opt->repair ? CHECK_NOTE : CHECK_DAMAGE;
		c->touched = true;
		check_found(c, &f,
		            beside ? "not the database of the last run: an "
		                     "older copy, or another machine's"
		                   : "the number of the last run (incarnation) "
		                     "is gone");
	}
	if (!clean)
		check_found(c, &unclean,
		            "the last run did not end in order; the next mount "
		            "recovers what it left");
	return 0;
}

/* ---- rows, within one transaction ---------------------------------------- */

static int check_inside(struct check *c)
{
	int rc = check_last_run(c);

	if (rc == 0)
		rc = check_tree(c);
	if (rc == 0)
		rc = check_rows(c);
	if (rc == 0)
		rc = check_content(c);
	if (rc == 0)
		rc = check_strays(c);
	/* Rows that are gone come back from there. */
	if (rc == 0 && c->touched && c->opt->repair)
		rc = store_set_int(c->db, "rolled_back", 1);
	return rc;
}

static int repair_inside(struct check *c, const char *path)
{
	int rc;

	db_close(c->db);
	c->db = NULL;
	rc = db_open(path, true, &c->db);
	if (rc == 0)
		rc = db_run(c->db, "BEGIN IMMEDIATE", DB_NONE);
	if (rc < 0)
		return rc;
	rc = check_inside(c);
	if (rc == 0)
		rc = db_run(c->db, "COMMIT", DB_NONE);
	if (rc < 0 && db_in_transaction(c->db))
		db_script(c->db, "ROLLBACK");
	return rc;
}

static int check_database(struct check *c)
{
	char path[PATH_MAX];
	int rc;

	snprintf(path, sizeof(path), "%s/state.db", c->opt->state_dir);
	if (store_is_marked(c->opt->state_dir)) {
		report_broken(c, "a run of the program found it damaged");
		return -EUCLEAN;
	}
	rc = db_open_look(path, &c->db);
	if (rc == -EUCLEAN) {
		report_broken(c, "it is no database");
		return rc;
	}
	if (rc == 0)
		rc = check_structure(c);
	if (rc == 0)
		rc = check_version(c);
	if (rc == 0)
		rc = c->opt->repair ? repair_inside(c, path) : check_inside(c);
	if (rc == -EUCLEAN && !c->done.damages)
		report_broken(c, "a row of it can't be read");
	db_close(c->db);
	c->db = NULL;
	return rc;
}

/* ---- all ----------------------------------------------------------------- */

/* As a mount would, but what no row names goes to quarantine at once. */
static int set_database_aside(struct check *c)
{
	const char *dir = c->opt->state_dir;
	char stamp[STORE_STAMP_SIZE];
	struct salvage found;
	int rc = store_mark_damaged(dir, stamp);

	if (rc == 0)
		rc = salvage_content(dir, stamp, &found);
	if (rc == 0)
		rc = check_strays(c);
	return rc < 0 ? rc : store_set_aside(dir);
}

int check_state(const struct check_options *opt, struct check_result *out)
{
	static const struct check_finding none = { .level = CHECK_NOTE,
		                                   .kind = "database",
		                                   .path = "state.db" };
	struct check c = { .opt = opt };
	int rc, fd = open(opt->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	c.dirfd = fd;
	rc = check_database(&c);
	if (rc == -ENOENT) {
		check_found(&c, &none,
		            "there is none; the next mount makes one and lists "
		            "the server");
		rc = check_strays(&c);
	} else if (rc == -EUCLEAN) {
		rc = opt->repair ? set_database_aside(&c) : 0;
	} else if (rc == -ENOTSUP || rc == -ESTALE) {
		rc = 0; /* it was said */
	}
	if (rc == 0)
		rc = check_quarantine(&c);
	close(fd);
	*out = c.done;
	return rc;
}
