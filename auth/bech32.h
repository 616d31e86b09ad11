/* auth/bech32.h -- Bech32, the text form of age keys.
 *
 * BIP 173 (final constant 1, not Bech32m's) without its limit of 90
 * characters, as age uses it. Pure; threads: any. */
#ifndef NMB_BECH32_H
#define NMB_BECH32_H

#include <stddef.h>
#include <stdint.h>

/* Characters of `n` bytes under a prefix of `hrp_len`, without the NUL. */
#define BECH32_LEN(hrp_len, n) ((hrp_len) + 1 + ((n)*8 + 4) / 5 + 6)

/* `hrp` is lower case, and so is the text. `out` takes BECH32_LEN + 1. */
void bech32_encode(const char *hrp, const void *data, size_t len, char *out);

/* All upper or all lower case, and so is `hrp` (hrp_size with its NUL). 0, or
 * -EINVAL: not Bech32, mistyped, a longer prefix, or more than `max` bytes.
 * `data` may be written on errors too. */
int bech32_decode(const char *text, size_t text_len, char *hrp, size_t hrp_size,
                  void *data, size_t max, size_t *out_len);

#endif
