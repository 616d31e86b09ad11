/* fs/control.h -- the control socket: other processes ask the running mount.
 *
 * A stream socket `control` in the state directory (0600). One JSON object per
 * line each way: {"do":"status"} -> {"ok":true, ...}. Requests (fs/control.c
 * has the members of each answer):
 *
 *	status [path]      all of `status --json`
 *	flush [path, timeout_ms]   lines {"left_files","left_bytes"} while it
 *	                   goes on, the last one has "ok"
 *	stop               hand over: end soon, keep what is unsent
 *	unmount            the mount point is being detached: drain, then end
 *	put, get           through the running mount (fs/cmd_put, fs/cmd_get)
 *	events             a line per change, until the peer hangs up
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

/* Binds and starts the thread. */
int control_new(struct nmb *nmb, struct control **out_c);
void control_free(struct control *c);

/* Tells those who listen to `events`; `event` is copied. Never blocks. */
void control_event(struct control *c, const cJSON *event);

/* ---- the other side ------------------------------------------------------ */

/* Sends one request to the process that holds `state_dir`, calls `line` for
 * each answer until it has "ok" (that one too; it may be NULL). 0; -ENOENT or
 * -ECONNREFUSED: nobody runs; -ETIMEDOUT (timeout_ms < 0: none); -EPROTO; or
 * the answer's errno with its line in `why`. */
typedef void control_line_fn(void *arg, const cJSON *answer);
int control_call(const char *state_dir, const cJSON *request, int timeout_ms,
                 control_line_fn *line, void *arg, char *why, unsigned size);

#endif
