/* fs/membership.h -- this machine as a member of a vault: its identity, the
 * pin, the descriptor seen last, and the vault they open.
 *
 * Identity and pin rest in the keystore. The sealed descriptor seen last lies
 * as vault.age in the profile's state directory, so that a mount needs no
 * network. A profile has one vault.
 *
 * Threads: one, but for `slot`, from which any thread takes the vault. Errors:
 * 0 or -Exxx with one line for people in `why` (MEMBERSHIP_WHY bytes). */
#ifndef NMB_MEMBERSHIP_H
#define NMB_MEMBERSHIP_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "auth/pin.h"
#include "auth/vault.h"

struct age_identity;
struct config;
struct keystore;

#define MEMBERSHIP_WHY      1024
#define MEMBERSHIP_FILE     "vault.age"
#define MEMBERSHIP_IDENTITY "identity" /* in the keystore */

struct membership {
	struct keystore *keystore; /* borrowed */
	struct age_identity *id;   /* NULL: none yet */
	bool pinned;
	struct pin pin;
	struct descriptor *descriptor; /* of slot's vault */
	struct vault_slot slot;
	char state_dir[PATH_MAX];
};

/* Reads identity and pin; makes nothing. */
int membership_open(struct keystore *k, const char *state_dir,
                    struct membership *m, char *why);
void membership_close(struct membership *m);

/* What to open the vault with; borrowed from m. */
struct age_keys membership_keys(const struct membership *m);
const struct pin *membership_pin(const struct membership *m); /* NULL: none */

/* Makes the identity if there is none yet, durably. */
int membership_need_identity(struct membership *m, char *why);

/* The descriptor seen last: -ENOENT if none lies here. */
int membership_load(struct membership *m, char *why);

/* What vault_store_load() brought, or what was made or changed here: `d` is
 * finished, `pin` what goes with it. Remembered durably, and its vault is in
 * the slot; `d` becomes m's with success. On an error all is as before. */
int membership_adopt(struct membership *m, struct descriptor *d,
                     const struct pin *pin, char *why);

/* Pins what an enrolment code says, before the first descriptor comes. */
int membership_enrol(struct membership *m, const struct pin *pin, char *why);

#endif
