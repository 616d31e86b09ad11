/* auth/seal_names.h -- a name and its attributes <-> the name of a vault item.
 *
 * What is sealed is M = name, or name || 0x00 || attributes. Zero bytes bring
 * the tag and M to a multiple of `pad` bytes (P); auth/siv seals P with empty
 * associated data; auth/name_text makes it a text. Equal name and attributes
 * give the equal text anywhere in the vault, and nothing else opens
 * (facts/names.md B1, B2).
 *
 * A name is what the kernel gave: 1 to 255 bytes, not necessarily UTF-8, no
 * '/', not "." nor "..". Attributes are a string (auth/attributes), "" for
 * none. Lengths are bytes, or units: UTF-16 code units of the sealed name, as
 * the service counts a path; each unit is one character here.
 *
 * Threads: any; a struct seal_names never changes. Errors: negative errno. */
#ifndef NMB_SEAL_NAMES_H
#define NMB_SEAL_NAMES_H

#include <stddef.h>
#include <stdint.h>

#include "auth/name_text.h"

#define SEAL_NAMES_KEY_SIZE  32
#define SEAL_NAMES_PAD       7   /* unless the descriptor has another one */
#define SEAL_NAMES_UNITS_MAX 255 /* the service's limit for one name */
#define SEAL_NAMES_TEXT_MAX  765 /* bytes of UTF-8 of that */
#define SEAL_NAMES_PLAIN_MAX 425 /* bytes of M in the longest sealed name */
#define SEAL_NAMES_NAME_MAX  255
#define SEAL_NAMES_ATTR_MAX  (SEAL_NAMES_PLAIN_MAX - 2)

struct seal_names; /* opaque; its keys are in sodium_malloc() memory */

/* What a sealed name holds; both end with a NUL. */
struct seal_names_plain {
	char name[SEAL_NAMES_NAME_MAX + 1];
	char attributes[SEAL_NAMES_ATTR_MAX + 1]; /* "": none */
};

/* `key` is the descriptor's names.key, `pad` its names.pad: a multiple of 7
 * that a name has room for. -EINVAL: another pad; -ENOMEM. */
int seal_names_new(const uint8_t key[SEAL_NAMES_KEY_SIZE], enum name_text text,
                   unsigned pad, struct seal_names **out_s);
void seal_names_free(struct seal_names *s);

/* `out` takes SEAL_NAMES_TEXT_MAX + 1 bytes. -ENAMETOOLONG: the name has more
 * than 255 bytes, or the sealed one would have too many units; -EINVAL: no
 * name. */
int seal_names_seal(const struct seal_names *s, const char *name,
                    const char *attributes, char *out);

/* -EINVAL: not a name of this vault. Such an item is hidden, and never deleted
 * or renamed. */
int seal_names_open(const struct seal_names *s, const char *sealed,
                    struct seal_names_plain *out_plain);

/* Units of the sealed name of a name and attributes of those lengths. Above
 * SEAL_NAMES_UNITS_MAX there is none. */
size_t seal_names_units(const struct seal_names *s, size_t name_len,
                        size_t attr_len);

/* The longest name (at most 255) that takes no more than `units` with
 * attributes of that length, and the longest attributes beside such a name.
 * 0: none fits. */
size_t seal_names_longest_name(const struct seal_names *s, size_t units,
                               size_t attr_len);
size_t seal_names_longest_attr(const struct seal_names *s, size_t units,
                               size_t name_len);

#endif
