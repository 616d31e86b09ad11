/* auth/age_armor.h -- an age file as text, for paper and e-mail.
 *
 *     -----BEGIN AGE ENCRYPTED FILE-----
 *     lines of 64 characters of padded base64, the last one of 1 to 64
 *     -----END AGE ENCRYPTED FILE-----
 *
 * Read strictly: canonical base64, no empty lines, LF or CRLF, nothing but
 * white space before and after, and of that up to 1 KiB each.
 * Source: C2SP age.md, "ASCII armor"; facts/age.md 10.
 *
 * Both directions are filters: what is fed comes out at a sink, piece by
 * piece. Errors: auth/age_error.h, and what the sink returns. Threads: none. */
#ifndef NMB_AGE_ARMOR_H
#define NMB_AGE_ARMOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/age_error.h"

struct buf;

#define AGE_ARMOR_BEGIN "-----BEGIN AGE ENCRYPTED FILE-----"

/* Takes all of it: 0, or -Exxx, which ends the work. */
typedef int age_sink_fn(void *arg, const void *data, size_t len);

/* Goes by the first byte, `len` > 0: an age file starts with its version line,
 * armor with a dash or white space. Anything else is no armor. */
bool age_is_armor(const void *data, size_t len);

/* ---- out of armor -------------------------------------------------------- */

enum age_dearmor_state {
	DEARMOR_BEFORE, /* white space, then the first line */
	DEARMOR_BODY,
	DEARMOR_END,   /* a short line came: nothing but the end line may */
	DEARMOR_AFTER, /* white space */
};

struct age_dearmor {
	age_sink_fn *sink;
	void *arg;
	enum age_dearmor_state state;
	size_t blank; /* white space so far, before or after */
	char line[66];
	size_t len;
};

void age_dearmor_init(struct age_dearmor *d, age_sink_fn *sink, void *arg);
int age_dearmor_feed(struct age_dearmor *d, const void *data, size_t len);
int age_dearmor_finish(struct age_dearmor *d); /* that was the last of it */

/* A whole text; adds the file to `out`. */
int age_dearmor_buf(const void *text, size_t len, struct buf *out);

/* ---- into armor ---------------------------------------------------------- */

#define AGE_ARMOR_BYTES 48 /* in a line */

struct age_armor {
	age_sink_fn *sink;
	void *arg;
	uint8_t line[AGE_ARMOR_BYTES];
	size_t len;
	bool begun;
};

void age_armor_init(struct age_armor *a, age_sink_fn *sink, void *arg);
int age_armor_feed(struct age_armor *a, const void *data, size_t len);
int age_armor_finish(struct age_armor *a);

/* A whole file; adds the text to `out`. */
int age_armor_buf(const void *file, size_t len, struct buf *out);

#endif
