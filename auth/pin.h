/* auth/pin.h -- what a device remembers of a vault's descriptor, so that it
 * takes no forged and no old one.
 *
 * age proves that who wrote a descriptor knew a recipient, not that he was a
 * member. The auth key inside is known only to those who could read an earlier
 * genuine descriptor, so each device keeps (facts/names.md C2)
 *
 *	pin = BLAKE2b-256("nmbackupfs/v1/pin" || vault id || auth key),
 *
 * the highest generation seen, and the hash of that generation's document.
 *
 * Enrolment code: vault id and pin, 48 bytes, in Bech32 with the prefix
 * "vault", so that four mistyped characters are noticed for certain: 89
 * characters, "vault1" and 83 more. People write it in either case, with blanks
 * and hyphens wherever they like.
 *
 * None of it is a secret, but who could change it could make the device take a
 * forged descriptor: it rests in the keystore.
 * Pure but for pin_load() and pin_save(); threads: any. */
#ifndef NMB_PIN_H
#define NMB_PIN_H

#include <stddef.h>
#include <stdint.h>

#include "auth/bind.h"
#include "auth/descriptor.h"

struct keystore;

#define PIN_SIZE      32
#define PIN_CODE_SIZE 90    /* characters and NUL */
#define PIN_BLOB_NAME "pin" /* in the keystore */

struct pin {
	uint8_t vault_id[BIND_VAULT_SIZE];
	uint8_t pin[PIN_SIZE];
	uint64_t generation; /* 0: none seen yet (enrolled by code) */
	uint8_t hash[DESCRIPTOR_HASH_SIZE];
};

enum pin_verdict {
	PIN_SAME,        /* the very one that was seen last */
	PIN_NEWER,       /* a later generation: remember it */
	PIN_MOVED,       /* the same, and the auth key has changed */
	PIN_OTHER_VAULT, /* another vault lies there now */
	PIN_FORGED,      /* not by who knows the auth key (or more than one
	                  * change of it was missed) */
	PIN_ROLLED_BACK, /* an earlier generation than was seen */
	PIN_DIFFERS,     /* that generation, with another document: two devices
	                  * wrote one, or somebody forged it */
};

/* `d` is finished. *out_next (may be NULL) is what to remember with the first
 * three verdicts, and a copy of `p` with the others. */
enum pin_verdict pin_check(const struct pin *p, const struct descriptor *d,
                           struct pin *out_next);

/* For who takes `d` on trust, or has just made it. */
void pin_of(const struct descriptor *d, struct pin *out);

/* 0 for the first three, else -Exxx: -EXDEV, -EKEYREJECTED, -ESTALE,
 * -EUCLEAN. */
int pin_verdict_rc(enum pin_verdict v);

/* For people: what it means and what to do; "" for the first three. */
const char *pin_verdict_text(enum pin_verdict v);

/* ---- enrolment code ------------------------------------------------------ */

void pin_format_code(const struct pin *p, char out[PIN_CODE_SIZE]);

/* Generation 0. -EINVAL: no such code, or mistyped. */
int pin_parse_code(const char *text, struct pin *out);

/* ---- at rest ------------------------------------------------------------- */

/* -ENOENT: none yet; -EBADMSG: damaged; -ENOTSUP: written by a newer release;
 * -Exxx of the keystore. */
int pin_load(struct keystore *k, struct pin *out);
int pin_save(struct keystore *k, const struct pin *p);

#endif
