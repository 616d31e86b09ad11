#include "fs/hold.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/db.h"
#include "fs/store.h"
#include "net/clock.h"
#include "net/log.h"

#define WINDOW_MS   600000
#define REMEMBER_MS 60000 /* totals: the tree may have shrunk since */

/* Values kept in the store (table meta):
 *
 *	hold_window   ms; 0: nothing is counted
 *	hold_offset   row's clock minus clock_mono_ms(), on this boot:
 *	hold_boot     its id
 *	held_out, held_in   since when, ns since 1970; 0: not */

/* ---- the rule ------------------------------------------------------------ */

static int parse_clause(const char *s, struct hold_clause *out)
{
	char *end;

	errno = 0;
	*out = (struct hold_clause){ .items = strtoll(s, &end, 10) };
	if (errno || out->items < 1)
		return -EINVAL;
	if (!*end)
		return 0;
	if (*end != ':' || !isdigit((unsigned char)end[1]))
		return -EINVAL;
	out->percent = strtoll(end + 1, &end, 10);
	return errno || out->percent > 100 || strcmp(end, "%") != 0 ? -EINVAL
	                                                            : 0;
}

static int parse_window(const char *s, int64_t *out_ms)
{
	static const struct {
		const char *unit;
		int64_t ms;
	} units[] = { { "s", 1000 }, { "m", 60000 }, { "h", 3600000 } };
	char *end;
	long v;

	errno = 0;
	v = strtol(s, &end, 10);
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		if (!errno && v > 0 && v <= 100000 &&
		    !strcmp(end, units[i].unit)) {
			*out_ms = v * units[i].ms;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_part(const char *part, struct hold_limits *l)
{
	if (!isdigit((unsigned char)*part))
		return -EINVAL;
	if (!l->window_ms && parse_window(part, &l->window_ms) == 0)
		return 0;
	return l->n == HOLD_CLAUSES ? -EINVAL
	                            : parse_clause(part, &l->clause[l->n++]);
}

int hold_parse(const char *text, struct hold_limits *out)
{
	struct hold_limits l = { 0 };
	char part[64];
	int rc = 0;

	if (!strcmp(text, "off")) {
		*out = l;
		return 0;
	}
	do {
		size_t len = strcspn(text, "/");

		if (len >= sizeof(part))
			return -EINVAL;
		memcpy(part, text, len);
		part[len] = '\0';
		rc = parse_part(part, &l);
		text += len;
	} while (rc == 0 && *text++);
	if (rc == 0 && !l.n)
		rc = -EINVAL;
	if (!l.window_ms)
		l.window_ms = WINDOW_MS;
	if (rc == 0)
		*out = l;
	return rc;
}

/* The least number that is too much of `total`. */
static int64_t too_many(const struct hold_clause *c, int64_t total)
{
	int64_t share = c->percent * total / 100 + 1;

	return share > c->items ? share : c->items;
}

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

int64_t hold_room(const struct hold_limits *l, const struct hold_counts *c)
{
	int64_t room = INT64_MAX;

	for (unsigned i = 0; i < l->n; i++) {
		const struct hold_clause *k = &l->clause[i];

		room = least(room, too_many(k, c->total) - c->items);
		room = least(room, too_many(k, c->old_total) - c->old_items);
	}
	return room > 0 ? room : 0;
}

bool hold_judge(const struct hold_limits *l, const struct hold_counts *c)
{
	return !hold_room(l, c);
}

/* ---- the clock ----------------------------------------------------------- */

static int row_time(struct db *db, int64_t *out_ms)
{
	int64_t offset;
	int rc = store_get_int(db, "hold_offset", 0, &offset);

	*out_ms = clock_mono_ms() + offset;
	return rc;
}

/* On another boot the monotonic clock began anew. */
static int continue_clock(struct db *db)
{
	int64_t at = 0, real = 0, past;
	int rc = db_query_int(db, "SELECT max(at) FROM harm", DB_NONE, 0, &at);

	if (rc == 0)
		rc = db_query_int(db, "SELECT max(real) FROM harm WHERE at=?",
		                  DB_ARGS(DB_INT(at)), 0, &real);
	if (rc < 0)
		return rc;
	past = (clock_real_ns() - real) / 1000000;
	if (past < 0)
		past = 0;
	return store_set_int(db, "hold_offset", at + past - clock_mono_ms());
}

static const char *since_key(enum hold_dir dir)
{
	return dir == HOLD_OUT ? "held_out" : "held_in";
}

static int switch_off(struct db *db)
{
	int64_t out, in;
	int rc = hold_get_since(db, HOLD_OUT, &out);

	if (rc == 0)
		rc = hold_get_since(db, HOLD_IN, &in);
	if (rc == 0 && (out || in))
		log_warn("hold_after=off: what was held goes on");
	if (rc == 0)
		rc = hold_end(db, HOLD_OUT);
	return rc < 0 ? rc : hold_end(db, HOLD_IN);
}

int hold_start(struct db *db, const struct hold_limits *l)
{
	char boot[64], had[64];
	int rc = store_set_int(db, "hold_window", l->n ? l->window_ms : 0);

	store_get_boot_id(boot, sizeof(boot));
	if (rc == 0)
		rc = store_get_text(db, "hold_boot", had, sizeof(had));
	if (rc == 0 && (!boot[0] || strcmp(boot, had) != 0))
		rc = continue_clock(db);
	if (rc == 0)
		rc = store_set_text(db, "hold_boot", boot);
	return rc < 0 || l->n ? rc : switch_off(db);
}

/* ---- rows ---------------------------------------------------------------- */

/* Times only grow with the rows, whatever a clock says. */
static int insert(struct db *db, enum hold_dir dir, const char *id,
                  uint64_t ino, uint64_t mark, int64_t now)
{
	return db_run(
		db,
		"INSERT OR IGNORE INTO harm(dir,n,at,real,id,ino,mark) SELECT"
		" ?1,coalesce(max(n),0)+1,max(?2,coalesce(max(at),?2)),?3,?4,"
		"?5,CASE WHEN ?6 THEN ?6 ELSE (SELECT max(ino) FROM node) END"
		" FROM (SELECT n,at FROM harm WHERE dir=?1 ORDER BY n DESC"
		" LIMIT 1)",
		DB_ARGS(DB_INT(dir), DB_INT(now), DB_INT(clock_real_ns()),
	                DB_TEXT(id), DB_INT(ino), DB_INT(mark)));
}

int hold_note(struct db *db, enum hold_dir dir, const char *id, uint64_t ino,
              uint64_t mark)
{
	int64_t window, now = 0;
	int rc = store_get_int(db, "hold_window", 0, &window);

	if (rc < 0 || !window)
		return rc;
	rc = row_time(db, &now);
	if (rc == 0)
		rc = db_run(db, "DELETE FROM harm WHERE dir=? AND at<?",
		            DB_ARGS(DB_INT(dir), DB_INT(now - window)));
	return rc < 0 ? rc : insert(db, dir, id, ino, mark, now);
}

int hold_note_content(struct db *db, uint64_t ino)
{
	struct sqlite3_stmt *q;
	char id[256];
	int rc = db_query(db,
	                  "SELECT s_id FROM node WHERE ino=? AND s_id IS NOT"
	                  " NULL AND s_gen<>0 --harm",
	                  DB_ARGS(DB_INT(ino)), &q);

	if (rc == 0)
		rc = db_next(db, q);
	if (rc == 1 && !db_col_text(q, 0, id, sizeof(id)))
		rc = -EUCLEAN;
	db_finish(q);
	return rc == 1 ? hold_note(db, HOLD_OUT, id, ino, 0) : rc;
}

struct span {
	int64_t first, items; /* rows in the window have consecutive numbers */
	int64_t mark;
};

static int read_span(struct db *db, enum hold_dir dir, struct span *out)
{
	struct sqlite3_stmt *q;
	int64_t window, now = 0;
	int rc = store_get_int(db, "hold_window", 0, &window);

	*out = (struct span){ 0 };
	if (rc == 0)
		rc = row_time(db, &now);
	if (rc < 0)
		return rc;
	rc = db_query(
		db,
		"SELECT n,mark,(SELECT max(n) FROM harm WHERE dir=?1) FROM"
		" harm WHERE dir=?1 AND at>=?2 ORDER BY at,n LIMIT 1",
		DB_ARGS(DB_INT(dir), DB_INT(now - window)), &q);
	if (rc == 0)
		rc = db_next(db, q);
	if (rc == 1) {
		out->first = db_col_int(q, 0);
		out->mark = db_col_int(q, 1);
		out->items = db_col_int(q, 2) - out->first + 1;
		rc = 0;
	}
	db_finish(q);
	return rc;
}

static int count_nodes(struct db *db, const struct span *s,
                       struct hold_counts *c)
{
	struct sqlite3_stmt *q;
	int rc = db_query(db,
	                  "SELECT count(*),count(CASE WHEN ino<=? THEN 1 END)"
	                  " FROM node INDEXED BY node_item WHERE s_id IS NOT"
	                  " NULL AND ino<>1",
	                  DB_ARGS(DB_INT(s->mark)), &q);

	if (rc == 0)
		rc = db_next(db, q);
	if (rc == 1) {
		c->total = db_col_int(q, 0);
		c->old_total = db_col_int(q, 1);
		rc = 0;
	}
	db_finish(q);
	return rc;
}

/* Those that are there no more, or are another node's by now, were counted
 * with no node. */
static int count_harm(struct db *db, enum hold_dir dir, const struct span *s,
                      struct hold_counts *c)
{
	struct sqlite3_stmt *q;
	int rc = db_query(
		db,
		"SELECT count(CASE WHEN h.ino<=?3 THEN 1 END),"
		" count(CASE WHEN n.ino IS NULL THEN 1 END),"
		" count(CASE WHEN h.ino<=?3 AND coalesce(n.ino>?3,1) THEN 1"
		" END) FROM harm h LEFT JOIN node n ON n.s_id=h.id"
		" WHERE h.dir=?1 AND h.n>=?2",
		DB_ARGS(DB_INT(dir), DB_INT(s->first), DB_INT(s->mark)), &q);

	if (rc == 0)
		rc = db_next(db, q);
	if (rc == 1) {
		c->items = s->items;
		c->old_items = db_col_int(q, 0);
		c->total += db_col_int(q, 1);
		c->old_total += db_col_int(q, 2);
		rc = 0;
	}
	db_finish(q);
	return rc;
}

int hold_count(struct db *db, enum hold_dir dir, struct hold_counts *out)
{
	struct hold_counts c = { 0 };
	struct span s;
	int rc = read_span(db, dir, &s);

	if (rc == 0)
		rc = count_nodes(db, &s, &c);
	if (rc == 0)
		rc = count_harm(db, dir, &s, &c);
	if (rc == 0)
		*out = c;
	return rc;
}

/* ---- the state ----------------------------------------------------------- */

int hold_get_since(struct db *db, enum hold_dir dir, int64_t *out_ns)
{
	return store_get_int(db, since_key(dir), 0, out_ns);
}

int hold_begin(struct db *db, enum hold_dir dir)
{
	int64_t since;
	int rc = hold_get_since(db, dir, &since);

	if (rc < 0 || since)
		return rc;
	return store_set_int(db, since_key(dir), clock_real_ns());
}

int hold_release(struct db *db, enum hold_dir dir)
{
	return store_set_int(db, since_key(dir), 0);
}

int hold_end(struct db *db, enum hold_dir dir)
{
	int rc = hold_release(db, dir);

	if (rc == 0)
		rc = db_run(db, "DELETE FROM harm WHERE dir=?",
		            DB_ARGS(DB_INT(dir)));
	return rc;
}

/* As the window slides, items that were new become old. */
static void remember(struct hold *h, enum hold_dir dir, int64_t first,
                     const struct hold_counts *c)
{
	struct hold_counts any = *c;

	any.total = any.old_total = least(c->total, c->old_total);
	any.items = any.old_items = 0;
	h->known[dir] = (struct hold_known){
		.first = first,
		.items = c->items + hold_room(&h->limits, c) - 1,
		.any = hold_room(&h->limits, &any) - 1,
		.until_ms = clock_mono_ms() + REMEMBER_MS,
	};
}

static bool is_fine(const struct hold_known *k, const struct span *s)
{
	if (clock_mono_ms() >= k->until_ms)
		return false;
	return s->items <= k->any ||
	       (s->first == k->first && s->items <= k->items);
}

int hold_look(struct hold *h, struct db *db, enum hold_dir dir)
{
	struct hold_counts c;
	struct span s;
	int64_t since;
	int rc;

	if (!h->limits.n)
		return 0;
	rc = hold_get_since(db, dir, &since);
	if (rc < 0 || since)
		return rc < 0 ? rc : 1;
	rc = read_span(db, dir, &s);
	if (rc < 0 || !s.items || is_fine(&h->known[dir], &s))
		return rc;
	rc = hold_count(db, dir, &c);
	if (rc < 0)
		return rc;
	remember(h, dir, s.first, &c);
	return hold_judge(&h->limits, &c);
}
