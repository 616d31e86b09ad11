/* Files of any length fed in pieces, with armor and without, damaged and cut.
 */
#include "auth/age_stream.h"

#include <stdlib.h>

#include <sodium.h>

#include "auth/age.h"
#include "auth/age_payload.h"
#include "net/buf.h"
#include "tests/unit/age_rig.h"
#include "tests/unit/alloc.h"
#include "tests/unit/check.h"

#define BEGIN "-----BEGIN AGE ENCRYPTED FILE-----"
#define END   "-----END AGE ENCRYPTED FILE-----"

static int sink(void *buf, const void *data, size_t len)
{
	return buf_add(buf, data, len);
}

static int seal_in_pieces(const void *plain, size_t len, size_t piece,
                          bool armor, struct buf *out)
{
	struct age_identity *id = age_rig_identity();
	struct age_target to = { .recipients = &id->recipient,
		                 .recipient_count = 1 };
	struct age_writer *w = NULL;
	int rc = age_writer_new(&to, armor, sink, out, &w);

	age_identity_free(id); /* not needed any more */
	if (rc < 0)
		return rc;
	for (size_t off = 0; off < len; off += piece)
		(void)age_writer_feed(w, (const char *)plain + off,
		                      len - off < piece ? len - off : piece);
	rc = age_writer_finish(w);
	age_writer_free(w);
	return rc;
}

static int open_in_pieces(const void *file, size_t len, size_t piece,
                          struct buf *out)
{
	struct age_identity *id = age_rig_identity();
	struct age_keys keys = { .ids = &id, .id_count = 1 };
	struct age_reader *r = NULL;
	int rc = age_reader_new(&keys, sink, out, &r);

	if (rc == 0) {
		for (size_t off = 0; off < len; off += piece)
			(void)age_reader_feed(r, (const char *)file + off,
			                      len - off < piece ? len - off
			                                        : piece);
		rc = age_reader_finish(r);
		if (rc < 0) /* and stays so */
			CHECK_EQ(age_reader_feed(r, "x", 1), rc);
	}
	age_reader_free(r);
	age_identity_free(id);
	return rc;
}

static uint8_t *make_plain(size_t len)
{
	uint8_t *p = malloc(len + 1);

	randombytes_buf_deterministic(
		p, len,
		(const unsigned char *)"0123456789abcdef0123456789abcdef");
	return p;
}

static void test_round_trips(void)
{
	static const size_t sizes[] = { 0,     1,      65535,  65536,
		                        65537, 131072, 131073, 300000 };
	static const size_t pieces[] = { 1, 1000, 65536, 65552, 1u << 20 };
	uint8_t *plain = make_plain(300000);

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		for (size_t k = 0; k < 2 * ARRAY_LEN(pieces); k++) {
			bool armor = k % 2;
			struct buf file = BUF_INIT, got = BUF_INIT;

			check_row("%zu bytes by %zu, armor %d", sizes[i],
			          pieces[k / 2], armor);
			CHECK_EQ(seal_in_pieces(plain, sizes[i], pieces[k / 2],
			                        armor, &file),
			         0);
			if (!armor)
				CHECK_EQ(file.len,
				         age_sealed_size(168, sizes[i]));
			CHECK_EQ(age_is_armor(file.data, file.len), armor);
			CHECK(age_is_sealed(file.data, file.len));
			CHECK_EQ(open_in_pieces(file.data, file.len,
			                        pieces[k / 2], &got),
			         0);
			CHECK_EQ(got.len, sizes[i]);
			CHECK_MEM(got.data, plain, got.len);
			buf_done(&file);
			buf_done(&got);
		}
	}
	free(plain);
}

/* Truncation at every chunk border and around, and a byte too many. What came
 * before the damage is genuine, and it is never all of it. */
static void test_cut(void)
{
	const size_t size = 3 * AGE_CHUNK;
	uint8_t *plain = make_plain(size);
	struct buf file = BUF_INIT;

	CHECK_EQ(seal_in_pieces(plain, size, 65536, false, &file), 0);
	buf_reserve(&file, 17); /* bytes behind the end */
	memset(file.data + file.len, 0, 17);
	for (size_t chunk = 0; chunk <= 3; chunk++) {
		for (int by = -17; by <= 17; by++) {
			size_t border = 168 + 16 + chunk * AGE_CHUNK_SEAL;
			size_t len = border + (size_t)by;
			struct buf got = BUF_INIT;
			int rc;

			if (len == file.len)
				continue;
			check_row("chunk %zu, %d bytes", chunk, by);
			rc = open_in_pieces(file.data, len, 50000, &got);
			if (chunk == 0 && by < 0)
				CHECK_EQ(rc, AGE_BAD_HEADER);
			else
				CHECK_EQ(rc, AGE_BAD_CONTENT);
			CHECK(got.len < size);
			CHECK_EQ(got.len % AGE_CHUNK, 0);
			CHECK_MEM(got.data, plain, got.len);
			buf_done(&got);
		}
	}
	buf_done(&file);
	free(plain);
}

