#include "net/names.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#define MAX_PLAIN_BYTES  255
#define MAX_REMOTE_UNITS 255
#define MAX_REMOTE_BYTES 1024 /* 255 units are at most 765 bytes of UTF-8 */

/* The quote that rclone puts before a character that is meant literally. */
#define QUOTE      "\u201b"
#define QUOTE_RUNE 0x201b
#define SPACE      "\u2420" /* symbol for space */
#define DOT        "\uff0e" /* full-width full stop */
#define TILDE      "\uff5e" /* full-width tilde */

#define FULL_WIDTH 0xfee0 /* from printable ASCII to its full-width twin */
#define SYMBOL_FOR 0x2400 /* from a control character to its picture */
#define SYMBOL_DEL 0x2421

struct edge {
	const char *plain, *remote;
};

/* Only one character at each end (facts 11.2, steps 2 and 3). */
static const struct edge left_edges[] = {
	{ " ", SPACE },
	{ SPACE, QUOTE SPACE },
	{ "~", TILDE },
	{ TILDE, QUOTE TILDE },
};
static const struct edge right_edges[] = {
	{ " ", SPACE },
	{ SPACE, QUOTE SPACE },
	{ ".", DOT },
	{ DOT, QUOTE DOT },
};
#define EDGES 4

/* Whole names; the first two can't be typed and are never decoded to. */
static const struct edge whole_names[] = {
	{ ".", DOT },
	{ "..", DOT DOT },
	{ DOT, QUOTE DOT },
	{ DOT DOT, QUOTE DOT QUOTE DOT },
};

/* What stands for `c` there, or 0. */
static int symbol_of(int c)
{
	if (c > 0 && c < 0x20)
		return SYMBOL_FOR + c;
	if (c == 0x7f)
		return SYMBOL_DEL;
	if (c > 0 && c < 0x7f && strchr("\"*/:<>?\\|", c))
		return FULL_WIDTH + c;
	return 0;
}

/* The reverse, or -1. The symbol for NUL gives 0, which no name can hold. */
static int plain_of(int rune)
{
	if (rune >= SYMBOL_FOR && rune < SYMBOL_FOR + 0x20)
		return rune - SYMBOL_FOR;
	if (rune == SYMBOL_DEL)
		return 0x7f;
	if (rune > FULL_WIDTH && rune < FULL_WIDTH + 0x7f &&
	    symbol_of(rune - FULL_WIDTH))
		return rune - FULL_WIDTH;
	return -1;
}

/* ---- bytes in and out ---------------------------------------------------- */

struct span {
	const char *at, *end;
};

struct text {
	char *data;
	size_t len, size; /* size includes the NUL */
	bool full;
};

static void put(struct text *t, const char *s, size_t len)
{
	if (len >= t->size - t->len) {
		t->full = true;
		return;
	}
	memcpy(t->data + t->len, s, len);
	t->len += len;
	t->data[t->len] = '\0';
}

static void put_rune(struct text *t, int rune)
{
	utf8proc_uint8_t utf8[4];

	put(t, (const char *)utf8, (size_t)utf8proc_encode_char(rune, utf8));
}

/* The next character and its length in bytes; -1 for a byte that is not part
 * of valid UTF-8, one at a time as in Go (surrogates are invalid too). */
static int look_rune(const struct span *in, size_t *out_len)
{
	const utf8proc_uint8_t *s = (const utf8proc_uint8_t *)in->at;
	utf8proc_int32_t rune;
	utf8proc_ssize_t len = utf8proc_iterate(s, in->end - in->at, &rune);

	*out_len = len > 0 ? (size_t)len : 1;
	return len > 0 ? rune : -1;
}

static bool starts_with(const struct span *in, const char *s)
{
	size_t len = strlen(s);

	return (size_t)(in->end - in->at) >= len && !memcmp(in->at, s, len);
}

static bool ends_with(const struct span *in, const char *s)
{
	size_t len = strlen(s);

	return (size_t)(in->end - in->at) >= len &&
	       !memcmp(in->end - len, s, len);
}

/* ---- plain to remote ----------------------------------------------------- */

static void encode_middle(struct span in, struct text *t)
{
	while (in.at < in.end) {
		size_t len;
		int rune = look_rune(&in, &len);
		int symbol = rune < 0 ? 0 : symbol_of(rune);

		if (rune < 0) {
			static const char hex[] = "0123456789ABCDEF";
			uint8_t byte = (uint8_t)*in.at;

			put(t, QUOTE, strlen(QUOTE));
			put(t, &hex[byte >> 4], 1);
			put(t, &hex[byte & 15], 1);
		} else if (symbol) {
			put_rune(t, symbol);
		} else {
			if (rune == QUOTE_RUNE || plain_of(rune) >= 0)
				put(t, QUOTE, strlen(QUOTE));
			put(t, in.at, len);
		}
		in.at += len;
	}
}

static const char *encode_left(struct span *in)
{
	for (size_t i = 0; i < EDGES; i++)
		if (starts_with(in, left_edges[i].plain)) {
			in->at += strlen(left_edges[i].plain);
			return left_edges[i].remote;
		}
	return "";
}

static const char *encode_right(struct span *in)
{
	for (size_t i = 0; i < EDGES; i++)
		if (ends_with(in, right_edges[i].plain)) {
			in->end -= strlen(right_edges[i].plain);
			return right_edges[i].remote;
		}
	return "";
}

static void encode(const char *plain, struct text *t)
{
	struct span in = { plain, plain + strlen(plain) };
	const char *left, *right;

	for (size_t i = 0; i < EDGES; i++)
		if (!strcmp(plain, whole_names[i].plain)) {
			put(t, whole_names[i].remote,
			    strlen(whole_names[i].remote));
			return;
		}
	left = encode_left(&in);
	right = encode_right(&in);
	put(t, left, strlen(left));
	encode_middle(in, t);
	put(t, right, strlen(right));
}

