/* fs/codec_vault: names with attributes, sizes, sealing and opening at any
 * offset, and every way in which a stored file can be wrong. */

#include "fs/codec_vault.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <sodium.h>

#include "auth/age_key.h"
#include "auth/age_payload.h"
#include "auth/bind.h"
#include "auth/vault.h"
#include "fs/cfile.h"
#include "fs/codec.h"
#include "net/buf.h"
#include "tests/unit/check.h"

#define HEADER 407
#define UID    1000
#define GID    100

static struct vault_slot slot;
static struct codec *codec;
static struct descriptor *descriptor;

/* For what another release could seal into the vault. */
static struct age_recipient epoch;
static struct bind_key bind_key;

static void make_vault(void)
{
	struct age_identity *id;
	struct descriptor *d;
	struct vault *v;

	CHECK_EQ(age_identity_new(&id), 0);
	CHECK_EQ(descriptor_new(NAME_TEXT_CJK14, 7, "test", &d), 0);
	CHECK_EQ(descriptor_add(d, "test", DESCRIPTOR_DEVICE, &id->recipient),
	         0);
	CHECK_EQ(descriptor_finish(d, 1), 0);
	CHECK_EQ(vault_new(d, NULL, &v), 0);
	epoch = descriptor_active(d)->recipient;
	memcpy(bind_key.vault_id, d->vault_id, sizeof(bind_key.vault_id));
	memcpy(bind_key.auth_key, d->auth_key, sizeof(bind_key.auth_key));
	descriptor = d;
	age_identity_free(id);
	CHECK_EQ(vault_slot_init(&slot), 0);
	vault_slot_set(&slot, v);
	CHECK_EQ(codec_vault_new(&slot, UID, GID, &codec), 0);
}

static void free_vault(void)
{
	codec_free(codec);
	vault_slot_done(&slot);
	descriptor_free(descriptor);
}

/* ---- names --------------------------------------------------------------- */

static const struct name_case {
	const char *what;
	struct node n;
	const char *target;
} names[] = {
	{ "a file", { .mode = S_IFREG | 0644, .name = "a", .mtime = 5 }, NULL },
	{ "a folder", { .mode = S_IFDIR | 0755, .name = "d" }, NULL },
	{ "a private folder", { .mode = S_IFDIR | 0700, .name = "d" }, NULL },
	{ "executable",
	  { .mode = S_IFREG | 0755, .name = "run.sh", .mtime = -1 },
	  NULL },
	{ "set-user-id, other owners",
	  { .mode = S_IFREG | 04711,
	    .name = "su",
	    .uid = 0,
	    .gid = 0,
	    .mtime = INT64_C(1700000000123456789) },
	  NULL },
	{ "a link",
	  { .mode = S_IFLNK | 0777, .name = "l", .mtime = 1 },
	  "../t" },
	{ "a link with commas",
	  { .mode = S_IFLNK | 0777, .name = "l", .mtime = 1 },
	  "a,z,k" },
	{ "a fifo", { .mode = S_IFIFO | 0600, .name = "p", .mtime = 1 }, NULL },
	{ "a socket",
	  { .mode = S_IFSOCK | 0755, .name = "s", .mtime = 1 },
	  NULL },
	{ "a device",
	  { .mode = S_IFCHR | 0666, .name = "null", .rdev = 0x103, .mtime = 1 },
	  NULL },
	{ "not UTF-8", { .mode = S_IFREG | 0644, .name = "\xff\xfe" }, NULL },
};

static void set_owner(struct node *n)
{
	if (strcmp(n->name, "su") != 0) {
		n->uid = UID;
		n->gid = GID;
	}
}

