/* auth/age_key.h -- X25519 keys of age: identities (secret), recipients
 * (public), and their text.
 *
 * Text is Bech32: "AGE-SECRET-KEY-1..." in upper case, "age1..." in lower case;
 * the other case is refused, as age does. An identity file has one identity
 * per line; empty lines and lines that start with "#" don't count.
 * Source: C2SP age.md, "The X25519 recipient type"; facts/age.md 11.
 *
 * Secrets are in sodium_malloc() memory, wiped when freed. sodium_init() comes
 * first. Errors: auth/age_error.h. Threads: any; the objects don't change. */
#ifndef NMB_AGE_KEY_H
#define NMB_AGE_KEY_H

#include <stddef.h>
#include <stdint.h>

#include "auth/age_error.h"

#define AGE_KEY_SIZE       32 /* bytes of either half */
#define AGE_RECIPIENT_TEXT 63 /* characters and NUL */
#define AGE_IDENTITY_TEXT  75

struct age_recipient {
	uint8_t point[AGE_KEY_SIZE];
};

struct age_identity {                 /* in sodium_malloc() memory */
	uint8_t secret[AGE_KEY_SIZE]; /* as drawn, unclamped */
	struct age_recipient recipient;
};

/* A fresh one. 0 or -ENOMEM. Freed with age_identity_free(), takes NULL. */
int age_identity_new(struct age_identity **out_id);
void age_identity_free(struct age_identity *id);

/* Of 32 secret bytes; the caller wipes his own. 0 or -ENOMEM. */
int age_identity_from_secret(const uint8_t secret[AGE_KEY_SIZE],
                             struct age_identity **out_id);

/* `len` characters, nothing around them. 0, AGE_BAD_KEY, AGE_FOREIGN_KEY (an
 * identity of a kind we don't have), -ENOMEM. */
int age_identity_parse(const char *text, size_t len,
                       struct age_identity **out_id);

/* A secret: `out` belongs into sodium_malloc() memory, or gets wiped. */
void age_identity_format(const struct age_identity *id,
                         char out[AGE_IDENTITY_TEXT]);

/* 0, AGE_BAD_KEY, AGE_FOREIGN_KEY. */
int age_recipient_parse(const char *text, size_t len,
                        struct age_recipient *out);
void age_recipient_format(const struct age_recipient *r,
                          char out[AGE_RECIPIENT_TEXT]);

/* A recipient whose identity nobody has, to fill a slot: nobody can tell it
 * from one in use. */
void age_recipient_throwaway(struct age_recipient *out);

/* ---- several identities -------------------------------------------------- */

struct age_identities { /* { 0 } has none */
	struct age_identity **ids;
	size_t count;
};
void age_identities_done(struct age_identities *l);

/* Takes over `id`, also on -ENOMEM (then it is freed). */
int age_identities_add(struct age_identities *l, struct age_identity *id);

/* The text of an identity file. 0; AGE_BAD_KEY, also if there is none in it;
 * AGE_FOREIGN_KEY; -ENOMEM. On an error *out_line (may be NULL) is the line,
 * counted from 1, or 0 if it is about the whole. For one that may be sealed
 * with a passphrase: age_identities_read() in auth/age.h. */
int age_identities_parse(const char *text, size_t len,
                         struct age_identities *out, unsigned *out_line);

#endif
