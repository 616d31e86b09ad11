/* auth/age_base64.h -- base64 as age headers have it: standard alphabet, no
 * padding, canonical (C2SP age.md, "Encrypted file format").
 *
 * Pure; threads: any. */
#ifndef NMB_AGE_BASE64_H
#define NMB_AGE_BASE64_H

#include <stddef.h>
#include <stdint.h>

/* Characters for `n` bytes. */
#define AGE_BASE64_LEN(n) (((n)*8 + 5) / 6)

/* `out` takes AGE_BASE64_LEN(len) + 1 bytes and is terminated. */
void age_base64_encode(const void *data, size_t len, char *out);

/* 0, or -EINVAL: a foreign character, stray bits, a length no data has, or more
 * than `max` bytes of data. */
int age_base64_decode(const char *text, size_t len, void *out, size_t max,
                      size_t *out_len);

/* With padding, as in armor; else as above. */
int age_base64_decode_padded(const char *text, size_t len, void *out,
                             size_t max, size_t *out_len);

/* As the first, and it is an error if there are not exactly `size` bytes. */
int age_base64_decode_exact(const char *text, size_t len, void *out,
                            size_t size);

#endif
