/* fs/term_text.h -- text of any origin in so many columns of a terminal.
 *
 * Widths are those of utf8proc (East Asian wide characters take two columns,
 * combining ones none). What could move the cursor, change colours or turn the
 * direction of writing is shown escaped, as in the log. Pure; any thread. */
#ifndef NMB_TERM_TEXT_H
#define NMB_TERM_TEXT_H

#include <stddef.h>

struct buf;

/* Columns of a text that was made safe (log_sanitize()). */
unsigned term_width(const char *safe);

enum term_cut {
	TERM_CUT_END,   /* "a long te..." */
	TERM_CUT_START, /* ".../end/of/a/path" */
};

/* Appends `text`, made safe, in at most `cols` columns; what is too much is cut
 * off, with "..." in its place if there is room for it. Returns the columns. */
unsigned term_add(struct buf *out, const char *text, unsigned cols,
                  enum term_cut cut);

/* The same, filled up with blanks to `cols`. */
void term_add_padded(struct buf *out, const char *text, unsigned cols,
                     enum term_cut cut);

#endif
