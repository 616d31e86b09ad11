/* net/download.h -- ranged reads of one version of one item.
 *
 * Holds the pre-authenticated URL (a secret, in memory only) and gets a new
 * one when it expires: one request for all who wait (facts/graph.md 6).
 * Threads: any thread may call, also from callbacks; callbacks run on the
 * network thread, must not block, no lock held. Offsets and sizes in bytes of
 * what the service stores. */
#ifndef NMB_DOWNLOAD_H
#define NMB_DOWNLOAD_H

#include <stdint.h>

#include "net/graph.h"

struct download;       /* one version */
struct download_range; /* one request for a range of it */

/* `etag` and `size` say which version is meant: an item that has another eTag
 * when the URL is fetched, or a range answer with another total or another
 * ETag than the first one, gives -ESTALE. (A tag may move without a new
 * content: the caller looks.) `url`: one that came with an item just now, or
 * NULL. `version_id`: an old version of the item instead of the current
 * content, or NULL. Copied. */
int download_new(struct graph *g, const char *item_id, const char *etag,
                 uint64_t size, const char *url, const char *version_id,
                 struct download **out_d);

/* Cancels its ranges (each gets its `done`), frees when the last one ended. */
void download_free(struct download *d);

/* A piece, in order and without gaps from `off` on: `off` is its place in the
 * file. 0, 1 to pause (the piece comes again after download_resume()), or
 * -Exxx to end the range. */
typedef int download_data_fn(void *arg, uint64_t off, const void *data,
                             size_t len);

/* rc 0: the whole range was delivered. -ESTALE: another version, or gone
 * (-ENOENT); -EPERM malware; -EACCES; -ENETUNREACH, -ETIMEDOUT...: network,
 * after the retries that `patience_ms` allows; -ECANCELED. */
typedef void download_done_fn(void *arg, int rc);

/* A broken transfer goes on at the byte reached. */
int download_start(struct download *d, uint64_t off, uint64_t len,
                   enum http_prio prio, int64_t patience_ms,
                   download_data_fn *data, download_done_fn *done, void *arg,
                   struct download_range **out_r);

/* Valid until `done` has returned (the caller's own lock makes sure). */
void download_cancel(struct download_range *r);
void download_resume(struct download_range *r);

#endif
