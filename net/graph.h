/* net/graph.h -- requests to Microsoft Graph for one signed-in account.
 *
 * A call is paced (net/pace), gets a bearer, is sent, and on trouble does what
 * net/retry says: waiting and refreshing happen in here, everything that needs
 * a decision about *what* to send comes back to the caller. Knows items and
 * JSON, not files.
 *
 * Threads: any thread may call, also from callbacks; `done` runs on the
 * network thread with no lock held, must not block, and may come before the
 * call has returned. Errors: 0 or -Exxx; on an error nothing was started and
 * `done` does not come. Sizes in bytes, times in ns since 1970 (items) or ms.
 * Protocol: facts/graph.md 2, 3, 4, 7, 8, 9, 10. */
#ifndef NMB_GRAPH_H
#define NMB_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/http.h"
#include "net/json.h"
#include "net/retry.h"

#define GRAPH_HASH_SIZE 20 /* quickXorHash */

struct graph;

/* ---- the account --------------------------------------------------------- */

/* Gets a bearer; `stale` is the one the service has just refused, or NULL.
 * `got` comes exactly once, from any thread, maybe before this returns. Its rc:
 * 0; -EACCES (a person must sign in again); -ENETUNREACH and the like (the
 * sign-in service can't be reached: offline, not signed out). */
typedef void graph_got_token_fn(void *arg, int rc, const char *bearer);
typedef void graph_token_fn(void *token_arg, const char *stale,
                            graph_got_token_fn *got, void *arg);

struct graph_options {
	struct http *http;    /* must outlive the graph */
	const char *base_url; /* ".../v1.0", no slash at the end; copied */
	graph_token_fn *token;
	void *token_arg;
	bool china; /* names as a parameter (facts 2.1), as that cloud's own
	             * base_url has it anyhow */
};

int graph_new(const struct graph_options *opt, struct graph **out_g);

/* Ends every call with -ECANCELED and waits for the last `done`, and for the
 * uploads and downloads, whose owners free them before. Not from a
 * callback. */
void graph_free(struct graph *g);

/* Ends every call with -ECANCELED, soon, and lets no new one start
 * (-ESHUTDOWN): what owns calls can then wait for their `done`. */
void graph_stop(struct graph *g);

/* "/drives/{id}" once known, else "/me/drive"; copied. Goes into the paths of
 * the calls below (ids exactly as the service gave them, facts 2.5). */
int graph_set_drive(struct graph *g, const char *drive_id);
struct http *graph_http(struct graph *g);

struct graph_state {
	bool offline;            /* the last requests found no network */
	bool signed_out;         /* the last token request was refused */
	int64_t frozen_until_ms; /* clock_mono_ms(); 0: not throttled */
	unsigned in_flight;      /* requests now */
	uint64_t requests;  /* sent since the start, parts counted singly */
	uint64_t bulk_sent; /* bytes of content, http_get_bulk_sent() */
};
void graph_get_state(struct graph *g, struct graph_state *out);

/* Called on the network thread, no lock held, when the first three of them
 * changed. Before the first request; `changed` outlives the graph. */
typedef void graph_changed_fn(void *arg);
void graph_on_change(struct graph *g, graph_changed_fn *changed, void *arg);

/* The network may be back (resume, route change): tries waiting calls now. */
void graph_kick(struct graph *g);

/* ---- calls --------------------------------------------------------------- */

struct graph_answer {
	int rc; /* 0: 2xx or 3xx; else -Exxx for somebody who waits */
	enum retry_verdict verdict; /* RETRY_DONE, _LOOK, _RESTART, _SMALLER or
	                             * _FAIL; RETRY_WAIT when patience ended */
	long status;                /* 0: no answer */
	const char *code;     /* most specific known error code, "" if none */
	const cJSON *json;    /* body, NULL if none or no JSON */
	const char *location; /* header, NULL if none */
	bool was_sent;        /* false: certainly no effect there */
	bool offline;
	int64_t wait_ms; /* before the caller looks or tries the whole again;
	                  * 0 with RETRY_FAIL: not by itself */
};

/* Comes exactly once; `a` and everything in it dies when it returns. */
typedef void graph_done_fn(void *arg, const struct graph_answer *a);

struct graph_call {
	enum retry_kind kind;
	const char *method;
	const char *path;     /* below base_url, escaped, "/..." (may hold
	                       * "?..."), or an absolute URL with base_url's
	                       * origin (nextLink, deltaLink), else -EPROTO */
	const char *if_match; /* eTag as received; quoted here if it isn't */
	const char *const *headers; /* more of them, NULL ends; may be NULL */
	const char *type;           /* of the body; NULL: application/json */
	const void *body;           /* copied */
	size_t body_len;
	enum http_prio prio;
	unsigned units;      /* resource units, facts 10.1; 0: by the method */
	bool batch;          /* may ride in a $batch with others, for which it
	                      * waits a little while others are under way... */
	bool gather;         /* ...and also if none is: nobody waits for the
	                      * answer */
	int64_t patience_ms; /* how long to go on after RETRY_WAIT verdicts;
	                      * 0: one try; -1: for ever */
	graph_done_fn *done;
	void *arg;
};

int graph_start(struct graph *g, const struct graph_call *c);

/* The same, waiting for the end; not on the network thread. The answer's
 * members live until graph_result_done(). Returns answer.rc. */
