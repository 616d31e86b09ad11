/* auth/keystore_choice.h -- which place a profile's secrets are in.
 *
 * Secrets in the profile's directory speak for themselves; that they are
 * elsewhere is noted there, in the file "keystore.name" (the backend's name and
 * a line feed), before the first one is put. So a Secret Service that is gone
 * later is missed, and not replaced by an empty store. The note goes with the
 * last secret.
 * Threads: any. Errors: 0 or -Exxx. Internal to auth/. */
#ifndef NMB_KEYSTORE_CHOICE_H
#define NMB_KEYSTORE_CHOICE_H

#include <stdbool.h>
#include <stddef.h>

struct keystore;
struct keystore_backend;
struct keystore_options;

struct keystore_choice {
	const struct keystore_backend *backend;
	bool found;     /* secrets are there, or were meant to be */
	char note[320]; /* keystore_note() */
};

/* NULL: none of that name. */
const struct keystore_backend *keystore_backend_named(const char *name);

/* Where the secrets are, whatever opt->backend says; *out NULL: there are
 * none. -EBADMSG, -ENOTSUP: the note is damaged, or names a backend that
 * this build doesn't have. */
int keystore_find(const struct keystore_options *opt,
                  const struct keystore_backend **out, char *why,
                  size_t why_size);

/* As keystore_open(). */
int keystore_choose(const struct keystore_options *opt,
                    struct keystore_choice *out, char *why, size_t why_size);

/* Notes that secrets are with `b`, durably: before the first one is put
 * there. */
int keystore_note_backend(const struct keystore_options *opt,
                          const struct keystore_backend *b);

/* Takes the note back if it names `b`. */
int keystore_unnote_backend(const struct keystore_options *opt,
                            const struct keystore_backend *b);

/* ---- auth/keystore.c ----------------------------------------------------- */

/* keystore_open() with a choice that was made. */
int keystore_open_in(const struct keystore_options *opt,
                     const struct keystore_choice *choice,
                     struct keystore **out_k, char *why, size_t why_size);

#endif
