/* fs/unseal.h -- a sealed file that comes in order becomes its plaintext, chunk
 * by chunk, each one authenticated before it goes on.
 *
 * For commands that go through whole files; the mount reads at any place
 * (fs/codec.h). That all of it was genuine and came to its end only
 * unseal_finish() says. Threads: an object belongs to one. Errors: those of
 * auth/vault.h and auth/age_error.h, and of the sink; vault_strerror(). */
#ifndef NMB_UNSEAL_H
#define NMB_UNSEAL_H

#include <stddef.h>
#include <stdint.h>

struct age_keys;
struct unseal;
struct vault;
struct vault_opened;

/* The header was opened: 0, or -Exxx to go no further. Not called without a
 * vault. */
typedef int unseal_header_fn(void *arg, const struct vault_opened *o);
typedef int unseal_sink_fn(void *arg, const void *data, size_t len);

struct unseal_options {
	struct vault *vault; /* borrowed; NULL: there is no descriptor... */
	const struct age_keys *keys; /* ...and these open the file, by which
	                              * nobody can say who made it; borrowed */
	uint64_t sealed;             /* bytes of the file */
	unseal_header_fn *header;    /* may be NULL */
	unseal_sink_fn *sink;
	void *arg;
};

int unseal_new(const struct unseal_options *opt, struct unseal **out_u);
void unseal_free(struct unseal *u); /* takes NULL */

/* `unseal` is a struct unseal: this is a direct_sink_fn. */
int unseal_feed(void *unseal, const void *data, size_t len);
int unseal_finish(struct unseal *u);

/* What feeding ended with, 0 so far: not a matter of where the bytes come
 * from. */
int unseal_error(const struct unseal *u);

#endif
