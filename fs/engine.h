/* fs/engine.h -- makes the server equal to what is here, and what is here
 * equal to the server: runs what fs/plan and fs/merge say.
 *
 * One thread. It reads rows, asks the planner what one node needs next, starts
 * that request and goes on with others; answers come back to it and change
 * rows. What is dirty is in the store, so a start needs nothing but that. It
 * also polls the delta feed and lists folders somebody looks into before the
 * first enumeration got there.
 *
 * Threads: any; callbacks run on the engine's thread or a worker, with no lock
 * held. */
#ifndef NMB_ENGINE_H
#define NMB_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "fs/hold.h"
#include "net/buf.h"

struct codec;
struct contents;
struct engine;
struct events;
struct fetch;
struct graph;
struct item;
struct space;
struct store;
struct tree;
struct work;

struct engine_options {
	struct store *store;
	struct tree *tree;
	struct contents *contents;
	const struct codec *codec;
	struct graph *graph;
	struct work *work;
	const char *folder; /* path of our folder on the drive, "a/b"; made if
	                     * it is not there */
	int64_t write_back_delay_ms;    /* a closed file is sent after that */
	int64_t max_dirty_age_ms;       /* an open one, at the latest */
	int64_t poll_interval_ms;       /* delta */
	int64_t reconcile_interval_ms;  /* a full enumeration; 0: never */
	const struct hold_limits *hold; /* copied; NULL: off */
	bool read_only;                 /* sends nothing */
	bool begins_closed;             /* see engine_set_gate() */
	/* A file of that name was seen in the feed (a vault's descriptor);
	 * NULL: nobody asks. On the engine's thread. */
	const char *watched_name;
	void (*watched)(void *arg, const struct item *it);
	bool rolled_back; /* struct store_found: file keys, sessions, attempts
	                   * and pending deletes are dropped first */
	/* The node's content must be here in full before it can be sent: have
	 * it fetched, and engine_note_dirty() then. */
	void (*hydrate)(void *arg, uint64_t ino);
	struct events *events; /* hears of all that is done; or NULL */
	/* State changed: space should be looked at. */
	void (*changed)(void *arg);
	void *arg;
};

/* Others may tell it things from now on; nothing runs and no callback comes
 * before engine_start(). */
int engine_new(const struct engine_options *opt, struct engine **out_e);
int engine_start(struct engine *e);

/* Stops starting requests, waits for those under way to end or be cancelled
 * (seconds at most), joins. What is unsent stays dirty; what it is told from
 * then on, it finds in the store the next time. */
void engine_stop(struct engine *e);
void engine_free(struct engine *e);

/* tree_events.dirty and .settled. Never block. */
void engine_note_dirty(struct engine *e, uint64_t ino);
void engine_note_settled(struct engine *e, uint64_t ino);

/* fetch_options.outdated: GET the item and merge what it says. */
void engine_look(struct engine *e, uint64_t ino);

/* Lists the children of a folder not known yet; `wake` exactly once, rc 0, or
 * -EIO and the like; at the latest after `deadline_ms`: -ETIMEDOUT. */
typedef void engine_wake_fn(void *arg, int rc);
int engine_list(struct engine *e, uint64_t ino, int64_t deadline_ms,
                engine_wake_fn *wake, void *arg);

/* While the gate is closed nothing is sent; what is dirty waits, reads and
 * delta go on. Open at first unless `begins_closed`. `why`: for status, or
 * NULL. */
void engine_set_gate(struct engine *e, bool open, const char *why);

/* While it is paused nothing new is sent either; `why` names that for status
 * (borrowed for good). NULL: goes on. Independent of the gate. */
void engine_set_paused(struct engine *e, const char *why);

/* Network or sign-in may be back, or the machine woke up: everything that
 * waits is tried now, and delta asked. */
void engine_kick(struct engine *e);

/* A sign of life is asked for; answered once the thread has gone through a turn
 * that began after that. Nothing asked for counts as answered. */
void engine_ask(struct engine *e);
bool engine_answered(struct engine *e);

