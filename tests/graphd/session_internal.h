/* tests/graphd/session_internal.h -- shared by session.c (opening, commit) and
 * session_send.c (what comes on the upload URL). */
#ifndef NMB_TESTS_GRAPHD_SESSION_INTERNAL_H
#define NMB_TESTS_GRAPHD_SESSION_INTERNAL_H

#include "tests/graphd/put.h"
#include "tests/graphd/session.h"

#define SESSION_GRANULE      327680
#define SESSION_MAX_FRAGMENT (60 << 20) /* the promise; less than that */

struct session {
	struct session *next;
	char guid[37];
	char *target; /* path and query of the URL, byte for byte */

	uint64_t item_num;   /* replaced item; 0: by parent and name */
	uint64_t parent_num; /* 0: by id */
	char *name;
	enum conflict how;
	bool guarded;    /* there was an If-Match: the tag must still hold */
	unsigned etag_n; /* of the item after opening */
	bool doomed;     /* quirk tag_on_open 2: the end will be 412 */
	bool defer;
	int64_t fs_created_ns, fs_modified_ns;
	char *description;

	int64_t total; /* bytes; -1: no fragment yet */
	bool bad_granule;
	int64_t expires_ns, url_expires_ns; /* url: 0 for never */
	struct draft *draft;
	struct blob *blob; /* all bytes are there, but no item yet */

	/* The fragment under way; fd -1: none. */
	int fd;
	unsigned ticket;
};

struct sessions {
	struct session *first;
};

struct session *session_find(struct graphd *g, const char *guid);
void session_free(struct session *s);
void session_drop(struct graphd *g, struct session *s);

/* Creates or replaces the item. The session ends if that works. */
void session_finish(struct graphd *g, const struct request *req,
                    struct answer *out, struct session *s);

#endif
