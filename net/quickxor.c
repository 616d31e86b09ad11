#include "net/quickxor.h"

#include <errno.h>
#include <string.h>

#include <sodium.h>

#define LANES      160 /* the ring has that many bits, the shift that period */
#define SHIFT_BITS 11

void quickxor_init(struct quickxor *q)
{
	memset(q, 0, sizeof(*q));
}

/* Plain XOR with a constant count and no aliasing: compilers vectorise it. */
static void xor_blocks(uint8_t *restrict lane, const uint8_t *restrict data,
                       size_t blocks)
{
	for (; blocks; blocks--, data += LANES)
		for (unsigned i = 0; i < LANES; i++)
			lane[i] ^= data[i];
}

static void xor_bytes(uint8_t *lane, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		lane[i] ^= data[i];
}

void quickxor_update(struct quickxor *q, const void *data, size_t len)
{
	const uint8_t *in = data;
	size_t at = q->len % LANES;
	size_t head = at ? LANES - at : 0;

	q->len += len;
	if (head > len)
		head = len;
	xor_bytes(q->lane + at, in, head);
	in += head;
	len -= head;
	xor_blocks(q->lane, in, len / LANES);
	xor_bytes(q->lane, in + len / LANES * LANES, len % LANES);
}

void quickxor_update_at(struct quickxor *q, uint64_t off, const void *data,
                        size_t len)
{
	uint64_t end = q->len;

	q->len = off;
	quickxor_update(q, data, len);
	if (q->len < end)
		q->len = end;
}

void quickxor_final(const struct quickxor *q, uint8_t out[QUICKXOR_SIZE])
{
	memset(out, 0, QUICKXOR_SIZE);
	for (unsigned i = 0; i < LANES; i++) {
		unsigned bit = SHIFT_BITS * i % LANES;
		unsigned wide = (unsigned)q->lane[i] << bit % 8;

		out[bit / 8] ^= (uint8_t)wide;
		out[(bit / 8 + 1) % QUICKXOR_SIZE] ^= (uint8_t)(wide >> 8);
	}
	for (unsigned i = 0; i < 8; i++)
		out[QUICKXOR_SIZE - 8 + i] ^= (uint8_t)(q->len >> 8 * i);
}

void quickxor_to_text(const uint8_t hash[QUICKXOR_SIZE],
                      char out[QUICKXOR_TEXT])
{
	sodium_bin2base64(out, QUICKXOR_TEXT, hash, QUICKXOR_SIZE,
	                  sodium_base64_VARIANT_ORIGINAL);
}

int quickxor_from_text(const char *text, uint8_t out[QUICKXOR_SIZE])
{
	uint8_t hash[QUICKXOR_SIZE];
	size_t len;

	if (!text || strlen(text) != QUICKXOR_TEXT - 1)
		return -EINVAL;
	if (sodium_base642bin(hash, sizeof(hash), text, QUICKXOR_TEXT - 1, NULL,
	                      &len, NULL, sodium_base64_VARIANT_ORIGINAL) ||
	    len != QUICKXOR_SIZE)
		return -EINVAL;
	memcpy(out, hash, QUICKXOR_SIZE);
	return 0;
}
