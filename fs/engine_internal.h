/* fs/engine_internal.h -- between the engine's files. Everything here belongs
 * to the engine's thread unless it says otherwise.
 *
 *	engine.c         life, the thread's loop, what others call
 *	engine_step.c    one node: gather, plan, start what comes next
 *	engine_meta.c    jobs of one small request: mkdir, move, delete, look
 *	engine_send.c    jobs that send content: their beginning
 *	engine_bytes.c   the bytes of these: freezing, sealing, hashing
 *	engine_sent.c    what came of them
 *	engine_hold.c    what waits for a person, and what he says
 *	engine_tags.c    what was sealed once must come out again
 *	engine_readback.c  the hash of a content that the service doesn't say
 *	engine_header.c  reads the header of what is there before it is replaced
 *	engine_delta.c   the feed, rounds
 *	engine_feed.c    which feed there is; listings where there is none
 *	engine_missing.c what a full enumeration did not bring
 *	engine_folder.c  our folder on the drive; listing a single folder
 *	engine_full.c    the drive has no room: what adds to it waits
 *	engine_flush.c   who waits until all is sent
 *	engine_status.c  numbers for people
 *	engine_state.c   names of the states */
#ifndef NMB_ENGINE_INTERNAL_H
#define NMB_ENGINE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "fs/cfile.h"
#include "fs/engine.h"
#include "fs/gather.h"
#include "fs/hold.h"
#include "fs/outcome.h"
#include "fs/remote.h"
#include "fs/todo.h"
#include "fs/told.h"
#include "net/graph.h"
#include "net/upload.h"

struct content;
struct download;
struct download_range;

#define ENGINE_MAX_META     100 /* small requests under way (five batches) */
#define ENGINE_MAX_SMALL    64  /* contents sent from memory */
#define ENGINE_MAX_BIG      4   /* contents sent from disk */
#define ENGINE_SMALL_BYTES  (UINT64_C(32) << 20) /* of them in memory */
#define ENGINE_RETRY_MIN_MS 1000
#define ENGINE_RETRY_MAX_MS 300000
#define ENGINE_SIGN_IN_MS   5000   /* nobody is signed in: asked again */
#define ENGINE_BLOCKED_MS   600000 /* a blocked node is tried again */
#define ENGINE_STUCK_FAILS  5      /* in a row: blocked, if others go well */

struct engine;
struct errand;
struct job;

typedef void job_fn(struct engine *e, struct job *j);

/* One request, or a chain of them, for one node (or for the engine itself:
 * ino 0). Made on the engine's thread; `answer` is filled by whoever finishes
 * a step elsewhere, who then hands the job back with job_post(). */
struct job {
	struct engine *e;
	uint64_t ino;
	enum plan_action action;
	job_fn *next;     /* what the engine's thread does when it comes back */
	struct job *link; /* inbox, ready or delayed list */
	int64_t due_ms;   /* delayed: comes back then */
	struct job *prev, *sibling; /* all jobs */

	struct graph_prepared call;
	uint64_t asked;  /* when it was sent: a moment of fs/told.h */
	int64_t sent_ms; /* ...and by the clock */
	bool counted_meta;

	/* What the last step brought. */
	int rc;
	enum retry_verdict verdict;
	long status;
	char code[64];
	bool was_sent, offline;
	int64_t wait_ms; /* as in struct graph_answer */
	bool has_item;
	struct item item;
	cJSON *json; /* pages */
	struct graph_walk walk;

	/* place jobs */
	uint64_t parent;
	char parent_id[NODE_ID_MAX + 1];
	char name[NODE_REMOTE_MAX + 1];
	char item_id[NODE_ID_MAX + 1];
	unsigned looks;
	bool lost;   /* it was sent, and no answer came */
	bool errand; /* only looks how one of an earlier run ended */
	bool sets_mtime;
	int64_t mtime;
	int64_t missing; /* engine_missing.c: the round it is about */
	bool linked;     /* a delta link is asked, not a new enumeration */

