#include "auth/age_armor.h"

#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "auth/age_base64.h"
#include "net/buf.h"

#define BEGIN AGE_ARMOR_BEGIN
#define END   "-----END AGE ENCRYPTED FILE-----"

#define LINE_CHARS 64
#define BLANK_MAX  1024 /* as age */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool age_is_armor(const void *data, size_t len)
{
	const char *p = data;

	return len > 0 && (p[0] == '-' || is_blank(p[0]));
}

static int sink_to_buf(void *buf, const void *data, size_t len)
{
	return buf_add(buf, data, len);
}

/* ---- out of armor -------------------------------------------------------- */

void age_dearmor_init(struct age_dearmor *d, age_sink_fn *sink, void *arg)
{
	*d = (struct age_dearmor){ .sink = sink, .arg = arg };
}

/* A line of base64; one that isn't full is the last. */
static int decode_line(struct age_dearmor *d, size_t len)
{
	uint8_t bytes[AGE_ARMOR_BYTES];
	size_t n;

	if (len == 0 || len > LINE_CHARS ||
	    age_base64_decode_padded(d->line, len, bytes, sizeof(bytes), &n) <
	            0)
		return AGE_BAD_ARMOR;
	if (n < sizeof(bytes))
		d->state = DEARMOR_END;
	return d->sink(d->arg, bytes, n);
}

/* The line in d->line, without its LF. */
static int take_line(struct age_dearmor *d)
{
	size_t len = d->len;

	d->len = 0;
	if (len > 0 && d->line[len - 1] == '\r')
		len--;
	if (d->state == DEARMOR_BEFORE) {
		if (len != strlen(BEGIN) || memcmp(d->line, BEGIN, len) != 0)
			return AGE_BAD_ARMOR;
		d->state = DEARMOR_BODY;
		return 0;
	}
	if (len == strlen(END) && memcmp(d->line, END, len) == 0) {
		d->state = DEARMOR_AFTER;
		d->blank = 0;
		return 0;
	}
	return d->state == DEARMOR_BODY ? decode_line(d, len) : AGE_BAD_ARMOR;
}

static int take_char(struct age_dearmor *d, char c)
{
	bool outside = d->state == DEARMOR_AFTER ||
	               (d->state == DEARMOR_BEFORE && d->len == 0);

	if (outside && is_blank(c))
		return ++d->blank <= BLANK_MAX ? 0 : AGE_BAD_ARMOR;
	if (d->state == DEARMOR_AFTER)
		return AGE_BAD_ARMOR;
	if (c == '\n')
		return take_line(d);
	if (d->len == sizeof(d->line))
		return AGE_BAD_ARMOR;
	d->line[d->len++] = c;
	return 0;
}

int age_dearmor_feed(struct age_dearmor *d, const void *data, size_t len)
{
	const char *p = data;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < len; i++)
		rc = take_char(d, p[i]);
	return rc;
}

int age_dearmor_finish(struct age_dearmor *d)
{
	int rc = 0;

	if (d->len > 0) /* the end line may lack its line feed */
		rc = take_line(d);
	if (rc == 0 && d->state != DEARMOR_AFTER)
		rc = AGE_BAD_ARMOR;
	return rc;
}

int age_dearmor_buf(const void *text, size_t len, struct buf *out)
{
	struct age_dearmor d;
	int rc;

	age_dearmor_init(&d, sink_to_buf, out);
	rc = age_dearmor_feed(&d, text, len);
	return rc < 0 ? rc : age_dearmor_finish(&d);
}

/* ---- into armor ---------------------------------------------------------- */

void age_armor_init(struct age_armor *a, age_sink_fn *sink, void *arg)
{
	*a = (struct age_armor){ .sink = sink, .arg = arg };
}

static int put_begin(struct age_armor *a)
{
	if (a->begun)
		return 0;
	a->begun = true;
	return a->sink(a->arg, BEGIN "\n", strlen(BEGIN) + 1);
}

static int put_line(struct age_armor *a)
{
	char text[LINE_CHARS + 2];
	size_t n;

	sodium_bin2base64(text, LINE_CHARS + 1, a->line, a->len,
	                  sodium_base64_VARIANT_ORIGINAL);
	n = strlen(text);
	text[n++] = '\n';
	a->len = 0;
	return a->sink(a->arg, text, n);
}

int age_armor_feed(struct age_armor *a, const void *data, size_t len)
{
	const uint8_t *p = data;
	int rc = put_begin(a);

	while (rc == 0 && len > 0) {
		size_t n = AGE_ARMOR_BYTES - a->len;

		n = len < n ? len : n;
		memcpy(a->line + a->len, p, n);
		a->len += n;
		p += n;
		len -= n;
		if (a->len == AGE_ARMOR_BYTES)
			rc = put_line(a);
	}
	return rc;
}

int age_armor_finish(struct age_armor *a)
{
	int rc = put_begin(a);

	if (rc == 0 && a->len > 0)
		rc = put_line(a);
	if (rc == 0)
		rc = a->sink(a->arg, END "\n", strlen(END) + 1);
	return rc;
}

int age_armor_buf(const void *file, size_t len, struct buf *out)
{
	struct age_armor a;
	int rc;

	age_armor_init(&a, sink_to_buf, out);
	rc = age_armor_feed(&a, file, len);
	return rc < 0 ? rc : age_armor_finish(&a);
}
