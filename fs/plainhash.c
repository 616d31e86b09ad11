#include "fs/plainhash.h"

#include <stdlib.h>

#include <sodium.h>

struct plainhash {
	crypto_generichash_state state; /* asks for 64-byte alignment */
	uint64_t done;                  /* bytes of it so far */
	bool gap;
};

struct plainhash *plainhash_new(void)
{
	struct plainhash *h = aligned_alloc(64, (sizeof(*h) + 63) & ~63ul);

	if (!h)
		return NULL;
	crypto_generichash_init(&h->state, NULL, 0, PLAINHASH_SIZE);
	h->done = 0;
	h->gap = false;
	return h;
}

void plainhash_free(struct plainhash *h)
{
	free(h);
}

void plainhash_update(struct plainhash *h, const void *data, size_t len,
                      uint64_t off)
{
	if (off > h->done)
		h->gap = true;
	if (h->gap || off + len <= h->done)
		return;
	data = (const uint8_t *)data + (h->done - off);
	len -= (size_t)(h->done - off);
	crypto_generichash_update(&h->state, data, len);
	h->done += len;
}

bool plainhash_final(struct plainhash *h, uint64_t total,
                     uint8_t out[PLAINHASH_SIZE])
{
	if (!h || h->gap || h->done != total)
		return false;
	h->gap = true; /* the state is spent */
	crypto_generichash_final(&h->state, out, PLAINHASH_SIZE);
	return true;
}

void plainhash_of(const void *data, size_t len, uint8_t out[PLAINHASH_SIZE])
{
	crypto_generichash(out, PLAINHASH_SIZE, data, len, NULL, 0);
}

void plainhash_to_text(const uint8_t hash[PLAINHASH_SIZE],
                       char out[PLAINHASH_TEXT])
{
	sodium_bin2hex(out, PLAINHASH_TEXT, hash, PLAINHASH_SIZE);
}
