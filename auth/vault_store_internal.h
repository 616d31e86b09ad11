/* auth/vault_store_internal.h -- shared by the vault_store*.c files only. */
#ifndef NMB_VAULT_STORE_INTERNAL_H
#define NMB_VAULT_STORE_INTERNAL_H

#include "auth/vault_store.h"
#include "net/buf.h"

#define VAULT_STORE_KEEP 3 /* generations under their number */

struct vault_store {
	struct graph *graph;
	int64_t patience_ms;
	struct object root;   /* only the id is known */
	struct object folder; /* ".nmbackupfs"; id "": not known */

	/* vault.age as it was read or written last; id "": not yet. */
	struct object file;
	struct buf sealed; /* its bytes */
	uint64_t generation;
};

/* For calls of one function of the store. */
struct objects vault_store_calls(const struct vault_store *s, char *why);

/* Returns rc; what was said on the way to a success doesn't stay. */
int vault_store_end(const struct objects *o, int rc);

/* Finds the folder of the vault's objects. -ENOENT: there is none; -ENOTDIR:
 * something else has the name. */
int vault_store_open_folder(struct vault_store *s, const struct objects *o);

/* The same, and makes it if there is none. */
int vault_store_make_folder(struct vault_store *s, const struct objects *o);

/* "vault-12.age" -> 12; 0: another name. */
uint64_t vault_store_generation_of(const char *name);
#define VAULT_STORE_NAME_SIZE 40
void vault_store_name_of(uint64_t generation, char out[VAULT_STORE_NAME_SIZE]);

/* What vault.age is now. */
int vault_store_remember(struct vault_store *s, const struct object *file,
                         const struct buf *sealed, uint64_t generation);

#endif