struct graph_result {
	struct graph_answer answer;
	cJSON *json;
	char *code, *location;
};
int graph_wait(struct graph *g, const struct graph_call *c,
               struct graph_result *out);
void graph_result_done(struct graph_result *r);

/* The usual calls. `c` brings done, arg, prio, batch and patience; the other
 * members are filled in here. `wait` variants don't exist: graph_prepare_xxx()
 * makes the call, graph_start() or graph_wait() sends it.
 *
 * A prepared call owns its strings; graph_call_done() frees them, any time
 * after graph_start() or graph_wait() has returned. */
struct graph_prepared {
	struct graph_call c;
	char *path, *body, *etag;
};
void graph_prepared_done(struct graph_prepared *p);

int graph_prepare_get_drive(struct graph *g, struct graph_prepared *p);
int graph_prepare_get_root(struct graph *g, struct graph_prepared *p);
int graph_prepare_get_item(struct graph *g, const char *id,
                           struct graph_prepared *p);
/* By name in a folder; compare id, name and parent of the answer with what was
 * asked (facts 2.1: by-path answers may be another item). */
int graph_prepare_get_child(struct graph *g, const char *parent_id,
                            const char *name, struct graph_prepared *p);
int graph_prepare_list(struct graph *g, const char *folder_id,
                       struct graph_prepared *p); /* first page, $top=1000 */
int graph_prepare_link(struct graph *g, const char *link,
                       struct graph_prepared *p); /* next page, delta link */
/* No token; $top=1000. `folder_id` NULL: of the whole drive; else what lies
 * below it (facts 7.1: personal drives). */
int graph_prepare_delta(struct graph *g, const char *folder_id, bool latest,
                        struct graph_prepared *p);
/* conflictBehavior fail. */
int graph_prepare_mkdir(struct graph *g, const char *parent_id,
                        const char *name, struct graph_prepared *p);
/* NULL leaves a member alone; conflictBehavior fail, with `etag` if given. */
int graph_prepare_patch(struct graph *g, const char *id, const char *etag,
                        const char *parent_id, const char *name,
                        const int64_t *mtime_ns, struct graph_prepared *p);
int graph_prepare_delete(struct graph *g, const char *id, const char *etag,
                         struct graph_prepared *p);
/* Small content: a new item with conflictBehavior=fail, or new content of a
 * known one (`etag` as If-Match if not NULL). `data` must live until
 * graph_start() has returned. */
int graph_prepare_put_new(struct graph *g, const char *parent_id,
                          const char *name, const void *data, size_t len,
                          struct graph_prepared *p);
int graph_prepare_put(struct graph *g, const char *id, const char *etag,
                      const void *data, size_t len, struct graph_prepared *p);
/* Out of the recycle bin, personal accounts only (facts 3.3); NULL: the place,
 * or the name, it had. */
int graph_prepare_restore(struct graph *g, const char *id,
                          const char *parent_id, const char *name,
                          struct graph_prepared *p);
int graph_prepare_versions(struct graph *g, const char *id,
                           struct graph_prepared *p);

/* ---- answers ------------------------------------------------------------- */

enum graph_kind {
	GRAPH_FILE,
	GRAPH_FOLDER,
	GRAPH_OTHER, /* package, shortcut, bundle...: shown, never touched */
};

/* A driveItem; strings are borrowed from the JSON. */
struct graph_item {
	const char *id;
	const char *name;      /* NULL: missing (tombstones) */
	const char *etag;      /* NULL: missing */
	const char *parent_id; /* NULL: missing (root) */
	enum graph_kind kind;
	bool root, deleted, malware;
	int64_t size;  /* -1: missing or nonsense */
	bool has_hash; /* false for the all-zero hash of nothing */
	uint8_t hash[GRAPH_HASH_SIZE];
	int64_t mtime_ns;   /* fileSystemInfo, else the service's; 0: missing */
	int64_t created_ns; /* the service's createdDateTime; 0: missing */
	int64_t child_count;      /* folder; -1: missing */
	const char *download_url; /* a secret; NULL: missing */
};

/* -EBADMSG if it is no object or has no usable id (empty, or over 255 bytes);
 * everything else that is missing or of the wrong type has its "missing"
 * value. Names are checked by net/names, not here. */
int graph_parse_item(const cJSON *json, struct graph_item *out);

struct graph_page {
	const cJSON *value;                 /* array; maybe empty */
	const char *next_link, *delta_link; /* at most one is set */
};
/* -EBADMSG: no collection; -EXDEV: the link leads to another origin. */
int graph_parse_page(struct graph *g, const cJSON *json,
                     struct graph_page *out);

/* Whether a list of pages comes to an end: zeros before the first one.
 * graph_walk_on() after each page that has a next one: -ELOOP if that was seen
 * before, at the latest when it has been gone round thrice, or if nothing but
 * empty pages came for long. */
struct graph_walk {
	uint64_t mark; /* one of the links so far */
	unsigned steps, until, empty;
};
int graph_walk_on(struct graph_walk *w, const struct graph_page *page);

struct graph_drive {
	const char *id, *type;          /* NULL: missing */
	const char *web_url;            /* the same */
	int64_t total, used, remaining; /* -1: unknown (facts 2.6) */
};
int graph_parse_drive(const cJSON *json, struct graph_drive *out);

/* True if both ids are one drive's: those of personal accounts come in either
 * case, with or without their leading zero (facts 2.5). */
bool graph_same_drive(const char *a, const char *b);

#endif