static void test_names(void)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char sealed[NODE_REMOTE_MAX + 1], target[4096];
		struct node n = names[i].n, back = { 0 };
		const char *why;

		check_row("%s", names[i].what);
		set_owner(&n);
		CHECK_EQ(codec->ops->seal_name(codec, &n, names[i].target,
		                               sealed, &why),
		         0);
		back.mode = S_ISDIR(n.mode) ? S_IFDIR | 0755 : S_IFREG | 0644;
		CHECK_EQ(codec->ops->open_name(codec, sealed, &back, target),
		         0);
		CHECK_STR(back.name, n.name);
		CHECK_EQ(back.mode, n.mode);
		CHECK_EQ(back.uid, n.uid);
		CHECK_EQ(back.gid, n.gid);
		CHECK_EQ(back.rdev, n.rdev);
		if (!S_ISDIR(n.mode))
			CHECK_EQ(back.mtime, n.mtime);
		CHECK_STR(target, names[i].target ? names[i].target : "");
		/* What is there says all that: it stays. */
		strcpy(back.s_name, sealed);
		strcpy(back.s_id, "ID");
		CHECK_EQ(codec->ops->seal_name(codec, &back, names[i].target,
		                               sealed, &why),
		         0);
		CHECK_STR(sealed, back.s_name);
	}
}

static void test_long_names(void)
{
	char sealed[NODE_REMOTE_MAX + 1], target[4096], link[3001];
	struct node n = { .mode = S_IFREG | 0644, .uid = UID, .gid = GID };
	const char *why;
	unsigned units;

	memset(n.name, 'x', 255);
	CHECK_EQ(codec->ops->seal_name(codec, &n, NULL, sealed, &why), 0);
	CHECK_EQ(codec->ops->name_units(codec, &n, NULL, &units), 0);
	CHECK_EQ(units, 184); /* 16 + 255 + 1 + 48 in groups of 7 */
	CHECK_EQ(codec->ops->open_name(codec, sealed, &n, target), 0);
	CHECK_EQ(strlen(n.name), 255);
	n.mode = S_IFDIR | 0755;
	CHECK_EQ(codec->ops->name_units(codec, &n, NULL, &units), 0);
	CHECK_EQ(units, 156); /* names.md A4: no attributes */

	/* A long target goes into the content, a short one rides along. */
	memset(link, 't', sizeof(link) - 1);
	link[sizeof(link) - 1] = '\0';
	n.mode = S_IFLNK | 0777;
	strcpy(n.name, "l");
	CHECK(codec->ops->target_in_content(codec, &n, link));
	CHECK(!codec->ops->target_in_content(codec, &n, "short"));
	CHECK_EQ(codec->ops->seal_name(codec, &n, link, sealed, &why), 0);
	CHECK_EQ(codec->ops->open_name(codec, sealed, &n, target), 0);
	CHECK(S_ISLNK(n.mode));
	CHECK_STR(target, "");
}

static void test_strange_names(void)
{
	static const char *const strange[] = {
		"",          "a",
		"vault.age", "nmbackupfs-aside-0123",
		"\xff",      "砛栧謦跷夲苍艞趣珧嘤籫粟", /* of another key */
	};
	struct node n = { .mode = S_IFREG | 0644 };
	char target[4096];

	for (size_t i = 0; i < ARRAY_LEN(strange); i++) {
		check_row("%s", strange[i]);
		CHECK_EQ(codec->ops->open_name(codec, strange[i], &n, target),
		         -EINVAL);
	}
}

/* An alias is shown here; what is sent keeps the item's own name. */
static void test_alias_keeps_name(void)
{
	struct node n = { .mode = S_IFREG | 0644,
		          .uid = UID,
		          .gid = GID,
		          .name = "a",
		          .mtime = 7 };
	char sealed[NODE_REMOTE_MAX + 1], target[4096];
	const char *why;

	CHECK_EQ(codec->ops->seal_name(codec, &n, NULL, n.s_name, &why), 0);
	strcpy(n.s_id, "ID");
	strcpy(n.name, "a (conflict 01234567)");
	n.flags = NODE_ALIAS;
	CHECK_EQ(codec->ops->seal_name(codec, &n, NULL, sealed, &why), 0);
	CHECK_STR(sealed, n.s_name);
	n.mode = S_IFREG | 0600;
	CHECK_EQ(codec->ops->seal_name(codec, &n, NULL, sealed, &why), 0);
	CHECK(strcmp(sealed, n.s_name) != 0);
	CHECK_EQ(codec->ops->open_name(codec, sealed, &n, target), 0);
	CHECK_STR(n.name, "a");
	CHECK_EQ(n.mode, S_IFREG | 0600);
}

