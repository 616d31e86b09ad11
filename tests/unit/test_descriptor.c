/* auth/descriptor: what is read and what is refused, and that a change keeps
 * what it doesn't know. */
#include "auth/descriptor.h"

#include <errno.h>
#include <stdlib.h>

#include <sodium.h>

#include "net/buf.h"
#include "net/json.h"
#include "tests/unit/check.h"

#define HEX32 "00112233445566778899aabbccddeeff"
#define HEX64 HEX32 HEX32
#define OTHER "ff112233445566778899aabbccddeeff" HEX32

/* facts/age.md 15: these two belong together. */
#define SECRET                                                                 \
	"AGE-SECRET-KEY-1YQSJYGEYY5NZW2PF9G4JCTFW9UCRZV3NXS6NVDEC8YARK0PA8CL"  \
	"SWXGG7Q"
#define PUBLIC "age1xkq8943ktzqdrth2x2ddlyfp8qu9rmfp528rka0fvhgd9ngkvf2qu2snyf"

/* The document, part by part; a case replaces some of them. */
struct doc {
	const char *format, *version, *vault_id, *generation, *written;
	const char *written_by, *content, *names, *auth, *epochs, *members;
	const char *removed;
};

#define EPOCH(n, active)                                                       \
	"{\"n\":" n ",\"recipient\":\"" PUBLIC "\",\"identity\":\"" SECRET     \
	"\",\"active\":" active "}"
#define MEMBER(label, kind, key)                                               \
	"{\"label\":" label ",\"kind\":\"" kind "\",\"recipient\":\"" key "\"" \
	"}"
#define CONTENT(cipher, slots, len, bind)                                      \
	"{\"cipher\":\"" cipher "\",\"slots\":" slots ",\"header_len\":" len   \
	",\"bind\":" bind "}"
#define NAMES(cipher, text, pad, key)                                          \
	"{\"cipher\":\"" cipher "\",\"text\":\"" text "\",\"pad\":" pad        \
	",\"key\":\"" key "\"}"
#define SIV "siv-blake2b-xchacha20"

static const struct doc good = {
	"\"nmbackupfs-vault\"",
	"1",
	"\"" HEX32 "\"",
	"12",
	"\"2026-11-24T10:00:00Z\"",
	"\"laptop\"",
	CONTENT("age-v1", "2", "407", "1"),
	NAMES(SIV, "cjk14", "7", HEX64),
	"{\"key\":\"" HEX64 "\"}",
	"[" EPOCH("1", "true") "]",
	"[" MEMBER("\"laptop\"", "device", PUBLIC) "]",
	"[]",
};

static void add(struct buf *b, const char *name, const char *value,
                const char *standard)
{
	if (!value)
		value = standard;
	if (*value)
		buf_addf(b, "%s\"%s\":%s", b->len > 1 ? "," : "", name, value);
}

/* "" leaves a part out. */
static void make(const struct doc *c, struct buf *b)
{
	buf_add_char(b, '{');
	add(b, "format", c->format, good.format);
	add(b, "version", c->version, good.version);
	add(b, "vault_id", c->vault_id, good.vault_id);
	add(b, "generation", c->generation, good.generation);
	add(b, "written", c->written, good.written);
	add(b, "written_by", c->written_by, good.written_by);
	add(b, "content", c->content, good.content);
	add(b, "names", c->names, good.names);
	add(b, "auth", c->auth, good.auth);
	add(b, "epochs", c->epochs, good.epochs);
	add(b, "members", c->members, good.members);
	add(b, "removed", c->removed, good.removed);
	buf_add_char(b, '}');
}

static int parse(const char *text, size_t len, struct descriptor **out_d)
{
	char why[DESCRIPTOR_WHY] = "";
	int rc = descriptor_parse(text, len, out_d, why);

	CHECK_EQ(rc < 0, why[0] != '\0');
	CHECK(!strstr(why, HEX32) && !strstr(why, "SECRET"));
	return rc;
}

