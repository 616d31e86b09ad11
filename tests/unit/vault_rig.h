/* tests/unit/vault_rig.h -- devices that share a vault on the emulator.
 *
 * The vault's folder is "/backup". Threads: vault_rig_store() and
 * vault_rig_descriptor() from any, the rest from one. */
#ifndef NMB_TESTS_VAULT_RIG_H
#define NMB_TESTS_VAULT_RIG_H

#include <stdbool.h>

#include "auth/objects.h"
#include "auth/pin.h"
#include "auth/vault_store.h"
#include "tests/unit/drive_rig.h"

struct buf;

extern struct vault_rig {
	struct drive_rig drive;
	struct age_identity *laptop, *phone, *paper, *stranger;
	char folder_id[256];
	char why[VAULT_STORE_WHY]; /* of the last call below */
	struct objects calls;      /* of somebody with access to the drive */
} vr;

/* Once per program: makes the keys. */
bool vault_rig_init(void);
void vault_rig_done(void);

/* An emulator with an empty folder; its end. */
void vault_rig_start(int kind);
void vault_rig_stop(void);

/* See tests/graphd/control.h. */
void vault_rig_post(const char *path, const char *body);

/* Another device's store; to be freed. */
struct vault_store *vault_rig_store(void);

/* A finished first generation with that device and the paper. */
struct descriptor *vault_rig_descriptor(struct age_identity *id,
                                        const char *label);

/* A store with a vault of the laptop, its descriptor, and what is pinned. */
struct vault_store *vault_rig_make(struct descriptor **out_d,
                                   struct pin *out_pin);

enum vault_found vault_rig_find(struct vault_store *s);
int vault_rig_load(struct vault_store *s, struct age_identity *id,
                   const struct pin *pin, struct descriptor **out_d,
                   struct pin *out_pin);

/* Loads with a store of its own; takes over what is to be pinned. */
int vault_rig_try(struct age_identity *id, struct pin *pin);

enum change {
	CHANGE_NOTHING,
	CHANGE_ROTATE,
	CHANGE_AUTH, /* a removal */
};

/* A finished next generation; and that put in place of *d. */
struct descriptor *vault_rig_next(const struct descriptor *d, enum change c);
void vault_rig_replace(struct vault_store *s, struct descriptor **d,
                       enum change c);

/* Objects in .nmbackupfs, by name. */
bool vault_rig_has(const char *name);
void vault_rig_read(const char *name, struct buf *out);
void vault_rig_put(const char *name, const struct buf *data);

/* All items of the drive, the root included. */
unsigned vault_rig_items(void);

#endif
