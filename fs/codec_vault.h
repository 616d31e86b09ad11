/* fs/codec_vault.h -- the codec of vaults: sealed names and sealed content
 * (fs/codec.h over auth/vault).
 *
 * Names carry attributes (design: "Vault"); uid and gid ride along only where
 * they are not those of whoever mounted. A new generation of the descriptor
 * goes into the slot; readers and writers keep the vault they began with. */
#ifndef NMB_CODEC_VAULT_H
#define NMB_CODEC_VAULT_H

#include <sys/types.h>

struct codec;
struct vault_slot;

/* `slot` holds a vault already, and outlives the codec. -ENOMEM. */
int codec_vault_new(struct vault_slot *slot, uid_t uid, gid_t gid,
                    struct codec **out_c);

#endif
