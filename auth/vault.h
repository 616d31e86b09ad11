/* auth/vault.h -- an opened vault: the keys that seal and open its files.
 *
 * Made from one generation of the descriptor, never changes, counted. When a
 * new generation comes, a new vault takes its place in the struct vault_slot
 * from which everybody gets it; who is at work keeps his reference.
 *
 * A file's header has DESCRIPTOR_HEADER_LEN bytes: slot 1 for the active epoch,
 * slot 2 for the recovery key or, without one, for nobody, then the bind stanza
 * (auth/bind). The payload is auth/age_payload.h's.
 *
 * Errors are kept apart: those of auth/age_error.h, and the two below. All of
 * them are EIO or EACCES for who reads the file; vault_strerror() is for the
 * log.
 * Threads: any. Opening costs 0.1 ms per key tried: not on the network
 * thread. Sizes in bytes. */
#ifndef NMB_VAULT_H
#define NMB_VAULT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/age_error.h"
#include "auth/age_header.h"
#include "auth/bind.h"
#include "auth/descriptor.h"

struct vault; /* opaque */

enum vault_error {
	VAULT_UNBOUND = -ENODATA, /* no bind stanza: made by stock age */
	VAULT_FORGED = -EUCLEAN,  /* a bind stanza that is not of this vault's
	                           * members, more than one, or damaged */
};

/* One line without a full stop, of these, auth/age_error.h's and other
 * errnos. */
const char *vault_strerror(int rc);

/* `d` is finished and was accepted (auth/pin). `recovery`: an identity that is
 * tried after those of the epochs, or NULL; both are copied. -EINVAL, -ENOMEM.
 * The caller has the first reference. */
int vault_new(const struct descriptor *d, const struct age_identity *recovery,
              struct vault **out_v);
struct vault *vault_ref(struct vault *v);
void vault_unref(struct vault *v); /* takes NULL; wipes with the last one */

const uint8_t *vault_id(const struct vault *v); /* BIND_VAULT_SIZE */
uint64_t vault_generation(const struct vault *v);
bool vault_is_read_only(const struct vault *v); /* of a newer release */
size_t vault_header_len(const struct vault *v);
const struct seal_names *vault_names(const struct vault *v); /* lives as v */
uint32_t vault_epoch(const struct vault *v);                 /* the active */
bool vault_has_recovery(const struct vault *v); /* slot 2 is somebody's */

/* See bind_path_tag(). */
void vault_path_tag(const struct vault *v, const char *path,
                    uint8_t out[BIND_TAG_SIZE]);

/* ---- headers ------------------------------------------------------------- */

/* `file_key`: 16 fresh random bytes per content. Writes vault_header_len()
 * bytes, other ones each time: who must make the file again keeps them. The MAC
 * (may be NULL) goes into the next version's `previous`. -EROFS: read-only;
 * -ENOMEM. */
int vault_seal_header(const struct vault *v,
                      const uint8_t file_key[AGE_FILE_KEY_SIZE],
                      const struct bind_fields *f,
                      uint8_t out[DESCRIPTOR_HEADER_LEN],
                      uint8_t out_mac[AGE_MAC_SIZE]);

struct vault_opened {
	uint8_t file_key[AGE_FILE_KEY_SIZE]; /* a secret */
	size_t header_len; /* may differ from vault_header_len(): then the size
	                    * in a listing misleads */
	uint8_t mac[AGE_MAC_SIZE];
	uint32_t epoch; /* whose key opened it; 0: the recovery key */
	bool bound;     /* false: no bind stanza, `bind` is zero */
	struct bind_fields bind;
};

enum vault_flags {
	VAULT_ALLOW_UNBOUND = 1, /* files without a bind stanza too */
};

/* The beginning of a file, `len` bytes of it. 0; -EAGAIN: the header goes on
 * behind them; AGE_BAD_HEADER, AGE_NO_MATCH, AGE_BAD_MAC, VAULT_UNBOUND,
 * VAULT_FORGED; -ENOMEM. What the bind stanza says is to be compared with what
 * is known (bind_judge()), its size with that of the authenticated content. On
 * errors *out is wiped. */
int vault_open_header(const struct vault *v, const void *data, size_t len,
                      unsigned flags, struct vault_opened *out);

/* ---- the vault of now ---------------------------------------------------- */

struct vault_slot {
	pthread_mutex_t lock;
	struct vault *v; /* lock */
};

int vault_slot_init(struct vault_slot *s);
void vault_slot_done(struct vault_slot *s);

/* A reference of the caller's own; NULL: none yet. */
struct vault *vault_slot_get(struct vault_slot *s);

/* Takes over the caller's reference to `v` (may be NULL). */
void vault_slot_set(struct vault_slot *s, struct vault *v);

#endif
