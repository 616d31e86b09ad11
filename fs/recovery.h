/* fs/recovery.h -- a recovery key: made, handed to a person once, and not kept.
 *
 * It opens all content of its vault, with stock `age` too; whoever has it and
 * the files reads them. On a terminal it is shown with a QR code and part of it
 * asked back; else it goes into a new file (--recovery-key-out), as a page that
 * can be printed and that `age -d -i` takes.
 *
 * Threads: one, which may block. Errors: 0 or -Exxx with one line in `why`. */
#ifndef NMB_RECOVERY_H
#define NMB_RECOVERY_H

#include <stddef.h>

#include "auth/age_key.h"

struct config;

/* Can a key be handed over at all? 0; -ENOTTY: there is no terminal and no
 * file, `why` names the options. Before anything is made. */
int recovery_can_hand_over(const struct config *cfg, char *why,
                           size_t why_size);

/* Makes one and hands it over. *out is its public half. -ENOTTY as above;
 * -EINVAL: the file is there already, nothing is overwritten; -ECANCELED: the
 * person ended it or could not type it back; -Exxx. */
int recovery_make(const struct config *cfg, struct age_recipient *out,
                  char *why, size_t why_size);

#endif
