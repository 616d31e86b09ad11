/* open(2): every set of flags on every kind. */
#include "tests/posix/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NO_DEVICES "mounted nodev, as everything that a user mounts"

/* The access modes and the flags that change the answer; O_NONBLOCK is always
 * there, so that a fifo does not wait. */
static const struct flag {
	const char *name;
	int flag;
} access_modes[] = {
	{ "O_RDONLY", O_RDONLY },
	{ "O_WRONLY", O_WRONLY },
	{ "O_RDWR", O_RDWR },
}, flags[] = {
	{ "|O_CREAT", O_CREAT },
	{ "|O_EXCL", O_EXCL },
	{ "|O_TRUNC", O_TRUNC },
	{ "|O_APPEND", O_APPEND },
	{ "|O_DIRECTORY", O_DIRECTORY },
	{ "|O_NOFOLLOW", O_NOFOLLOW },
};

/* What there is to open: the kinds, and links to them. */
enum { TO_FILE = NKINDS, TO_DIR, TO_NOTHING, TO_ITSELF, ABSENT, NTHINGS };

static const char *thing_name(int t)
{
	static const char *const names[] = {
		[TO_FILE - NKINDS] = "link to a file",
		[TO_DIR - NKINDS] = "link to a directory",
		[TO_NOTHING - NKINDS] = "link to nothing",
		[TO_ITSELF - NKINDS] = "link to itself",
		[ABSENT - NKINDS] = "nothing",
	};

	return t < NKINDS ? kind_name((enum kind)t) : names[t - NKINDS];
}

static void make_thing(int t)
{
	switch (t) {
	case TO_FILE:
		make(REG, "f");
		NEED(symlink("f", "x"));
		break;
	case TO_DIR:
		make(DIRECTORY, "d");
		NEED(symlink("d", "x"));
		break;
	case TO_NOTHING:
		NEED(symlink("none", "x"));
		break;
	case TO_ITSELF:
		NEED(symlink("x", "x"));
		break;
	case ABSENT:
		break;
	default:
		make((enum kind)t, "x");
	}
}

/* A device opens if there is one: null does, our number has no driver. */
static int device_code(int t)
{
	return differs(t == CHR ? 0 : ENXIO, EACCES, NO_DEVICES);
}

static int kind_code(int t, int f)
{
	int access_mode = f & O_ACCMODE;

	switch (t) {
	case DIRECTORY:
		return f & (O_CREAT | O_TRUNC) || access_mode != O_RDONLY
		               ? EISDIR
		               : 0;
	case FIFO: /* nobody reads it */
		return access_mode == O_WRONLY ? ENXIO : 0;
	case SOCK:
		return ENXIO;
	case CHR:
	case BLK:
		return device_code(t);
	default:
		return 0;
	}
}

/* In the order in which Linux looks. */
static int want_code(int t, int f)
{
	bool link = t == LNK || (t >= TO_FILE && t <= TO_ITSELF);

	if (t == ABSENT || t == LNK || t == TO_NOTHING) {
		if (t != ABSENT && f & O_CREAT && f & O_EXCL)
			return EEXIST;
		if (t != ABSENT && f & O_NOFOLLOW)
			return f & O_DIRECTORY ? ENOTDIR : ELOOP;
		return f & O_CREAT ? 0 : ENOENT;
	}
	if (f & O_CREAT && f & O_EXCL)
		return EEXIST;
	if (link && f & O_NOFOLLOW)
		return f & O_DIRECTORY ? ENOTDIR : ELOOP;
	if (t == TO_ITSELF)
		return ELOOP;
	if (t == TO_FILE)
		t = REG;
	if (t == TO_DIR)
		t = DIRECTORY;
	if (f & O_CREAT && t == DIRECTORY)
		return EISDIR;
	if (f & O_DIRECTORY && t != DIRECTORY)
		return ENOTDIR;
	return kind_code(t, f);
}

static void name_flags(int f, char *out, size_t size)
{
	snprintf(out, size, "%s", access_modes[f & O_ACCMODE].name);
	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		if (f & flags[i].flag)
			strncat(out, flags[i].name, size - strlen(out) - 1);
}

static void one(int t, int f)
{
	char text[128];
	int code;

	name_flags(f, text, sizeof(text));
	row("open of %s, %s", thing_name(t), text);
	code = make_open("x", f | O_NONBLOCK, 0644);
	is_code(code, want_code(t, f));
	if (code == 0 && (t == REG || t == TO_FILE))
		is_num(size_of(t == REG ? "x" : "f"), f & O_TRUNC ? 0 : 10);
}

static void each_flags(int t)
{
	make_thing(t);
	for (int set = 0; set < 1 << ARRAY_LEN(flags); set++)
		for (int mode = 0; mode < 3; mode++) {
			int f = mode;

			for (size_t i = 0; i < ARRAY_LEN(flags); i++)
				if (set & 1 << i)
					f |= flags[i].flag;
			/* O_TRUNC for readers, O_CREAT with O_DIRECTORY and
			 * O_EXCL alone are not defined. */
			if ((f & O_TRUNC && mode == O_RDONLY) ||
			    (f & O_CREAT && f & O_DIRECTORY) ||
			    (f & O_EXCL && !(f & O_CREAT)))
				continue;
			one(t, f);
			if (f & (O_CREAT | O_TRUNC)) {
				clear();
				make_thing(t);
			}
		}
	clear();
}

/* A descriptor for a place, not for bytes: works on all kinds. */
static void places(enum kind k)
{
	struct stat st;
	char byte;
	int fd;

	make(k, "x");
	row("O_PATH of a %s", kind_name(k));
	fd = open("x", O_PATH | O_NOFOLLOW);
	is_true(fd >= 0, "opened");
	is_code(CODE(fstat(fd, &st)), 0);
	is_num(st.st_mode & S_IFMT, kind_fmt(k));
	is_code(CODE(read(fd, &byte, 1)), EBADF);
	is_code(CODE(fchmod(fd, 0600)), EBADF);
	is_code(CODE(ftruncate(fd, 0)), EBADF);
	close(fd);
	clear();
}

static void unnamed(void)
{
	row("O_TMPFILE");
	is_code(make_open(".", O_TMPFILE | O_RDWR, 0600),
	        differs(0, EOPNOTSUPP,
	                "a file without a name has no place on the service, "
	                "and could not be given one without hard links"));
	row("O_TMPFILE for reading");
	is_code(make_open(".", O_TMPFILE | O_RDONLY, 0600), EINVAL);
}

/* O_CREAT makes it even if the mode does not let one do what one asks. */
static void closed_modes(void)
{
	static const mode_t modes[] = { 0, 0200, 0400, 0444, 0111 };

	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		int fd;

		row("create with mode %o to read and write", modes[i]);
		fd = open("x", O_CREAT | O_EXCL | O_RDWR, modes[i]);
		is_true(fd >= 0, "opened");
		is_num(write(fd, "abc", 3), 3);
		is_num(perm_of("x"), modes[i]);
		close(fd);
		NEED(unlink("x"));
	}
}

void group_open(void)
{
	for (int t = 0; t < NTHINGS; t++)
		if (t >= NKINDS || can_make((enum kind)t))
			each_flags(t);
	EACH_KIND(k)
	places(k);
	unnamed();
	closed_modes();
}