	/* content jobs */
	struct attempt *attempt;
	struct content *content;
	struct codec_writer *writer;
	uint64_t tag_group;     /* whose tags are noted next */
	struct codec_bond base; /* of the version that is replaced */
	uint64_t *sums;
	size_t nsums;
	uint8_t *small;
	size_t nsmall; /* of what is read into it */
	bool snapshot, resumed, big, counted_send, abandoned;
	bool deferred; /* commit only after a look (promise 3) */
	bool synced;   /* only as the writer's last fsync left it */
	char answer_etag[NODE_ETAG_MAX + 1]; /* of the upload itself */
	uint64_t counted_bytes;
	struct upload *upload;
	struct download *download; /* of a header */
	struct download_range *range;
	struct readback *readback; /* engine.lock; while one runs */
	_Atomic uint64_t shown_sent, shown_total; /* for engine_each_upload() */
	struct quickxor hash;    /* of the first hash.len sealed bytes */
	struct plainhash *plain; /* of a big one; NULL: none is taken */
};

struct decision;
struct flush;
struct list_wait;

/* engine_full.c */
struct engine_full {
	int64_t until_ms; /* 0: there is room, as far as we know */
	int64_t wait_ms;
	uint64_t probe; /* the node that looks whether there is again */
};

/* Nodes that found no slot for their request, first come first served. */
struct slot_queue {
	uint64_t *ino;
	size_t head, n, cap;
};

struct engine {
	struct engine_options opt;
	char *folder;
	struct gather gather;
	struct outcome outcome;
	struct remote *remote;
	struct todo *todo;
	struct told *told;
	struct hold hold;
	struct plan_view *view, *view2;
	pthread_t thread;
	bool started;

	/* ---- the inbox: any thread, under `lock` (LOCK_LEAF) ---- */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct job *in_head, **in_tail;
	uint64_t *notes; /* inos that changed here */
	size_t nnotes, notes_cap;
	bool notes_lost; /* no memory: all dirty rows are read anew */
	uint64_t *looks; /* inos to be looked at by GET */
	size_t nlooks, looks_cap;
	bool stop, kick, poll_wanted, list_wanted, kick_clocks;
	bool asked, answering; /* engine_ask() */
	struct flush *flushes;
	uint64_t next_ticket;
	struct list_wait *list_waits;
	struct poll_wait *poll_waits;
	struct decision *decisions;
	struct engine_status status; /* as of the last publish */
	struct job *all;             /* also walked by engine_each_upload() */
	unsigned njobs;

	/* ---- the thread's own ---- */
	struct job *ready, **ready_tail; /* content to start after one sync */
	struct job *delayed;
	unsigned nmeta, nsmall, nbig;
	bool holds;     /* HOLD_OUT, as in the store */
	bool holds_in;  /* HOLD_IN, as of the last round */
	uint64_t nheld; /* entries of `todo` that wait for a person */
	uint64_t small_bytes;
	struct slot_queue want_meta, want_small, want_big, want_round;
	bool folder_known, folder_wanted;
	bool tags_move; /* this drive moves tags for no reason (promise 3) */
	int64_t folder_due_ms;
	unsigned folder_fails;

	/* the feed */
	bool delta_running, delta_full, delta_due_now;
	int64_t delta_due_ms, round_ended_ms;
	unsigned delta_fails;
	uint64_t round_told; /* when it began: a moment of fs/told.h */
	int64_t round; /* begin number of the round under way, or the last */
	struct {
		int kind;      /* enum feed, engine_feed.c */
		unsigned lost; /* times in a row that its link was */
		int64_t began_ms;
		uint64_t walked; /* folders listed up to this ino */
	} feed;
	struct {
		bool on, keep; /* going through them; see engine_missing.c */
		int64_t round, reconciled;
		uint64_t after, next; /* looked at up to; this time */
		unsigned running, fails;
		bool failed;
		int64_t due_ms;
	} missing;
	int64_t unlinked_ms; /* when the last delete came up */
	bool settle_wanted;  /* something parked may be applied by now */
	int64_t settle_due_ms;

	struct engine_full full;
	uint64_t cleaned; /* nodes that had nothing left to be sent */
	uint64_t rounds_ended;
	uint64_t shown_cleaned; /* as of the last publish */

	const struct job *speaks; /* it brings what is merged just now */
	uint64_t uploaded_files, uploaded_bytes;
	char last_error[256];
	_Atomic bool gate_closed;
	const char *_Atomic paused; /* why */
	bool stopping; /* jobs end; what they were at is resumed next time */
};

