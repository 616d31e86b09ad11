/* auth/keystore_backend.h -- what a place for secrets has to do.
 *
 * auth/keystore.c checks names and sizes, serialises the calls of this process;
 * auth/keystore_choice.c picks the backend; a backend keeps the promises of
 * auth/keystore.h that concern the place: durable and whole blobs, also with
 * other processes at work on the same profile; every call ends within a
 * bounded time, unless it is a person who is being asked.
 *
 * Threads: one call at a time per object. Internal to auth/. */
#ifndef NMB_KEYSTORE_BACKEND_H
#define NMB_KEYSTORE_BACKEND_H

#include <stdbool.h>
#include <stddef.h>

struct keystore_options;

struct keystore_backend {
	const char *name; /* value of the option "keystore" */

	/* As keystore_open(); *out_self is what the others get. */
	int (*open)(const struct keystore_options *opt, void **out_self,
	            char *why, size_t why_size);
	void (*close)(void *self);

	/* Lives as long as the object. */
	const char *(*where)(const void *self);

	/* True if secrets of the profile are in the profile's own directory, in
	 * the way of this backend. NULL: they are elsewhere, and only a note
	 * in the directory tells (auth/keystore_choice.h). */
	bool (*holds)(const struct keystore_options *opt);

	/* `buf` holds KEYSTORE_MAX_BLOB bytes of sodium_malloc() memory. */
	int (*get)(void *self, const char *name, void *buf, size_t *out_len);
	int (*put)(void *self, const char *name, const void *secret,
	           size_t len);
	int (*del)(void *self, const char *name);
};

extern const struct keystore_backend keystore_file;
extern const struct keystore_backend keystore_sealed;
extern const struct keystore_backend keystore_command;

#ifdef HAVE_LIBSECRET
extern const struct keystore_backend keystore_service;

/* True if a Secret Service answers within two seconds and can be written to.
 * `why`: else one line. */
bool keystore_service_answers(char *why, size_t why_size);
#endif

#endif
