/* tests/graphd/locate.h -- from an address to an item, and the checks that
 * most changes begin with.
 *
 * All answer the request themselves when they return NULL or false.
 * Threads: lock. Source: facts/graph.md 2.1, 2.4, 3, 11. */
#ifndef NMB_TESTS_GRAPHD_LOCATE_H
#define NMB_TESTS_GRAPHD_LOCATE_H

#include "tests/graphd/graphd.h"

/* The live item the request is about. */
struct item *locate_item(struct graphd *g, const struct request *req,
                         struct answer *out);

/* Where a new or replaced file goes: for "{parent}:/{a/b/name}:" and for
 * "{id}". Missing folders on the way are made, as the service does. */
struct target {
	struct item *item;   /* what is there now; NULL: nothing */
	struct item *parent; /* NULL: addressed by id */
	char *name;          /* as sent; NULL: addressed by id */
};
bool locate_target(struct graphd *g, const struct request *req,
                   struct answer *out, struct target *t);
void locate_target_done(struct target *t);

/* What `name` below `parent` may be called. */
bool locate_check_name(struct graphd *g, struct answer *out,
                       const struct item *parent, const char *name,
                       bool is_folder);

/* The name as it would be stored (quirk strip_trailing); free(). */
char *locate_stored_name(struct graphd *g, const char *name);

/* 409 because of `there`. */
void locate_name_taken(struct graphd *g, struct answer *out,
                       const struct item *there, const char *name);

/* If-Match against the item's eTag and cTag. */
bool locate_if_match(struct graphd *g, const struct request *req,
                     struct answer *out, struct item *item);

/* 423 for an item a test has locked. */
bool locate_unlocked(struct answer *out, const struct item *item);

/* 507 if `more` bytes don't fit. */
bool locate_room(struct graphd *g, struct answer *out, int64_t more);

enum conflict {
	CONFLICT_FAIL,
	CONFLICT_REPLACE,
	CONFLICT_RENAME,
};

/* From the query, else from a body or its member "item"; `def` if none. */
enum conflict locate_conflict(const struct request *req, const cJSON *body,
                              enum conflict def);

/* A client time, cut to what this drive keeps. False: 400. Missing: *out_ns
 * stays. */
bool locate_time(struct graphd *g, struct answer *out, const cJSON *info,
                 const char *name, int64_t *out_ns);

#endif
