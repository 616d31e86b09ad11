/* fs/control_internal.h -- the control socket's parts: control.c (the thread
 * and its peers), control_request.c (what a peer may ask), control_events.c
 * (who listens), control_call.c (the other side). Nobody else includes it. */
#ifndef NMB_CONTROL_INTERNAL_H
#define NMB_CONTROL_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <cjson/cJSON.h>

#include "fs/resume.h"
#include "net/buf.h"

struct nmb;
struct sockaddr_un;

#define CONTROL_PEERS       64
#define CONTROL_PROGRESS_MS 200

/* Somebody who waits in `flush`, `poll` or `undo`. Outlives its peer if that
 * hangs up: whoever comes last, peer or wake, frees it. */
struct waiting {
	struct control *control;
	uint64_t ticket; /* 0: no flush */
	int rc;
	cJSON *answer; /* or NULL */
	bool ended, orphan;
};

struct peer {
	int fd;
	struct buf in, out;
	struct waiting *waiting;
	bool flush, events, closing;
	int64_t progress_ms;
	uint64_t left_files, left_bytes;
	uint64_t lost; /* lines it did not read in time */
};

struct control {
	struct nmb *nmb;
	pthread_t thread;
	int listen_fd, event_fd, dir_fd;
	struct resume resume; /* the thread's own */
	int netwatch_fd;
	pthread_mutex_t lock; /* LOCK_LEAF: waiting, touched, stop */
	bool stop, touched;
	const char *state; /* as events told it last */
	bool state_due;    /* it is looked at again at state_ms */
	int64_t state_ms;
	bool started;
	struct peer *peer[CONTROL_PEERS];
};

/* All but the last three: on the control thread. */

/* A line for `p`; frees `o`. NULL (no memory), or a peer that does not read:
 * it is dropped. */
void control_send_json(struct peer *p, cJSON *o);
/* One request of `p`, NULL: it was no JSON. */
void control_request(struct control *c, struct peer *p, const cJSON *req);
/* Answers `p` if what it waits for has ended, else tells it how far it is. */
void control_check_waiting(struct control *c, struct peer *p, int64_t now_ms);
/* The peer is gone, the wake will still come. */
void control_leave_waiting(struct control *c, struct peer *p);
/* Whatever waits for a time is tried at once. */
void control_kick(struct control *c);
/* As control_kick(); what is under way begins anew. */
void control_network_changed(struct control *c);

/* The peer listens from now on. */
void control_events_begin(struct control *c, struct peer *p);
/* Tells what happened, to all that do. */
void control_events_turn(struct control *c);
/* Tells that nothing will happen any more. */
void control_events_end(struct control *c);
/* It has read all that was sent: how much it missed before. */
void control_tell_lost(struct peer *p);

/* events_wake_fn, any thread. */
void control_touch(void *control);

/* Wakes the control thread; from any. */
void control_ring(struct control *c);
/* A socket's name has 107 bytes, a state directory may have more: it is named
 * by a descriptor. *out_dir is the caller's to close, after use of the name.
 * 0 or -errno. */
int control_address(const char *state_dir, struct sockaddr_un *out,
                    int *out_dir);

#endif
