/* fs/codec.h -- how plaintext here becomes bytes and names there: the seam
 * between plain folders and vaults.
 *
 * A codec is one table of functions with its state. fs/codec_plain.c is the
 * identity with OneDrive's name mapping; a vault's codec seals (auth/age,
 * auth/names). Callers never ask which one it is, except through the booleans.
 *
 * Chunks are CHUNK_SIZE bytes of plaintext (fs/cfile.h). Sizes in bytes.
 * Threads: any; a reader or writer belongs to one thread at a time. Ciphers
 * burn CPU: not on the network thread. */
#ifndef NMB_CODEC_H
#define NMB_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "fs/node.h"

struct codec;
struct codec_reader;
struct codec_writer;

/* What ties a version of an item to its place (vault: the bind stanza): kept
 * per item, so that an older version put back, or another file's bytes, are
 * noticed. */
#define CODEC_FILE_ID 16
#define CODEC_MAC     16
struct codec_bond {
	bool known;
	uint8_t file_id[CODEC_FILE_ID]; /* the same over all versions */
	uint64_t version;               /* 1, 2, 3 ... */
	uint8_t mac[CODEC_MAC];         /* begins this version's header MAC */
};

/* What a writer needs to make the same bytes again after a crash; opaque, goes
 * into the attempt's row. `secret` is wiped by codec_seed_done(). */
#define CODEC_HEADER_MAX 1024
#define CODEC_SECRET_MAX 64
#define CODEC_TAG        16
struct codec_seed {
	uint8_t header[CODEC_HEADER_MAX];
	size_t header_len;
	uint8_t secret[CODEC_SECRET_MAX];
	size_t secret_len;
	struct codec_bond bond; /* what the version made with it is */
};

/* Reads `len` plaintext bytes at `off` of the generation being sent: exactly
 * that many, or -Exxx. */
typedef int codec_source_fn(void *arg, void *buf, size_t len, uint64_t off);

struct codec_ops {
	const char *name;              /* "plain", "vault" */
	void (*done)(struct codec *c); /* frees `state`; NULL: nothing to */
	bool authenticates;            /* chunks carry a tag */
	bool keeps_attributes; /* mode, link target, mtime ride in the name */
	bool times_in_item;    /* mtime goes into fileSystemInfo */
	bool folds_names;      /* equal-under-collation names are one name */
	uint64_t small_max;    /* sealed bytes up to which one PUT does it */

	/* -- sizes -- */
	uint64_t (*sealed_size)(const struct codec *c, uint64_t plain);
	/* -EBADMSG: no plaintext has that sealed size (damage). */
	int (*plain_size)(const struct codec *c, uint64_t sealed,
	                  uint64_t *out_plain);

	/* -- names -- of a node's local state; `target` of a symlink, else
	 * NULL. `out` takes NODE_REMOTE_MAX + 1. Of a node on the server whose
	 * fields are those of s_name, s_name itself.
	 * -ENAMETOOLONG, -EINVAL (the service refuses it; *out_why: one static
	 * line). */
	int (*seal_name)(const struct codec *c, const struct node *n,
	                 const char *target, char *out, const char **out_why);
	/* UTF-16 units to count for that name in a path (facts/graph.md 11.1),
	 * with room for attributes it may get. Errors as seal_name(). */
	int (*name_units)(const struct codec *c, const struct node *n,
	                  const char *target, unsigned *out_units);
	/* Fills name, and mode, uid, gid, rdev, mtime and `target` (4,096
	 * bytes,
	 * "" if none) as far as the name carries them; the others stay.
	 * -EINVAL: no name of ours: in a vault hide it, in a plain folder show
	 * it under an alias. */
	int (*open_name)(const struct codec *c, const char *remote,
	                 struct node *n, char *target);
	/* A symlink whose target does not fit into its name: it is the item's
	 * content. NULL: never. */
	bool (*target_in_content)(const struct codec *c, const struct node *n,
	                          const char *target);
	/* The key under which the service holds names equal, malloc'ed; NULL
	 * and *out_rc 0: the name itself (vault). */
	char *(*fold)(const struct codec *c, const char *plain, int *out_rc);