/* ---- content ------------------------------------------------------------- */

static const uint64_t sizes[] = { 0, 1, 65535, 65536, 65537, 131072, 200001 };

struct plain {
	uint8_t *data;
	size_t len;
};

static int read_plain(void *arg, void *buf, size_t len, uint64_t off)
{
	const struct plain *p = arg;

	if (off > p->len || len > p->len - off)
		return -EIO;
	memcpy(buf, p->data + off, len);
	return 0;
}

static struct plain plain_of(size_t len)
{
	struct plain p = { malloc(len + 1), len };

	for (size_t i = 0; i < len; i++)
		p.data[i] = (uint8_t)(i * 7 % 251);
	return p;
}

/* In pieces of `step`. */
static uint8_t *seal_all(struct codec_writer *w, struct plain *p, size_t step,
                         size_t *out_len)
{
	size_t total = codec->ops->sealed_size(codec, p->len);
	uint8_t *out = malloc(total);

	for (size_t off = 0; off < total; off += step) {
		size_t n = total - off < step ? total - off : step;

		CHECK_EQ(codec->ops->writer_read(w, read_plain, p, out + off, n,
		                                 off),
		         0);
	}
	*out_len = total;
	return out;
}

static uint8_t *seal_new(struct plain *p, const struct codec_bond *base,
                         struct codec_bond *out_bond, size_t *out_len)
{
	struct codec_bond none = { 0 };
	struct codec_seed seed;
	struct codec_writer *w;
	uint8_t *sealed;

	CHECK_EQ(codec->ops->writer_new(codec, p->len, true,
	                                base ? base : &none, "/a/b", &seed, &w),
	         0);
	sealed = seal_all(w, p, 10000, out_len);
	codec->ops->writer_free(w);
	if (out_bond)
		*out_bond = seed.bond;
	codec_seed_done(&seed);
	return sealed;
}

/* Of a piece there is just that piece. */
static int feed(struct codec_reader *r, uint64_t off, const uint8_t *data,
                size_t len, const char **out_why)
{
	uint8_t *piece = malloc(len ? len : 1);
	int rc;

	memcpy(piece, data, len);
	rc = codec->ops->reader_feed(r, off, piece, len, out_why);
	free(piece);
	return rc;
}

/* Everything a reader does; 0, or the first error. */
static int open_all(const uint8_t *sealed, size_t len,
                    const struct codec_bond *known, struct plain *out)
{
	struct codec_bond none = { 0 };
	const struct codec_ops *ops = codec->ops;
	uint8_t chunk[CHUNK_SIZE];
	struct codec_reader *r;
	uint64_t off, n, idx = 0;
	const char *why = NULL;
	const void *part;
	size_t part_len;
	int rc = ops->reader_new(codec, len, known ? known : &none, &r);

	CHECK_EQ(rc, 0);
	for (unsigned i = 0; ops->reader_needs(r, 0, &off, &n) == 1; i++) {
		if (off + n > len || i > 3)
			rc = -ERANGE;
		if (rc == 0)
			rc = feed(r, off, sealed + off, n, &why);
		if (rc < 0) {
			CHECK(rc == -ERANGE || why);
			ops->reader_free(r);
			return rc;
		}
	}
	out->len = ops->reader_size(r);
	out->data = malloc(out->len + 1);
	for (; idx * CHUNK_SIZE < out->len && rc == 0; idx++) {
		ssize_t got;

		ops->reader_range(r, idx, &off, &n);
		CHECK(off + n <= len);
		got = ops->reader_open(r, idx, sealed + off, n, chunk);
		if (got < 0)
			rc = (int)got;
		else
			memcpy(out->data + idx * CHUNK_SIZE, chunk,
			       (size_t)got);
	}
	/* What came along is the same. */
	while (rc == 0 && ops->reader_take(r, &idx, &part, &part_len) == 1)
		CHECK(!memcmp(part, out->data + idx * CHUNK_SIZE, part_len));
	ops->reader_free(r);
	if (rc < 0)
		free(out->data);
	return rc;
}

