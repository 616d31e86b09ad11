#include "auth/age_header.h"

#include <errno.h>
#include <string.h>

#include "auth/age_base64.h"
#include "auth/age_header_internal.h"
#include "auth/age_stanza.h"
#include "net/buf.h"

#define X25519_SIZE 98 /* arrow and share, body: two lines */

/* "--- ", MAC, line feed */
#define FOOTER_SIZE (3 + 1 + AGE_BASE64_LEN(AGE_MAC_SIZE) + 1)

/* The body's lines of 64 characters, then the short one, which may be empty. */
static size_t stanza_size(const struct age_stanza *s)
{
	size_t full = s->body_len / AGE_LINE_BYTES;
	size_t rest = s->body_len % AGE_LINE_BYTES;

	return strlen("-> ") + strlen(s->line) + 1 +
	       full * (AGE_LINE_CHARS + 1) + AGE_BASE64_LEN(rest) + 1;
}

size_t age_header_size(size_t n, const struct age_stanza *extra,
                       size_t extra_count)
{
	size_t size = strlen(AGE_VERSION_LINE) + n * X25519_SIZE + FOOTER_SIZE;

	for (size_t i = 0; i < extra_count; i++)
		size += stanza_size(&extra[i]);
	return size;
}

/* Words of visible ASCII, and none of the types that are made here. */
static bool is_extra_line(const struct age_stanza *s)
{
	const char *p = s->line;

	for (;;) {
		size_t n = strcspn(p, " ");

		if (n == 0)
			return false;
		for (; n > 0; n--, p++) {
			if (*p < 0x21 || *p > 0x7e)
				return false;
		}
		if (!*p)
			break;
		p++;
	}
	return !age_stanza_is(s, "X25519") && !age_stanza_is(s, "scrypt");
}

static bool is_sane(const struct age_target *to)
{
	size_t count = to->recipient_count + to->extra_count;

	if (to->passphrase)
		return to->recipient_count == 0 && to->extra_count == 0;
	for (size_t i = 0; i < to->extra_count; i++) {
		if (!is_extra_line(&to->extra[i]))
			return false;
	}
	return to->recipient_count > 0 && count <= AGE_STANZAS_MAX &&
	       age_header_size(to->recipient_count, to->extra,
	                       to->extra_count) <= AGE_HEADER_MAX;
}

static int add_stanzas(const uint8_t *file_key, const struct age_target *to,
                       struct buf *out)
{
	int rc = 0;

	if (to->passphrase)
		return age_scrypt_wrap(file_key, to->passphrase,
		                       to->log_n ? to->log_n : AGE_SCRYPT_LOG_N,
		                       out);
	for (size_t i = 0; rc == 0 && i < to->recipient_count; i++)
		rc = age_x25519_wrap(file_key, &to->recipients[i], out);
	for (size_t i = 0; rc == 0 && i < to->extra_count; i++) {
		const struct age_stanza *s = &to->extra[i];

		age_stanza_add(out, s->line, s->body, s->body_len);
	}
	return rc;
}

int age_header_build(const uint8_t file_key[AGE_FILE_KEY_SIZE],
                     const struct age_target *to, struct buf *out)
{
	uint8_t mac[AGE_MAC_SIZE];
	char text[AGE_BASE64_LEN(AGE_MAC_SIZE) + 1];
	size_t start = out->len;
	int rc;

	if (!is_sane(to))
		return -EINVAL;
	buf_add_str(out, AGE_VERSION_LINE);
	rc = add_stanzas(file_key, to, out);
	buf_add_str(out, AGE_FOOTER);
	if (rc == 0 && out->failed)
		rc = -ENOMEM;
	if (rc < 0)
		goto err;
	age_header_make_mac(file_key, out->data + start, out->len - start, mac);
	age_base64_encode(mac, sizeof(mac), text);
	rc = buf_addf(out, " %s\n", text);
	if (rc < 0)
		goto err;
	return 0;

err:
	out->len = start;
	return rc;
}