static const struct {
	const char *what;
	struct doc doc;
	int rc;
} cases[] = {
	{ "good", { 0 }, 0 },
	{ "nothing removed", { .removed = "" }, 0 },
	{ "base32", { .names = NAMES(SIV, "base32", "14", HEX64) }, 0 },
	{ "previous",
	  { .auth = "{\"key\":\"" HEX64 "\",\"previous\":\"" OTHER "\"}" },
	  0 },
	{ "recovery only",
	  { .members = "[" MEMBER("\"p\"", "recovery", PUBLIC) "]" },
	  0 },
	{ "label in UTF-8",
	  { .members = "[" MEMBER("\"B\xc3\xbcro\"", "device", PUBLIC) "]" },
	  0 },
	{ "unknown members", { .removed = "[],\"x\":{\"y\":[1,null]}" }, 0 },
	{ "upper-case hex",
	  { .vault_id = "\"00112233445566778899AABBCCDDEEFF\"" },
	  0 },
	{ "removed",
	  { .removed = "[{\"label\":\"a\",\"recipient\":\"" PUBLIC
	               "\",\"generation\":12}]" },
	  0 },

	{ "no format", { .format = "" }, -EBADMSG },
	{ "other format", { .format = "\"x\"" }, -EBADMSG },
	{ "no version", { .version = "" }, -EBADMSG },
	{ "version 0", { .version = "0" }, -EBADMSG },
	{ "version 1.5", { .version = "1.5" }, -EBADMSG },
	{ "version as text", { .version = "\"1\"" }, -EBADMSG },
	{ "version -1", { .version = "-1" }, -EBADMSG },
	{ "version 1e300", { .version = "1e300" }, -EBADMSG },
	{ "no vault id", { .vault_id = "" }, -EBADMSG },
	{ "vault id short", { .vault_id = "\"0011\"" }, -EBADMSG },
	{ "vault id long", { .vault_id = "\"" HEX32 "00\"" }, -EBADMSG },
	{ "vault id no hex",
	  { .vault_id = "\"00112233445566778899aabbccddeefg\"" },
	  -EBADMSG },
	{ "no generation", { .generation = "" }, -EBADMSG },
	{ "generation 0", { .generation = "0" }, -EBADMSG },
	{ "generation 2^53", { .generation = "9007199254740992" }, -EBADMSG },
	{ "generation 2^53-1", { .generation = "9007199254740991" }, 0 },
	{ "no time", { .written = "" }, -EBADMSG },
	{ "bad time", { .written = "\"yesterday\"" }, -EBADMSG },
	{ "no writer", { .written_by = "" }, -EBADMSG },
	{ "empty writer", { .written_by = "\"\"" }, -EBADMSG },

	{ "no content", { .content = "" }, -EBADMSG },
	{ "content a list", { .content = "[]" }, -EBADMSG },
	{ "other cipher",
	  { .content = CONTENT("age-v2", "2", "407", "1") },
	  -ENOTSUP },
	{ "three slots",
	  { .content = CONTENT("age-v1", "3", "505", "1") },
	  -ENOTSUP },
	{ "header length",
	  { .content = CONTENT("age-v1", "2", "408", "1") },
	  -ENOTSUP },
	{ "huge header",
	  { .content = CONTENT("age-v1", "2", "65537", "1") },
	  -EBADMSG },
	{ "bind 2",
	  { .content = CONTENT("age-v1", "2", "407", "2") },
	  -ENOTSUP },
	{ "cipher twice",
	  { .content = "{\"cipher\":\"age-v1\",\"cipher\":\"age-v1\","
	               "\"slots\":2,\"header_len\":407,\"bind\":1}" },
	  -EBADMSG },

	{ "no names", { .names = "" }, -EBADMSG },
	{ "names' cipher",
	  { .names = NAMES("x", "cjk14", "7", HEX64) },
	  -ENOTSUP },
	{ "names' text",
	  { .names = NAMES(SIV, "base65536", "7", HEX64) },
	  -ENOTSUP },
	{ "pad 0", { .names = NAMES(SIV, "cjk14", "0", HEX64) }, -EBADMSG },
	{ "pad 8", { .names = NAMES(SIV, "cjk14", "8", HEX64) }, -EBADMSG },
	{ "pad 700", { .names = NAMES(SIV, "cjk14", "700", HEX64) }, -EBADMSG },
	{ "short key", { .names = NAMES(SIV, "cjk14", "7", HEX32) }, -EBADMSG },

	{ "no auth", { .auth = "" }, -EBADMSG },
	{ "no auth key", { .auth = "{}" }, -EBADMSG },
	{ "previous null",
	  { .auth = "{\"key\":\"" HEX64 "\",\"previous\":null}" },
	  -EBADMSG },
	{ "previous short",
	  { .auth = "{\"key\":\"" HEX64 "\",\"previous\":\"00\"}" },
	  -EBADMSG },

	{ "no epochs", { .epochs = "" }, -EBADMSG },
	{ "empty epochs", { .epochs = "[]" }, -EBADMSG },
	{ "none active", { .epochs = "[" EPOCH("1", "false") "]" }, -EBADMSG },
	{ "same epoch twice",
	  { .epochs = "[" EPOCH("1", "true") "," EPOCH("2", "false") "]" },
	  -EBADMSG },
	{ "epoch 0", { .epochs = "[" EPOCH("0", "true") "]" }, -EBADMSG },
	{ "epoch 2^32",
	  { .epochs = "[" EPOCH("4294967296", "true") "]" },
	  -EBADMSG },
	{ "active as text",
	  { .epochs = "[" EPOCH("1", "\"true\"") "]" },
	  -EBADMSG },
	{ "epoch's auth short",
	  { .epochs = "[" EPOCH("1,\"auth\":\"00\"", "true") "]" },
	  -EBADMSG },
	{ "identity of another recipient",
	  { .epochs =
	            "[{\"n\":1,\"recipient\":\"age1lggyhqrw2nlhcxprm67z43rta"
	            "597azn8gknawjehu9d9dl0jq3yqqvfafg\",\"identity\":\"" SECRET
	            "\",\"active\":true}]" },
	  -EBADMSG },
	{ "identity missing",
	  { .epochs = "[{\"n\":1,\"recipient\":\"" PUBLIC
	              "\",\"active\":true}]" },
	  -EBADMSG },
	{ "identity mistyped",
	  { .epochs = "[{\"n\":1,\"recipient\":\"" PUBLIC
	              "\",\"identity\":\"AGE-SECRET-KEY-1X\",\"active\":"
	              "true}]" },
	  -EBADMSG },
	{ "post-quantum recipient",
	  { .epochs = "[{\"n\":1,\"recipient\":\"age1pq1xxxx\",\"identity\":"
	              "\"" SECRET "\",\"active\":true}]" },
	  -ENOTSUP },

	{ "no members", { .members = "" }, -EBADMSG },
	{ "empty members", { .members = "[]" }, -EBADMSG },
	{ "members of null", { .members = "[null]" }, -EBADMSG },
	{ "unknown kind",
	  { .members = "[" MEMBER("\"a\"", "group", PUBLIC) "]" },
	  -ENOTSUP },
	{ "empty label",
	  { .members = "[" MEMBER("\"\"", "device", PUBLIC) "]" },
	  -EBADMSG },
	{ "label with a line feed",
	  { .members = "[" MEMBER("\"a\\n\"", "device", PUBLIC) "]" },
	  -EBADMSG },
	{ "label of 65",
	  { .members = "[" MEMBER("\"" HEX64 "x\"", "device", PUBLIC) "]" },
	  -EBADMSG },
	{ "label of 64",
	  { .members = "[" MEMBER("\"" HEX64 "\"", "device", PUBLIC) "]" },
	  0 },
	{ "label not UTF-8",
	  { .members = "[" MEMBER("\"\xff\"", "device", PUBLIC) "]" },
	  -EBADMSG },
	{ "recipient mistyped",
	  { .members = "[" MEMBER("\"a\"", "device", "age1x") "]" },
	  -EBADMSG },
	{ "recipient twice",
	  { .members = "[" MEMBER("\"a\"", "device", PUBLIC) "," MEMBER(
		    "\"b\"", "recovery", PUBLIC) "]" },
	  -EBADMSG },

	{ "removed no list", { .removed = "{}" }, -EBADMSG },
	{ "removed later",
	  { .removed = "[{\"label\":\"a\",\"recipient\":\"" PUBLIC
	               "\",\"generation\":13}]" },
	  -EBADMSG },
	{ "removed nobody", { .removed = "[1]" }, -EBADMSG },
	{ "a part twice", { .removed = "[],\"version\":1" }, -EBADMSG },

	{ "newer", { .version = "2" }, 0 },
	{ "newer, longer header",
	  { .version = "2", .content = CONTENT("age-v1", "3", "505", "1") },
	  0 },
	{ "newer, other cipher",
	  { .version = "2", .content = CONTENT("age-v2", "2", "407", "1") },
	  -ENOTSUP },
	{ "newer, unknown kind",
	  { .version = "2",
	    .members = "[" MEMBER("\"a\"", "group", PUBLIC) "," MEMBER(
		    "\"b\"", "device", PUBLIC) "]" },
	  0 },
};

