/* The grammar of a header, C2SP age.md "Header". It is read strictly: two
 * readers that take different files for the same are a way to fool one of
 * them. */
#include "auth/age_header.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "auth/age_base64.h"
#include "auth/age_header_internal.h"
#include "auth/age_stanza.h"

#define ARROW     "-> "
#define MAC_CHARS AGE_BASE64_LEN(AGE_MAC_SIZE)

struct parser {
	const char *start, *p, *end; /* what is there of the file */
	char *free;                  /* next free byte of the arena */
	struct age_header *h;
};

/* The next line without its line feed. -EAGAIN: it isn't all there. */
static int take_line(struct parser *ps, const char **out_line, size_t *out_len)
{
	const char *lf = memchr(ps->p, '\n', (size_t)(ps->end - ps->p));

	if (!lf)
		return -EAGAIN;
	*out_line = ps->p;
	*out_len = (size_t)(lf - ps->p);
	ps->p = lf + 1;
	return 0;
}

/* Looks ahead: 0 `text` comes next, AGE_BAD_HEADER something else does,
 * -EAGAIN nobody knows yet. */
static int expect(const struct parser *ps, const char *text)
{
	size_t n = strlen(text), there = (size_t)(ps->end - ps->p);

	if (memcmp(ps->p, text, there < n ? there : n) != 0)
		return AGE_BAD_HEADER;
	return there < n ? -EAGAIN : 0;
}

/* One or more words of visible ASCII, one space between them. */
static bool is_argument_line(const char *line, size_t len)
{
	bool in_word = false;

	for (size_t i = 0; i < len; i++) {
		if (line[i] == ' ' && !in_word)
			return false;
		if (line[i] != ' ' && (line[i] < 0x21 || line[i] > 0x7e))
			return false;
		in_word = line[i] != ' ';
	}
	return in_word;
}

/* Every line of a body stands by itself: a full one is 48 bytes. */
static int take_body(struct parser *ps, struct age_stanza *s)
{
	const char *line;
	size_t len, n;
	int rc;

	s->body = (uint8_t *)ps->free;
	s->body_len = 0;
	do {
		rc = take_line(ps, &line, &len);
		if (rc < 0)
			return rc;
		if (len > AGE_LINE_CHARS ||
		    age_base64_decode(line, len, ps->free, AGE_LINE_BYTES, &n) <
		            0)
			return AGE_BAD_HEADER;
		ps->free += n;
		s->body_len += n;
	} while (len == AGE_LINE_CHARS);
	return 0;
}

static int take_stanza(struct parser *ps)
{
	struct age_header *h = ps->h;
	struct age_stanza *s = &h->stanzas[h->count];
	const char *line;
	size_t len;
	int rc;

	rc = expect(ps, ARROW);
	if (rc == 0)
		rc = take_line(ps, &line, &len);
	if (rc < 0)
		return rc;
	line += strlen(ARROW);
	len -= strlen(ARROW);
	if (h->count == AGE_STANZAS_MAX || !is_argument_line(line, len))
		return AGE_BAD_HEADER;

	s->line = ps->free;
	memcpy(ps->free, line, len);
	ps->free[len] = '\0';
	ps->free += len + 1;
	rc = take_body(ps, s);
	if (rc == 0)
		rc = age_stanza_check(s);
	if (rc == 0)
		h->count++;
	return rc;
}

static int take_footer(struct parser *ps)
{
	struct age_header *h = ps->h;
	const char *line;
	size_t len;
	int rc;

	h->mac_len = (size_t)(ps->p - ps->start) + strlen(AGE_FOOTER);
	rc = take_line(ps, &line, &len);
	if (rc < 0)
		return rc;
	line += strlen(AGE_FOOTER);
	len -= strlen(AGE_FOOTER);
	if (len != 1 + MAC_CHARS || line[0] != ' ' ||
	    age_base64_decode_exact(line + 1, MAC_CHARS, h->mac,
	                            sizeof(h->mac)) < 0)
		return AGE_BAD_HEADER;
	h->len = (size_t)(ps->p - ps->start);
	return 0;
}

static int parse(struct parser *ps)
{
	int rc = expect(ps, AGE_VERSION_LINE);

	if (rc < 0)
		return rc;
	ps->p += strlen(AGE_VERSION_LINE);
	for (;;) {
		rc = take_stanza(ps);
		if (rc < 0)
			return rc;
		rc = expect(ps, AGE_FOOTER);
		if (rc == 0)
			return take_footer(ps);
		if (rc == -EAGAIN)
			return rc;
	}
}

/* C2SP age.md: a passphrase must not be one of several ways in. */
static bool scrypt_is_alone(const struct age_header *h)
{
	return !age_header_wants_passphrase(h) || h->count == 1;
}

static int keep_raw(struct age_header *h, const void *data)
{
	h->raw = malloc(h->len);
	if (!h->raw)
		return -ENOMEM;
	memcpy(h->raw, data, h->len);
	return 0;
}

int age_header_parse(const void *data, size_t len, struct age_header **out_h)
{
	size_t there = len < AGE_HEADER_MAX ? len : AGE_HEADER_MAX;
	struct parser ps = { .start = data, .p = data };
	struct age_header *h;
	int rc;

	if (there == 0)
		return -EAGAIN;
	ps.end = ps.start + there;
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	/* A stanza takes less room in the arena than in the header: a line
	 * loses its arrow and changes LF for NUL, base64 shrinks. */
	h->arena = malloc(there + 1);
	rc = h->arena ? 0 : -ENOMEM;
	if (rc == 0) {
		ps.h = h;
		ps.free = h->arena;
		rc = parse(&ps);
	}
	if (rc == -EAGAIN && there == AGE_HEADER_MAX)
		rc = AGE_BAD_HEADER;
	if (rc == 0 && !scrypt_is_alone(h))
		rc = AGE_BAD_HEADER;
	if (rc == 0)
		rc = keep_raw(h, data);
	if (rc < 0) {
		age_header_free(h);
		return rc;
	}
	*out_h = h;
	return 0;
}
