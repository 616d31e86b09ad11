/* The 143 age files of C2SP/CCTV, good and bad, each through every way we have
 * to read one: streaming in pieces of several sizes, whole in memory, and by
 * random access. The 19 that need a post-quantum identity are left out.
 *
 * They are not part of the project: NMB_AGE_TESTKIT is their directory, or
 * ../shared/data/age-testkit. What the project carries is tests/unit/data/age
 * (test_age_files.c). */
#include "auth/age.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

#include <sodium.h>

#include "auth/age_payload.h"
#include "auth/age_stream.h"
#include "net/buf.h"
#include "tests/unit/age_rig.h"
#include "tests/unit/check.h"

#define COUNT         143
#define COUNT_QUANTUM 19

struct vector {
	char name[256];
	char expect[32];
	char sha256[65]; /* of the plaintext; "": none may come */
	char passphrase[80];
	bool armored, deflated, quantum;
	struct age_identities ids;
	struct buf file;
};

/* ---- reading a vector ---------------------------------------------------- */

static const char *testkit_dir(void)
{
	const char *dir = getenv("NMB_AGE_TESTKIT");

	return dir && dir[0] ? dir : "../shared/data/age-testkit";
}

static void take_identity(struct vector *v, const char *text)
{
	struct age_identity *id = NULL;
	int rc = age_identity_parse(text, strlen(text), &id);

	if (rc == AGE_FOREIGN_KEY) {
		v->quantum = true;
		return;
	}
	CHECK_EQ(rc, 0);
	if (rc == 0)
		CHECK_EQ(age_identities_add(&v->ids, id), 0);
}

static void take_key(struct vector *v, const char *key, const char *value)
{
	if (!strcmp(key, "expect"))
		snprintf(v->expect, sizeof(v->expect), "%s", value);
	else if (!strcmp(key, "payload"))
		snprintf(v->sha256, sizeof(v->sha256), "%s", value);
	else if (!strcmp(key, "passphrase"))
		snprintf(v->passphrase, sizeof(v->passphrase), "%s", value);
	else if (!strcmp(key, "identity"))
		take_identity(v, value);
	else if (!strcmp(key, "armored"))
		v->armored = !strcmp(value, "yes");
	else if (!strcmp(key, "compressed"))
		v->deflated = !strcmp(value, "zlib");
	else
		CHECK(!strcmp(key, "file key") || !strcmp(key, "comment"));
}

static bool read_all(FILE *f, struct buf *out)
{
	char part[65536];
	size_t n;

	while ((n = fread(part, 1, sizeof(part), f)) > 0)
		buf_add(out, part, n);
	return !ferror(f) && !out->failed;
}

/* Python has zlib; the project hasn't. */
static bool inflate_file(const char *path, struct buf *out)
{
	char command[1200];
	FILE *f;
	bool ok;

	snprintf(command, sizeof(command),
	         "python3 -c 'import sys, zlib; "
	         "d = open(sys.argv[1], \"rb\").read().split(b\"\\n\\n\", 1);"
	         "sys.stdout.buffer.write(zlib.decompress(d[1]))' '%s'",
	         path);
	f = popen(command, "r"); /* NOLINT(cert-env33-c) */
	if (!f)
		return false;
	ok = read_all(f, out);
	return pclose(f) == 0 && ok;
}

static bool read_vector(const char *name, struct vector *v)
{
	struct buf raw = BUF_INIT;
	char path[1000];
	char *p, *end;
	FILE *f;
	bool ok;

	memset(v, 0, sizeof(*v));
	snprintf(v->name, sizeof(v->name), "%s", name);
	snprintf(path, sizeof(path), "%s/%s", testkit_dir(), name);
	f = fopen(path, "rb");
	if (!f)
		return false;
	ok = read_all(f, &raw);
	(void)fclose(f);

	for (p = raw.data; ok && *p != '\n'; p = end + 1) {
		char *colon = strstr(p, ": ");

		end = strchr(p, '\n');
		*end = *colon = '\0';
		take_key(v, p, colon + 2);
	}
	if (v->deflated)
		ok = inflate_file(path, &v->file);
	else
		buf_add(&v->file, p + 1, raw.len - (size_t)(p + 1 - raw.data));
	buf_done(&raw);
	return ok;
}