/* ---- engine.c ------------------------------------------------------------ */

/* What the thread does: whoever doesn't start it may take the turns
 * (tests/sim). engine_next_turn(): when the next is due, clock_mono_ms(); -1:
 * when something happens. */
void engine_turn(struct engine *e);
int64_t engine_next_turn(struct engine *e);

/* ---- engine_job.c -------------------------------------------------------- */

struct job *job_new(struct engine *e, uint64_t ino, enum plan_action action);
/* Takes it out of everything and frees it; its content, upload, rows of the
 * store are not touched but for what is in memory. */
void job_free(struct job *j);
/* Any thread: hands the job to the engine's thread, which calls j->next. */
void job_post(struct job *j);
/* graph_done_fn for jobs: copies the answer, the item in it if there is one,
 * and posts. */
void job_answered(void *arg, const struct graph_answer *a);
/* The same, keeping the JSON (pages). */
void job_answered_json(void *arg, const struct graph_answer *a);
/* Sends j->call; on failure the job comes back as if answered with that rc. */
void job_send(struct job *j, job_fn *next, graph_done_fn *done);

/* The job comes back by itself after `ms`. */
void job_delay(struct job *j, int64_t ms, job_fn *next);

/* How long to wait after so many failures in a row: doubling until `limit_ms`
 * is reached. */
int64_t engine_back_off(unsigned fails, int64_t limit_ms);

/* Those whose time has come (`all`: all of them) come back; when the next will,
 * clock_mono_ms(), TODO_NEVER: none. */
void job_wake_delayed(struct engine *e, int64_t now_ms, bool all);
int64_t job_next_delayed(const struct engine *e);

/* The node is looked at again now, or after its back-off. */
void engine_again(struct engine *e, uint64_t ino);
void engine_again_later(struct engine *e, uint64_t ino, const char *what,
                        int rc);
/* outcome_blocked() of a node of the schedule. */
void engine_block(struct engine *e, uint64_t ino, int rc, const char *why);
/* Something of the node's was done: what failed before counts no more. */
void engine_went_well(struct engine *e, uint64_t ino);
/* The service refused the job's request as often as net/retry asks: it is shown
 * to people, and tried again after what that says, or ten minutes. */
void engine_note_stuck(struct engine *e, const struct job *j, const char *what,
                       int rc);
