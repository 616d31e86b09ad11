#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "fs/check_internal.h"
#include "fs/db.h"
#include "fs/node.h"

/* Two tables of this connection: nodes that the root is reached from, or what
 * was unlinked; and those already told of. */
#define NEW_REACHED                                                            \
	"CREATE TEMP TABLE IF NOT EXISTS reached(ino INTEGER PRIMARY KEY);"    \
	"CREATE TEMP TABLE IF NOT EXISTS told(ino INTEGER PRIMARY KEY);"       \
	"DELETE FROM reached;"                                                 \
	"INSERT OR IGNORE INTO reached WITH RECURSIVE r(ino) AS ("             \
	" SELECT 1 UNION SELECT ino FROM node WHERE parent IS NULL UNION"      \
	" SELECT n.ino FROM node n JOIN r ON n.parent=r.ino"                   \
	" LEFT JOIN node p ON p.ino=r.ino WHERE r.ino=1 OR"                    \
	" (p.mode&61440)=16384) SELECT ino FROM r;"

/* ---- putting one back ---------------------------------------------------- */

/* A name that no other child of the root has. */
static int find_free_name(struct db *db, const struct node *n, char *out,
                          size_t size)
{
	struct node twin;
	int rc = 0;

	for (unsigned i = 0; i < 100; i++) {
		snprintf(out, size,
		         i ? "%.200s (recovered %" PRIu64 ".%u)"
		           : "%.200s (recovered %" PRIu64 ")",
		         n->name[0] ? n->name : "file", n->ino, i);
		for (char *p = out; *p; p++)
			*p = *p == '/' ? '_' : *p;
		rc = node_get_child(db, NODE_ROOT, out, &twin);
		if (rc != 0)
			break;
	}
	return rc == -ENOENT ? 0 : rc == 0 ? -EEXIST : rc;
}

static int is_reached(struct db *db, uint64_t ino)
{
	int64_t yes = 0;
	int rc = db_query_int(db, "SELECT 1 FROM reached WHERE ino=?",
	                      DB_ARGS(DB_INT(ino)), 0, &yes);

	return rc < 0 ? rc : (int)yes;
}

/* Where the server has it, if that is a place here and free. */
static int put_back(struct check *c, const struct node *n)
{
	struct node other;
	int rc;

	if (!node_on_server(n) || n->s_parent == n->ino || !n->name[0] ||
	    strchr(n->name, '/'))
		return 0;
	rc = is_reached(c->db, n->s_parent);
	if (rc != 1)
		return rc;
	rc = node_get_child(c->db, n->s_parent, n->name, &other);
	if (rc != -ENOENT)
		return rc;
	rc = node_set_place(c->db, n->ino, n->s_parent, n->name, NULL);
	return rc < 0 ? rc : 1;
}

/* What only is here gets a name in the root; what the server has too comes
 * from there again. Folders stay: others may lie in them. */
static int repair_one(struct check *c, const struct node *n)
{
	char name[NODE_NAME_MAX + 1];
	int rc = put_back(c, n);

	c->touched = true;
	if (rc != 0)
		return rc < 0 ? rc : 0;
	if (node_is_file(n) && node_on_server(n) && n->gen == n->s_gen)
		return node_delete(c->db, n->ino);
	rc = find_free_name(c->db, n, name, sizeof(name));
	if (rc == 0)
		rc = node_set_place(c->db, n->ino, NODE_ROOT, name, NULL);
	if (rc == 0)
		rc = node_set_flags(c->db, n->ino, NODE_DIRTY, 0);
	return rc;
}

/* ---- finding them -------------------------------------------------------- */

/* The first one to deal with: a node whose parent is none, or is no folder;
 * when there are no more of these, one of a circle: 0 rows, -Exxx. */
static int next_unreached(struct db *db, uint64_t *out_ino, bool *out_circle)
{
	int64_t ino = 0;
	int rc = db_query_int(
		db,
		"SELECT n.ino FROM node n LEFT JOIN node p ON p.ino=n.parent"
		" WHERE n.parent IS NOT NULL AND n.ino NOT IN reached AND"
		" n.ino NOT IN told AND"
		" (p.ino IS NULL OR (p.mode&61440)<>16384)"
		" ORDER BY n.ino LIMIT 1",
		DB_NONE, 0, &ino);

	*out_circle = rc == 0 && !ino;
	if (*out_circle)
		rc = db_query_int(
			db,
			"SELECT ino FROM node WHERE parent IS NOT NULL AND"
			" ino NOT IN reached AND ino NOT IN told"
			" ORDER BY ino LIMIT 1",
			DB_NONE, 0, &ino);
	*out_ino = (uint64_t)ino;
	return rc;
}