static void vector_done(struct vector *v)
{
	age_identities_done(&v->ids);
	buf_done(&v->file);
}

/* ---- judging ------------------------------------------------------------- */

static const char *class_of(int rc)
{
	switch (rc) {
	case 0:
		return "success";
	case AGE_BAD_HEADER:
	case AGE_WORK_TOO_HIGH:
		return "header failure";
	case AGE_NO_MATCH:
	case AGE_NEED_PASSPHRASE:
	case AGE_BAD_PASSPHRASE:
		return "no match";
	case AGE_BAD_MAC:
		return "HMAC failure";
	case AGE_BAD_CONTENT:
		return "payload failure";
	case AGE_BAD_ARMOR:
		return "armor failure";
	default:
		return age_strerror(rc);
	}
}

/* Where a chunk is full and is or isn't the last against its place, the
 * reference tries both and complains afterwards, so it hands out one chunk
 * more. We go by the place alone: what we hand out of these, in bytes. */
static const struct {
	const char *name;
	size_t plain;
} stricter[] = {
	{ "armor_garbage_encoded", 0 },
	{ "stream_no_final_full", 0 },
	{ "stream_no_final_two_chunks_full", AGE_CHUNK },
	{ "stream_trailing_garbage_long", 0 },
	{ "stream_trailing_garbage_short", 0 },
	{ "stream_two_final_chunks", 0 },
	{ "stream_two_final_chunks_full", 0 },
	{ "stream_two_final_chunks_second", AGE_CHUNK },
};

static void check_plain(const struct vector *v, const struct buf *plain)
{
	for (size_t i = 0; i < ARRAY_LEN(stricter); i++) {
		if (strcmp(v->name, stricter[i].name) != 0)
			continue;
		CHECK_EQ(plain->len, stricter[i].plain);
		return;
	}
	if (v->sha256[0])
		age_rig_check_sha256(plain->data, plain->len, v->sha256);
	else
		CHECK_EQ(plain->len, 0);
}

/* Whether it is armor is guessed from the first byte: what starts with a "g" is
 * none. */
static const char *expected(const struct vector *v)
{
	return strcmp(v->name, "armor_garbage_leading") ? v->expect
	                                                : "header failure";
}

static struct age_keys keys_of(const struct vector *v)
{
	return (struct age_keys){
		.ids = v->ids.ids,
		.id_count = v->ids.count,
		.passphrase = v->passphrase[0] ? v->passphrase : NULL,
	};
}

static void judge(const struct vector *v, int rc, const struct buf *plain)
{
	CHECK_STR(class_of(rc), expected(v));
	check_plain(v, plain);
}

/* ---- the ways to read ---------------------------------------------------- */

static int sink(void *buf, const void *data, size_t len)
{
	return buf_add(buf, data, len);
}

static int stream(const struct vector *v, size_t piece, struct buf *out)
{
	struct age_keys keys = keys_of(v);
	struct age_reader *r;
	int rc;

	CHECK_EQ(age_reader_new(&keys, sink, out, &r), 0);
	for (size_t off = 0; off < v->file.len; off += piece) {
		size_t left = v->file.len - off;

		if (age_reader_feed(r, v->file.data + off,
		                    left < piece ? left : piece) < 0)
			break; /* finish says the same */
	}
	rc = age_reader_finish(r);
	age_reader_free(r);
	return rc;
}

static void test_streaming_of(const struct vector *v, struct buf *out)
{
	static const size_t pieces[] = { SIZE_MAX / 2, 65536, 61, 1 };

	for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
		if (pieces[i] < 65536 && v->file.len > 300000)
			continue;
		check_row("%s, streaming by %zu", v->name, pieces[i]);
		buf_clear(out);
		judge(v, stream(v, pieces[i], out), out);
	}
}

