/* net/upload.h -- one upload session: open, send fragments, resume, look.
 *
 * Knows bytes and URLs, not files. Sizes and offsets are in bytes.
 * Threads: any thread may call; callbacks run on a thread of `work`, never two
 * at once for one upload, with no lock held, and may block on the disk but not
 * on the network. Errors: 0 or -Exxx; on error nothing was started.
 * Protocol: facts/graph.md 5 (createUploadSession); empty content can't go
 * through a session: use graph_prepare_put_new(). */
#ifndef NMB_UPLOAD_H
#define NMB_UPLOAD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "net/graph.h"

struct upload;
struct work;

#define UPLOAD_GRANULE UINT64_C(327680)

/* Fills `buf` with exactly `len` bytes from `off`, or returns -Exxx: the
 * upload then ends with that. After a broken request the same range is asked
 * for again and must give the same bytes. */
typedef int upload_read_fn(void *arg, void *buf, size_t len, uint64_t off);

/* The session URL (a secret) and the next offset the service wants; called
 * before the first fragment leaves and after each one confirmed. Must make it
 * durable as far as the owner wants to resume. -Exxx ends the upload. */
typedef int upload_note_fn(void *arg, const char *url, uint64_t next);

struct upload_end {
	int rc; /* 0: the service says that it has the content */
	enum retry_verdict verdict; /* RETRY_LOOK: outcome unknown, or name or
	                             * tag clash: look at the item.
	                             * RETRY_RESTART: the session is dead and
	                             * the item was not looked at: look, then
	                             * start anew. RETRY_WAIT: network or
	                             * service trouble: resume later. */
	long status;
	const char *code;
	bool offline;
	int64_t wait_ms;               /* as in struct graph_answer */
	const struct graph_item *item; /* NULL: none came, look (facts 5.2) */
	uint64_t next;                 /* what the service has confirmed */
};

/* Comes exactly once; `end` dies when it returns. */
typedef void upload_done_fn(void *arg, const struct upload_end *end);

struct upload_spec {
	struct graph *graph;
	struct work *work;

	/* A new item (conflictBehavior fail)... */
	const char *parent_id, *name;
	/* ...or new content of a known one (replace, If-Match etag). */
	const char *item_id, *etag;
	bool defer_commit; /* commit with upload_commit() after done */

	uint64_t total; /* > 0 */
	bool has_mtime; /* else fileSystemInfo is left out */
	int64_t mtime_ns;

	const char *url; /* of a session to go on with, or NULL */

	enum http_prio prio;
	upload_read_fn *read;
	upload_note_fn *note;
	upload_done_fn *done;
	void *arg;
};

/* Gives up with RETRY_WAIT after ten minutes without progress. Strings are
 * copied; *out_u is set before any callback comes. Fragments start at 10 MiB,
 * halve on broken requests and 413, double on success up to 191 granules
 * (62,586,880). Memory: at most 1 MiB per upload. With `url` it asks the
 * session first where to go on. */
int upload_start(const struct upload_spec *spec, struct upload **out_u);

/* Bytes confirmed plus bytes of the fragment under way. */
uint64_t upload_sent(struct upload *u);

/* Stops early: `done` comes soon, with -ECANCELED, unless it came already; the
 * session stays alive at the service. Valid until upload_free(); from
 * callbacks too. */
void upload_cancel(struct upload *u);

/* upload_cancel(), waits for `done`, frees. Not from a callback: there use
 * upload_release(), which cancels too, and frees after `done` has returned. */
void upload_free(struct upload *u);
void upload_release(struct upload *u);

/* DELETEs a session nobody will finish; fire and forget. */
void upload_abandon(struct graph *g, const char *url);

/* The same, and tells when the service has answered (a status, whichever): what
 * was still on its way to the session by then can arrive no more, so a look
 * that follows shows how it ended. 0, or -errno: `done` is not called. */
int upload_end(struct graph *g, const char *url, graph_done_fn *done,
               void *arg);

/* The same for a program that is about to end: comes back with the answer, or
 * after some seconds without one. Blocks; not from a callback. */
void upload_abandon_wait(struct graph *g, const char *url);

/* Makes the content of a session with defer_commit the item's (facts 5.4):
 * POST to the session as Business has it, or, if that is refused, the PUT of
 * personal drives by parent and name (`replace`: else a name that is taken is
 * a 409; `etag`: If-Match, or NULL). One try; `done` comes once, on the network
 * thread, as for graph_start(): the item is in its JSON. RETRY_LOOK: it may
 * have happened; RETRY_WAIT: not yet, call again. */
int upload_commit(struct graph *g, const char *url, const char *parent_id,
                  const char *name, bool replace, const char *etag,
                  graph_done_fn *done, void *arg);

#endif
