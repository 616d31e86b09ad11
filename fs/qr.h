/* fs/qr.h -- text as a QR code on a terminal.
 *
 * Two modules per character cell (half blocks, UTF-8), white on black by
 * escape sequences, so that it scans on terminals of either colour. Without
 * libqrencode nothing can be drawn. Threads: any. */
#ifndef NMB_QR_H
#define NMB_QR_H

#include <stdio.h>

struct buf;

/* Adds the lines of the code of `text` to `out`; *out_columns is their width.
 * 0, -ENOTSUP (built without libqrencode), -EINVAL (too long), -ENOMEM. */
int qr_draw(const char *text, struct buf *out, int *out_columns);

/* The same for paper: no colours, dark on light, each line behind "# ". */
int qr_page(const char *text, struct buf *out);

/* Writes it to `f` if that is a UTF-8 terminal with room for it; quietly
 * nothing else. */
void qr_print(FILE *f, const char *text);

#endif