static void test_parse(void)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf b = BUF_INIT;
		struct descriptor *d;
		int rc;

		check_row("%s", cases[i].what);
		make(&cases[i].doc, &b);
		rc = parse(b.data, b.len, &d);
		CHECK_EQ(rc, cases[i].rc);
		if (rc == 0) {
			CHECK_EQ(d->read_only, d->version > 1);
			CHECK_EQ(d->text_len, b.len);
			CHECK_MEM(d->text, b.data, b.len);
			descriptor_free(d);
		}
		buf_done(&b);
	}
}

static void test_fields(void)
{
	struct doc doc = {
		.auth = "{\"key\":\"" HEX64 "\",\"previous\":\"" OTHER "\"}",
		.epochs = "[" EPOCH("7,\"auth\":\"" OTHER "\"", "true") "]",
		.members = "[" MEMBER("\"paper\"", "recovery", PUBLIC) "]",
	};
	struct buf b = BUF_INIT;
	struct descriptor *d;
	uint8_t hash[DESCRIPTOR_HASH_SIZE];

	make(&doc, &b);
	CHECK_EQ(parse(b.data, b.len, &d), 0);
	CHECK_EQ(d->generation, 12);
	CHECK_EQ(d->written_ns, INT64_C(1795514400000000000));
	CHECK_STR(d->written_by, "laptop");
	CHECK_EQ(d->vault_id[15], 0xff);
	CHECK_EQ(d->name_key[31], 0xff);
	CHECK_EQ(d->pad, 7);
	CHECK_EQ(d->auth_key[0], 0);
	CHECK(d->has_previous);
	CHECK_EQ(d->previous[0], 0xff);
	CHECK_EQ(descriptor_active(d)->n, 7);
	CHECK_EQ(descriptor_active(d)->secret[0], 0x20);
	CHECK_EQ(descriptor_auth_key(d, descriptor_active(d))[0], 0xff);
	CHECK_STR(descriptor_recovery(d)->label, "paper");
	CHECK(descriptor_find_label(d, "paper") == descriptor_recovery(d));
	CHECK(!descriptor_find_label(d, "pape"));
	CHECK(descriptor_find_recipient(d, &d->epochs[0].recipient) ==
	      descriptor_recovery(d));
	crypto_generichash(hash, sizeof(hash), (uint8_t *)b.data, b.len, NULL,
	                   0);
	CHECK_MEM(d->hash, hash, sizeof(hash));
	descriptor_free(d);
	buf_done(&b);
}

