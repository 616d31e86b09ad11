/* Owners and groups: who may give away, sticky and set-ID bits. */
#include "tests/posix/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <unistd.h>

#define SAME ((uid_t)-1)

static void give(const char *name, enum who w)
{
	NEED(lchown(name, uid_of(w), gid_of(w)));
}

/* ---- chmod, chown, utimensat
 * ------------------------------------------------- */

static void change_mode(enum kind k, enum who w)
{
	int want = w == ROOT || w == OWNER ? 0 : EPERM;
	struct stat st;

	make(k, "x");
	give("x", OWNER);
	become(w);
	row("chmod of owner's %s by %s", kind_name(k), who_name(w));
	is_code(CODE(chmod("x", 0751)), want);
	become(ROOT);
	NEED(stat("x", &st));
	is_num(st.st_mode & 07777,
	       want ? (k == DIRECTORY ? 0755 : 0644) : 0751);
	clear();
}

static void change_owner(enum kind k, enum who w)
{
	bool root = w == ROOT, owner = w == OWNER;
	struct stat st;

	make(k, "x");
	give("x", OWNER);
	become(w);
	row("chown of owner's %s by %s", kind_name(k), who_name(w));
	is_code(CODE(lchown("x", uid_of(STRANGER), SAME)), root ? 0 : EPERM);
	if (root)
		NEED(lchown("x", uid_of(OWNER), SAME));
	is_code(CODE(lchown("x", SAME, gid_of(STRANGER))), root ? 0 : EPERM);
	if (root)
		NEED(lchown("x", SAME, gid_of(OWNER)));
	is_code(CODE(lchown("x", uid_of(OWNER), gid_of(OWNER))),
	        root || owner ? 0 : EPERM);
	is_code(CODE(lchown("x", SAME, SAME)), 0);
	become(ROOT);
	NEED(lstat("x", &st));
	is_num(st.st_uid, uid_of(OWNER));
	is_num(st.st_gid, gid_of(OWNER));
	clear();
}

/* MATE's own file may get any of MATE's groups. */
static void change_to_own_group(enum kind k)
{
	make(k, "x");
	give("x", MATE);
	become(MATE);
	row("chown of a %s to another own group", kind_name(k));
	is_code(CODE(lchown("x", SAME, gid_of(OWNER))), 0);
	is_code(CODE(lchown("x", SAME, gid_of(MATE))), 0);
	is_code(CODE(lchown("x", SAME, gid_of(STRANGER))), EPERM);
	become(ROOT);
	clear();
}

static int set_times(struct timespec a, struct timespec m)
{
	struct timespec t[2] = { a, m };

	return CODE(utimensat(AT_FDCWD, "x", t, AT_SYMLINK_NOFOLLOW));
}

static void change_times(enum kind k, enum who w, bool writable)
{
	struct timespec now = { 0, UTIME_NOW }, omit = { 0, UTIME_OMIT };
	bool mine = w == ROOT || w == OWNER;
	int at_now = mine || writable ? 0 : EACCES, at_all = mine ? 0 : EPERM;

	if (k == LNK) /* its mode is rwx for all */
		at_now = 0;
	make(k, "x");
	give("x", OWNER);
	if (k != LNK)
		NEED(chmod("x", writable ? 0777 : 0755));
	become(w);
	row("times of owner's %s, %s, by %s", kind_name(k),
	    writable ? "open to all" : "closed", who_name(w));
	is_code(set_times(now, now), at_now);
	is_code(set_times(omit, omit), 0);
	is_code(set_times((struct timespec){ 1, 1 }, (struct timespec){ 2, 2 }),
	        at_all);
	is_code(set_times(now, omit), at_all);
	is_code(set_times(omit, now), at_all);
	become(ROOT);
	clear();
}

/* ---- sticky directories
 * ------------------------------------------------------------ */

/* Names in a sticky directory go only with the owner of the name, of the
 * directory, or root. */
