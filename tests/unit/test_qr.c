#include "fs/qr.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/buf.h"
#include "tests/unit/alloc.h"
#include "tests/unit/check.h"

#define URL     "https://login.microsoft.com/device"
#define MARGIN  2
#define MODULES 29 /* version 3: up to 53 bytes at level L */

/* The modules that the drawing shows: 1 dark. False if it is no drawing. */
static bool read_back(const char *s, uint8_t m[64][64], int *out_w, int *out_h)
{
	int y = 0, w = 0;

	while (*s) {
		int x = 0;

		if (strncmp(s, "\033[40;97m", 8))
			return false;
		for (s += 8; *s != '\033'; x++) {
			bool upper = *s == ' ', lower = *s == ' ';

			if (*s != ' ') {
				upper = !strncmp(s, "\u2584", 3);
				lower = !strncmp(s, "\u2580", 3);
				if (!upper && !lower && strncmp(s, "\u2588", 3))
					return false;
				s += 2;
			}
			s++;
			if (x >= 64 || y >= 62)
				return false;
			m[y][x] = upper;
			m[y + 1][x] = lower;
		}
		if (strncmp(s, "\033[0m\n", 5))
			return false;
		s += 5;
		y += 2;
		w = x;
	}
	*out_w = w;
	*out_h = y;
	return true;
}

static void check_finder(uint8_t m[64][64], int x0, int y0)
{
	for (int y = 0; y < 7; y++) {
		for (int x = 0; x < 7; x++) {
			int ring = x < y ? x : y;

			ring = ring > 6 - x ? 6 - x : ring;
			ring = ring > 6 - y ? 6 - y : ring;
			CHECK_EQ(m[y0 + y][x0 + x], ring != 1);
		}
	}
}

static void test_draw(void)
{
	static uint8_t m[64][64];
	struct buf b = BUF_INIT;
	int columns = 0, w = 0, h = 0, rc;

	rc = qr_draw(URL, &b, &columns);
	if (rc == -ENOTSUP)
		SKIP("built without libqrencode");
	CHECK_EQ(rc, 0);
	CHECK_EQ(columns, MODULES + 2 * MARGIN);
	CHECK(read_back(b.data, m, &w, &h));
	CHECK_EQ(w, columns);
	CHECK_EQ(h, columns + 1); /* odd: half a row of margin more */
	check_finder(m, MARGIN, MARGIN);
	check_finder(m, MARGIN + MODULES - 7, MARGIN);
	check_finder(m, MARGIN, MARGIN + MODULES - 7);
	for (int i = 0; i < columns; i++) {
		CHECK_EQ(m[0][i] | m[1][i] | m[i][0] | m[i][1], 0);
		CHECK_EQ(m[columns - 1][i] | m[i][columns - 1], 0);
	}
	buf_done(&b);
}

static void test_too_long(void)
{
	char *text = calloc(1, 5000);
	struct buf b = BUF_INIT;
	int columns, rc;

	memset(text, 'a', 4999);
	rc = qr_draw(text, &b, &columns);
	if (rc != -ENOTSUP)
		CHECK_EQ(rc, -EINVAL);
	free(text);
	buf_done(&b);
}

/* What comes out of a terminal of that size. */
static size_t print_to(int columns, int rows, const char *lang)
{
	struct winsize ws = { .ws_col = (unsigned short)columns,
		              .ws_row = (unsigned short)rows };
	static char out[16384];
	int master, slave;
	size_t len = 0;
	ssize_t n;
	FILE *f;

	if (openpty(&master, &slave, NULL, NULL, &ws) < 0)
		return 0;
	unsetenv("LC_ALL");
	unsetenv("LC_CTYPE");
	setenv("LANG", lang, 1);
	f = fdopen(slave, "w");
	qr_print(f, URL);
	fputs("end", f);
	fclose(f);
	while ((n = read(master, out + len, sizeof(out) - len)) > 0)
		len += (size_t)n;
	close(master);
	return len - 3;
}

static void test_only_where_it_fits(void)
{
	struct buf b = BUF_INIT;
	int columns;

	if (qr_draw(URL, &b, &columns) == -ENOTSUP)
		SKIP("built without libqrencode");
	CHECK(print_to(80, 24, "de_DE.UTF-8") > 1000);
	CHECK(print_to(0, 0, "C.utf8") > 1000);
	CHECK_EQ(print_to(30, 24, "de_DE.UTF-8"), 0);
	CHECK_EQ(print_to(80, 10, "de_DE.UTF-8"), 0);
	CHECK_EQ(print_to(80, 24, "C"), 0);
	buf_done(&b);
}

static void test_not_into_a_file(void)
{
	FILE *f = tmpfile();

	setenv("LANG", "C.UTF-8", 1);
	qr_print(f, URL);
	CHECK_EQ(ftell(f), 0);
	fclose(f);
}

int main(void)
{
	RUN(test_draw);
	RUN(test_too_long);
	RUN(test_only_where_it_fits);
	RUN(test_not_into_a_file);
	return check_report();
}
