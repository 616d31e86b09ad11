#include "fs/qr.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#ifdef HAVE_QRENCODE
#include <qrencode.h>
#endif

#include "net/buf.h"

#define MARGIN 2 /* modules; scanners do with less than the 4 of the norm */

#ifdef HAVE_QRENCODE
static bool is_dark(const QRcode *code, int x, int y)
{
	if (x < 0 || y < 0 || x >= code->width || y >= code->width)
		return false;
	return code->data[y * code->width + x] & 1;
}

/* Lit are the light modules: blocks are drawn in white on black. */
static const char *cell(bool upper_dark, bool lower_dark)
{
	if (upper_dark)
		return lower_dark ? " " : "\u2584";
	return lower_dark ? "\u2580" : "\u2588";
}

static void draw_row(const QRcode *code, int y, struct buf *out)
{
	buf_add_str(out, "\033[40;97m");
	for (int x = -MARGIN; x < code->width + MARGIN; x++)
		buf_add_str(out,
		            cell(is_dark(code, x, y), is_dark(code, x, y + 1)));
	buf_add_str(out, "\033[0m\n");
}

static void page_row(const QRcode *code, int y, struct buf *out)
{
	buf_add_str(out, "# ");
	for (int x = -MARGIN; x < code->width + MARGIN; x++)
		buf_add_str(out, cell(!is_dark(code, x, y),
		                      !is_dark(code, x, y + 1)));
	buf_add_str(out, "\n");
}

int qr_page(const char *text, struct buf *out)
{
	QRcode *code = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_L);

	if (!code)
		return errno == ENOMEM ? -ENOMEM : -EINVAL;
	for (int y = -MARGIN; y < code->width + MARGIN; y += 2)
		page_row(code, y, out);
	QRcode_free(code);
	return out->failed ? -ENOMEM : 0;
}

int qr_draw(const char *text, struct buf *out, int *out_columns)
{
	QRcode *code;

	code = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_L);
	if (!code)
		return errno == ENOMEM ? -ENOMEM : -EINVAL;
	for (int y = -MARGIN; y < code->width + MARGIN; y += 2)
		draw_row(code, y, out);
	*out_columns = code->width + 2 * MARGIN;
	QRcode_free(code);
	return out->failed ? -ENOMEM : 0;
}
#else
int qr_page(const char *text, struct buf *out)
{
	(void)text;
	(void)out;
	return -ENOTSUP;
}

int qr_draw(const char *text, struct buf *out, int *out_columns)
{
	(void)text;
	(void)out;
	(void)out_columns;
	return -ENOTSUP;
}
#endif

/* The locale as the C library would pick it; the program itself stays in the
 * C locale. */
static bool is_utf8(void)
{
	static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		const char *v = getenv(names[i]);

		if (v && *v)
			return strcasestr(v, "utf-8") || strcasestr(v, "utf8");
	}
	return false;
}

static bool has_room(int fd, int columns, int rows)
{
	struct winsize ws = { 0 };

	/* No size known: most terminals are large enough. */
	if (ioctl(fd, TIOCGWINSZ, &ws) < 0 || !ws.ws_col || !ws.ws_row)
		return true;
	return ws.ws_col >= columns && ws.ws_row >= rows;
}

void qr_print(FILE *f, const char *text)
{
	struct buf b = BUF_INIT;
	int columns;

	if (!isatty(fileno(f)) || !is_utf8())
		return;
	if (qr_draw(text, &b, &columns) == 0 &&
	    has_room(fileno(f), columns, columns / 2 + 4))
		fputs(b.data, f);
	buf_done(&b);
}
