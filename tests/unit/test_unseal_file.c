/* fs/unseal: all sizes in all pieces, with a vault and by a bare key; whatever
 * is damaged, cut or added ends in an error. */

#include "fs/unseal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "auth/age_header.h"
#include "auth/age_key.h"
#include "auth/vault.h"
#include "fs/codec.h"
#include "fs/codec_vault.h"
#include "net/buf.h"
#include "tests/unit/check.h"

#define LARGE 200000

static struct vault_slot slot;
static struct vault *vault;
static struct codec *codec;
static struct age_identity *paper;
static uint8_t content[LARGE];

static void make_vault(void)
{
	struct descriptor *d;

	CHECK_EQ(age_identity_new(&paper), 0);
	CHECK_EQ(descriptor_new(NAME_TEXT_CJK14, 7, "test", &d), 0);
	CHECK_EQ(descriptor_add(d, "paper", DESCRIPTOR_RECOVERY,
	                        &paper->recipient),
	         0);
	CHECK_EQ(descriptor_finish(d, 1), 0);
	CHECK_EQ(vault_new(d, NULL, &vault), 0);
	descriptor_free(d);
	CHECK_EQ(vault_slot_init(&slot), 0);
	vault_slot_set(&slot, vault_ref(vault));
	CHECK_EQ(codec_vault_new(&slot, 0, 0, &codec), 0);
	randombytes_buf(content, sizeof(content));
}

static void free_vault(void)
{
	codec_free(codec);
	vault_slot_done(&slot);
	vault_unref(vault);
	age_identity_free(paper);
}

static int source(void *arg, void *buf, size_t len, uint64_t off)
{
	(void)arg;
	memcpy(buf, content + off, len);
	return 0;
}

/* The sealed file of the first `plain` bytes; to be freed. */
static uint8_t *seal(size_t plain, size_t *out_len)
{
	struct codec_bond none = { 0 };
	struct codec_seed seed = { 0 };
	struct codec_writer *w;
	size_t len = (size_t)codec->ops->sealed_size(codec, plain);
	uint8_t *data = malloc(len);

	CHECK(data != NULL);
	CHECK_EQ(codec->ops->writer_new(codec, plain, true, &none, "f", &seed,
	                                &w),
	         0);
	CHECK_EQ(codec->ops->writer_read(w, source, NULL, data, len, 0), 0);
	codec->ops->writer_free(w);
	codec_seed_done(&seed);
	*out_len = len;
	return data;
}

static int collect(void *arg, const void *data, size_t len)
{
	return buf_add(arg, data, len);
}

/* In pieces of `step` bytes; `out` gets what came. */
static int open_pieces(const uint8_t *data, size_t len, uint64_t sealed,
                       bool by_key, size_t step, struct buf *out)
{
	struct age_keys keys = { .ids = &paper, .id_count = 1 };
	struct unseal_options opt = { .vault = by_key ? NULL : vault,
		                      .keys = &keys,
		                      .sealed = sealed,
		                      .sink = collect,
		                      .arg = out };
	struct unseal *u;
	int rc = unseal_new(&opt, &u);

	CHECK_EQ(rc, 0);
	for (size_t off = 0; rc == 0 && off < len; off += step)
		rc = unseal_feed(u, data + off,
		                 len - off < step ? len - off : step);
	CHECK_EQ(unseal_error(u), rc);
	if (rc == 0)
		rc = unseal_finish(u);
	unseal_free(u);
	return rc;
}

static void test_sizes(void)
{
	static const size_t sizes[] = { 0, 1, 65535, 65536, 65537, 131072 };
	static const size_t steps[] = { 1, 1000, 16384, 1 << 20 };

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		size_t len;
		uint8_t *data = seal(sizes[i], &len);

		for (size_t k = 0; k < ARRAY_LEN(steps) * 2; k++) {
			struct buf out = BUF_INIT;

			check_row("size %zu step %zu", sizes[i], steps[k / 2]);
			CHECK_EQ(open_pieces(data, len, len, k % 2,
			                     steps[k / 2], &out),
			         0);
			CHECK_EQ(out.len, sizes[i]);
			if (out.len == sizes[i] && out.len)
				CHECK_MEM(out.data, content, out.len);
			buf_done(&out);
		}
		free(data);
	}
}

/* One bit anywhere; nothing wrong comes out before the error. */
static void test_damage(void)
{
	static const size_t places[] = { 0,   30,  100,    200,   300,
		                         400, 410, 425,    65900, 66000,
		                         0,   0,   131600, 200000 };
	size_t len;
	uint8_t *data = seal(LARGE, &len);

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		struct buf out = BUF_INIT;
		size_t at = i == 10 ? len - 1 : places[i];

		check_row("at %zu", at);
		data[at] ^= 1;
		CHECK(open_pieces(data, len, len, false, 5000, &out) < 0);
		CHECK(out.len < LARGE);
		if (out.len && out.len < LARGE)
			CHECK_MEM(out.data, content, out.len);
		data[at] ^= 1;
		buf_done(&out);
	}
	free(data);
}

static void test_cut_or_longer(void)
{
	static const struct {
		size_t less;    /* bytes that don't come */
		size_t claimed; /* bytes that the listing has less */
	} rows[] = {
		{ 1, 1 },         { 1, 0 },     { 16, 16 },
		{ 65552, 65552 }, { 65552, 0 }, { LARGE, LARGE },
		{ 0, 1 },         { 0, 65552 }, { LARGE + 400, 0 },
	};
	size_t len;
	uint8_t *data = seal(LARGE, &len);

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf out = BUF_INIT;

		check_row("%zu %zu", rows[i].less, rows[i].claimed);
		CHECK(open_pieces(data, len - rows[i].less,
		                  len - rows[i].claimed, false, 5000,
		                  &out) < 0);
		buf_done(&out);
	}
	free(data);
}

static void test_other_key(void)
{
	struct age_identity *mine = paper, *other;
	struct buf out = BUF_INIT;
	size_t len;
	uint8_t *data = seal(10, &len);

	CHECK_EQ(age_identity_new(&other), 0);
	paper = other;
	CHECK_EQ(open_pieces(data, len, len, true, 100, &out), AGE_NO_MATCH);
	CHECK_EQ(out.len, 0);
	paper = mine;
	age_identity_free(other);
	free(data);
}

static int refuse(void *arg, const void *data, size_t len)
{
	(void)arg;
	(void)data;
	(void)len;
	return -ENOSPC;
}

static void test_sink_fails(void)
{
	struct unseal_options opt = { .vault = vault, .sink = refuse };
	struct unseal *u;
	size_t len;
	uint8_t *data = seal(10, &len);

	opt.sealed = len;
	CHECK_EQ(unseal_new(&opt, &u), 0);
	CHECK_EQ(unseal_feed(u, data, len), -ENOSPC);
	CHECK_EQ(unseal_feed(u, data, 1), -ENOSPC);
	CHECK_EQ(unseal_finish(u), -ENOSPC);
	unseal_free(u);
	free(data);
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	make_vault();
	RUN(test_sizes);
	RUN(test_damage);
	RUN(test_cut_or_longer);
	RUN(test_other_key);
	RUN(test_sink_fails);
	free_vault();
	return check_report();
}
