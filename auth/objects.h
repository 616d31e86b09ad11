/* auth/objects.h -- small files on the drive, whole and by waiting calls.
 *
 * For the few objects that a vault keeps beside its tree: kilobytes, read and
 * written seldom, and never to be lost. What was sent or came is compared by
 * size and quickXorHash, and a name by its code units; an outcome that nobody
 * knows is looked up; a tag that moved though nothing changed is no conflict
 * (facts/graph.md 2.1, 2.4, 4).
 *
 * Threads: any, but not the network's; the struct is only read. Errors: 0 or
 * -Exxx. `why`, if there is one, gets one line for people. */
#ifndef NMB_OBJECTS_H
#define NMB_OBJECTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/graph.h"

struct buf;

#define OBJECTS_ID_MAX   255 /* bytes */
#define OBJECTS_NAME_MAX 1023
#define OBJECTS_ETAG_MAX 511

struct objects {
	struct graph *graph;
	int64_t patience_ms; /* for one request: how long a service or network
	                      * that is not there is waited for */
	char *why;           /* or NULL */
	size_t why_size;
};

struct object {
	char id[OBJECTS_ID_MAX + 1];
	char parent_id[OBJECTS_ID_MAX + 1];
	char name[OBJECTS_NAME_MAX + 1];
	char etag[OBJECTS_ETAG_MAX + 1];
	bool is_folder, is_file; /* neither: a notebook and the like */
	bool has_hash;           /* files; missing for a moment at times */
	uint8_t hash[GRAPH_HASH_SIZE];
	uint64_t size;
};

/* Writes the line for people. */
void objects_say(const struct objects *o, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* -EBADMSG: it lacks what it must have, or something is too long. */
int object_copy(const struct graph_item *item, struct object *out);

/* The same content, as far as size and hash tell. */
bool object_same(const struct object *a, const struct object *b);

/* -ENOENT */
int objects_get(const struct objects *o, const char *id, struct object *out);

/* -ENOENT; -EEXIST: something of another name that the service holds equal. */
int objects_find(const struct objects *o, const char *parent_id,
                 const char *name, struct object *out);

/* Gives each child of a folder to `each`, which ends it with anything but 0;
 * that comes back. A list is no snapshot: what changes meanwhile may be missed,
 * or come twice. */
typedef int objects_each_fn(void *arg, const struct object *child);
int objects_list(const struct objects *o, const char *folder_id,
                 objects_each_fn *each, void *arg);

/* -EEXIST: the name is taken, whatever by. */
int objects_mkdir(const struct objects *o, const char *parent_id,
                  const char *name, struct object *out);
int objects_create(const struct objects *o, const char *parent_id,
                   const char *name, const void *data, size_t len,
                   struct object *out);

/* New content of an object as it is known. -ESTALE: it has changed meanwhile,
 * or it is gone; nothing was written. */
int objects_replace(const struct objects *o, const struct object *known,
                    const void *data, size_t len, struct object *out);

/* 0 also if it is gone; -ESTALE: it has changed. */
int objects_delete(const struct objects *o, const struct object *known);

/* Adds the content to `out`. -EFBIG: more than `max` bytes; -ESTALE: it has
 * changed meanwhile, or is gone; -EBADMSG: other bytes came than the service
 * has. */
int objects_read(const struct objects *o, const struct object *known,
                 size_t max, struct buf *out);

#endif
