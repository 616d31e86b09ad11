/* tests/graphd/drive.h -- one drive: the tree of items, their tags and
 * versions, the recycle bin, and the order of changes.
 *
 * Knows no HTTP and no JSON: what a request may do is decided by the callers;
 * here names are unique per folder (by fold key, collate.h), sizes of folders
 * and the quota add up, and every change gives its item a new place at the end
 * of the list of changes, from which delta is read.
 *
 * Times are ns since 1970, sizes bytes. Threads: the caller's lock.
 * Source: facts/graph.md 2.3 to 2.6, 3, 7.2, 8. */
#ifndef NMB_TESTS_GRAPHD_DRIVE_H
#define NMB_TESTS_GRAPHD_DRIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/graphd/blob.h"
#include "tests/graphd/collate.h"

enum drive_kind {
	DRIVE_PERSONAL, /* classic */
	DRIVE_MIGRATED, /* personal account on the SharePoint back end */
	DRIVE_BUSINESS,
};

enum item_type {
	ITEM_FILE,
	ITEM_FOLDER,
	ITEM_PACKAGE, /* OneNote: neither file nor folder */
};

enum item_state {
	ITEM_LIVE,
	ITEM_BINNED, /* in the recycle bin: a tombstone that can come back */
	ITEM_GONE,   /* a tombstone only */
};

struct version {
	unsigned n; /* "n.0" */
	struct blob *blob;
	int64_t modified_ns; /* the service's clock */
};

/* What one delta page or one answer shows of an item: also kept of the state
 * before the last change, for feeds that lag (facts/graph.md 7.2). */
struct item_shown {
	struct item *parent;
	char *name;
	struct blob *blob;
	unsigned etag_n, ctag_n;
	int64_t modified_ns, fs_modified_ns;
};

struct item {
	uint64_t num; /* unique, in order of creation */
	char *id;
	char guid[37]; /* lower case, with dashes */
	enum item_type type;
	enum item_state state;

	/* Place. The parent of a tombstone is where it was. */
	struct item *parent; /* NULL: the root */
	char *name;
	struct item *first, *last, *prev, *next; /* live children, siblings */
	uint32_t nchildren;
	uint64_t binned_with; /* num of the item whose DELETE took this one */

	struct blob *blob;        /* current content; NULL: not a file */
	int64_t size;             /* of a folder: all below it */
	struct version *versions; /* old ones, oldest first */
	size_t nversions;
	unsigned version_n; /* of the current content */

	unsigned etag_n, ctag_n;
	int64_t below_ns; /* last change anywhere below (folder's cTag) */
	int64_t created_ns, modified_ns;       /* the service's */
	int64_t fs_created_ns, fs_modified_ns; /* the client's */
	char *description;

	/* List of changes, oldest first. */
	struct item *older, *newer;
	uint64_t seq;
	int64_t changed_ns, content_ns;
	struct item_shown *before; /* the last change; NULL: new since */

	/* Set by tests. */
	bool malware, locked, no_hash, wrong_hash, no_tombstone, remote;
	uint64_t settle_etag_ns; /* the eTag moves by itself then; 0: no */
	uint64_t stamp;          /* scratch: last delta page that showed it */
	bool dirty;              /* changed since it was saved */
	struct item *next_dirty;
};

struct drive {
	enum drive_kind kind;
	char *id; /* as /me/drive gives it */
	struct item *root;
	struct blob_store *blobs;
	struct collate_rules rules;
	uint64_t next_num, seq;
	struct item *oldest, *newest; /* by seq */
	int64_t used_bytes, binned_bytes, quota_bytes;
	uint64_t nlive;
	struct strmap *by_id, *by_name;
	struct item *dirty; /* list by next_dirty */
};

/* An empty drive with its root. `quota_bytes` 0: unlimited and unknown. */
struct drive *drive_new(enum drive_kind kind, struct blob_store *blobs,
                        int64_t quota_bytes, int64_t now_ns);
void drive_free(struct drive *d); /* freezes the store first */

/* NULL if there is no such live item. Ids are case-sensitive; "root" is one.
 * Names are compared by their fold. */
struct item *drive_find(struct drive *d, const char *id);
struct item *drive_find_any(struct drive *d, const char *id); /* also binned */
struct item *drive_find_num(struct drive *d, uint64_t num);
struct item *drive_child(struct drive *d, const struct item *parent,
                         const char *name);

/* "A/B/c" from `base`; empty path: base itself. On a miss, *out_parent is the
 * deepest folder found and *out_rest the part of `path` that is missing. */
struct item *drive_resolve(struct drive *d, struct item *base, const char *path,
                           struct item **out_parent, const char **out_rest);

/* True if `item` is `folder` or below it (tombstones by where they were). */
bool drive_is_below(const struct item *item, const struct item *folder);

/* "/A/B", "" for the root; percent-encoded if asked for. */
void drive_path(const struct item *item, bool encoded, struct buf *out);

/* True if both names have one fold: one is a spelling of the other. */
bool drive_same_name(struct drive *d, const char *a, const char *b);

/* Changes. Callers have checked that names are free and legal. */
struct item *drive_add(struct drive *d, struct item *parent, const char *name,
                       enum item_type type, int64_t now_ns);
/* Takes over one reference; keeps the old content as a version. */
void drive_set_content(struct drive *d, struct item *item, struct blob *blob,
                       int64_t now_ns);
/* The current content becomes a version of its own, unchanged. */
void drive_add_version(struct drive *d, struct item *item, int64_t now_ns);
void drive_drop_version(struct drive *d, struct item *item, size_t i);
void drive_move(struct drive *d, struct item *item, struct item *parent,
                const char *name, int64_t now_ns);
void drive_bin(struct drive *d, struct item *item, int64_t now_ns);
void drive_destroy(struct drive *d, struct item *item, int64_t now_ns);
void drive_restore(struct drive *d, struct item *item, struct item *parent,
                   const char *name, int64_t now_ns);
/* New eTag and place in the list; metadata was or will be changed by hand. */
void drive_touch(struct drive *d, struct item *item, int64_t now_ns);
/* Another field was set by hand within a change that was already counted. */
void drive_mark_changed(struct drive *d, struct item *item);
/* New eTag without being a change anybody hears of at once. */
void drive_bump_tag(struct drive *d, struct item *item);

/* "x 1.txt": the first that is free (conflictBehavior rename). free(). */
char *drive_free_name(struct drive *d, struct item *parent, const char *name);

/* True if `more` bytes would go over the quota. */
bool drive_is_full(const struct drive *d, int64_t more);

/* ---- for persist.c --------------------------------------------------------
 */

/* An item as stored, not yet in the tree: fields are set by the caller, then
 * drive_adopt_done() gets all of them, by num, links and counts them. It
 * reorders the array. */
struct item *drive_adopt(struct drive *d, const char *id, uint64_t num);
void drive_adopt_done(struct drive *d, struct item **items, size_t n);
/* Takes the items changed since the last call, linked by next_dirty. */
struct item *drive_take_dirty(struct drive *d);

#endif
