#include "auth/attributes.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define DEFAULT_FILE 0644
#define DEFAULT_DIR  0755
#define MODE_BITS    07777
#define LETTERS      52

/* One field of a text, its letter included; at NULL: not there. */
struct field {
	const char *at;
	size_t len;
};

static int letter_index(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return 26 + c - 'a';
	return -1;
}

static int split(const char *text, struct field fields[LETTERS])
{
	int last = -1;

	memset(fields, 0, LETTERS * sizeof(fields[0]));
	if (strlen(text) > ATTRIBUTES_MAX)
		return -EINVAL;
	while (*text) {
		int i = letter_index(*text);
		size_t len = *text == 'z' ? strlen(text) : strcspn(text, ",");

		if (i <= last)
			return -EINVAL;
		fields[i] = (struct field){ text, len };
		last = i;
		text += len;
		if (*text && !*++text)
			return -EINVAL; /* ends with a comma */
	}
	return 0;
}

/* ---- values -------------------------------------------------------------- */

static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* Reads [s, end) as the one way to write a number up to `max`. */
static bool read_number(const char *s, const char *end, unsigned base,
                        uint64_t max, uint64_t *out_v)
{
	uint64_t v = 0;

	if (s == end || (*s == '0' && end - s > 1))
		return false;
	for (; s < end; s++) {
		int d = digit_of(*s);

		if (d < 0 || (unsigned)d >= base ||
		    v > (max - (unsigned)d) / base)
			return false;
		v = v * base + (unsigned)d;
	}
	*out_v = v;
	return true;
}

static bool read_id(const struct field *f, uint32_t *out_id)
{
	uint64_t v;

	/* The highest one means "none" to chown(). */
	if (!read_number(f->at + 1, f->at + f->len, 10, UINT32_MAX - 1, &v))
		return false;
	*out_id = (uint32_t)v;
	return true;
}

static bool read_mode(const struct field *f, mode_t usual, mode_t *out_mode)
{
	uint64_t v;

	if (!read_number(f->at + 1, f->at + f->len, 8, MODE_BITS, &v) ||
	    v == usual)
		return false;
	*out_mode = (mode_t)v;
	return true;
}

static bool read_mtime(const struct field *f, int64_t *out_ns)
{
	const char *s = f->at + 1, *end = f->at + f->len;
	bool minus = s < end && *s == '-';
	uint64_t v;

	if (!read_number(s + minus, end, 16, (uint64_t)INT64_MAX + minus, &v) ||
	    (minus && v == 0))
		return false;
	*out_ns = minus ? (int64_t)(0 - v) : (int64_t)v;
	return true;
}

static bool read_device(const char *s, const char *end, uint64_t *out_rdev)
{
	const char *colon = memchr(s, ':', (size_t)(end - s));
	uint64_t major, minor;

	if (!colon ||
	    !read_number(s, colon, 10, ATTRIBUTES_MAJOR_MAX, &major) ||
	    !read_number(colon + 1, end, 10, ATTRIBUTES_MINOR_MAX, &minor))
		return false;
	*out_rdev = makedev((unsigned)major, (unsigned)minor);
	return true;
}

static bool read_kind(const struct field *f, mode_t *out_type,
                      uint64_t *out_rdev)
{
	static const struct {
		char c;
		mode_t type;
	} kinds[] = {
		{ 'p', S_IFIFO }, { 's', S_IFSOCK }, { 'l', S_IFLNK },
		{ 'c', S_IFCHR }, { 'b', S_IFBLK },
	};
	const char *s = f->at + 1, *end = f->at + f->len;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		mode_t type = kinds[i].type;

		if (s == end || *s != kinds[i].c)
			continue;
		if (type == S_IFCHR || type == S_IFBLK) {
			if (!read_device(s + 1, end, out_rdev))
				return false;
		} else if (end - s > 1) {
			return false;
		}
		*out_type = type;
		return true;
	}
	return false;
}

/* ---- parse --------------------------------------------------------------- */

/* Takes what is understood into *a and out of `fields`. */
static void take_kind(struct attributes *a, struct field fields[LETTERS])
{
	struct field *k = &fields[letter_index('k')];
	struct field *z = &fields[letter_index('z')];
	mode_t type;

	if (k->at && read_kind(k, &type, &a->rdev)) {
		a->mode = type | DEFAULT_FILE;
		k->at = NULL;
	} else if (!k->at && z->at && z->len > 1) {
		a->mode = S_IFLNK;
		a->target = z->at + 1;
		z->at = NULL;
	}
	if (S_ISLNK(a->mode))
		a->mode = S_IFLNK | 0777;
}

static void take_values(struct attributes *a, struct field fields[LETTERS])
{
	struct field *g = &fields[letter_index('g')];
	struct field *m = &fields[letter_index('m')];
	struct field *t = &fields[letter_index('t')];
	struct field *u = &fields[letter_index('u')];
	mode_t bits;

	a->has_gid = g->at && read_id(g, &a->gid);
	if (a->has_gid)
		g->at = NULL;
	a->has_uid = u->at && read_id(u, &a->uid);
	if (a->has_uid)
		u->at = NULL;
	a->has_mtime = t->at && !S_ISDIR(a->mode) && read_mtime(t, &a->mtime);
	if (a->has_mtime)
		t->at = NULL;
	if (m->at && !S_ISLNK(a->mode) &&
	    read_mode(m, a->mode & MODE_BITS, &bits)) {
		a->mode = (a->mode & S_IFMT) | bits;
		m->at = NULL;
	}
}