static void test_round_trip(void)
{
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct plain p = plain_of(sizes[i]), back;
		uint64_t claim;
		size_t len;
		uint8_t *sealed = seal_new(&p, NULL, NULL, &len);

		check_row("%zu", p.len);
		CHECK_EQ(codec->ops->plain_size(codec, len, &claim), 0);
		CHECK_EQ(claim, p.len);
		CHECK_EQ(open_all(sealed, len, NULL, &back), 0);
		CHECK_EQ(back.len, p.len);
		CHECK(!memcmp(back.data, p.data, p.len));
		free(back.data);
		free(sealed);
		free(p.data);
	}
}

/* After a restart, at other offsets: the same bytes. */
static void test_same_again(void)
{
	static const size_t steps[] = { 1000, 65552, 70001, 1 << 20 };
	struct codec_bond none = { 0 };
	struct plain p = plain_of(200001);
	struct codec_seed seed;
	struct codec_writer *w;
	uint8_t *first, tags[4][CODEC_TAG];
	size_t len;

	CHECK_EQ(codec->ops->writer_new(codec, p.len, true, &none, "", &seed,
	                                &w),
	         0);
	first = seal_all(w, &p, 4096, &len);
	CHECK_EQ(codec->ops->writer_tags(w, 0, 4, tags), 4);
	codec->ops->writer_free(w);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		uint8_t *again;

		CHECK_EQ(codec->ops->writer_new(codec, p.len, false, &none, "",
		                                &seed, &w),
		         0);
		CHECK_EQ(codec->ops->writer_expect(w, 0, 4, tags), 0);
		again = seal_all(w, &p, steps[i], &len);
		CHECK(!memcmp(first, again, len));
		free(again);
		codec->ops->writer_free(w);
	}
	/* Other bytes under the same key never leave. */
	p.data[70000] ^= 1;
	CHECK_EQ(codec->ops->writer_new(codec, p.len, false, &none, "", &seed,
	                                &w),
	         0);
	CHECK_EQ(codec->ops->writer_expect(w, 0, 4, tags), 0);
	CHECK_EQ(codec->ops->writer_read(w, read_plain, &p, first, 65552, 423),
	         0);
	CHECK_EQ(codec->ops->writer_read(w, read_plain, &p, first, 65552,
	                                 423 + 65552),
	         -ESTALE);
	codec->ops->writer_free(w);
	codec_seed_done(&seed);
	free(first);
	free(p.data);
}

/* The same vault with another active epoch. */
static struct vault *rotated(void)
{
	struct descriptor *next;
	struct vault *v;

	CHECK_EQ(descriptor_next(descriptor, "test", &next), 0);
	CHECK_EQ(descriptor_rotate(next), 0);
	CHECK_EQ(descriptor_finish(next, 2), 0);
	CHECK_EQ(vault_new(next, NULL, &v), 0);
	descriptor_free(next);
	return v;
}