static void sticky(enum kind k, enum who dir, enum who node, enum who w)
{
	bool may = w == ROOT || w == dir || w == node;
	int want = may ? 0 : EPERM;

	make_dir("d");
	make(k, "d/x");
	make(k, "d/mine");
	give("d/x", node);
	give("d/mine", w);
	give("d", dir);
	NEED(chmod("d", 01777));
	if (k == DIRECTORY) {
		NEED(chmod("d/x", 0777));
		NEED(chmod("d/mine", 0777));
	}
	become(w);
	row("sticky directory of %s, %s of %s, by %s", who_name(dir),
	    kind_name(k), who_name(node), who_name(w));
	is_code(CODE(rename("d/x", "d/y")), want);
	if (may)
		NEED(rename("d/y", "d/x"));
	is_code(CODE(renameat2(AT_FDCWD, "d/mine", AT_FDCWD, "d/x",
	                       RENAME_EXCHANGE)),
	        want);
	if (may)
		NEED(renameat2(AT_FDCWD, "d/mine", AT_FDCWD, "d/x",
		               RENAME_EXCHANGE));
	is_code(CODE(rename("d/mine", "d/x")), want);
	is_code(CODE(k == DIRECTORY ? rmdir("d/x") : unlink("d/x")), want);
	become(ROOT);
	clear();
}

static void all_sticky(enum kind k)
{
	static const enum who people[] = { OWNER, STRANGER, MATE };

	for (size_t d = 0; d < ARRAY_LEN(people); d++)
		for (size_t n = 0; n < ARRAY_LEN(people); n++)
			for (enum who w = ROOT; w < NWHO; w++)
				if (w != MEMBER)
					sticky(k, people[d], people[n], w);
}

/* ---- set-group-ID directories
 * -------------------------------------------------------- */

static void in_setgid(enum kind k, bool setgid)
{
	struct stat st;

	make_dir("d");
	give("d", OWNER);
	NEED(chmod("d", setgid ? 02777 : 0777));
	if (k == CHR || k == BLK) { /* takes root */
		make(k, "d/x");
	} else {
		become(STRANGER);
		make(k, "d/x");
		become(ROOT);
	}
	NEED(lstat("d/x", &st));
	row("%s in a directory%s", kind_name(k), setgid ? " with g+s" : "");
	is_num(st.st_gid, setgid                 ? gid_of(OWNER)
	                  : k == CHR || k == BLK ? 0
	                                         : gid_of(STRANGER));
	is_num(st.st_mode & S_ISGID ? 1 : 0, setgid && k == DIRECTORY);
	clear();
}

/* Nobody gives a program the rights of a group of which one is no member. */
static void setgid_of_foreign_group(void)
{
	make(REG, "x");
	give("x", STRANGER);
	NEED(lchown("x", SAME, gid_of(OWNER)));
	become(STRANGER);
	row("chmod g+s, not a member");
	is_code(CODE(chmod("x", 02755)), 0);
	become(ROOT);
	is_num(perm_of("x"), 0755);
	NEED(lchown("x", uid_of(MATE), SAME));
	become(MATE);
	row("chmod g+s by a member");
	is_code(CODE(chmod("x", 02755)), 0);
	become(ROOT);
	is_num(perm_of("x"), 02755);
	make_dir("d");
	give("d", OWNER);
	NEED(chmod("d", 02777));
	become(STRANGER);
	row("create with g+s below g+s, not a member");
	is_code(make_open("d/x", O_CREAT | O_WRONLY, 02755), 0);
	become(ROOT);
	is_num(perm_of("d/x"), 0755);
	clear();
}

/* ---- who changes a program takes its bits
 * ---------------------------------------------- */

static int do_write(void)
{
	int fd = open("x", O_WRONLY), rc = CODE(pwrite(fd, "x", 1, 0));

	close(fd);
	return rc;
}

static int do_truncate(void)
{
	return CODE(truncate("x", 3));
}

static int do_ftruncate(void)
{
	int fd = open("x", O_WRONLY), rc = CODE(ftruncate(fd, 3));

	close(fd);
	return rc;
}

