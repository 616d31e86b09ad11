/* auth/bind.h -- what ties a sealed file to its vault and to its version.
 *
 * age says that nobody damaged a file, not that it is the right one, nor that a
 * member made it. So each file of a vault carries one more stanza,
 *
 *	-> nmbackupfs/bind 1
 *	base64(body), 88 bytes
 *
 * whose body is sealed with a key that takes both the file key and the vault's
 * auth key (facts/names.md C4):
 *
 *	key  = HKDF(ikm file key, salt auth key, info "nmbackupfs/v1/bind")
 *	body = ChaCha20-Poly1305-IETF(key, nonce 0, AD vault id, 72 bytes)
 *
 *	 0  16  file id, random, the same in all versions and after renames
 *	16   8  version, LE64, 1, 2, 3 ...
 *	24   8  plaintext size, LE64
 *	32   8  time of sealing, ns since 1970, LE64 signed
 *	40  16  path tag: where the file was when it was sealed; only a hint
 *	56  16  first half of the previous version's header MAC; zeros in 1
 *
 * The header's MAC covers the stanza; who lacks the auth key can't make one,
 * even if he knows all recipients. A file key is fresh for each content, so the
 * constant nonce is.
 *
 * Pure; threads: any. Sizes in bytes. */
#ifndef NMB_BIND_H
#define NMB_BIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/age_header.h"

#define BIND_STANZA     "nmbackupfs/bind" /* its type */
#define BIND_LINE       BIND_STANZA " 1"
#define BIND_BODY_SIZE  88
#define BIND_ID_SIZE    16
#define BIND_TAG_SIZE   16
#define BIND_PREV_SIZE  16
#define BIND_AUTH_SIZE  32 /* auth key */
#define BIND_VAULT_SIZE 16 /* vault id */

struct bind_fields {
	uint8_t file_id[BIND_ID_SIZE];
	uint64_t version;
	uint64_t size; /* of the plaintext */
	int64_t sealed_ns;
	uint8_t path_tag[BIND_TAG_SIZE];
	uint8_t previous[BIND_PREV_SIZE];
};

/* Of a vault: what seals the stanzas. `auth_key` is a secret. */
struct bind_key {
	uint8_t vault_id[BIND_VAULT_SIZE];
	uint8_t auth_key[BIND_AUTH_SIZE];
};

void bind_seal(const struct bind_key *k,
               const uint8_t file_key[AGE_FILE_KEY_SIZE],
               const struct bind_fields *f, uint8_t out[BIND_BODY_SIZE]);

/* 0 or -EBADMSG: of another vault, or forged. */
int bind_open(const struct bind_key *k,
              const uint8_t file_key[AGE_FILE_KEY_SIZE], const void *body,
              size_t len, struct bind_fields *out);

/* `path`: plain, below the vault's folder, parts separated by '/', none in
 * front. */
void bind_path_tag(const struct bind_key *k, const char *path,
                   uint8_t out[BIND_TAG_SIZE]);

/* ---- what a reader makes of it ------------------------------------------- */

/* What this device knows of the file at that place. */
struct bind_known {
	bool known; /* false: nothing, the rest doesn't count */
	uint8_t file_id[BIND_ID_SIZE];
	uint64_t version;
	uint8_t mac[BIND_PREV_SIZE]; /* first half of its header's MAC */
};

/* A fork is read, and said in the log; no copy is made of the other side. Every
 * replace is guarded by the item's tag, so two from one version come about only
 * where the service let both through, or on drives that move tags for no
 * reason, where one is sent unguarded within two seconds of a look (design:
 * promise 3). Both are then versions of the one item on OneDrive, which keeps
 * the other one and gives it back: nothing is lost. A copy made by whoever
 * notices would be made by each device that had read the other side, under a
 * name of its own, and again after a person has put things right; whereas what
 * is changed here and not sent yet is never in that state, it leaves by copy
 * (fs/merge.h) before. */
enum bind_verdict {
	BIND_FINE,        /* the version known, byte for byte */
	BIND_NEWER,       /* a later one */
	BIND_UNKNOWN,     /* nothing to compare with: remember it */
	BIND_ROLLED_BACK, /* an earlier one: EIO unless a person wants that */
	BIND_FORKED,      /* as new as the one known or the next after it, but
	                   * not that one and not made from it: see below */
	BIND_SWAPPED,     /* another file: to be believed only if the change
	                   * came as a creation or a move */
};

/* `mac`: the first BIND_PREV_SIZE bytes (or all) of the header's MAC. */
enum bind_verdict bind_judge(const struct bind_known *known,
                             const struct bind_fields *f, const uint8_t *mac);

/* For a log: "fine", "rolled-back"... */
const char *bind_verdict_name(enum bind_verdict v);

#endif
