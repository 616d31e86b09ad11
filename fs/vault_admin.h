/* fs/vault_admin.h -- a command's work on a vault: loads the newest descriptor,
 * changes it, and remembers the outcome.
 *
 * Goes with the key of this device or with a recovery key. A running mount
 * follows the change by itself (fs/vault_watch.h). Threads: one, which may
 * block and ask a person. Errors: 0 or -Exxx with one line for people in
 * a->why. */
#ifndef NMB_VAULT_ADMIN_H
#define NMB_VAULT_ADMIN_H

#include <stdbool.h>

#include "auth/age_key.h"
#include "auth/pin.h"
#include "fs/direct.h"
#include "fs/membership.h"

struct config;
struct descriptor;
struct keystore;
struct vault_store;

struct vault_admin {
	const struct config *cfg;
	struct keystore *keystore;
	struct membership m;
	struct age_identities recovery; /* none unless it was given */
	bool connected;
	struct direct direct;
	char folder_id[NODE_ID_MAX + 1];
	struct vault_store *store;
	const struct descriptor *d; /* of the last load or change; NULL: none */
	struct descriptor *own;     /* d, where it is not m's */
	struct pin pin;             /* what goes with d */
	bool trusted;               /* there was no pin: d was taken on trust */
	char why[MEMBERSHIP_WHY];
};

/* Keystore and membership; nothing is asked of the network yet. Closed in any
 * case. */
int vault_admin_open(const struct config *cfg, struct vault_admin *a);
void vault_admin_close(struct vault_admin *a);

/* Reads the recovery key's file; see fs/secret_file.h. */
int vault_admin_take_recovery(struct vault_admin *a, const char *path,
                              const char *passphrase_from);

/* Session, folder, store; again is fine. -ENOENT: there is no such folder. */
int vault_admin_connect(struct vault_admin *a);

/* The newest descriptor into a->d, with a pin's protection if there is one; if
 * this device is a member it is adopted. `pin` NULL: the one remembered.
 * Connects. VAULT_STORE_NOT_MEMBER: no key here opens it. */
int vault_admin_load(struct vault_admin *a, const struct pin *pin);

/* What to change in the next generation: 0; -EALREADY: there is nothing to
 * change; -Exxx with a line in a->why. It is called anew when another device
 * was faster. */
typedef int vault_admin_fn(void *arg, struct vault_admin *a,
                           struct descriptor *next);
int vault_admin_change(struct vault_admin *a, vault_admin_fn *change,
                       void *arg);

/* descriptor_add() of a device, with a line for what no caller can say better:
 * -EEXIST is the caller's to explain. */
int vault_admin_add(struct vault_admin *a, struct descriptor *next,
                    const char *label, const struct age_recipient *r);

/* Is this device one of a->d? */
bool vault_admin_is_member(const struct vault_admin *a);

/* Prints the line, and how to be added where that is it. Returns the exit
 * status. */
int vault_admin_fail(struct vault_admin *a, int rc);

#endif