/* It and all below it were told of. */
static int note_told(struct db *db, uint64_t ino)
{
	return db_run(db,
	              "INSERT OR IGNORE INTO told WITH RECURSIVE r(ino) AS ("
	              " SELECT ?1 UNION SELECT n.ino FROM node n JOIN r ON"
	              " n.parent=r.ino) SELECT ino FROM r",
	              DB_ARGS(DB_INT(ino)));
}

static int deal_with(struct check *c, uint64_t ino, bool circle)
{
	struct check_finding f = {
		.level = CHECK_DAMAGE,
		.kind = "no-way",
		.advice = c->opt->repair
		                  ? ""
		                  : "check --repair puts it back where the "
		                    "server has it, or into the root",
		.repaired = c->opt->repair,
	};
	struct node n;
	int rc = node_get(c->db, ino, &n);

	if (rc < 0)
		return rc;
	f.path = n.name;
	check_found(c, &f,
	            circle ? "a folder lies in itself"
	                   : "the folder it lies in is not there");
	if (!c->opt->repair)
		return note_told(c->db, ino);
	rc = repair_one(c, &n);
	if (rc == 0)
		rc = db_script(c->db, NEW_REACHED);
	if (rc == 0)
		rc = node_get(c->db, ino, &n);
	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	rc = is_reached(c->db, ino);
	return rc == 0 ? -EUCLEAN : rc < 0 ? rc : 0; /* never for ever */
}

/* The root has no place; without a row it gets one at the next start. */
static int check_root(struct check *c)
{
	struct check_finding f = { .level = CHECK_DAMAGE,
		                   .kind = "no-way",
		                   .path = "/",
		                   .advice = c->opt->repair
		                                     ? ""
		                                     : "check --repair has it "
		                                       "made anew",
		                   .repaired = c->opt->repair };
	int64_t bad = 0;
	int rc = db_query_int(c->db,
	                      "SELECT count(*) FROM node WHERE ino=1 AND"
	                      " (parent IS NOT NULL OR (mode&61440)<>16384)",
	                      DB_NONE, 0, &bad);

	if (rc < 0 || !bad)
		return rc;
	check_found(c, &f, "it is no folder");
	if (!c->opt->repair)
		return 0;
	c->touched = true;
	return node_delete(c->db, NODE_ROOT);
}

/* Names that no file system shows. */
static int check_names(struct check *c)
{
	struct check_finding f = { .level = CHECK_DAMAGE,
		                   .kind = "name",
		                   .repaired = c->opt->repair };
	char path[PATH_MAX], name[NODE_NAME_MAX + 1];
	uint64_t ino = 0;
	struct node n;
	int rc;

	for (;;) {
		int64_t next = 0;

		rc = db_query_int(c->db,
		                  "SELECT ino FROM node WHERE ino>?1 AND ino<>1"
		                  " AND parent IS NOT NULL AND (name IS NULL OR"
		                  " name IN ('','.','..') OR instr(name,'/'))"
		                  " ORDER BY ino LIMIT 1",
		                  DB_ARGS(DB_INT(ino)), 0, &next);
		if (rc < 0 || !next)
			return rc;
		ino = (uint64_t)next;
		check_path(c, ino, path);
		f.path = path;
		f.advice = c->opt->repair ? "" : "check --repair gives it one";
		check_found(c, &f, "its name is none");
		if (!c->opt->repair)
			continue;
		c->touched = true;
		rc = node_get(c->db, ino, &n);
		if (rc == 0)
			rc = find_free_name(c->db, &n, name, sizeof(name));
		if (rc == 0)
			rc = node_set_place(c->db, ino, NODE_ROOT, name, NULL);
		if (rc == 0)
			rc = node_set_flags(c->db, ino, NODE_DIRTY, 0);
		if (rc < 0)
			return rc;
	}
}

int check_tree(struct check *c)
{
	uint64_t ino;
	bool circle;
	int rc = check_root(c);

	if (rc == 0)
		rc = db_script(c->db, NEW_REACHED);
	while (rc == 0) {
		rc = next_unreached(c->db, &ino, &circle);
		if (rc < 0 || !ino)
			break;
		rc = deal_with(c, ino, circle);
	}
	return rc < 0 ? rc : check_names(c);
}