/* A removed member could read what is sealed for the epoch before. */
static void test_other_epoch(void)
{
	struct vault *before = vault_slot_get(&slot);
	struct codec_bond none = { 0 };
	struct codec_writer *w, *x;
	struct codec_seed seed;

	CHECK_EQ(codec->ops->writer_new(codec, 10, true, &none, "", &seed, &w),
	         0);
	CHECK(codec->ops->writer_is_current(codec, w));
	vault_slot_set(&slot, rotated());
	CHECK(!codec->ops->writer_is_current(codec, w));
	CHECK_EQ(codec->ops->writer_new(codec, 10, false, &none, "", &seed, &x),
	         -ESTALE);
	vault_slot_set(&slot, before);
	CHECK(codec->ops->writer_is_current(codec, w));
	codec->ops->writer_free(w);
	CHECK_EQ(codec->ops->writer_new(codec, 10, false, &none, "", &seed, &w),
	         0);
	codec->ops->writer_free(w);
	seed.header[100] ^= 1;
	CHECK_EQ(codec->ops->writer_new(codec, 10, false, &none, "", &seed, &w),
	         -EUCLEAN);
	codec_seed_done(&seed);
}

/* No two contents under one key, no header twice. */
static void test_fresh_keys(void)
{
	struct plain p = plain_of(100);
	size_t len;
	uint8_t *a = seal_new(&p, NULL, NULL, &len);
	uint8_t *b = seal_new(&p, NULL, NULL, &len);

	CHECK(memcmp(a, b, HEADER) != 0);
	CHECK(memcmp(a + HEADER, b + HEADER, 16) != 0);
	CHECK(memcmp(a + HEADER + 16, b + HEADER + 16, 100) != 0);
	free(a);
	free(b);
	free(p.data);
}

static void test_versions(void)
{
	struct plain p = plain_of(5), back;
	struct codec_bond one, two, other, swapped;
	struct codec_bond read = { 0 };
	const char *why;
	size_t len;
	uint8_t *v1 = seal_new(&p, NULL, &one, &len);
	uint8_t *v2 = seal_new(&p, &one, &two, &len);
	uint8_t *v3 = seal_new(&p, NULL, &other, &len);

	CHECK_EQ(one.version, 1);
	CHECK_EQ(two.version, 2);
	CHECK(!memcmp(one.file_id, two.file_id, sizeof(one.file_id)));
	CHECK_EQ(codec->ops->read_header(codec, v2, HEADER, &read, &why), 0);
	CHECK(!memcmp(&read, &two, sizeof(read)));

	CHECK_EQ(open_all(v2, len, &one, &back), 0); /* newer */
	free(back.data);
	CHECK_EQ(open_all(v2, len, &two, &back), 0); /* known */
	free(back.data);
	CHECK_EQ(open_all(v1, len, &two, &back), -EBADMSG); /* rolled back */
	CHECK_EQ(open_all(v3, len, &two, &back), -EBADMSG); /* swapped */
	swapped = two;
	swapped.file_id[0] ^= 1;
	CHECK_EQ(open_all(v2, len, &swapped, &back), -EBADMSG);
	free(v1);
	free(v2);
	free(v3);
	free(p.data);
}

/* One bit anywhere: an error, never other bytes. */
static void test_flipped_bits(void)
{
	struct plain p = plain_of(70000), back;
	size_t len;
	uint8_t *sealed = seal_new(&p, NULL, NULL, &len);

	for (size_t at = 0; at < len; at += at < HEADER + 40 ? 1 : 977) {
		check_row("byte %zu", at);
		sealed[at] ^= 0x10;
		CHECK(open_all(sealed, len, NULL, &back) < 0);
		sealed[at] ^= 0x10;
	}
	sealed[len - 1] ^= 1;
	CHECK_EQ(open_all(sealed, len, NULL, &back), -EBADMSG);
	free(sealed);
	free(p.data);
}

