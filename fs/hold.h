/* fs/hold.h -- the mass-change hold: when do deletes and overwrites wait for a
 * person?
 *
 * A program that goes wild (`rm -r` in the wrong place, ransomware) must not
 * take the backup along. So must not a feed that reports everything gone. What
 * would remove items, or replace their content, is counted for each direction:
 *
 *	HOLD_OUT  done by programs here, to be sent
 *	HOLD_IN   said by the server, to be done here
 *
 * and once that is too much at a time, what is not sent (or done) yet waits
 * for `nmbackupfs approve` or `nmbackupfs undo`. Everything else goes on. The
 * decision is hold_judge(), which is pure; the rest keeps its numbers.
 *
 * What is counted: items, not changes: a row for each item id, noted in the
 * transaction that unlinks the node, opens the first generation over content
 * that the server has, or is about to take an incoming delete. A file that is
 * written a thousand times is one item, a folder that goes counts with all that
 * lies in it, and what is new counts nothing. A file that is replaced by
 *another one (rename over, or deleted and made anew) is one item.
 *
 * Against what: all items known to be on the server, harmed ones included; and,
 * by themselves, those that were known when the window began. Else a program
 * that writes NAME.locked beside each NAME that it deletes would never come to
 * half of them.
 *
 * When: within a window of time that passes while the machine runs or sleeps,
 * by the clock that no jump moves; across a reboot by the wall clock, and never
 * backwards. Neither a restart of the program nor a death of it begins a new
 * one: the rows are in the store. A hold that has begun ends by a person only,
 * or when nothing is left that it holds.
 *
 * Threads and errors: as fs/db.h; struct hold belongs to one thread. */
#ifndef NMB_HOLD_H
#define NMB_HOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct db;

/* ---- the rule ------------------------------------------------------------ */

#define HOLD_CLAUSES 4
#define HOLD_DEFAULT "20:50%/1000:30%/10m"

/* Too much: at least `items`, and more than `percent` of all, by one of the
 * clauses. */
struct hold_clause {
	int64_t items;
	int64_t percent; /* 0: however many there are */
};

struct hold_limits {
	unsigned n; /* 0: nothing is ever held */
	struct hold_clause clause[HOLD_CLAUSES];
	int64_t window_ms;
};

/* "off", or parts joined by '/': ITEMS, ITEMS:PERCENT%, and one time like 10m
 * for the window (10m if there is none). -EINVAL. */
int hold_parse(const char *text, struct hold_limits *out);

struct hold_counts {
	int64_t items, total;         /* harmed in the window, of all */
	int64_t old_items, old_total; /* the same of those that were there when
	                               * it began */
};

bool hold_judge(const struct hold_limits *l, const struct hold_counts *c);

/* How many more items make it too much, at the least: all of them old ones, and
 * the totals as they are. 0 if it is. */
int64_t hold_room(const struct hold_limits *l, const struct hold_counts *c);

/* ---- rows ---------------------------------------------------------------- */

enum hold_dir { HOLD_OUT, HOLD_IN };

/* At each start, before anything is noted: the window, and the clock by which
 * the rows go. Limits that are off end what was held. */
int hold_start(struct db *db, const struct hold_limits *l);

/* Item `id` of node `ino` is harmed. `mark`: the greatest ino that is old if a
 * window begins with this; 0: of now. In the transaction that does it. */
int hold_note(struct db *db, enum hold_dir dir, const char *id, uint64_t ino,
              uint64_t mark);
/* The content of `ino` becomes another one: noted if the server has some. */
int hold_note_content(struct db *db, uint64_t ino);

/* The numbers as of now, all of them; takes long in a large tree. */
int hold_count(struct db *db, enum hold_dir dir, struct hold_counts *out);

/* ---- the state ----------------------------------------------------------- */

/* Since when, ns since 1970; 0: nothing is held. */
int hold_get_since(struct db *db, enum hold_dir dir, int64_t *out_ns);
/* From now on, unless it is already. */
int hold_begin(struct db *db, enum hold_dir dir);
/* Nothing is held any more; what was counted stays. */
int hold_release(struct db *db, enum hold_dir dir);
/* It is over, and the next window begins at nothing. */
int hold_end(struct db *db, enum hold_dir dir);

/* The judge, with what he remembers. */
struct hold {
	struct hold_limits limits;
	struct hold_known {
		int64_t first, items; /* so many are fine in that window, */
		int64_t any;          /* so many in any, */
		int64_t until_ms;     /* until then */
	} known[2];
};

/* Is it held, or must it be? 1, 0 or -Exxx. Fast enough to be asked for each
 * node. */
int hold_look(struct hold *h, struct db *db, enum hold_dir dir);

#endif
