/* auth/sealed_box.h -- the sealed file: named blobs under a passphrase.
 *
 *    0   8  "nmbkeys1"
 *    8   4  Argon2id: passes     (crypto_pwhash opslimit)
 *   12   4  Argon2id: memory, KiB
 *   16  16  Argon2id: salt
 *   32  16  key check
 *   48  16  BLAKE2b-128 of bytes 0..47: tells damage from a wrong passphrase
 *   64  24  nonce, new with each write
 *   88   n  XChaCha20-Poly1305-IETF; additional data: bytes 0..63
 *
 * Numbers are little-endian. Argon2id (version 1.3, one lane) makes 32 bytes
 * of the passphrase; crypto_kdf with context "nmbkeys1" makes the key (subkey
 * 1) and the key check (subkey 2) of these. The check gives a guesser nothing
 * that the tag of the cipher would not.
 * Sealed are, for each blob: length of the name (1), name, length (4), blob.
 *
 * Pure; threads: any. Everything in a file may be hostile: the parameters are
 * checked before they cost anything. Errors: 0 or -Exxx. */
#ifndef NMB_SEALED_BOX_H
#define NMB_SEALED_BOX_H

#include <stddef.h>
#include <stdint.h>

#include "auth/keystore.h"

#define SEALED_HEAD     64
#define SEALED_MIN      (SEALED_HEAD + 24 + 16)
#define SEALED_MAX_TEXT (6 * KEYSTORE_MAX_BLOB)
#define SEALED_MAX      (SEALED_MIN + SEALED_MAX_TEXT)

struct sealed_key {
	uint8_t head[SEALED_HEAD]; /* bytes 0..63 of every file it is for */
	uint8_t *key;              /* 32 bytes, sodium_malloc() */
};
void sealed_key_done(struct sealed_key *k);

/* A key with a new salt. -ENOMEM, also if `mem_kib` is not to be had. */
int sealed_key_new(const char *passphrase, size_t len, uint32_t passes,
                   uint32_t mem_kib, struct sealed_key *out);

/* The key of a file. -EBADMSG: damaged, or parameters that nobody chose;
 * -EKEYREJECTED: another passphrase; -ENOMEM. */
int sealed_key_of(const uint8_t *file, size_t file_len, const char *passphrase,
                  size_t len, struct sealed_key *out);

/* `file` has room for SEALED_MAX. -EFBIG. */
int sealed_close(const struct sealed_key *k, const uint8_t *text, size_t len,
                 uint8_t *file, size_t *out_len);

/* `text` has room for SEALED_MAX_TEXT. -EBADMSG: damaged; -EKEYREJECTED: not
 * the key of this file. */
int sealed_open(const struct sealed_key *k, const uint8_t *file,
                size_t file_len, uint8_t *text, size_t *out_len);

/* ---- what is in there ---------------------------------------------------- */

/* *out_blob points into `text`. -ENOENT; -EBADMSG: no such text. */
int sealed_find(const uint8_t *text, size_t len, const char *name,
                const uint8_t **out_blob, size_t *out_len);

/* Replaces, adds, or (blob NULL) takes out; in place: `text` has room for
 * SEALED_MAX_TEXT. -EFBIG: no change. */
int sealed_edit(uint8_t *text, size_t *len, const char *name, const void *blob,
                size_t blob_len);

#endif
