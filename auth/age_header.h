/* auth/age_header.h -- the header of an age file: built, parsed, opened.
 *
 * A header is text, and all of it is read before anything is authenticated:
 * hence the limits here, which the format doesn't have. Sizes are in bytes.
 * Source: C2SP age.md; facts/age.md 1 to 5, 9.
 *
 * Errors: auth/age_error.h. Threads: any; a parsed header doesn't change.
 * X25519 costs 0.1 ms per stanza and key, scrypt a second and 256 MiB: not on
 * the network thread. */
#ifndef NMB_AGE_HEADER_H
#define NMB_AGE_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/age_error.h"
#include "auth/age_key.h"

struct buf;

#define AGE_FILE_KEY_SIZE 16
#define AGE_MAC_SIZE      32
#define AGE_HEADER_MAX    65536
#define AGE_STANZAS_MAX   64

/* log2 of scrypt's N: what we write (256 MiB), and what is too much to read. */
#define AGE_SCRYPT_LOG_N     18
#define AGE_SCRYPT_LOG_N_MAX 22

struct age_stanza {
	const char *line; /* type and arguments with one space between them:
	                   * "nmbackupfs/bind 1" */
	const uint8_t *body;
	size_t body_len;
};

/* True if the type, the first word, is `type`. */
bool age_stanza_is(const struct age_stanza *s, const char *type);

/* Word `i` (0: the type) and its length; NULL if there are fewer. */
const char *age_stanza_word(const struct age_stanza *s, size_t i,
                            size_t *out_len);

/* ---- building ------------------------------------------------------------ */

/* For whom to seal: for 1 to 64 recipients, or with a passphrase, never both.
 * Extra stanzas come after them. Everything is borrowed. */
struct age_target {
	const struct age_recipient *recipients;
	size_t recipient_count;
	const char *passphrase; /* NULL: recipients */
	unsigned log_n;         /* 0: AGE_SCRYPT_LOG_N */
	const struct age_stanza *extra;
	size_t extra_count;
};

/* Bytes of the header for `n` X25519 recipients and the extra stanzas; depends
 * on nothing else: 70 + 98 n without extra ones. */
size_t age_header_size(size_t n, const struct age_stanza *extra,
                       size_t extra_count);

/* Adds a header to `out`. The file key is 16 fresh random bytes per sealed
 * content, and so are the ephemeral keys made here: two calls never give the
 * same bytes, so who must make the file again keeps the header. 0; -EINVAL:
 * nobody to seal for, or both kinds, an empty passphrase, over the limits, a
 * line or a point that is none; -ENOMEM. On errors out->len is as before. */
int age_header_build(const uint8_t file_key[AGE_FILE_KEY_SIZE],
                     const struct age_target *to, struct buf *out);

/* ---- reading ------------------------------------------------------------- */

struct age_header; /* opaque */

/* `data` is the beginning of a file, as much as is there; it may go on after
 * the header. 0; -EAGAIN: good so far, but it ends later (at the end of the
 * file that means AGE_BAD_HEADER); AGE_BAD_HEADER, also over the limits, if a
 * stanza of a type we know is malformed, or if a scrypt stanza isn't alone;
 * -ENOMEM. */
int age_header_parse(const void *data, size_t len, struct age_header **out_h);
void age_header_free(struct age_header *h); /* takes NULL */

/* Through its last line feed: the payload's nonce comes next. */
size_t age_header_len(const struct age_header *h);
const uint8_t *age_header_mac(const struct age_header *h); /* AGE_MAC_SIZE */

size_t age_header_count(const struct age_header *h);
const struct age_stanza *age_header_stanza(const struct age_header *h,
                                           size_t i);

/* The first stanza of that type, or NULL; *out_count (may be NULL): how many
 * there are. */
const struct age_stanza *age_header_find(const struct age_header *h,
                                         const char *type, size_t *out_count);

/* True if it takes a passphrase to open it. */
bool age_header_wants_passphrase(const struct age_header *h);

/* What to open with; borrowed. */
struct age_keys {
	struct age_identity *const *ids;
	size_t id_count;
	const char *passphrase; /* NULL: none */
};

/* The file key, after the header's MAC was found right. *out_which (may be
 * NULL) is the index of the identity that opened it, id_count if it was the
 * passphrase. 0, AGE_NO_MATCH, AGE_NEED_PASSPHRASE, AGE_BAD_PASSPHRASE,
 * AGE_WORK_TOO_HIGH, AGE_NO_MEMORY, AGE_BAD_HEADER (a share that is no point of
 * use), AGE_BAD_MAC. `out_file_key` is wiped on errors. */
int age_header_open(const struct age_header *h, const struct age_keys *keys,
                    uint8_t out_file_key[AGE_FILE_KEY_SIZE], size_t *out_which);

#endif