int names_to_remote(const char *plain, char *out, size_t size)
{
	char remote[MAX_REMOTE_BYTES] = "";
	struct text t = { .data = remote, .size = sizeof(remote) };

	encode(plain, &t);
	if (t.full || t.len >= size ||
	    names_utf16_len(remote) > MAX_REMOTE_UNITS)
		return -ENAMETOOLONG;
	memcpy(out, remote, t.len + 1);
	return 0;
}

int names_next_plain(const char **path, char *out, size_t size)
{
	const char *part = *path + strspn(*path, "/");
	size_t len = strcspn(part, "/");

	if (!len)
		return 0;
	if (len > MAX_PLAIN_BYTES || len >= size)
		return -ENAMETOOLONG;
	if (!strncmp(part, "..", len) && len <= 2) /* "." too */
		return -EINVAL;
	memcpy(out, part, len);
	out[len] = '\0';
	*path = part + len;
	return 1;
}

int names_next_part(const char **path, char *out, size_t size)
{
	char plain[MAX_PLAIN_BYTES + 1];
	const char *rest = *path;
	int rc = names_next_plain(&rest, plain, sizeof(plain));

	if (rc <= 0)
		return rc;
	rc = names_to_remote(plain, out, size);
	if (rc < 0)
		return rc;
	*path = rest;
	return 1;
}

/* ---- remote to plain ----------------------------------------------------- */

/* A quote was read: a byte in hex, or the quote itself. Moves `in` past what
 * it took after the quote. */
static void decode_quoted_byte(struct span *in, struct text *t)
{
	char byte, *end, hex[3] = "";

	if (in->end - in->at >= 2 && isxdigit((unsigned char)in->at[0]) &&
	    isxdigit((unsigned char)in->at[1])) {
		memcpy(hex, in->at, 2);
		byte = (char)strtoul(hex, &end, 16);
		put(t, &byte, 1);
		in->at += 2;
	} else {
		put(t, QUOTE, strlen(QUOTE));
	}
}

static void decode_middle(struct span in, struct text *t)
{
	bool quoted = false;

	while (in.at < in.end) {
		size_t len;
		int rune = look_rune(&in, &len);
		char plain = (char)plain_of(rune);

		if (rune == QUOTE_RUNE && !quoted) {
			quoted = true;
			in.at += len;
			continue;
		}
		if (quoted && rune != QUOTE_RUNE && plain_of(rune) < 0) {
			decode_quoted_byte(&in, t);
			quoted = false;
			continue;
		}
		if (!quoted && plain_of(rune) >= 0)
			put(t, &plain, 1);
		else
			put(t, in.at, len);
		quoted = false;
		in.at += len;
	}
	if (quoted)
		put(t, QUOTE, strlen(QUOTE));
}

static const char *decode_left(struct span *in)
{
	for (size_t i = 0; i < EDGES; i++)
		if (starts_with(in, left_edges[i].remote)) {
			in->at += strlen(left_edges[i].remote);
			return left_edges[i].plain;
		}
	return "";
}

/* An even number of quotes before the last character are quoted quotes of the
 * middle, an odd one leaves one for the character. (rclone itself takes any
 * quote there, so that it misreads the names it made of "x\u201b.".) */
static const char *decode_right(struct span *in)
{
	const char *last = ends_with(in, SPACE) ? SPACE
	                   : ends_with(in, DOT) ? DOT
	                                        : NULL;
	struct span before = *in;
	unsigned quotes = 0;

	if (!last)
		return "";
	before.end -= strlen(last);
	in->end = before.end;
	for (; ends_with(&before, QUOTE); quotes++)
		before.end -= strlen(QUOTE);
	if (quotes % 2) {
		in->end -= strlen(QUOTE);
		return last;
	}
	return !strcmp(last, DOT) ? "." : " ";
}

static void decode(const char *remote, struct text *t)
{
	struct span in = { remote, remote + strlen(remote) };
	const char *left, *right;

	if (!strcmp(remote, QUOTE DOT QUOTE DOT)) {
		put(t, DOT DOT, strlen(DOT DOT));
		return;
	}
	left = decode_left(&in);
	right = decode_right(&in);
	put(t, left, strlen(left));
	decode_middle(in, t);
	put(t, right, strlen(right));
}

/* A name as the kernel takes it; an embedded NUL shows in the length. */
static bool is_plain_name(const struct text *t)
{
	return !t->full && t->len && strlen(t->data) == t->len &&
	       !strchr(t->data, '/') && strcmp(t->data, ".") &&
	       strcmp(t->data, "..");
}

int names_from_remote(const char *remote, char *out, size_t size)
{
	char plain[MAX_PLAIN_BYTES + 1] = "", back[MAX_REMOTE_BYTES];
	struct text t = { .data = plain, .size = sizeof(plain) };

	decode(remote, &t);
	if (!is_plain_name(&t) || t.len >= size)
		return -EINVAL;
	if (names_to_remote(plain, back, sizeof(back)) < 0 ||
	    strcmp(back, remote) != 0)
		return -EINVAL;
	memcpy(out, plain, t.len + 1);
	return 0;
}

size_t names_utf16_len(const char *s)
{
	struct span in = { s, s + strlen(s) };
	size_t units = 0;

	while (in.at < in.end) {
		size_t len;
		int rune = look_rune(&in, &len);

		units += rune > 0xffff ? 2 : 1;
		in.at += len;
	}
	return units;
}
