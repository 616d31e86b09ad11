/* auth/age_stanza.h -- a file key wrapped for one recipient, as a stanza.
 *
 * The two kinds we have: X25519 (facts/age.md 4) and scrypt (facts/age.md 9).
 * Both end in the same 32 bytes: the file key, sealed with a wrap key that is
 * used once. Internal to auth/age_*. Threads: any. */
#ifndef NMB_AGE_STANZA_H
#define NMB_AGE_STANZA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/age_header.h"

struct buf;

#define AGE_BODY_SIZE 32 /* of both kinds: file key and tag */
#define AGE_SALT_SIZE 16

/* A full line of a body. */
#define AGE_LINE_BYTES 48
#define AGE_LINE_CHARS 64

/* Adds "-> line", the body in lines of 64 characters, and the line shorter than
 * that which ends it. Memory: buf's `failed`. */
void age_stanza_add(struct buf *out, const char *line, const uint8_t *body,
                    size_t len);

/* 0, or AGE_BAD_HEADER: of a type we know, but not as it must be. */
int age_stanza_check(const struct age_stanza *s);

/* 0, -EINVAL: `r` is a point of low order, -ENOMEM. */
int age_x25519_wrap(const uint8_t file_key[AGE_FILE_KEY_SIZE],
                    const struct age_recipient *r, struct buf *out);

/* 0; AGE_NO_MATCH: not for this identity; AGE_BAD_HEADER: its share is a point
 * of low order. `s` passed age_stanza_check(). */
int age_x25519_unwrap(const struct age_stanza *s, const struct age_identity *id,
                      uint8_t out_file_key[AGE_FILE_KEY_SIZE]);

/* 0, -EINVAL: no passphrase, or `log_n` over the limit; -ENOMEM. */
int age_scrypt_wrap(const uint8_t file_key[AGE_FILE_KEY_SIZE],
                    const char *passphrase, unsigned log_n, struct buf *out);

/* 0, AGE_BAD_PASSPHRASE, AGE_WORK_TOO_HIGH, AGE_NO_MEMORY. */
int age_scrypt_unwrap(const struct age_stanza *s, const char *passphrase,
                      uint8_t out_file_key[AGE_FILE_KEY_SIZE]);

#endif
