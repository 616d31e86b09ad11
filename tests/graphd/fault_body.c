#include <stdlib.h>
#include <string.h>

#include "net/json.h"
#include "tests/graphd/fault.h"
#include "tests/graphd/fault_internal.h"
#include "tests/graphd/must.h"

#define HTML                                                                   \
	"<html><head><title>Sign in</title></head><body>Welcome</body></html>"

/* Larger ones are not kept but made while they are sent. */
#define MAX_KEPT ((size_t)64 << 20)

static char *repeat(const char *head, const char *piece, size_t n,
                    const char *tail)
{
	size_t len = strlen(piece);
	size_t at = strlen(head);
	char *s = must_alloc(at + n * len + strlen(tail) + 1);

	memcpy(s, head, at);
	for (size_t i = 0; i < n; i++, at += len)
		memcpy(s + at, piece, len);
	memcpy(s + at, tail, strlen(tail));
	return s;
}

/* ---- gzip
 * ------------------------------------------------------------------------ */

struct bits {
	struct buf *out;
	unsigned held, n;
};

static void add_bits(struct bits *b, unsigned value, unsigned n)
{
	b->held |= value << b->n;
	b->n += n;
	for (; b->n >= 8; b->n -= 8, b->held >>= 8)
		buf_add_char(b->out, (char)b->held);
}

/* A bomb: some `size` zeros as one deflate block with the fixed codes, a
 * literal 0 and then copies of it, 258 at a time (RFC 1951 3.2.6; Huffman codes
 * go with their first bit lowest). The sum at its end is wrong: whoever looks
 * at it has unpacked everything. */
static void add_gzip(struct buf *out, size_t size)
{
	static const char head[10] = {
		0x1f, (char)0x8b, 8, 0, 0, 0, 0, 0, 0, 3
	};
	struct bits b = { .out = out };

	buf_add(out, head, sizeof(head));
	add_bits(&b, 3, 3);    /* the last block, fixed codes */
	add_bits(&b, 0x0c, 8); /* literal 0: 00110000 */
	for (size_t n = 0; n < size; n += 258)
		add_bits(&b, 0xa3, 13); /* 258 (11000101) from 1 back (00000) */
	add_bits(&b, 0, 7);             /* the end */
	add_bits(&b, 0, 7);             /* to a whole byte */
	buf_add(out, "nosumnoo", 8);
	must_text(out);
}

static void set_gzip(struct fault_hit *hit, size_t size)
{
	struct buf out = BUF_INIT;

	add_gzip(&out, size);
	hit->body_len = out.len;
	hit->body = buf_steal(&out);
}

/* ---- all of them
 * ----------------------------------------------------------------------- */

/* "html", "empty", "endless", "huge" (JSON of `size` bytes), "deep" (nesting of
 * `size`), "gzip" (`size` bytes once unpacked), any other text as it is, or a
 * JSON value. */
void fault_set_body(const cJSON *action, struct fault_hit *hit)
{
	const cJSON *body = json_get(action, "body");
	const char *kind = cJSON_GetStringValue(body);
	const char *type = json_str(action, "type");
	size_t size = (size_t)json_i64(action, "size", 1 << 20);

	if (!body)
		return;
	if (!kind) {
		hit->body = cJSON_PrintUnformatted(body);
	} else if (!strcmp(kind, "html")) {
		hit->body = must_copy(HTML);
		type = type ? type : "text/html";
	} else if (!strcmp(kind, "empty")) {
		hit->body = must_copy("");
	} else if (!strcmp(kind, "huge") && size > MAX_KEPT) {
		hit->body = must_copy("x");
		hit->fill = size;
	} else if (!strcmp(kind, "huge")) {
		hit->body = repeat("{\"value\":[\"", "x", size, "\"]}");
	} else if (!strcmp(kind, "endless")) {
		hit->body = must_copy("[");
		hit->fill = UINT64_MAX;
	} else if (!strcmp(kind, "deep")) {
		hit->body = repeat("", "[", size, "");
	} else if (!strcmp(kind, "gzip")) {
		set_gzip(hit, size);
	} else {
		hit->body = must_copy(kind);
	}
	if (!hit->body_len)
		hit->body_len = strlen(hit->body);
	hit->type = must_copy(type ? type : "application/json");
	if (!hit->status)
		hit->status = 200;
}