static void test_cut_short(void)
{
	struct plain p = plain_of(3 * 65536), back;
	size_t len;
	uint8_t *sealed = seal_new(&p, NULL, NULL, &len);
	const size_t cuts[] = { 0,
		                100,
		                HEADER,
		                HEADER + 16,
		                HEADER + 32,
		                HEADER + 16 + 65552,
		                HEADER + 16 + 2 * 65552,
		                len - 1,
		                len - 16,
		                len + 1 };

	sealed = realloc(sealed, len + 1);
	sealed[len] = 0;
	for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
		check_row("%zu of %zu", cuts[i], len);
		CHECK(open_all(sealed, cuts[i], NULL, &back) < 0);
	}
	free(sealed);
	free(p.data);
}

static void test_foreign(void)
{
	struct plain back;
	uint8_t zeros[1000] = { 0 };

	CHECK_EQ(open_all((const uint8_t *)"hello", 5, NULL, &back), -EBADMSG);
	CHECK_EQ(open_all(zeros, sizeof(zeros), NULL, &back), -EBADMSG);
}

/* With a stanza more than ours have. */
static uint8_t *seal_longer(const struct plain *p, size_t extra,
                            size_t *out_len)
{
	uint8_t key[AGE_FILE_KEY_SIZE] = { 1 }, payload[AGE_PAYLOAD_KEY];
	uint8_t body[BIND_BODY_SIZE], junk[8000] = { 2 };
	struct age_stanza more[] = { { BIND_LINE, body, sizeof(body) },
		                     { "unknown", junk, extra } };
	struct age_target to = { .recipients = &epoch,
		                 .recipient_count = 1,
		                 .extra = more,
		                 .extra_count = 2 };
	struct bind_fields f = { .version = 1, .size = p->len };
	uint64_t off, n = age_chunk_count(p->len);
	struct buf b = BUF_INIT;
	size_t header, len;

	bind_seal(&bind_key, key, &f, body);
	CHECK_EQ(age_header_build(key, &to, &b), 0);
	header = b.len;
	len = age_sealed_size(header, p->len);
	CHECK_EQ(buf_reserve(&b, len), 0);
	memset(b.data + header, 3, AGE_NONCE_SIZE);
	age_payload_key(key, (uint8_t *)b.data + header, payload);
	for (uint64_t i = 0; i < n; i++) {
		size_t size;

		age_chunk_range(header, p->len, i, &off, &size);
		age_chunk_seal(payload, i, i + 1 == n, p->data + i * AGE_CHUNK,
		               size - AGE_TAG_SIZE, b.data + off);
	}
	*out_len = len;
	return (uint8_t *)b.data;
}

/* The size in the listing misled, and the first piece was too short. */
static void test_longer_header(void)
{
	static const size_t extras[] = { 0, 20, 100, 5000 };

	for (size_t i = 0; i < ARRAY_LEN(sizes) * ARRAY_LEN(extras); i++) {
		struct plain p = plain_of(sizes[i / ARRAY_LEN(extras)]), back;
		size_t len;
		uint8_t *sealed =
			seal_longer(&p, extras[i % ARRAY_LEN(extras)], &len);

		check_row("%zu, %zu more", p.len,
		          extras[i % ARRAY_LEN(extras)]);
		if (open_all(sealed, len, NULL, &back) == 0) {
			CHECK_EQ(back.len, p.len);
			CHECK(!memcmp(back.data, p.data, p.len));
			free(back.data);
		} else {
			CHECK(!"opens");
		}
		free(sealed);
		free(p.data);
	}
}

int main(void)
{
	CHECK(sodium_init() >= 0);
	make_vault();
	RUN(test_names);
	RUN(test_long_names);
	RUN(test_strange_names);
	RUN(test_alias_keeps_name);
	RUN(test_round_trip);
	RUN(test_same_again);
	RUN(test_other_epoch);
	RUN(test_fresh_keys);
	RUN(test_versions);
	RUN(test_flipped_bits);
	RUN(test_cut_short);
	RUN(test_foreign);
	RUN(test_longer_header);
	free_vault();
	return check_report();
}
