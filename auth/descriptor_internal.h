/* auth/descriptor_internal.h -- shared by the descriptor*.c files only. */
#ifndef NMB_DESCRIPTOR_INTERNAL_H
#define NMB_DESCRIPTOR_INTERNAL_H

#include "auth/descriptor.h"

#define DESCRIPTOR_FORMAT       "nmbackupfs-vault"
#define DESCRIPTOR_CIPHER       "age-v1"
#define DESCRIPTOR_NAMES_CIPHER "siv-blake2b-xchacha20"
#define DESCRIPTOR_BIND         1
#define DESCRIPTOR_NUMBER_MAX   9007199254740991.0 /* 2^53 - 1 */

/* All zero, in sodium_malloc() memory; NULL: no memory. */
struct descriptor *descriptor_alloc(void);

/* 1 to 64 bytes of UTF-8 without control characters. */
bool descriptor_label_ok(const char *label);

/* "device", "recovery". */
const char *descriptor_kind_name(enum descriptor_kind kind);

/* Takes over `text`, sodium_malloc() memory with a NUL behind it. */
void descriptor_set_text(struct descriptor *d, char *text, size_t len);

/* The document of a descriptor whose text is of the generation before: 0,
 * -EFBIG, -ENOMEM. The text is the caller's (sodium_free()). */
int descriptor_format(const struct descriptor *d, char **out_text,
                      size_t *out_len);

#endif