/* Cut anywhere, or with a byte more: refused. */
static void test_cut(void)
{
	struct doc doc = { 0 };
	struct buf b = BUF_INIT;
	struct descriptor *d;

	make(&doc, &b);
	for (size_t len = 0; len < b.len; len++) {
		check_row("%zu", len);
		CHECK_EQ(parse(b.data, len, &d), -EBADMSG);
	}
	buf_add_char(&b, '}');
	CHECK_EQ(parse(b.data, b.len, &d), -EBADMSG);
	buf_done(&b);
}

static void repeat(struct buf *b, const char *s, unsigned n)
{
	while (n--)
		buf_add_str(b, s);
}

static void test_limits(void)
{
	static const struct {
		const char *what, *begin, *part, *end;
		unsigned n;
		int rc;
	} rows[] = {
		{ "deep", "[],\"x\":", "[", "", 16, -EBADMSG },
		{ "not too deep", "[],\"x\":[[[[[[[[[", "", "]]]]]]]]]", 0, 0 },
		{ "brackets in text", "[],\"x\":\"", "[{,\\\"", "\"", 30000,
		  0 },
		{ "many values", "[],\"x\":[0", ",0", "]", 65530, -EBADMSG },
		{ "enough values", "[],\"x\":[0", ",0", "]", 65000, 0 },
		{ "too long", "[],\"x\":\"", "0123456789abcdef", "\"", 65536,
		  -EFBIG },
		{ "long", "[],\"x\":\"", "0123456789abcdef", "\"", 65000, 0 },
		{ "many parts", "[]", ",\"y\":1", "", 60, -EBADMSG },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf b = BUF_INIT, part = BUF_INIT;
		struct doc doc = { 0 };
		struct descriptor *d;
		int rc;

		check_row("%s", rows[i].what);
		buf_add_str(&part, rows[i].begin);
		repeat(&part, rows[i].part, rows[i].n);
		buf_add_str(&part, rows[i].end);
		doc.removed = part.data;
		make(&doc, &b);
		rc = parse(b.data, b.len, &d);
		CHECK_EQ(rc, rows[i].rc);
		if (rc == 0)
			descriptor_free(d);
		buf_done(&b);
		buf_done(&part);
	}
}