/* facts/age.md 15, last lines. */
static void test_full_chunk_then_empty_one(void)
{
	struct age_identity *id = age_rig_identity();
	struct age_target to = { .recipients = &id->recipient,
		                 .recipient_count = 1 };
	uint8_t file_key[AGE_FILE_KEY_SIZE] = { 0 };
	uint8_t nonce[AGE_NONCE_SIZE] = { 0 }, key[AGE_PAYLOAD_KEY];
	uint8_t *plain = make_plain(AGE_CHUNK);
	uint8_t last[12] = { [10] = 1, [11] = 1 };
	struct buf file = BUF_INIT, got = BUF_INIT;

	CHECK_EQ(age_header_build(file_key, &to, &file), 0);
	buf_add(&file, nonce, sizeof(nonce));
	age_payload_key(file_key, nonce, key);
	buf_reserve(&file, AGE_CHUNK_SEAL + AGE_TAG_SIZE);
	age_chunk_seal(key, 0, false, plain, AGE_CHUNK,
	               (uint8_t *)file.data + file.len);
	file.len += AGE_CHUNK_SEAL;
	crypto_aead_chacha20poly1305_ietf_encrypt(
		(uint8_t *)file.data + file.len, NULL, NULL, 0, NULL, 0, NULL,
		last, key);
	file.len += AGE_TAG_SIZE;
	CHECK_EQ(open_in_pieces(file.data, file.len, 4096, &got),
	         AGE_BAD_CONTENT);
	buf_done(&file);
	buf_done(&got);
	free(plain);
	age_identity_free(id);
}

static void test_nothing_to_read(void)
{
	static const char *const texts[] = {
		"",   "hello", "age-encryption.org/v1\n",
		"\n", "-",     "age-encryption.org/v1\n---",
	};
	static const int rcs[] = {
		AGE_BAD_HEADER, AGE_BAD_HEADER, AGE_BAD_HEADER,
		AGE_BAD_ARMOR,  AGE_BAD_ARMOR,  AGE_BAD_HEADER,
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct buf got = BUF_INIT;

		check_row("text %zu", i);
		CHECK_EQ(open_in_pieces(texts[i], strlen(texts[i]), 1, &got),
		         rcs[i]);
		CHECK_EQ(got.len, 0);
		buf_done(&got);
	}
}

/* ---- sinks --------------------------------------------------------------- */

static int full_sink(void *left, const void *data, size_t len)
{
	size_t *n = left;

	(void)data;
	if (len > *n)
		return -ENOSPC;
	*n -= len;
	return 0;
}

static void test_sink_fails(void)
{
	struct age_identity *id = age_rig_identity();
	struct age_target to = { .recipients = &id->recipient,
		                 .recipient_count = 1 };
	struct age_keys keys = { .ids = &id, .id_count = 1 };
	uint8_t *plain = make_plain(200000);
	struct buf file = BUF_INIT;
	size_t left;

	for (int armor = 0; armor < 2; armor++) {
		struct age_writer *w;

		left = 100000;
		CHECK_EQ(age_writer_new(&to, armor, full_sink, &left, &w), 0);
		CHECK_EQ(age_writer_feed(w, plain, 200000), -ENOSPC);
		CHECK_EQ(age_writer_feed(w, plain, 1), -ENOSPC);
		left = 1000000;
		CHECK_EQ(age_writer_finish(w), -ENOSPC);
		age_writer_free(w);
	}
	for (int armor = 0; armor < 2; armor++) {
		struct age_reader *r;

		buf_clear(&file);
		CHECK_EQ(seal_in_pieces(plain, 200000, 65536, armor, &file), 0);
		left = 100000;
		CHECK_EQ(age_reader_new(&keys, full_sink, &left, &r), 0);
		CHECK_EQ(age_reader_feed(r, file.data, file.len), -ENOSPC);
		CHECK_EQ(age_reader_finish(r), -ENOSPC);
		age_reader_free(r);
	}
	buf_done(&file);
	free(plain);
	age_identity_free(id);
}

/* ---- armor --------------------------------------------------------------- */