	/* -- reading a version of `sealed` bytes; `known`: what is known of the
	 * item's versions, may be all zero -- */
	int (*reader_new)(const struct codec *c, uint64_t sealed,
	                  const struct codec_bond *known,
	                  struct codec_reader **out_r);
	void (*reader_free)(struct codec_reader *r);
	/* Bytes of the sealed file that must be seen before chunks can be
	 * opened, and were not yet: the `i`-th such range (0, 1...), each to be
	 * given to `feed` in one piece, in any order. 1, or 0: no more. */
	int (*reader_needs)(struct codec_reader *r, unsigned i,
	                    uint64_t *out_off, uint64_t *out_len);
	/* -EBADMSG (damaged), -EACCES (not for our keys), -ESTALE (older than
	 * what is known, or another file: `why` for the log). */
	int (*reader_feed)(struct codec_reader *r, uint64_t off,
	                   const void *data, size_t len, const char **out_why);
	/* Chunks that came along with what was fed, one at a time; `plain` is
	 * the reader's, until the next call. 1, or 0: no more. */
	int (*reader_take)(struct codec_reader *r, uint64_t *out_idx,
	                   const void **out_plain, size_t *out_len);
	/* Where chunk `idx` lies. */
	void (*reader_range)(struct codec_reader *r, uint64_t idx,
	                     uint64_t *out_off, uint64_t *out_len);
	/* Opens one chunk; `out` takes CHUNK_SIZE. Plaintext bytes, or -EBADMSG
	 * (damaged). By several threads at once once reader_needs() said 0. */
	ssize_t (*reader_open)(struct codec_reader *r, uint64_t idx,
	                       const void *sealed, size_t len, void *out);
	/* Plaintext size, a claim until reader_needs() said 0. */
	uint64_t (*reader_size)(struct codec_reader *r);
	/* What this version is; known only in a vault. */
	void (*reader_bond)(struct codec_reader *r, struct codec_bond *out);

	/* -- what a header alone says: the first header_size bytes of an item.
	 * 0: there is nothing to know -- */
	size_t header_size;
	int (*read_header)(const struct codec *c, const void *data, size_t len,
	                   struct codec_bond *out, const char **out_why);

	/* -- writing -- `seed` comes back filled if `fresh` (as the version
	 * that follows `base`, which is all zero for a new item), else it is
	 * what an earlier writer of the same generation made. `path`: of the
	 * node, a hint. -ESTALE: what that one began is not to be gone on with:
	 * see writer_is_current(). */
	int (*writer_new)(const struct codec *c, uint64_t plain, bool fresh,
	                  const struct codec_bond *base, const char *path,
	                  struct codec_seed *seed, struct codec_writer **out_w);
	void (*writer_free)(struct codec_writer *w);
	/* False: it seals for keys that are not to be used for new files any
	 * more; start over. NULL: always true. */
	bool (*writer_is_current)(const struct codec *c,
	                          const struct codec_writer *w);
	/* Sealed bytes [off, off + len): exactly that, or -Exxx. -ESTALE: the
	 * plaintext is not what was sealed with this seed before. */
	int (*writer_read)(struct codec_writer *w, codec_source_fn *source,
	                   void *arg, void *buf, size_t len, uint64_t off);
	/* CODEC_TAG bytes for each chunk made so far, from `first` on: how many
	 * of `n` there are. They are kept with the attempt, and after a restart
	 * the same bytes must come again: -ESTALE if not. NULL in both: a codec
	 * without tags. */
	size_t (*writer_tags)(struct codec_writer *w, uint64_t first, size_t n,
	                      void *out);
	int (*writer_expect)(struct codec_writer *w, uint64_t first, size_t n,
	                     const void *tags);
};

struct codec {
	const struct codec_ops *ops;
	void *state;
};

/* OneDrive takes no larger files: "250 GB" (facts/graph.md 1); other clients
 * take that for GiB, and what the service does between the two it says late. */
#define CODEC_FILE_MAX (UINT64_C(250) << 30)

/* True: a file of so many bytes can never be sent. */
static inline bool codec_is_too_big(const struct codec *c, uint64_t plain)
{
	return plain > CODEC_FILE_MAX ||
	       c->ops->sealed_size(c, plain) > CODEC_FILE_MAX;
}

void codec_seed_done(struct codec_seed *seed);

/* Ordinary files under ordinary names. `business`: the stricter name rules. */
int codec_plain_new(bool business, struct codec **out_c);
void codec_free(struct codec *c);

#endif