/* ---- what isn't known ---------------------------------------------------- */

/* What a later release put in survives our changes, at every level. */
static void test_unknown_survive(void)
{
	static const char *const kept[] = {
		"\"top\":[1,{\"deep\":null},\"\xc3\xbc\"]",
		"\"in_content\":1.5",
		"\"in_names\":false",
		"\"in_auth\":{}",
		"\"in_epoch\":[]",
		"\"in_member\":\"m\"",
	};
	struct doc doc = {
		.content =
			CONTENT("age-v1", "2", "407", "1,\"in_content\":1.5"),
		.names = "{\"in_names\":false,\"cipher\":\"" SIV
			 "\",\"text\":\"cjk14\",\"pad\":7,\"key\":\"" HEX64
			 "\"}",
		.auth = "{\"in_auth\":{},\"key\":\"" HEX64
			"\",\"previous\":\"" OTHER "\"}",
		.epochs = "[" EPOCH("1,\"in_epoch\":[]", "true") "]",
		.members = "[" MEMBER("\"a\"", "device",
		                      PUBLIC "\",\"in_member\":\"m") "]",
		.removed = "[],\"top\":[1,{\"deep\":null},\"\xc3\xbc\"]",
	};
	struct descriptor *d, *n;
	struct buf b = BUF_INIT;
	struct age_recipient other;
	cJSON *json;
	char *flat;

	make(&doc, &b);
	CHECK_EQ(parse(b.data, b.len, &d), 0);
	CHECK_EQ(descriptor_next(d, "x", &n), 0);
	age_recipient_throwaway(&other);
	CHECK_EQ(descriptor_rotate(n), 0);
	CHECK_EQ(descriptor_add(n, "b", DESCRIPTOR_DEVICE, &other), 0);
	CHECK_EQ(descriptor_finish(n, 0), 0);
	json = json_parse(n->text, n->text_len);
	flat = cJSON_PrintUnformatted(json);
	CHECK(flat);
	if (!flat)
		return;
	for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
		check_row("%s", kept[i]);
		CHECK(strstr(flat, kept[i]));
	}
	CHECK(!strstr(flat, OTHER));
	cJSON_free(flat);
	json_wipe(json);
	descriptor_free(n);
	descriptor_free(d);
	buf_done(&b);
}

static void test_newer_is_read_only(void)
{
	struct doc doc = { .version = "2" };
	struct descriptor *d, *n;
	struct buf b = BUF_INIT;

	make(&doc, &b);
	CHECK_EQ(parse(b.data, b.len, &d), 0);
	CHECK(d->read_only);
	CHECK_EQ(descriptor_next(d, "x", &n), -EROFS);
	descriptor_free(d);
	buf_done(&b);
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	RUN(test_parse);
	RUN(test_fields);
	RUN(test_cut);
	RUN(test_limits);
	RUN(test_unknown_survive);
	RUN(test_newer_is_read_only);
	return check_report();
}
