/* tests/graphd/session.h -- upload sessions, with every rule of theirs.
 *
 * A fragment takes three steps: session_begin() when its header is there
 * (refusals are decided then), draft_write() without any lock while the body
 * comes, session_end() when it is whole. A fragment that breaks off is simply
 * not ended: its bytes are dropped by the next one.
 *
 * Threads: all with graphd.lock. Source: facts/graph.md 5. */
#ifndef NMB_TESTS_GRAPHD_SESSION_H
#define NMB_TESTS_GRAPHD_SESSION_H

#include "tests/graphd/graphd.h"
#include "tests/graphd/range.h"

struct sessions;

struct sessions *sessions_new(void);
void sessions_free(struct graphd *g); /* the files stay */

/* POST .../createUploadSession */
void session_create(struct graphd *g, const struct request *req,
                    struct answer *out);

struct fragment {
	char guid[37];
	struct draft *draft; /* a reference */
	unsigned ticket;
	struct range_content range;
};

/* `fd`: the client's socket, to tell a dead request from a parallel one.
 * False: refused, `out` is filled. */
bool session_begin(struct graphd *g, const struct request *req, int fd,
                   struct answer *out, struct fragment *out_f);
void session_end(struct graphd *g, const struct request *req,
                 struct answer *out, struct fragment *f);
/* Also after session_end(). `broken`: it was not ended. */
void session_leave(struct graphd *g, struct fragment *f);

void session_status(struct graphd *g, const struct request *req,
                    struct answer *out);
void session_cancel(struct graphd *g, const struct request *req,
                    struct answer *out);
void session_commit(struct graphd *g, const struct request *req,
                    struct answer *out);
/* PUT of JSON with sourceUrl on the item's path: personal (5.4). */
void session_commit_put(struct graphd *g, const struct request *req,
                        struct answer *out);

/* From the control interface: all (target NULL) or that of one URL. 404 is
 * what they answer then; `token`: 401 (5.3). Returns how many. */
unsigned session_expire(struct graphd *g, const char *target, bool token);
/* Name of the item a URL is for, "" if unknown; free(). */
char *session_name(struct graphd *g, const char *target);
cJSON *session_dump(struct graphd *g);

/* For persist.c. */
cJSON *session_save(struct graphd *g);
void session_load(struct graphd *g, const cJSON *list);

#endif
