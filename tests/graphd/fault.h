/* tests/graphd/fault.h -- trouble by rule.
 *
 * A rule says which requests it is for, how often, and what happens to them;
 * it counts how often it did, so that a test can tell a fault that was survived
 * from one that never came. The first rule that matches is the one that acts.
 * The JSON form is documented in control.h. Threads: lock. */
#ifndef NMB_TESTS_GRAPHD_FAULT_H
#define NMB_TESTS_GRAPHD_FAULT_H

#include "tests/graphd/graphd.h"

struct exchange;
struct faults;

struct faults *faults_new(void);
void faults_free(struct faults *f);

/* One rule or an array of them. -EINVAL: *out_why says what is wrong, nothing
 * was added. */
int faults_add(struct faults *f, const cJSON *json, const char **out_why);
/* `name` NULL: all. Returns how many. */
unsigned faults_remove(struct faults *f, const char *name);
uint64_t faults_fired(const struct faults *f, const char *name);
/* With "seen" (matched) and "fired". */
cJSON *faults_dump(const struct faults *f);

enum fault_drop {
	DROP_NONE,
	DROP_BEFORE, /* no effect, no answer */
	DROP_AFTER,  /* effect, no answer */
};

struct fault_hit {
	bool fired;
	bool effect; /* the request takes effect in spite of `status` */
	int status;  /* 0: the true answer */
	char code[64], inner[64];
	char *body; /* instead of an error body; NULL: error body */
	size_t body_len;
	char *type;
	uint64_t fill;  /* the body is that many times its first byte */
	cJSON *headers; /* to be added, "Retry-After" and such */
	enum fault_drop drop;
	bool reset;      /* RST, not FIN */
	int64_t drop_at; /* after that many bytes of the request's body; -1 */
	int64_t delay_ms;
	int64_t stall_ms;    /* 0: none */
	int64_t stall_at;    /* byte of the answer's body; -1: before headers */
	int64_t truncate_at; /* of the answer's body; -1: not */
	int64_t corrupt_at;
	int64_t bytes_per_s; /* of the answer; 0: as usual */
	char expire[16];     /* session, session_token, url, access */
	char hash[8];        /* none, wrong: in the answer's items */
	char range[8];       /* ignore, shift */
	bool bump_tag;       /* of the item, before */
	char wire[16];       /* FAULT_WIRE_KINDS: instead of HTTP */
	cJSON *edits;        /* fault_edit(); NULL: none */
};

void fault_hit_init(struct fault_hit *hit); /* nothing happens */
/* Counts and decides. */
void fault_match(struct graphd *g, const struct request *req,
                 struct fault_hit *out);
void fault_hit_done(struct fault_hit *hit);

/* Before the handler: expiries and tags. */
void fault_prepare(struct graphd *g, const struct request *req,
                   const struct fault_hit *hit);
/* True: the handler is not to run. */
bool fault_replaces(const struct fault_hit *hit);
/* After it, or instead: puts the hit's answer in place of the true one. */
void fault_apply(const struct fault_hit *hit, const struct request *req,
                 struct answer *out);

/* Of a part of a $batch: what befalls a connection befalls that of the whole.
 * Moves it from `part` to `whole`. */
void fault_move_out(struct fault_hit *part, struct fault_hit *whole);

/* hit.wire: writes what is no HTTP, or not to its end, straight onto the
 * socket, which is cut then. */
void fault_wire_send(struct exchange *x);

#endif
