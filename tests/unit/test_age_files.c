/* Files that stock age made (tests/unit/data/age), opened whole. */
#include "auth/age.h"

#include <stdlib.h>

#include <sodium.h>

#include "auth/age_armor.h"
#include "net/buf.h"
#include "tests/unit/age_rig.h"
#include "tests/unit/alloc.h"
#include "tests/unit/check.h"

#define PASSPHRASE "correct horse"

static struct buf read_file(const char *name)
{
	struct buf b = BUF_INIT;
	char path[100], part[2048];
	size_t n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "tests/unit/data/age/%s", name);
	f = fopen(path, "rb");
	CHECK(f != NULL);
	if (f) {
		n = fread(part, 1, sizeof(part), f);
		(void)fclose(f);
	}
	buf_add(&b, part, n);
	return b;
}

static struct age_identities read_keys(const char *name, const char *passphrase)
{
	struct buf text = read_file(name);
	struct age_identities l = { 0 };
	unsigned line = 99;

	CHECK_EQ(
		age_identities_read(text.data, text.len, passphrase, &l, &line),
		0);
	CHECK_EQ(l.count, 1);
	buf_done(&text);
	return l;
}

static const struct {
	const char *file;
	size_t len;
	const char *plain; /* NULL: zeros */
	bool one, two;     /* which key opens it */
} rows[] = {
	{ "abc.age", 3, "abc", true, false },
	{ "empty.age", 0, "", true, false },
	{ "two.age", 1000, NULL, true, true },
	{ "armored.age", 3, "abc", false, true },
};

static void check_plain(size_t row, const void *plain, size_t len)
{
	static const uint8_t zeros[1000];

	CHECK_EQ(len, rows[row].len);
	CHECK_MEM(plain,
	          rows[row].plain ? (const void *)rows[row].plain : zeros, len);
	CHECK_EQ(((const char *)plain)[len], 0);
}

static void test_open(void)
{
	struct age_identities key[2] = { read_keys("one.key", NULL),
		                         read_keys("two.key", NULL) };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf file = read_file(rows[i].file);

		for (int k = 0; k < 2; k++) {
			struct age_keys keys = { .ids = key[k].ids,
				                 .id_count = 1 };
			void *plain = NULL;
			size_t len;
			int rc;

			check_row("%s, key %d", rows[i].file, k + 1);
			rc = age_open_buf(&keys, file.data, file.len, &plain,
			                  &len, NULL);
			CHECK_EQ(rc, (k ? rows[i].two : rows[i].one)
			                     ? 0
			                     : AGE_NO_MATCH);
			if (rc == 0)
				check_plain(i, plain, len);
			sodium_free(plain);
		}
		buf_done(&file);
	}
	age_identities_done(&key[0]);
	age_identities_done(&key[1]);
}

static void test_sealed_identity_file(void)
{
	struct buf text = read_file("sealed.key");
	struct age_identities l = { 0 }, one;
	unsigned line = 99;

	CHECK(age_is_sealed(text.data, text.len));
	CHECK_EQ(age_identities_read(text.data, text.len, NULL, &l, &line),
	         AGE_NEED_PASSPHRASE);
	CHECK_EQ(line, 0);
	CHECK_EQ(age_identities_read(text.data, text.len, "wrong", &l, &line),
	         AGE_BAD_PASSPHRASE);
	CHECK_EQ(l.count, 0);
	buf_done(&text);

	l = read_keys("sealed.key", PASSPHRASE);
	one = read_keys("one.key", NULL);
	CHECK_MEM(l.ids[0]->secret, one.ids[0]->secret, AGE_KEY_SIZE);
	age_identities_done(&l);
	age_identities_done(&one);
}

static void test_what_looks_sealed(void)
{
	struct buf key = read_file("one.key"), abc = read_file("abc.age");

	CHECK(!age_is_sealed(key.data, key.len));
	CHECK(age_is_sealed(abc.data, abc.len));
	CHECK(!age_is_sealed("", 0));
	CHECK(!age_is_sealed("-", 1));
	CHECK(!age_is_sealed("\nAGE-SECRET-KEY-1", 17));
	CHECK(!age_is_sealed("-----BEGIN OPENSSH PRIVATE KEY-----", 35));
	buf_done(&key);
	buf_done(&abc);
}

static void test_no_memory(void)
{
	struct age_identities one = read_keys("one.key", NULL);
	struct age_keys keys = { .ids = one.ids, .id_count = 1 };
	struct age_target to = { .recipients = &one.ids[0]->recipient,
		                 .recipient_count = 1 };
	struct buf text = BUF_INIT, abc = read_file("abc.age");

	CHECK_EQ(age_armor_buf(abc.data, abc.len, &text), 0);
	for (unsigned n = 1; alloc_fail_at(n); n++) {
		void *plain = NULL;
		size_t len;
		int rc = age_open_buf(&keys, text.data, text.len, &plain, &len,
		                      NULL);

		CHECK(rc == 0 || rc == -ENOMEM);
		CHECK_EQ(plain != NULL, rc == 0);
		sodium_free(plain);
	}
	for (unsigned n = 1; alloc_fail_at(n); n++) {
		struct buf out = BUF_INIT;
		int rc = age_seal_buf(&to, "abc", 3, &out);

		CHECK(rc == 0 || rc == -ENOMEM);
		CHECK_EQ(out.len, rc == 0 ? 203 : 0);
		buf_done(&out);
	}
	alloc_fail_off();
	buf_done(&text);
	buf_done(&abc);
	age_identities_done(&one);
}

int main(void)
{
	age_rig_init();
	RUN(test_open);
	RUN(test_sealed_identity_file);
	RUN(test_what_looks_sealed);
	RUN(test_no_memory);
	return check_report();
}
