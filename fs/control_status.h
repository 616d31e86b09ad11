/* fs/control_status.h -- what a running mount tells of itself, as JSON.
 *
 * state, pending_files, pending_bytes, uploading (list of path, sent, total),
 * blocked (list of path, reason), uploaded_files, uploaded_bytes,
 * cached_bytes, cache_size, quota (total, used, remaining; null: unknown),
 * throttled_until (RFC 3339 or null), last_error, last_sync (RFC 3339 or
 * null), listed, mountpoint, profile, pid, version.
 * Threads: any. The caller frees with cJSON_Delete(); NULL: no memory. */
#ifndef NMB_CONTROL_STATUS_H
#define NMB_CONTROL_STATUS_H

#include <cjson/cJSON.h>

#include <stdint.h>

struct nmb;

cJSON *control_status(struct nmb *nmb);

/* Of one node; -ENOENT. */
int control_node_status(struct nmb *nmb, uint64_t ino, cJSON **out);

/* The ino of a path below the mount point, by the rows. */
int control_find(struct nmb *nmb, const char *path, uint64_t *out_ino);

#endif