/* A delta round now; `wake` when a round begun after this call has been
 * applied. `wake` may be NULL. */
int engine_poll(struct engine *e, engine_wake_fn *wake, void *arg);

enum engine_state {
	ENGINE_IDLE,
	ENGINE_SYNCING,
	ENGINE_OFFLINE,
	ENGINE_THROTTLED,
	ENGINE_FULL, /* OneDrive: new content waits, all else goes on */
	ENGINE_SIGNED_OUT,
	ENGINE_HELD,   /* nothing to do before a person decides */
	ENGINE_PAUSED, /* engine_set_paused(), and something waits */
};
const char *engine_state_name(enum engine_state s); /* "idle", ... */

struct engine_status {
	enum engine_state state;
	uint64_t pending_nodes; /* dirty, any kind of change */
	uint64_t pending_files; /* files whose content must be sent */
	uint64_t pending_bytes;
	uint64_t uploading;                      /* transfers now */
	uint64_t uploaded_files, uploaded_bytes; /* since the start, verified */
	uint64_t blocked;
	const char *paused; /* NULL, or why: a static text */
	bool held_in;       /* deletes of others wait, too */
	uint64_t held;      /* wait for a person's decision (fs/hold.h) */
	int64_t throttled_until_ms; /* clock_mono_ms(), 0: not */
	int64_t full_until_ms;      /* the same: looked at again then */
	int64_t last_sync_ns;       /* last delta round applied; 0: never */
	int64_t quota_total, quota_used, quota_remaining; /* -1: unknown */
	bool listed; /* the first enumeration is complete */
	char last_error[256];
};
void engine_get_status(struct engine *e, struct engine_status *out);

/* Whether waiting may bring room on this machine: something dirty is neither
 * blocked nor held, and OneDrive takes it, though perhaps not just now.
 * *out_sent grows with every byte that leaves. Cheap: it does not count what is
 * dirty. */
bool engine_drains(struct engine *e, uint64_t *out_sent);

/* One upload under way: path and progress, for `status`. Returns 0 to go on. */
typedef int engine_upload_fn(void *arg, uint64_t ino, uint64_t sent,
                             uint64_t total);
int engine_each_upload(struct engine *e, engine_upload_fn *each, void *arg);

/* `wake` once everything that was dirty at this call (below `ino`; NODE_ROOT:
 * all) is on the server and verified: rc 0; -ETIMEDOUT; -EPERM with something
 * held among it, or else -EIO with something blocked (and everything else
 * done). timeout_ms < 0: no limit.
 * Open files count with what was written so far. */
int engine_flush(struct engine *e, uint64_t ino, int64_t timeout_ms,
                 engine_wake_fn *wake, void *arg, uint64_t *out_ticket);
void engine_flush_cancel(struct engine *e, uint64_t ticket);

/* Bounds of what flush still waits for: nodes and bytes. */
void engine_flush_left(struct engine *e, uint64_t ticket, uint64_t *out_nodes,
                       uint64_t *out_bytes);

/* What a person says of what is held (fs/hold.h), once: all of that direction
 * goes on, or is taken back as far as nobody stands in the way. `done` exactly
 * once; it may come before this returns. */
enum engine_verdict { ENGINE_APPROVE, ENGINE_UNDO };
struct engine_decided {
	int64_t done;   /* items that go on, or are as they were */
	int64_t kept;   /* of those, local contents set aside in `where` */
	int64_t busy;   /* still held: open, or a request is under way */
	int64_t lost;   /* undo of incoming deletes: not wholly here */
	char where[64]; /* a directory in the quarantine */
};
typedef void engine_decided_fn(void *arg, int rc,
                               const struct engine_decided *d);
int engine_decide(struct engine *e, enum hold_dir dir,
                  enum engine_verdict verdict, engine_decided_fn *done,
                  void *arg);

/* Nothing is dirty but what is blocked or held: the background process may
 * end. */
bool engine_is_drained(struct engine *e);

#endif
