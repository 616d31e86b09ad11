#include "tests/graphd/ids.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "tests/graphd/must.h"

/* The drives of facts/graph-examples: made up, and the personal one starts
 * with the zero that the service loses in places (facts/graph.md 2.5). */
#define PERSONAL_ID "0a1b2c3d4e5f6071"
#define BUSINESS_ID                                                            \
	"b!"                                                                   \
	"Qm9ndXNEcml2ZUlkRXhhbXBsZTAxMjM0NTY3ODlhYmNkZWZnaGlqa2xtbm9wcXJzdHV2"
#define BUSINESS_TAG  "01EXAMPL"
#define MIGRATED_ROOT "sea8cc6beffdb43d7976fbc7da445c639"
#define BUSINESS_ROOT "F6Y2GOVW7725BZO354PWSELRRZ"

void ids_guid(char out[37])
{
	uint8_t r[16];

	if (getrandom(r, sizeof(r), 0) != (ssize_t)sizeof(r))
		memset(r, 0x5a, sizeof(r));
	r[6] = (uint8_t)((r[6] & 0x0f) | 0x40);
	r[8] = (uint8_t)((r[8] & 0x3f) | 0x80);
	snprintf(out, 37,
	         "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-"
	         "%02x%02x%02x%02x%02x%02x",
	         r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7], r[8], r[9],
	         r[10], r[11], r[12], r[13], r[14], r[15]);
}

char *ids_drive(enum drive_kind kind)
{
	return must_copy(kind == DRIVE_BUSINESS ? BUSINESS_ID : PERSONAL_ID);
}

/* .NET ticks of 100 ns at 1970. */
#define EPOCH_TICKS INT64_C(621355968000000000)

static char *upper(const char *s)
{
	char *out = must_copy(s);

	for (char *p = out; *p; p++)
		*p = (char)toupper((unsigned char)*p);
	return out;
}

static char *personal(const char *drive_id, const char *rest)
{
	char *id = upper(drive_id);
	char *out = must_printf("%s!%s", id, rest);

	free(id);
	return out;
}

char *ids_root(enum drive_kind kind, const char *drive_id)
{
	switch (kind) {
	case DRIVE_PERSONAL:
		return personal(drive_id, "101");
	case DRIVE_MIGRATED:
		return personal(drive_id, MIGRATED_ROOT);
	case DRIVE_BUSINESS:
		break;
	}
	return must_copy(BUSINESS_TAG BUSINESS_ROOT);
}

/* The 32 hex digits of a guid; lower case. */
static void bare_guid(const char *guid, char out[33])
{
	for (; *guid; guid++) {
		if (*guid != '-')
			*out++ = *guid;
	}
	*out = '\0';
}

/* 128 bits as 26 base32 characters. */
static void base32_guid(const char *guid, char out[27])
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	unsigned acc = 0, bits = 0;
	char hex[33];

	bare_guid(guid, hex);
	for (int i = 0; i < 32; i++) {
		acc = acc << 4 | (unsigned)(isdigit((unsigned char)hex[i])
		                                    ? hex[i] - '0'
		                                    : hex[i] - 'a' + 10);
		for (bits += 4; bits >= 5; bits -= 5)
			*out++ = digits[acc >> (bits - 5) & 31];
	}
	*out++ = digits[acc << (5 - bits) & 31];
	*out = '\0';
}

char *ids_item(enum drive_kind kind, const char *drive_id, uint64_t num,
               const char *guid)
{
	char rest[40];

	switch (kind) {
	case DRIVE_PERSONAL:
		snprintf(rest, sizeof(rest), "%" PRIu64, 1000 + num);
		return personal(drive_id, rest);
	case DRIVE_MIGRATED:
		rest[0] = 's';
		bare_guid(guid, rest + 1);
		return personal(drive_id, rest);
	case DRIVE_BUSINESS:
		break;
	}
	base32_guid(guid, rest);
	return must_printf(BUSINESS_TAG "%s", rest);
}

char *ids_base64(const void *data, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789+/";
	const uint8_t *in = data;
	char *out = must_alloc(len * 4 / 3 + 4), *o = out;
	unsigned acc = 0, bits = 0;

	for (size_t i = 0; i < len; i++) {
		acc = acc << 8 | in[i];
		for (bits += 8; bits >= 6; bits -= 6)
			*o++ = digits[acc >> (bits - 6) & 63];
	}
	if (bits)
		*o = digits[acc << (6 - bits) & 63];
	return out;
}

/* 'a' + base64 of the text. */
static char *classic_tag(char *text)
{
	char *b64 = ids_base64(text, strlen(text));
	char *tag = must_printf("a%s", b64);

	free(b64);
	free(text);
	return tag;
}

static char *guid_tag(const char *prefix, const struct item *item, unsigned n)
{
	char *guid = upper(item->guid);
	char *tag = must_printf("\"%s{%s},%u\"", prefix, guid, n);

	free(guid);
	return tag;
}

char *ids_etag(enum drive_kind kind, const struct item *item, unsigned n)
{
	if (kind != DRIVE_PERSONAL)
		return guid_tag("", item, n);
	return classic_tag(must_printf("%s.%u", item->id, n));
}

char *ids_ctag(enum drive_kind kind, const struct item *item, unsigned n)
{
	if (kind != DRIVE_PERSONAL)
		return item->type == ITEM_FOLDER ? NULL
		                                 : guid_tag("c:", item, n);
	if (item->type != ITEM_FOLDER)
		return classic_tag(must_printf("c:%s.%u", item->id, n));
	return classic_tag(must_printf("t:%s.%" PRId64, item->id,
	                               item->below_ns / 100 + EPOCH_TICKS));
}
