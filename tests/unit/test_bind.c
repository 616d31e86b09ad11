/* auth/bind: the known answer of the format, every bit of a body, and what a
 * reader makes of the fields. */
#include "auth/bind.h"

#include <errno.h>

#include <sodium.h>

#include "auth/age_base64.h"
#include "tests/unit/check.h"

static struct bind_key key;
static uint8_t file_key[AGE_FILE_KEY_SIZE];
static struct bind_fields fields;

static void count_up(uint8_t *to, size_t n, uint8_t from)
{
	for (size_t i = 0; i < n; i++)
		to[i] = (uint8_t)(from + i);
}

/* The values of the known answer, facts/names.md C4. */
static void set_up(void)
{
	count_up(key.vault_id, sizeof(key.vault_id), 0xc0);
	count_up(key.auth_key, sizeof(key.auth_key), 0x60);
	count_up(file_key, sizeof(file_key), 0);
	fields = (struct bind_fields){ .version = 1,
		                       .size = 3,
		                       .sealed_ns = 1700000000123456789 };
	count_up(fields.file_id, sizeof(fields.file_id), 0xd0);
	count_up(fields.path_tag, sizeof(fields.path_tag), 0xe0);
}

static void test_known_answer(void)
{
	static const char want[] =
		"cpxa5Jvep+tY9/Gr+F76GxTFRAnFjssZW2/2p8SHeQE/DfUBngERo1CIJNvfK6"
		"cp82Rk89Z9K70/VTMIpv2Px0obn96Tj5L2Y/X/KaGZ/DxgzMM/pqu6YA";
	char text[AGE_BASE64_LEN(BIND_BODY_SIZE) + 1];
	uint8_t body[BIND_BODY_SIZE];
	struct bind_fields back;

	set_up();
	bind_seal(&key, file_key, &fields, body);
	age_base64_encode(body, sizeof(body), text);
	CHECK_STR(text, want);
	CHECK_EQ(bind_open(&key, file_key, body, sizeof(body), &back), 0);
	CHECK_MEM(&back, &fields, sizeof(back));
}

static void test_extremes(void)
{
	static const struct bind_fields cases[] = {
		{ .version = 0, .size = 0, .sealed_ns = INT64_MIN },
		{ .version = UINT64_MAX,
		  .size = UINT64_MAX,
		  .sealed_ns = INT64_MAX,
		  .previous = { 0xff } },
		{ .version = 0x0102030405060708, .sealed_ns = -1 },
	};
	uint8_t body[BIND_BODY_SIZE];
	struct bind_fields back;

	set_up();
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		check_row("%zu", i);
		bind_seal(&key, file_key, &cases[i], body);
		CHECK_EQ(bind_open(&key, file_key, body, sizeof(body), &back),
		         0);
		CHECK_MEM(&back, &cases[i], sizeof(back));
	}
}

static void test_refused(void)
{
	uint8_t body[BIND_BODY_SIZE + 1] = { 0 };
	struct bind_fields back;
	struct bind_key other;

	set_up();
	bind_seal(&key, file_key, &fields, body);
	for (size_t bit = 0; bit < 8 * BIND_BODY_SIZE; bit++) {
		check_row("bit %zu", bit);
		body[bit / 8] ^= (uint8_t)(1 << bit % 8);
		CHECK_EQ(bind_open(&key, file_key, body, BIND_BODY_SIZE, &back),
		         -EBADMSG);
		body[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	check_row("lengths");
	CHECK_EQ(bind_open(&key, file_key, body, 0, &back), -EBADMSG);
	CHECK_EQ(bind_open(&key, file_key, body, BIND_BODY_SIZE - 1, &back),
	         -EBADMSG);
	CHECK_EQ(bind_open(&key, file_key, body, BIND_BODY_SIZE + 1, &back),
	         -EBADMSG);
	check_row("another vault");
	other = key;
	other.vault_id[15] ^= 1;
	CHECK_EQ(bind_open(&other, file_key, body, BIND_BODY_SIZE, &back),
	         -EBADMSG);
	check_row("another auth key");
	other = key;
	other.auth_key[31] ^= 1;
	CHECK_EQ(bind_open(&other, file_key, body, BIND_BODY_SIZE, &back),
	         -EBADMSG);
	check_row("another file key");
	file_key[0] ^= 1;
	CHECK_EQ(bind_open(&key, file_key, body, BIND_BODY_SIZE, &back),
	         -EBADMSG);
}

static void test_path_tag(void)
{
	uint8_t a[BIND_TAG_SIZE], b[BIND_TAG_SIZE];

	set_up();
	bind_path_tag(&key, "dir/file", a);
	bind_path_tag(&key, "dir/file", b);
	CHECK_MEM(a, b, sizeof(a));
	bind_path_tag(&key, "dir/filf", b);
	CHECK(memcmp(a, b, sizeof(a)) != 0);
	key.auth_key[0] ^= 1;
	bind_path_tag(&key, "dir/file", b);
	CHECK(memcmp(a, b, sizeof(a)) != 0);
}

/* Known: file 1, version 5, MAC 7. */
static void test_judge(void)
{
	static const struct {
		const char *what;
		bool known;
		uint8_t file, mac, previous;
		uint64_t version;
		enum bind_verdict want;
	} cases[] = {
		{ "nothing known", false, 2, 9, 9, 1, BIND_UNKNOWN },
		{ "the same", true, 1, 7, 6, 5, BIND_FINE },
		{ "the next, made from it", true, 1, 8, 7, 6, BIND_NEWER },
		{ "the next, not from it", true, 1, 8, 6, 6, BIND_FORKED },
		{ "a later one", true, 1, 9, 8, 7, BIND_NEWER },
		{ "the version before", true, 1, 6, 5, 4, BIND_ROLLED_BACK },
		{ "the first version", true, 1, 2, 0, 1, BIND_ROLLED_BACK },
		{ "version 0", true, 1, 7, 7, 0, BIND_ROLLED_BACK },
		{ "as new, other bytes", true, 1, 8, 6, 5, BIND_FORKED },
		{ "another file", true, 2, 7, 6, 5, BIND_SWAPPED },
		{ "another file, older", true, 2, 7, 6, 1, BIND_SWAPPED },
		{ "the last version", true, 1, 9, 9, UINT64_MAX, BIND_NEWER },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct bind_known k = { .known = cases[i].known,
			                .file_id = { 1 },
			                .version = 5,
			                .mac = { 7 } };
		struct bind_fields f = { .file_id = { cases[i].file },
			                 .version = cases[i].version,
			                 .previous = { cases[i].previous } };
		uint8_t mac[AGE_MAC_SIZE] = { cases[i].mac };

		check_row("%s", cases[i].what);
		CHECK_STR(bind_verdict_name(bind_judge(&k, &f, mac)),
		          bind_verdict_name(cases[i].want));
	}
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	RUN(test_known_answer);
	RUN(test_extremes);
	RUN(test_refused);
	RUN(test_path_tag);
	RUN(test_judge);
	return check_report();
}
