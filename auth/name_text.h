/* auth/name_text.h -- bytes as text that a file name on OneDrive can be.
 *
 * Both encodings take bits most significant first. One text stands for one
 * byte string: what encodes differently is refused when it is decoded.
 *
 * cjk14: 14 bits v are the character U+4E00 + v. 7 bytes are 4 characters, and
 * only multiples of 7 bytes are encoded, so there is no tail. The characters
 * have no case, no composition and a weight in every collation that the
 * service may compare with (facts/names.md A4).
 *
 * base32: RFC 4648, lower case, without padding; the unused bits of the last
 * character are zero. For a service that turns out to hold some of the other
 * characters equal.
 *
 * Units are UTF-16 code units, as the service counts: one per character here.
 * Threads: any. */
#ifndef NMB_NAME_TEXT_H
#define NMB_NAME_TEXT_H

#include <stddef.h>
#include <stdint.h>

enum name_text {
	NAME_TEXT_CJK14,
	NAME_TEXT_BASE32,
};

/* "cjk14" and "base32", as the descriptor and --name-text have them. -EINVAL:
 * no encoding has that label. */
int name_text_from_label(const char *label, enum name_text *out_text);
const char *name_text_label(enum name_text text);

/* Units that `len` bytes take, and the most bytes that `units` can hold (of
 * whole groups in cjk14). */
size_t name_text_units(enum name_text text, size_t len);
size_t name_text_bytes(enum name_text text, size_t units);

/* Writes UTF-8 with a NUL: at most 3 bytes a unit. In cjk14 `len` is a
 * multiple of 7. */
void name_text_encode(enum name_text text, const uint8_t *data, size_t len,
                      char *out);

/* Fills `out` with *out_len <= size bytes. -EINVAL: not a text of this
 * encoding, or of more than `size` bytes. "" is zero bytes. */
int name_text_decode(enum name_text text, const char *s, uint8_t *out,
                     size_t size, size_t *out_len);

#endif