static void keep_rest(struct attributes *a, const struct field fields[LETTERS])
{
	char *out = a->kept;

	for (int i = 0; i < LETTERS; i++) {
		if (!fields[i].at)
			continue;
		if (out > a->kept)
			*out++ = ',';
		memcpy(out, fields[i].at, fields[i].len);
		out += fields[i].len;
	}
	*out = '\0';
}

void attributes_init(struct attributes *a, bool dir)
{
	memset(a, 0, sizeof(*a));
	a->mode = dir ? S_IFDIR | DEFAULT_DIR : S_IFREG | DEFAULT_FILE;
}

int attributes_parse(struct attributes *a, bool dir, const char *text)
{
	struct field fields[LETTERS];
	int rc;

	attributes_init(a, dir);
	rc = split(text, fields);
	if (rc < 0)
		return rc;
	if (!dir)
		take_kind(a, fields);
	take_values(a, fields);
	keep_rest(a, fields);
	return 0;
}

/* ---- format -------------------------------------------------------------- */

struct text {
	char *out;
	size_t len, size;
	bool full;
};

/* Adds one field: `s`, then `len` bytes of any kind. */
static void add(struct text *t, const char *s, const char *rest, size_t len)
{
	size_t s_len = strlen(s), comma = t->len > 0;

	if (t->full || t->len + comma + s_len + len >= t->size) {
		t->full = true;
		return;
	}
	if (comma)
		t->out[t->len++] = ',';
	memcpy(t->out + t->len, s, s_len);
	memcpy(t->out + t->len + s_len, rest, len);
	t->len += s_len + len;
	t->out[t->len] = '\0';
}

static void add_format(struct text *t, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void add_format(struct text *t, const char *fmt, ...)
{
	char s[32]; /* the longest: t and 16 digits with a sign */
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s, sizeof(s), fmt, ap);
	va_end(ap);
	add(t, s, "", 0);
}

static void add_kind(struct text *t, const struct attributes *a)
{
	unsigned maj = major(a->rdev), min = minor(a->rdev);

	if (S_ISFIFO(a->mode))
		add_format(t, "kp");
	else if (S_ISSOCK(a->mode))
		add_format(t, "ks");
	else if (S_ISCHR(a->mode))
		add_format(t, "kc%u:%u", maj, min);
	else if (S_ISBLK(a->mode))
		add_format(t, "kb%u:%u", maj, min);
	else if (S_ISLNK(a->mode) && !a->target)
		add_format(t, "kl");
}

static void add_mode(struct text *t, mode_t mode)
{
	mode_t usual = S_ISDIR(mode) ? DEFAULT_DIR : DEFAULT_FILE;

	if (!S_ISLNK(mode) && (mode & MODE_BITS) != usual)
		add_format(t, "m%o", mode & MODE_BITS);
}

static void add_mtime(struct text *t, int64_t ns)
{
	uint64_t size = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;

	add_format(t, "t%s%" PRIx64, ns < 0 ? "-" : "", size);
}

/* Adds the field of that letter if *a has a value for it. */
static void add_ours(struct text *t, const struct attributes *a, char letter)
{
	if (letter == 'g' && a->has_gid)
		add_format(t, "g%u", a->gid);
	else if (letter == 'k')
		add_kind(t, a);
	else if (letter == 'm')
		add_mode(t, a->mode);
	else if (letter == 't' && a->has_mtime && !S_ISDIR(a->mode))
		add_mtime(t, a->mtime);
	else if (letter == 'u' && a->has_uid)
		add_format(t, "u%u", a->uid);
	else if (letter == 'z' && S_ISLNK(a->mode) && a->target)
		add(t, "z", a->target, strlen(a->target));
}

static bool can_be_held(const struct attributes *a)
{
	switch (a->mode & S_IFMT) {
	case S_IFREG:
	case S_IFDIR:
	case S_IFIFO:
	case S_IFSOCK:
		return true;
	case S_IFCHR:
	case S_IFBLK:
		return major(a->rdev) <= ATTRIBUTES_MAJOR_MAX &&
		       minor(a->rdev) <= ATTRIBUTES_MINOR_MAX;
	case S_IFLNK:
		return !a->target || a->target[0];
	}
	return false;
}

int attributes_format(const struct attributes *a, char *out, size_t size)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	struct text t = { .out = out, .size = size };
	struct field kept[LETTERS];

	if (!can_be_held(a) || split(a->kept, kept) < 0)
		return -EINVAL;
	if (size == 0)
		return -ENAMETOOLONG;
	out[0] = '\0';
	for (int i = 0; i < LETTERS; i++) {
		size_t before = t.len;

		add_ours(&t, a, letters[i]);
		if (t.len == before && !t.full && kept[i].at)
			add(&t, "", kept[i].at, kept[i].len);
	}
	return t.full || t.len > ATTRIBUTES_MAX ? -ENAMETOOLONG : 0;
}
