/* fs/vault_setup.h -- before the first mount: is the folder a vault, is this
 * machine a member of it, or is one to be made?
 *
 * Who has a descriptor already needs no network for that. Threads: one, which
 * may block and ask a person. */
#ifndef NMB_VAULT_SETUP_H
#define NMB_VAULT_SETUP_H

#include <stdbool.h>

struct config;
struct direct;
struct keystore;
struct membership;
struct vault_store;

/* Fills m->slot. EXIT_OK; EXIT_NO_MEMBER: the vault's members don't count this
 * machine, standard error says how to be added; EXIT_NO_TERMINAL: a new vault
 * needs a decision nobody is there for; EXIT_USAGE: the folder holds files that
 * are no vault; another exit status. `why` (MEMBERSHIP_WHY bytes): one line. */
int vault_setup(const struct config *cfg, struct keystore *k,
                struct membership *m, char *why);

/* Says on standard error how this machine is added to the vault of the folder,
 * for which its identity is made. VAULT_STORE_NOT_MEMBER; another -Exxx. */
int vault_setup_no_member(const struct config *cfg, struct membership *m,
                          char *why);

/* The same over an open session, and always from the drive; sets d->folder_id.
 * `make`: a vault where there is none, as above; else that is -ENOENT.
 * *out_store: of the folder, with the mark of what was read. 0 or -Exxx, see
 * vault_setup_exit_status(). */
int vault_setup_newest(struct direct *d, bool make, struct membership *m,
                       struct vault_store **out_store, char *why);

/* This device's label: as configured, or the host's name; `out` takes
 * DESCRIPTOR_LABEL_MAX + 1 bytes. */
void vault_setup_label(const struct config *cfg, char *out);

/* The exit status for an error of auth/vault_store.h and fs/membership.h. */
int vault_setup_exit_status(int rc);

#endif