/* The job failed because nobody is signed in: it waits, it is not blocked. */
bool engine_is_signed_out(struct engine *e, const struct job *j);
void engine_set_error(struct engine *e, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* ---- engine_step.c ------------------------------------------------------- */

void engine_step(struct engine *e, struct todo_entry *t);
/* The node changed here while its job runs. */
void engine_step_running(struct engine *e, struct todo_entry *t);
/* A round ended: who waits for one is planned again. */
void engine_round_ended(struct engine *e);
/* The node is planned again when the next round has ended, which is soon. */
void engine_wait_round(struct engine *e, struct todo_entry *t);
/* Is that what the planner says of the node now, its job left aside? */
bool engine_still_wants(struct engine *e, uint64_t ino,
                        enum plan_action action);
/* The job of a node ended; what it did is in the rows. */
void engine_job_done(struct engine *e, struct job *j);
/* A slot became free: who waits for one is planned again. */
void engine_slots_freed(struct engine *e);
/* Reads all dirty nodes into the schedule. */
int engine_load_dirty(struct engine *e);

/* ---- engine_hold.c ------------------------------------------------------- */

int engine_hold_load(struct engine *e);
/* The node waits for a person (PLAN_HOLD). */
void engine_step_hold(struct engine *e, struct todo_entry *t);
/* It waits for a person, or for one that does; or no more. */
void engine_set_waits(struct engine *e, struct todo_entry *t, bool waits);
/* A round ended. Holds that hold nothing any more are over. */
void engine_hold_tidy(struct engine *e);
/* What was asked for by engine_decide(). */
void engine_hold_run(struct engine *e);
void engine_hold_end_all(struct engine *e, int rc);

/* ---- engine_meta.c ------------------------------------------------------- */

/* A job of small requests about v's node and its place; NULL: no memory, the
 * node comes again. */
struct job *engine_meta_job(struct engine *e, const struct plan_view *v,
                            enum plan_action action);
void engine_start_mkdir(struct engine *e, struct plan_view *v);
void engine_start_move(struct engine *e, struct plan_view *v, bool aside);
/* Looks how that one ended (fs/errand.h). */
void engine_start_errand(struct engine *e, struct plan_view *v,
                         const struct errand *x);
void engine_start_delete(struct engine *e, struct plan_view *v);
/* The job ended with what the service won't do: blocked if a person must act,
 * else given up for now. */
void engine_refused(struct engine *e, struct job *j, const char *what);
void engine_drop_errand(struct engine *e, const struct job *j);

/* ---- engine_look.c ------------------------------------------------------- */

/* Answered: GET of the job's own item. */
void engine_looked_item(struct engine *e, struct job *j);
/* A temporary name on the server (PLAN_ASIDE_PREFIX). */
void engine_aside_name(char *out, size_t size);
/* The service refuses the node's name although nothing has it: it is made under
 * a temporary name, and renamed once it is there. */
bool engine_is_held(struct engine *e, uint64_t ino);
/* j->item into the rows: gone; as moved or changed by the job. */
int engine_take_tombstone(struct engine *e, struct job *j);
int engine_note_moved(struct engine *e, struct job *j);
int engine_node_of_ino(struct engine *e, uint64_t ino, struct node *out);
/* For struct gather: what is under way, but for what brings the news itself. */
bool engine_is_busy(void *arg, uint64_t ino);
bool engine_is_making(void *arg, const char *parent_id, const char *name);
/* Merges j->item, which the job looked at just now. */
int engine_take_looked(struct engine *e, struct job *j);
/* GET by id, merge, then the node is planned again. */
void engine_start_look(struct engine *e, uint64_t ino, const char *item_id);
/* Did the feed speak of a new item before the answer that it was made? It may
 * have said that it is gone, when nobody knew it yet: then it is looked at once
 * the outcome is noted (which is heard of, too: ask before that). */
bool engine_was_told(struct engine *e, const struct job *j);
/* The same within a job that met a clash: 412 on its own item... */
void engine_look_item(struct engine *e, struct job *j, const char *item_id);
/* Nothing but the tag of j->item differs from what we knew. */
bool engine_only_tag_moved(struct engine *e, const struct job *j);
/* This drive refuses tags of items that had not changed: look, then act. */
bool engine_must_look_first(const struct engine *e);
/* The tag for what follows a look that found nothing new: none (NULL) within
 * two seconds (promise 3), later the one that the look brought. */
const char *engine_tag_after_look(const struct job *j);
/* ...409 on the name it wanted. */
void engine_look_place(struct engine *e, struct job *j);

/* ---- engine_send.c ------------------------------------------------------- */

void engine_start_send(struct engine *e, struct plan_view *v);
void engine_start_resume(struct engine *e, struct plan_view *v);
/* Ends what runs, or looks how it ended. */
void engine_start_abandon(struct engine *e, struct plan_view *v,
                          struct job *running);
/* (Again) from where the attempt stands; what can't be had an end at all. */
void engine_start_upload(struct engine *e, struct job *j);
void engine_abandon(struct engine *e, struct job *j);
/* Planned again after its back-off. */
void engine_give_up(struct engine *e, struct job *j, const char *what, int rc);
/* engine_bytes.c: jobs of workers, which post the job... */
void engine_prepare_small(void *arg);
void engine_prepare_big(void *arg);
void engine_prepare_resume(void *arg);
/* ...and what the upload calls: struct upload_spec. */
int engine_read_piece(void *arg, void *buf, size_t len, uint64_t off);
int engine_note_progress(void *arg, const char *url, uint64_t next);
/* One transaction; `sync`: durable when it returns. */
int engine_edit(struct store *s, int (*edit)(struct db *, void *), void *arg,
                bool sync);
/* engine_sent.c: the upload has ended. */
void engine_sent(struct engine *e, struct job *j);
void engine_sent_deferred(struct engine *e, struct job *j);
/* engine_tags.c: of j->writer, with the attempt's row. Where no other callback
 * of the upload runs. */
int engine_note_tags(struct job *j, struct db *db);
int engine_load_tags(struct job *j);
/* engine_header.c */
void engine_start_header(struct engine *e, struct plan_view *v);
void engine_start_link(struct engine *e, struct plan_view *v);
/* Everything that was prepared since: one transaction, one sync, start. */
void engine_start_ready(struct engine *e);
/* What a send job holds in memory. */
void engine_send_release(struct job *j);

/* ---- engine_readback.c --------------------------------------------------- */

/* Reads what j->item holds: `next` comes with j->rc, and with the item's hash
 * if that is 0. */
void engine_read_back(struct engine *e, struct job *j, job_fn *next);
/* They end soon; for the end of the engine, with the graph stopped. */
void engine_cancel_readbacks(struct engine *e);

/* ---- engine_delta.c, engine_folder.c ------------------------------------- */

void engine_delta_start(struct engine *e, int64_t now_ms);
int engine_delta_load(struct engine *e);
void engine_settle(struct engine *e);
void engine_folder_start(struct engine *e);
int engine_folder_load(struct engine *e);
void engine_list_start(struct engine *e);
void engine_list_new(struct engine *e); /* folders not listed yet */
void engine_list_expire(struct engine *e, int64_t now_ms);
int64_t engine_list_next_ms(struct engine *e);
void engine_list_end_all(struct engine *e, int rc);
void engine_poll_end_all(struct engine *e, int rc);

/* For engine_feed.c: the enumeration is complete; it failed. */
void engine_delta_listed(struct engine *e, struct job *j);
void engine_delta_later(struct engine *e, struct job *j, int rc);

int engine_feed_load(struct engine *e, struct db *db);
/* The request that begins an enumeration. */
int engine_feed_prepare(struct engine *e, struct job *j);
/* It was refused: true if another feed is to be tried. */
bool engine_feed_refused(struct engine *e, long status);
/* Its link is known no more; it brought changes. */
void engine_feed_lost(struct engine *e);
void engine_feed_works(struct engine *e);
int64_t engine_feed_pause(const struct engine *e); /* ms to the next round */
/* There is none: lists all folders as part of the round. */
bool engine_feed_walks(const struct engine *e);
void engine_feed_walk(struct engine *e, struct job *j);

/* engine_brought.c, within the transaction that takes a page of changes: its
 * new folders that came with all that lies in them need not be listed. */
int engine_brought_note(struct db *db, const struct item *items, size_t n);

/* engine_missing.c. _note() within the transaction that ends a full round,
 * _begin() after it. _doubt(): the service itself may have lost what does not
 * come; that is kept. */
int engine_missing_note(struct db *db, int64_t round);
void engine_missing_begin(struct engine *e);
int engine_missing_doubt(struct engine *e, bool keep);
int engine_missing_load(struct engine *e, struct db *db);
/* Is a full enumeration due (reconcile_interval_ms)? */
bool engine_missing_is_due(const struct engine *e);
void engine_missing_turn(struct engine *e, int64_t now_ms);
int64_t engine_missing_next_ms(const struct engine *e);

/* Copies the items of a page's JSON; items that are no items are left out with
 * a log line. malloc'ed. */
int engine_page_items(const struct graph_page *page, struct item **out_items,
                      size_t *out_n);

/* ---- engine_full.c ---------------------------------------------------------
 */

/* The job's request was refused for lack of room. */
void engine_full_note(struct engine *e, const struct job *j);
/* True: no content is sent for it now; its due time is set. */
bool engine_full_bars(struct engine *e, struct todo_entry *t);
/* Content was stored. */
void engine_full_over(struct engine *e);
/* There may be room again: looks now. */
void engine_full_hurry(struct engine *e);

/* ---- engine_flush.c, engine_status.c ------------------------------------- */

/* The node's rows changed: who waits for it in a flush? */
void engine_flush_check(struct engine *e, uint64_t ino);
void engine_flush_expire(struct engine *e, int64_t now_ms);
int64_t engine_flush_next_ms(struct engine *e);
void engine_flush_end_all(struct engine *e, int rc);
bool engine_flush_wants(struct engine *e, uint64_t ino);
void engine_publish(struct engine *e);

#endif
