/* fs/control_status.h -- what a running mount tells of itself, as JSON.
 *
 * state (enum engine_state, by name), pending_files, pending_bytes, uploading
 * (list of path, sent, total), blocked (list of path, reason), held (list of
 * direction "outgoing" or "incoming", since (RFC 3339), deletes, overwrites,
 * examples: paths), uploaded_files, uploaded_bytes, cached_bytes, cache_size,
 * quota (total, used, remaining; null: unknown), throttled_until (RFC 3339 or
 * null), last_drill (fs/drill.h), last_error, last_sync (RFC 3339 or null),
 * listed, mountpoint, profile, pid, version; paused (why nothing is sent just
 * now, or null); sent_bytes, received_bytes (of all bodies since the start);
 * waiting (list of path, size: the first that are not under way yet), if it was
 * asked for. Threads: any. The caller frees with cJSON_Delete(); NULL: no
 * memory. */
#ifndef NMB_CONTROL_STATUS_H
#define NMB_CONTROL_STATUS_H

#include <cjson/cJSON.h>

#include <stdint.h>

#include "fs/hold.h"

struct nmb;

/* `waiting`: so many at most of what waits; 0: none. */
cJSON *control_status(struct nmb *nmb, unsigned waiting);

/* Of one node: path, state, size, id, error; of a directory also `below`
 * (pending, blocked, held: how many of what lies in it). -ENOENT. */
int control_node_status(struct nmb *nmb, uint64_t ino, cJSON **out);

/* An entry of `held`, with more examples; NULL: nothing is held. */
int control_held(struct nmb *nmb, enum hold_dir dir, cJSON **out);

/* The list `held` of a state directory in which nothing runs; empty if there is
 * none. NULL: no memory, or not to be read. */
cJSON *control_held_at(const char *state_dir);

/* The ino of a path below the mount point, by the rows. */
int control_find(struct nmb *nmb, const char *path, uint64_t *out_ino);

/* Paths may hold any byte, and texts of the service too; JSON takes UTF-8:
 * escaped as in the log. */
void control_add_text(cJSON *o, const char *name, const char *text);
/* ns since 1970 of a clock_mono_ms(); 0: never. */
int64_t control_wall_time(int64_t mono_ms);

#endif