static int do_open_trunc(void)
{
	return make_open("x", O_WRONLY | O_TRUNC, 0);
}

static int do_punch(void)
{
	int fd = open("x", O_WRONLY);
	int rc = CODE(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
	                        0, 5));

	close(fd);
	return rc;
}

static int do_copy(void)
{
	int fd = open("x", O_RDWR);
	loff_t in = 0, out = 5;
	int rc = CODE(copy_file_range(fd, &in, fd, &out, 3, 0));

	close(fd);
	return rc;
}

static const struct {
	const char *name;
	int (*run)(void);
} changes[] = {
	{ "write", do_write },         { "truncate", do_truncate },
	{ "ftruncate", do_ftruncate }, { "O_TRUNC", do_open_trunc },
	{ "fallocate", do_punch },     { "copy_file_range", do_copy },
};

static void bits_after(size_t i, enum who w)
{
	/* g+s without g+x is no program: it stays. */
	static const struct {
		mode_t from, to;
	} modes[] = { { 06777, 0777 },
		      { 04777, 0777 },
		      { 02777, 0777 },
		      { 04666, 0666 } };

	for (size_t m = 0; m < ARRAY_LEN(modes); m++) {
		make(REG, "x");
		give("x", OWNER);
		NEED(chmod("x", modes[m].from));
		become(w);
		row("%s by %s of a file with mode %o", changes[i].name,
		    who_name(w), modes[m].from);
		is_code(changes[i].run(), 0);
		become(ROOT);
		is_num(perm_of("x"), w == ROOT ? modes[m].from : modes[m].to);
		clear();
	}
}

static void bits_after_chown(void)
{
	static const struct {
		mode_t from, to;
	} modes[] = { { 06755, 0755 }, { 04755, 0755 }, { 02755, 0755 } };

	for (size_t m = 0; m < ARRAY_LEN(modes); m++) {
		make(REG, "x");
		NEED(chmod("x", modes[m].from));
		row("chown by root of a program with mode %o", modes[m].from);
		is_code(CODE(chown("x", uid_of(OWNER), gid_of(OWNER))), 0);
		is_num(perm_of("x"), modes[m].to);
		give("x", MATE);
		NEED(chmod("x", modes[m].from));
		become(MATE);
		row("chown to a group of a program with mode %o",
		    modes[m].from);
		is_code(CODE(chown("x", SAME, gid_of(OWNER))), 0);
		become(ROOT);
		is_num(perm_of("x"), modes[m].to);
		clear();
	}
	make(DIRECTORY, "d");
	NEED(chmod("d", 06755));
	row("chown of a directory keeps its bits");
	is_code(CODE(chown("d", uid_of(OWNER), gid_of(OWNER))), 0);
	is_num(perm_of("d"), 06755);
	clear();
}

/* All 4096 of them come back as they were set. */
static void every_mode(enum kind k)
{
	make(k, "x");
	for (mode_t mode = 0; mode < 010000; mode = mode * 2 + 1) {
		row("chmod of a %s to %o", kind_name(k), mode);
		is_code(CODE(chmod("x", mode)), 0);
		is_num(perm_of("x"), mode);
		is_code(CODE(chmod("x", ~mode & 07777)), 0);
		is_num(perm_of("x"), ~mode & 07777);
	}
	clear();
}

void group_owners(void)
{
	if (!is_root())
		return;
	NEED(chmod(".", 0777));
	EACH_KIND(k)
	{
		for (enum who w = ROOT; w < NWHO; w++) {
			change_owner(k, w);
			change_times(k, w, false);
			change_times(k, w, true);
			if (k != LNK)
				change_mode(k, w);
		}
		change_to_own_group(k);
		all_sticky(k);
		in_setgid(k, true);
		in_setgid(k, false);
		if (k != LNK)
			every_mode(k);
	}
	setgid_of_foreign_group();
	for (size_t i = 0; i < ARRAY_LEN(changes); i++)
		for (enum who w = ROOT; w < NWHO; w++)
			bits_after(i, w);
	bits_after_chown();
	NEED(chmod(".", 0755));
}