static void test_armor_shape(void)
{
	static const struct {
		size_t len;
		const char *text;
	} rows[] = {
		{ 0, BEGIN "\n" END "\n" },
		{ 1, BEGIN "\nAA==\n" END "\n" },
		{ 3, BEGIN "\nAAAA\n" END "\n" },
		{ 48,
		  BEGIN "\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		        "AAAAAAAAAAAAAA\n" END "\n" },
		{ 49,
		  BEGIN "\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		        "AAAAAAAAAAAAAA\nAA==\n" END "\n" },
	};
	static const uint8_t zeros[64];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf text = BUF_INIT, back = BUF_INIT;

		check_row("%zu bytes", rows[i].len);
		CHECK_EQ(age_armor_buf(zeros, rows[i].len, &text), 0);
		CHECK_STR(text.data, rows[i].text);
		CHECK_EQ(age_dearmor_buf(text.data, text.len, &back), 0);
		CHECK_EQ(back.len, rows[i].len);
		CHECK_MEM(back.data, zeros, back.len);
		buf_done(&text);
		buf_done(&back);
	}
}

static const struct {
	const char *text;
	int rc;
} armors[] = {
	{ BEGIN "\nAA==\n" END, 0 },
	{ BEGIN "\r\nAA==\r\n" END "\r\n", 0 },
	{ " \t\r\n\n" BEGIN "\nAA==\n" END "\n \n\t", 0 },
	{ BEGIN "\nAA==\n" END "\r", 0 },
	{ "", AGE_BAD_ARMOR },
	{ "\n", AGE_BAD_ARMOR },
	{ "x\n" BEGIN "\nAA==\n" END, AGE_BAD_ARMOR },
	{ BEGIN " \nAA==\n" END, AGE_BAD_ARMOR },
	{ BEGIN "AA==\n" END, AGE_BAD_ARMOR },
	{ BEGIN "\nAA==\n", AGE_BAD_ARMOR },
	{ BEGIN "\nAA==", AGE_BAD_ARMOR },
	{ BEGIN "\nAA==\n" END " x", AGE_BAD_ARMOR },
	{ BEGIN "\nAA==\n" END "\n" BEGIN "\nAA==\n" END, AGE_BAD_ARMOR },
	{ BEGIN "\nAA==\n" END "x", AGE_BAD_ARMOR },
	{ BEGIN "\n\nAA==\n" END, AGE_BAD_ARMOR },
	{ BEGIN "\nAA==\n\n" END, AGE_BAD_ARMOR },
	{ BEGIN "\nAA==\nAA==\n" END, AGE_BAD_ARMOR },
	{ BEGIN "\nAAAA\nAAAA\n" END, AGE_BAD_ARMOR },
	{ BEGIN "\nAA\n" END, AGE_BAD_ARMOR },
	{ BEGIN "\nAB==\n" END, AGE_BAD_ARMOR },
	{ BEGIN "\nAA== \n" END, AGE_BAD_ARMOR },
	{ BEGIN "\n AA==\n" END, AGE_BAD_ARMOR },
	{ BEGIN "\nAA==\r\r\n" END, AGE_BAD_ARMOR },
	{ BEGIN "\nComment: x\n\nAA==\n" END, AGE_BAD_ARMOR },
	{ BEGIN "\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	        "AAAAAAAA\n" END,
	  AGE_BAD_ARMOR }, /* 68 characters */
	{ "-----BEGIN age ENCRYPTED FILE-----\nAA==\n" END, AGE_BAD_ARMOR },
	{ BEGIN "\nAA==\n-----END RSA KEY-----\n", AGE_BAD_ARMOR },
	{ BEGIN "\nAA\xab=\n" END, AGE_BAD_ARMOR },
};

static void test_armor_rules(void)
{
	for (size_t i = 0; i < ARRAY_LEN(armors); i++) {
		struct buf out = BUF_INIT;

		check_row("row %zu: %.90s", i, armors[i].text);
		CHECK_EQ(age_dearmor_buf(armors[i].text, strlen(armors[i].text),
		                         &out),
		         armors[i].rc);
		buf_done(&out);
	}
}

static void test_armor_blanks(void)
{
	for (size_t n = 1023; n <= 1025; n++) {
		for (int behind = 0; behind < 2; behind++) {
			struct buf text = BUF_INIT, out = BUF_INIT;

			check_row("%zu blanks, behind %d", n, behind);
			for (size_t i = 0; !behind && i < n; i++)
				buf_add_char(&text, '\n');
			buf_add_str(&text, BEGIN "\nAA==\n" END "\n");
			for (size_t i = 0; behind && i < n; i++)
				buf_add_char(&text, ' ');
			CHECK_EQ(age_dearmor_buf(text.data, text.len, &out),
			         n <= 1024 ? 0 : AGE_BAD_ARMOR);
			buf_done(&text);
			buf_done(&out);
		}
	}
}

/* ---- memory -------------------------------------------------------------- */

static void test_no_memory(void)
{
	struct buf file = BUF_INIT;

	CHECK_EQ(seal_in_pieces("abc", 3, 3, true, &file), 0);
	for (unsigned n = 1; alloc_fail_at(n); n++) {
		struct buf out = BUF_INIT;
		int rc = seal_in_pieces("abc", 3, 1, false, &out);

		CHECK(rc == 0 || rc == -ENOMEM);
		buf_done(&out);
	}
	for (unsigned n = 1; alloc_fail_at(n); n++) {
		struct buf out = BUF_INIT;
		int rc = open_in_pieces(file.data, file.len, 61, &out);

		CHECK(rc == 0 || rc == -ENOMEM);
		buf_done(&out);
	}
	alloc_fail_off();
	buf_done(&file);
}

int main(void)
{
	age_rig_init();
	RUN(test_round_trips);
	RUN(test_cut);
	RUN(test_full_chunk_then_empty_one);
	RUN(test_nothing_to_read);
	RUN(test_sink_fails);
	RUN(test_armor_shape);
	RUN(test_armor_rules);
	RUN(test_armor_blanks);
	RUN(test_no_memory);
	return check_report();
}
