/* fs/control.h -- the control socket: other processes ask the running mount.
 *
 * A stream socket `control` in the state directory (0600). One JSON object per
 * line each way, at most 64 KiB: {"do":"status"} -> {"ok":true, ...}. A path is
 * absolute below the mount point, or relative to it; a direction is "outgoing"
 * or "incoming".
 *
 *	status [waiting]   all of `status --json` (fs/control_status.h), with so
 *	                   many of what waits
 *	status path        of one node: state, size, id, error
 *	flush [path, timeout_ms]   lines {"left_files","left_bytes"} while it
 *	                   goes on; the last one has "ok"
 *	poll               asks the drive for changes now; "ok" once they are in
 *	kick               network or sign-in may be back: tries what waits
 *	accept path        takes the version of a vault's file that lies on the
 *	                   drive, whatever is known of it (fs/bond.h)
 *	held direction     what is held: an entry of `held` as in the status,
 *	                   with up to 1,000 examples; null: nothing
 *	approve direction  that goes on: {"done"}
 *	undo direction     that is taken back: {"done", "kept", "busy", "lost",
 *	                   "where"}, see struct engine_decided
 *	stop               ends soon, keeping what is unsent
 *	events             a line per event (below), until either side hangs up
 *
 * Events: {"event":NAME, "time":RFC 3339, ...}. The first line tells the state,
 * and so does one whenever that changes, by its name (enum engine_state) or
 * "all-done", with pending_files, pending_bytes, until (if it is known).
 *Others: those of fs/events.h, with path, size or folder, id, reason; name (the
 *one that a conflict took away), change (of another device: new, changed,
 *moved, removed, restored). {"event":"lost","count":N}: so many were not read
 *in time. {"event":"end"}: the process ends; without it, it died.
 *
 * An answer {"ok":false,"errno":N,"error":"one line"} ends a request.
 * Threads: one thread serves all peers with poll(); what takes long is
 * answered later. */
#ifndef NMB_CONTROL_H
#define NMB_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include <cjson/cJSON.h>

struct control;
struct nmb;

/* Binds: who connects waits until the thread is started, which needs all parts
 * of nmb. */
int control_new(struct nmb *nmb, struct control **out_c);
int control_start(struct control *c);

/* Hangs up on everybody and ends the thread: before the engine goes. */
void control_stop(struct control *c);
/* After the engine and the network have stopped: they may still wake it. */
void control_free(struct control *c);

/* ---- the other side ------------------------------------------------------ */

/* Sends one request to the process that holds `state_dir`, calls `line` for
 * each answer until it has "ok" (that one too; it may be NULL). 0; -ENOENT or
 * -ECONNREFUSED: nobody runs; -ETIMEDOUT (timeout_ms < 0: none); -EPROTO; or
 * the answer's errno with its line in `why`. */
typedef void control_line_fn(void *arg, const cJSON *answer);
int control_call(const char *state_dir, const cJSON *request, int timeout_ms,
                 control_line_fn *line, void *arg, char *why, unsigned size);

/* For who asks more than once: a socket, the caller's to close; requests go out
 * on it, answers are read from it, line by line. fd or -Exxx as above. */
int control_connect(const char *state_dir);
int control_send(int fd, const cJSON *request);

#endif
