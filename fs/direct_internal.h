/* fs/direct_internal.h -- shared by the direct*.c files only. */
#ifndef NMB_DIRECT_INTERNAL_H
#define NMB_DIRECT_INTERNAL_H

#include "fs/direct.h"
#include "net/quickxor.h"

struct graph_prepared;

/* The line for people. */
void direct_say(struct direct *d, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Sends a prepared call and waits; frees it. `what` begins the line in `why`.
 * out->look: the outcome is unknown, or the tag is old. */
struct direct_answer {
	long status;
	bool look, has_item;
	struct item item;
};
int direct_ask(struct direct *d, struct graph_prepared *p, const char *what,
               struct direct_answer *out);

/* One file on its way up. */
struct put {
	struct direct *d;
	const struct direct_place *at;
	int fd;
	uint64_t size;
	int64_t mtime_ns;
	uint8_t hash[QUICKXOR_SIZE];
	struct item base; /* what has the name; base.id "": nothing */
	unsigned moved;   /* times the tag moved by itself */
	direct_progress_fn *progress;
	void *arg;
};

/* Bytes of the file; -EBUSY: it is shorter by now. */
int put_read(const struct put *p, void *buf, size_t len, uint64_t off);

/* `now` is what was known: the same item with the same content, whatever its
 * tag. */
bool put_is_base(const struct put *p, const struct item *now);

/* The line for an error that has none yet. */
void put_say(struct put *p, int rc);

/* One attempt to send all of it, in place of p->base. On an error out->look
 * says that the outcome is unknown, or the tag was old. */
int put_send(struct put *p, struct direct_answer *out);

#endif