static void test_whole(const struct vector *v)
{
	struct age_keys keys = keys_of(v);
	void *plain = NULL;
	size_t len = 0;
	int rc;

	check_row("%s, whole", v->name);
	rc = age_open_buf(&keys, v->file.data, v->file.len, &plain, &len, NULL);
	CHECK_STR(class_of(rc), expected(v));
	CHECK_EQ(plain != NULL, rc == 0);
	if (rc == 0)
		age_rig_check_sha256(plain, len, v->sha256);
	sodium_free(plain);
}

/* Last chunk first, then all others from the back. */
static int open_chunks(const uint8_t *file, size_t header, uint64_t plain,
                       const uint8_t *key, uint8_t *out)
{
	uint64_t count = age_chunk_count(plain), off;
	size_t len;
	int rc = 0;

	for (uint64_t i = count; rc == 0 && i-- > 0;) {
		age_chunk_range(header, plain, i, &off, &len);
		rc = age_chunk_open(key, i, i == count - 1, file + off, len,
		                    out + i * AGE_CHUNK);
	}
	return rc;
}

static int random_access(const struct vector *v, const struct buf *binary,
                         struct buf *out)
{
	struct age_keys keys = keys_of(v);
	const uint8_t *file = (const uint8_t *)binary->data;
	uint8_t file_key[AGE_FILE_KEY_SIZE], key[AGE_PAYLOAD_KEY];
	struct age_header *h;
	uint64_t plain;
	size_t header;
	int rc;

	rc = age_header_parse(file, binary->len, &h);
	if (rc < 0)
		return rc == -EAGAIN ? AGE_BAD_HEADER : rc;
	header = age_header_len(h);
	rc = age_header_open(h, &keys, file_key, NULL);
	age_header_free(h);
	if (rc < 0)
		return rc;
	if (binary->len < header + AGE_NONCE_SIZE)
		return AGE_BAD_HEADER;
	rc = age_plain_size(header, binary->len, &plain);
	if (rc < 0)
		return rc;
	CHECK_EQ(age_sealed_size(header, plain), binary->len);
	age_payload_key(file_key, file + header, key);
	CHECK_EQ(buf_reserve(out, plain + 1), 0);
	rc = open_chunks(file, header, plain, key, (uint8_t *)out->data);
	if (rc == 0)
		out->len = plain;
	return rc;
}

static void test_random_access(const struct vector *v)
{
	struct buf binary = BUF_INIT, out = BUF_INIT;
	int rc;

	check_row("%s, random access", v->name);
	if (v->armored)
		rc = age_dearmor_buf(v->file.data, v->file.len, &binary);
	else
		rc = buf_add(&binary, v->file.data, v->file.len);
	if (rc == 0)
		rc = random_access(v, &binary, &out);
	CHECK_STR(class_of(rc), v->expect);
	if (rc == 0)
		age_rig_check_sha256(out.data, out.len, v->sha256);
	buf_done(&binary);
	buf_done(&out);
}

static void test_vectors(void)
{
	unsigned seen = 0, quantum = 0, ran = 0;
	struct buf out = BUF_INIT;
	struct dirent *e;
	DIR *d = opendir(testkit_dir());

	if (!d)
		SKIP("no age test kit: NMB_AGE_TESTKIT or "
		     "../shared/data/age-testkit");
	while ((e = readdir(d)) != NULL) {
		struct vector v;

		if (e->d_name[0] == '.' || !strcmp(e->d_name, "README.md"))
			continue;
		seen++;
		check_row("%s", e->d_name);
		CHECK(read_vector(e->d_name, &v));
		if (v.quantum) {
			quantum++;
		} else {
			ran++;
			test_streaming_of(&v, &out);
			test_whole(&v);
			test_random_access(&v);
		}
		vector_done(&v);
	}
	closedir(d);
	buf_done(&out);
	check_row("all");
	CHECK_EQ(seen, COUNT);
	CHECK_EQ(quantum, COUNT_QUANTUM);
	CHECK_EQ(ran, COUNT - COUNT_QUANTUM);
}

int main(void)
{
	age_rig_init();
	RUN(test_vectors);
	return check_report();
}
