#include "fs/term_text.h"

#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "net/buf.h"
#include "net/log.h"

#define DOTS        "..."
#define MAX_STACKED 4 /* combining characters on one: more are left out */
#define MAX_ESCAPED 4 /* bytes shown for one */

/* One character; bytes in *out_len. What is no UTF-8 does not come here. */
static unsigned width_of(const char *s, size_t *out_len)
{
	utf8proc_int32_t c;
	utf8proc_ssize_t n =
		utf8proc_iterate((const utf8proc_uint8_t *)s, -1, &c);
	int w = n > 0 ? utf8proc_charwidth(c) : 1;

	*out_len = n > 0 ? (size_t)n : 1;
	return w > 0 ? (unsigned)w : 0;
}

unsigned term_width(const char *safe)
{
	unsigned cols = 0;
	size_t len;

	for (; *safe; safe += len)
		cols += width_of(safe, &len);
	return cols;
}

/* As many characters as fit, combining ones with what they belong to. */
static unsigned add_until(struct buf *out, const char *s, unsigned cols)
{
	unsigned used = 0, stacked = 0;
	size_t len;

	for (; *s; s += len) {
		unsigned w = width_of(s, &len);

		if (used + w > cols)
			break;
		stacked = w ? 0 : stacked + 1;
		if (stacked <= MAX_STACKED)
			buf_add(out, s, len);
		used += w;
	}
	return used;
}

static const char *skip_columns(const char *s, unsigned cols)
{
	unsigned skipped = 0;
	size_t len;

	while (*s && skipped < cols) {
		skipped += width_of(s, &len);
		s += len;
	}
	while (*s && !width_of(s, &len)) /* nothing left to stand on */
		s += len;
	return s;
}

static unsigned add_safe(struct buf *out, const char *safe, unsigned cols,
                         enum term_cut cut)
{
	unsigned have = term_width(safe), dots = sizeof(DOTS) - 1;

	if (have <= cols)
		return add_until(out, safe, cols);
	if (cols < 2 * dots)
		dots = 0;
	if (cut == TERM_CUT_START) {
		buf_add(out, DOTS, dots);
		safe = skip_columns(safe, have - (cols - dots));
		return dots + add_until(out, safe, cols - dots);
	}
	have = add_until(out, safe, cols - dots);
	buf_add(out, DOTS, dots);
	return have + dots;
}

unsigned term_add(struct buf *out, const char *text, unsigned cols,
                  enum term_cut cut)
{
	size_t size = strlen(text) * MAX_ESCAPED + 1;
	char *safe = malloc(size);
	unsigned used = 0;

	if (safe) {
		log_sanitize(text, safe, size);
		used = add_safe(out, safe, cols, cut);
	}
	free(safe);
	return used;
}

void term_add_padded(struct buf *out, const char *text, unsigned cols,
                     enum term_cut cut)
{
	for (unsigned n = term_add(out, text, cols, cut); n < cols; n++)
		buf_add_char(out, ' ');
}
