/* auth/age.h -- age files as a whole, in memory.
 *
 * The format is age v1 (age-encryption.org/v1, specified by C2SP): what is
 * sealed here the stock `age` opens, and the other way round. The parts are
 * auth/age_key.h (keys and their text), auth/age_header.h (who can open it) and
 * auth/age_payload.h (the content by chunks); content of files goes through
 * those two, small secrets through here.
 *
 * Errors: auth/age_error.h. Threads: any. */
#ifndef NMB_AGE_H
#define NMB_AGE_H

#include <stdbool.h>
#include <stddef.h>

#include "auth/age_error.h"
#include "auth/age_header.h"
#include "auth/age_key.h"

struct buf;

/* Seals `len` bytes; adds the file to `out`. As age_header_build(). */
int age_seal_buf(const struct age_target *to, const void *plain, size_t len,
                 struct buf *out);

/* Opens a whole file, binary or armored (auth/age_armor.h). The plaintext is in
 * sodium_malloc() memory (sodium_free() it), never NULL, with a NUL behind it
 * that doesn't count. *out_which (may be NULL): as age_header_open(). Nothing
 * comes back unless all of it is genuine. */
int age_open_buf(const struct age_keys *keys, const void *file, size_t len,
                 void **out_plain, size_t *out_len, size_t *out_which);

/* True if it looks like an age file, binary or armored. */
bool age_is_sealed(const void *data, size_t len);

/* An identity file, which may itself be an age file sealed with a passphrase
 * (NULL: none is known yet; then AGE_NEED_PASSPHRASE). Errors as age_open_buf()
 * and age_identities_parse(). */
int age_identities_read(const void *data, size_t len, const char *passphrase,
                        struct age_identities *out, unsigned *out_line);

#endif
