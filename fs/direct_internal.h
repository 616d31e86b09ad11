/* fs/direct_internal.h -- shared by the direct*.c files only.
 *
 *	direct.c        opening, one request
 *	direct_vault.c  membership, the newest descriptor, known versions
 *	direct_find.c   names
 *	direct_range.c  bytes down
 *	direct_get.c    content down
 *	direct_versions.c  what an item was
 *	direct_put.c    content up: look, send, verify, rename
 *	direct_seal.c   the file as the service gets it
 *	direct_send.c   one attempt of that
 *	direct_raw.c    items and bytes as they are there
 *	direct_feed.c   all of them by one enumeration */
#ifndef NMB_DIRECT_INTERNAL_H
#define NMB_DIRECT_INTERNAL_H

#include "fs/codec.h"
#include "fs/direct.h"
#include "net/graph.h"
#include "net/quickxor.h"

/* The line for people. */
void direct_say(struct direct *d, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* The line for an answer; `what` begins it. */
void direct_say_answer(struct direct *d, const char *what,
                       const struct graph_answer *a, int rc);

/* For graph_prepare_xxx(): somebody waits for the answer. */
struct graph_prepared direct_call(void);

/* Sends it and waits; the caller frees both. */
int direct_wait(struct direct *d, struct graph_prepared *p,
                struct graph_result *r);

/* The same for one item; frees `p`. out->look: the outcome is unknown, or the
 * tag is old. */
struct direct_answer {
	long status;
	bool look, has_item;
	struct item item;
};
int direct_ask(struct direct *d, struct graph_prepared *p, const char *what,
               struct direct_answer *out);

/* And for a GET of one item. -ENOENT. */
int direct_ask_item(struct direct *d, struct graph_prepared *p,
                    const char *what, struct item *out);

/* ---- vaults -------------------------------------------------------------- */

int direct_enter_vault(struct direct *d, bool make);

/* These do nothing in a plain folder. */
void direct_leave_vault(struct direct *d);

/* Nothing is sealed with a descriptor that was replaced (facts/security.md
 * note 12): looks, and takes over a new one. */
int direct_newest(struct direct *d);

/* The newest version of an item that this machine knows of; all zero if
 * none. */
void direct_known_bond(struct direct *d, const char *item_id,
                       struct codec_bond *out);

/* ---- down ---------------------------------------------------------------- */

/* A range of them, in order. `dl`: opened for what is meant. */
struct download;
int direct_read_range(const struct direct *d, struct download *dl, uint64_t off,
                      uint64_t len, direct_sink_fn *sink, void *arg);

/* The line for what such a thing ended with. */
void direct_say_transfer(struct direct *d, const struct direct_file *f, int rc);

/* Bytes of an item as the service has them. */
int direct_download(struct direct *d, const struct direct_file *f, uint64_t off,
                    uint64_t len, direct_sink_fn *sink, void *sink_arg);

/* ---- up ------------------------------------------------------------------ */

/* One file on its way up. */
struct put {
	struct direct *d;
	const struct direct_place *at;
	int fd;
	mode_t mode; /* with the type bits */
	uint64_t size;
	int64_t mtime_ns;
	bool changed; /* the file, while it was read */

	struct codec_writer *writer;
	uint64_t sealed; /* bytes on the server */
	uint8_t hash[QUICKXOR_SIZE];
	char name[NODE_REMOTE_MAX + 1]; /* on the server, in the end */

	struct direct_file base; /* what has the name; item.id "": nothing */
	unsigned moved;          /* times the tag moved by itself */
	direct_progress_fn *progress;
	void *arg;
};

/* direct_seal.c, in the order of the calls. put_stat(): size, times, mode. */
int put_stat(struct put *p, mode_t mask);

/* p->name, after p->base is known: as it is, unless that would say something
 * else of the file. */
int put_name(struct put *p);

/* p->writer, for the version that follows p->base. */
int put_seal(struct put *p);

/* Before it is sent: a range that has to be sent again must not count twice,
 * and the answer is compared with what was here at the start. From here on
 * sealed bytes come again as they were, or not at all. */
int put_hash(struct put *p);

bool put_file_changed(const struct put *p);

/* Bytes as they are sent; -EBUSY: the file has changed. */
int put_read(struct put *p, void *buf, size_t len, uint64_t off);

/* `now` is what was known: the same item with the same content, whatever its
 * tag. */
bool put_is_base(const struct put *p, const struct item *now);

/* The line for an error that has none yet. */
void put_say(struct put *p, int rc);

/* One attempt to send all of it, in place of p->base. On an error out->look
 * says that the outcome is unknown, or the tag was old. */
int put_send(struct put *p, struct direct_answer *out);

#endif
