/* auth/keystore.h -- where secrets rest: small named blobs of one profile.
 *
 * Places ("backends"):
 *   secret-service  the desktop's keyring, through libsecret (if built with it)
 *   sealed          one file, sealed under a passphrase
 *   file            one plain 0600 file per blob in a 0700 directory
 *   command         whatever an external command does (pass, a password
 *                   manager): auth/keystore_command.c has the protocol
 * A profile has one place at a time. Which one is found where the secrets are;
 * a place that does not answer is an error, never an empty store. A profile
 * that is new gets the one asked for, else the Secret Service if one answers,
 * else plain files.
 *
 * A blob is at most 64 KiB. Names: [a-z0-9-]{1,40}; those in use are in
 * keystore_names[].
 *
 * Threads: any; calls are serialised and may block (disk, a key service, a
 * command, at the first put a person): not from the network thread. Secrets
 * come back in sodium_malloc() memory, to be freed with sodium_free(). */
#ifndef NMB_KEYSTORE_H
#define NMB_KEYSTORE_H

#include <stddef.h>

#define KEYSTORE_MAX_BLOB 65536

struct keystore;

struct keystore_options {
	const char *backend; /* NULL: where the secrets are, or the default */
	const char *profile; /* names the secrets in a place that several
	                      * profiles share; NULL: "default" */
	const char *dir;     /* the profile's own: made 0700 if need be, with
	                      * its parents */
	/* What prints the passphrase (backend "sealed"); NULL: a person at the
	 * terminal is asked. What keeps the secrets (backend "command"). Both
	 * run through sh -c. */
	const char *passphrase_command, *key_command;
};

/* All names in use: "token" (auth/tokens), "identity" and "pin" (the vault);
 * ends with NULL. */
extern const char *const keystore_names[];

/* Asks for the passphrase where there is something to unlock.
 * 0, -EINVAL (unknown backend, no key_command), -EEXIST (the secrets are in
 * another place than the one asked for), -EPERM (open to others, or owned by
 * somebody else), -EKEYREJECTED (wrong passphrase), -ENOTTY (nobody to ask for
 * it), -ECANCELED (Ctrl-C), -ENOKEY (locked), -ENXIO (there is no such
 * service), -ETIMEDOUT, -EBADMSG (damaged), -Exxx: `why` has one line. */
int keystore_open(const struct keystore_options *opt, struct keystore **out_k,
                  char *why, size_t why_size);
void keystore_close(struct keystore *k);

/* One line for people: "file /home/ann/.config/nmbackupfs/default.keys". */
const char *keystore_where(const struct keystore *k);

/* What a person should know about a place that was chosen for want of a better
 * one, when it was: one line; "" if there is nothing to say. */
const char *keystore_note(const struct keystore *k);

/* -ENOENT: none of that name; -EPERM: open to others or somebody else's:
 * refused untouched; -EFBIG: over 64 KiB; -EINVAL: no legal name; and as
 * keystore_open(). */
int keystore_get(struct keystore *k, const char *name, void **out_secret,
                 size_t *out_len);

/* Durable before it returns; the old blob is intact until then. */
int keystore_put(struct keystore *k, const char *name, const void *secret,
                 size_t len);

/* 0 also if there was none. */
int keystore_delete(struct keystore *k, const char *name);

/* The place the secrets of the profile are in, in words of opt->backend; NULL:
 * there are none yet. Opens nothing, asks nobody. */
int keystore_find_place(const struct keystore_options *opt,
                        const char **out_name, char *why, size_t why_size);

/* Moves all secrets of the profile to the place opt->backend: copied, read
 * back, then deleted where they were. Whoever has the keystore open does not
 * follow: no mount may run. -ENOENT: nothing to move; else as above. On an
 * error everything is still where it was. */
int keystore_move(const struct keystore_options *opt, char *why,
                  size_t why_size);

#endif
