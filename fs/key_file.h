/* fs/key_file.h -- this device's identity into a file, and back from one.
 *
 * The file is one that stock age takes (auth/age_key.h), plain or sealed with a
 * passphrase. Threads: one, which may ask a person. Errors: 0 or -Exxx with one
 * line for people in `why`. */
#ifndef NMB_KEY_FILE_H
#define NMB_KEY_FILE_H

#include <stdbool.h>
#include <stddef.h>

struct age_identity;
struct keystore;

/* Into a new file; "-": standard output. `sealed`: with a passphrase, armored;
 * it is asked for twice unless the command `passphrase_from` prints it.
 * -EINVAL: the file is there already; those of passphrase_get(). */
int key_file_export(const struct age_identity *id, const char *path,
                    bool sealed, const char *passphrase_from, char *why,
                    size_t why_size);

/* The key of the file becomes the identity in `k`. -EEXIST: another one is
 * there, and `keep` is NULL; else that one is written to the new file `keep`
 * first, as it is. -EINVAL: no key, or more than one, in the file. */
int key_file_import(struct keystore *k, const char *path,
                    const char *passphrase_from, const char *keep, char *why,
                    size_t why_size);

#endif
