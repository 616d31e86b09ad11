/* fs/item.h -- an item as the server described it, in memory of our own.
 *
 * What net/graph parses is borrowed from JSON and dies with the answer; this
 * is its copy, checked for length, to be queued, stored (fs/seen.h) and
 * merged. Plain data. Threads: none. */
#ifndef NMB_ITEM_H
#define NMB_ITEM_H

#include <stdbool.h>
#include <stdint.h>

#include "fs/node.h"

struct graph_item; /* net/graph.h */

enum item_kind {
	ITEM_FILE,
	ITEM_FOLDER,
	ITEM_OTHER, /* notebook, shortcut...: shown, not touched */
};

struct item {
	char id[NODE_ID_MAX + 1];
	char parent_id[NODE_ID_MAX + 1]; /* "": not told (root, tombstone) */
	char name[NODE_REMOTE_MAX + 1];  /* "": not told */
	char etag[NODE_ETAG_MAX + 1];    /* "": not told */
	enum item_kind kind;
	bool deleted, malware, root;
	bool keep; /* with deleted: the service may just have lost it */
	bool has_hash;
	uint8_t hash[NODE_HASH_SIZE];
	uint64_t size;    /* bytes there */
	int64_t mtime;    /* ns since 1970 */
	int64_t created;  /* the service's, ns since 1970 */
	int64_t children; /* of a folder; -1: not told */
};

/* -EBADMSG: a member is longer than it may be, or a file without a size, or
 * something that exists without name or tag. */
int item_copy(const struct graph_item *g, struct item *out);

/* Same bytes as far as size and hash tell: 1, 0, or -ENODATA: the hash is
 * missing and the sizes agree (an empty file needs no hash). */
int item_same_content(const struct item *r, uint64_t size,
                      const uint8_t *hash /* NULL: unknown */);

#endif
