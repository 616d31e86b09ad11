/* auth/vault_store.h -- a vault's own objects on the drive.
 *
 *	<vault>/.nmbackupfs/vault.age               the descriptor of now
 *	<vault>/.nmbackupfs/vault-<generation>.age  the last three
 *
 * (facts/names.md C1). A new generation is written under its number first, then
 * vault.age is replaced, if it is still the one that was read: that is the
 * moment at which it counts. A new vault counts when vault.age is created, and
 * only one of several devices can do that.
 *
 * All calls wait for the service. Threads: any but the network's, one at a time
 * per store. Errors: 0 or -Exxx with one line for people in `why`
 * (VAULT_STORE_WHY bytes). */
#ifndef NMB_VAULT_STORE_H
#define NMB_VAULT_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/age_header.h"
#include "auth/descriptor.h"
#include "auth/objects.h"
#include "auth/pin.h"

struct graph;
struct vault_store; /* opaque */

#define VAULT_STORE_FOLDER ".nmbackupfs"
#define VAULT_STORE_FILE   "vault.age"
#define VAULT_STORE_WHY    512

/* Of vault_store_load(): neither of these is a matter of the sign-in. */
#define VAULT_STORE_NOT_MEMBER (-ENOKEY)

/* `folder_id`: the folder that is, or becomes, the vault; copied. `patience_ms`
 * is for each request, and how long a service that isn't there is waited
 * for. */
int vault_store_new(struct graph *g, const char *folder_id, int64_t patience_ms,
                    struct vault_store **out_s);
void vault_store_free(struct vault_store *s); /* takes NULL */

enum vault_found {
	VAULT_FOUND_NOTHING, /* an empty folder, maybe with the remains of a
	                      * creation that was cut short */
	VAULT_FOUND_FILES,   /* other things and no descriptor: no vault; it is
	                      * not to become one */
	VAULT_FOUND_LOST,    /* it was a vault, but vault.age is gone: `why`
	                      * says what to do; never make a new one there */
	VAULT_FOUND_VAULT,
};
int vault_store_find(struct vault_store *s, enum vault_found *out_found,
                     char *why);

/* Reads vault.age with the device's identities. `pin`: what the device
 * remembers, NULL: nothing, then the descriptor is taken on trust. After the
 * auth key moved more than once, the generations in between are followed as far
 * as they are there. *out_pin is to be saved before the descriptor is used.
 *
 * -ENOENT: no descriptor; VAULT_STORE_NOT_MEMBER; those of pin_verdict_rc();
 * -EBADMSG: damaged; -ENOTSUP: of a newer release that is not understood at
 * all; -EAGAIN: it kept changing; others: the service, the network, the
 * sign-in (-EACCES). */
int vault_store_load(struct vault_store *s, const struct age_keys *keys,
                     const struct pin *pin, struct descriptor **out_d,
                     struct pin *out_pin, char *why);

/* For who has lost all but a key: vault.age, or if that is gone or damaged the
 * newest generation that `keys` open. On trust, nothing is remembered. Errors
 * as vault_store_load(). */
int vault_store_salvage(struct vault_store *s, const struct age_keys *keys,
                        struct descriptor **out_d, char *why);

/* Is told whether the drive keeps names apart as the vault's need it: makes
 * and removes folders with such names (facts/names.md A4). Once, before a vault
 * is created. 0; -ENOTUNIQ: it doesn't, another `text` is to be taken; -Exxx:
 * can't be said. */
int vault_store_probe(struct vault_store *s, enum name_text text, char *why);

/* A new vault: `d` is its finished first generation. Only where
 * vault_store_find() saw nothing, and never on a device that has a pin.
 * -EEXIST: another device was faster: its descriptor is to be loaded. */
int vault_store_create(struct vault_store *s, const struct descriptor *d,
                       char *why);

/* `next`: finished, the generation after the one that was loaded last.
 * -ESTALE: another device changed the vault meanwhile: load, and make the
 * change anew. */
int vault_store_replace(struct vault_store *s, const struct descriptor *next,
                        char *why);

/* ---- is it still the one? ------------------------------------------------ */

/* Remembers which vault.age was read. Plain data, to be copied. Nothing may be
 * sealed for upload with a vault whose descriptor has changed: a removed member
 * could read it. */
struct vault_mark {
	struct object file;
};

enum vault_mark_verdict {
	VAULT_MARK_SAME,
	VAULT_MARK_CHANGED, /* or gone: load it */
	VAULT_MARK_UNKNOWN, /* the service can't be asked now */
};

/* Of the last load, create or replace; -ENOENT: there was none. */
int vault_store_get_mark(const struct vault_store *s, struct vault_mark *out);

/* Looks at the item once, and waits. A tag that moved without a change is taken
 * over into *m. */
enum vault_mark_verdict vault_mark_look(struct graph *g, struct vault_mark *m,
                                        int64_t patience_ms);

/* The same for who doesn't wait: prepares the GET; `c` in *p brings done, arg,
 * prio, batch and patience. */
int vault_mark_prepare(struct graph *g, const struct vault_mark *m,
                       struct graph_prepared *p);
enum vault_mark_verdict vault_mark_judge(struct vault_mark *m,
                                         const struct graph_answer *a);

/* And for an item that a listing or delta page brought: true if it is the one
 * of `m` and says that it changed. */
bool vault_mark_is_touched(struct vault_mark *m, const struct graph_item *it);

#endif
