#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "fs/check_internal.h"
#include "fs/db.h"

/* ---- left over ----------------------------------------------------------- */

/* Rows about something that is not there any more: nothing refers to them. */
static const struct {
	const char *what;
	const char *count, *drop;
} leftovers[] = {
	{ "link targets of no node",
	  "SELECT count(*) FROM target WHERE ino NOT IN (SELECT ino FROM node)",
	  "DELETE FROM target WHERE ino NOT IN (SELECT ino FROM node)" },
	{ "reasons of no node",
	  "SELECT count(*) FROM blocked WHERE ino NOT IN (SELECT ino FROM "
	  "node)",
	  "DELETE FROM blocked WHERE ino NOT IN (SELECT ino FROM node)" },
	{ "checksums of no content",
	  "SELECT count(*) FROM chunk WHERE cid NOT IN (SELECT cid FROM cfile)",
	  "DELETE FROM chunk WHERE cid NOT IN (SELECT cid FROM cfile)" },
	{ "extents of no content",
	  "SELECT count(*) FROM partial WHERE cid NOT IN"
	  " (SELECT cid FROM cfile)",
	  "DELETE FROM partial WHERE cid NOT IN (SELECT cid FROM cfile)" },
	{ "uploads of no node",
	  "SELECT count(*) FROM attempt WHERE ino NOT IN (SELECT ino FROM "
	  "node)",
	  "DELETE FROM attempt WHERE ino NOT IN (SELECT ino FROM node)" },
	/* After the uploads: some lose theirs there. */
	{ "checksums of no upload",
	  "SELECT count(*) FROM attempt_chunk WHERE aid NOT IN"
	  " (SELECT aid FROM attempt)",
	  "DELETE FROM attempt_chunk WHERE aid NOT IN"
	  " (SELECT aid FROM attempt)" },
	{ "fallbacks that are gone",
	  "SELECT count(*) FROM cfile WHERE prev<>0 AND prev NOT IN"
	  " (SELECT cid FROM cfile)",
	  "UPDATE cfile SET prev=0 WHERE prev<>0 AND prev NOT IN"
	  " (SELECT cid FROM cfile)" },
};

static int check_leftover(struct check *c, size_t i)
{
	struct check_finding f = { .level = CHECK_DAMAGE,
		                   .kind = "leftover",
		                   .path = "state.db",
		                   .advice = "check --repair removes them" };
	int64_t n = 0;
	int rc = db_query_int(c->db, leftovers[i].count, DB_NONE, 0, &n);

	if (rc < 0 || !n)
		return rc;
	if (c->opt->repair) {
		rc = db_run(c->db, leftovers[i].drop, DB_NONE);
		f.repaired = rc == 0;
		f.advice = "";
	}
	check_found(c, &f, "%" PRId64 " %s", n, leftovers[i].what);
	return rc;
}

/* ---- nodes and their content --------------------------------------------- */

/* Regular file 0100000, directory 0040000; flags 1 dirty. What a query finds
 * has the node in column 0. `mend` changes the node ?1; NULL: nobody but a
 * person can. */
static const struct {
	const char *kind, *text;
	const char *find, *mend;
	const char *advice;
} faults[] = {
	{ "unsent", "a change of it was not noted as unsent",
	  "SELECT ino FROM node WHERE parent IS NOT NULL AND ino<>1 AND"
	  " NOT flags&1 AND (mode&61440) IN (32768,16384) AND"
	  " (s_id IS NULL OR ((mode&61440)=32768 AND gen<>s_gen))"
	  " ORDER BY ino",
	  "UPDATE node SET flags=flags|1 WHERE ino=?1",
	  "check --repair notes it, the next mount sends it" },
	{ "content-row", "its content has no row here; the server has it",
	  "SELECT n.ino FROM node n LEFT JOIN cfile f ON f.cid=n.cid"
	  " WHERE n.cid<>0 AND f.cid IS NULL AND n.gen=n.s_gen AND"
	  " n.s_id IS NOT NULL ORDER BY n.ino",
	  "UPDATE node SET cid=0 WHERE ino=?1",
	  "check --repair has it fetched again" },
	{ "content-row", "its content is another file's; the server has it",
	  "SELECT n.ino FROM node n JOIN cfile f ON f.cid=n.cid"
	  " WHERE f.ino<>n.ino AND n.gen=n.s_gen AND n.s_id IS NOT NULL"
	  " ORDER BY n.ino",
	  "UPDATE node SET cid=0 WHERE ino=?1",
	  "check --repair has it fetched again" },
	{ "lost", "its content was never sent and is not here any more",
	  "SELECT n.ino FROM node n LEFT JOIN cfile f ON f.cid=n.cid"
	  " WHERE n.parent IS NOT NULL AND (n.mode&61440)=32768 AND"
	  " ((n.cid<>0 AND (f.cid IS NULL OR f.ino<>n.ino)) OR"
	  " (n.cid=0 AND n.size>0)) AND"
	  " (n.gen<>n.s_gen OR n.s_id IS NULL) ORDER BY n.ino",
	  NULL,
	  "look in quarantine/, or for another copy, and write it again; "
	  "else remove it" },
};

static int mend(struct check *c, size_t i, const uint64_t *inos, size_t n)
{
	int rc = 0;

	for (size_t k = 0; k < n && rc == 0; k++)
		rc = db_run(c->db, faults[i].mend, DB_ARGS(DB_INT(inos[k])));
	return rc;
}

#define FAULTS_AT_ONCE 64

/* One handful; *out_n says how many. Rows are read first: they change. */
static int check_some(struct check *c, size_t i, int64_t skip, size_t *out_n)
{
	struct check_finding f = { .level = CHECK_DAMAGE,
		                   .kind = faults[i].kind,
		                   .advice = faults[i].advice };
	uint64_t inos[FAULTS_AT_ONCE];
	char path[PATH_MAX];
	struct sqlite3_stmt *q;
	size_t n = 0;
	int rc = db_query(c->db, faults[i].find, DB_NONE, &q);

	while (rc == 0 && n < FAULTS_AT_ONCE && (rc = db_next(c->db, q)) == 1) {
		rc = 0;
		if (skip-- <= 0)
			inos[n++] = (uint64_t)db_col_int(q, 0);
	}
	db_finish(q);
	*out_n = n;
	f.repaired = c->opt->repair && faults[i].mend;
	if (f.repaired)
		f.advice = "";
	for (size_t k = 0; k < n && rc == 0; k++) {
		check_path(c, inos[k], path);
		f.path = path;
		check_found(c, &f, "%s", faults[i].text);
	}
	return rc == 0 && f.repaired ? mend(c, i, inos, n) : rc;
}

static int check_fault(struct check *c, size_t i)
{
	bool mends = c->opt->repair && faults[i].mend;
	int64_t seen = 0;
	size_t n = 0;
	int rc;

	do {
		rc = check_some(c, i, mends ? 0 : seen, &n);
		seen += (int64_t)n;
	} while (rc == 0 && n == FAULTS_AT_ONCE);
	return rc;
}

int check_rows(struct check *c)
{
	int rc = 0;

	for (size_t i = 0; i < sizeof(leftovers) / sizeof(*leftovers); i++) {
		if (rc == 0)
			rc = check_leftover(c, i);
	}
	for (size_t i = 0; i < sizeof(faults) / sizeof(*faults); i++) {
		if (rc == 0)
			rc = check_fault(c, i);
	}
	return rc;
}
