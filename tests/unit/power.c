#include "tests/unit/power.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/unit/check.h"

#define MAX_FILES 4096

struct blob {
	uint8_t *data;
	size_t len;
};

/* One name, or one that was there at the last flush of its directory. */
struct file {
	char name[600]; /* below the directory */
	ino_t inode;
	bool named;  /* the name is flushed */
	bool exists; /* now */
	struct blob flushed;
};

static char root[PATH_MAX]; /* "": off */
static struct file files[MAX_FILES];
static size_t nfiles;
static struct blob flushed_db, flushed_log;
static unsigned log_flushes;
static bool fails;

uint32_t power_draw(uint64_t *random, uint32_t below)
{
	*random = *random * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)((*random >> 33) % below);
}

unsigned power_count_log_flushes(void)
{
	return log_flushes;
}

static struct blob read_file(const char *name)
{
	struct blob b = { NULL, 0 };
	char path[PATH_MAX + 700];
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return b;
	CHECK_EQ(fstat(fd, &st), 0);
	b.data = malloc((size_t)st.st_size + 1);
	b.len = (size_t)st.st_size;
	CHECK_EQ(pread(fd, b.data, b.len, 0), b.len);
	close(fd);
	return b;
}

static void set_blob(struct blob *b, struct blob to)
{
	free(b->data);
	*b = to;
}

/* ---- names ------------------------------------------------------------- */

static struct file *find_file(const char *name, ino_t inode)
{
	struct file *f = files;

	while (f < files + nfiles &&
	       (strcmp(f->name, name) || f->inode != inode))
		f++;
	if (f < files + nfiles)
		return f;
	CHECK(nfiles < MAX_FILES);
	f = &files[nfiles++];
	memset(f, 0, sizeof(*f));
	snprintf(f->name, sizeof(f->name), "%s", name);
	f->inode = inode;
	return f;
}

/* Notes what is in one directory below content/ now. */
static void look_into(const char *shard)
{
	char path[PATH_MAX + 300], name[600];
	struct dirent *e;
	struct stat st;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/content/%s", root, shard);
	dir = opendir(path);
	while (dir && (e = readdir(dir))) {
		if (fstatat(dirfd(dir), e->d_name, &st, 0) < 0 ||
		    !S_ISREG(st.st_mode))
			continue;
		snprintf(name, sizeof(name), "content/%s/%s", shard, e->d_name);
		find_file(name, st.st_ino)->exists = true;
	}
	if (dir)
		closedir(dir);
}

static void look_at_all(void)
{
	char path[PATH_MAX + 16];
	struct dirent *e;
	DIR *dir;

	for (size_t i = 0; i < nfiles; i++)
		files[i].exists = false;
	snprintf(path, sizeof(path), "%s/content", root);
	dir = opendir(path);
	while (dir && (e = readdir(dir))) {
		if (e->d_name[0] != '.')
			look_into(e->d_name);
	}
	if (dir)
		closedir(dir);
}

/* ---- flushes ----------------------------------------------------------- */

static bool leaves_out(const char *what)
{
	const char *broken = getenv("POWER_BREAK");

	return broken && !strcmp(broken, what);
}

static void flush_database(void)
{
	log_flushes++;
	if (leaves_out("log"))
		return;
	set_blob(&flushed_db, read_file("state.db"));
	set_blob(&flushed_log, read_file("state.db-wal"));
}

static void flush_names(const char *prefix)
{
	size_t len = strlen(prefix);

	look_at_all();
	for (size_t i = 0; i < nfiles; i++) {
		if (strncmp(files[i].name, prefix, len) == 0)
			files[i].named = files[i].exists;
	}
}

static void flush_data(const char *name, ino_t inode)
{
	set_blob(&find_file(name, inode)->flushed, read_file(name));
}

static void flush_everything(void)
{
	flush_names("");
	for (size_t i = 0; i < nfiles; i++) {
		if (files[i].exists)
			flush_data(files[i].name, files[i].inode);
	}
	flush_database();
}

static void note_flush(int fd)
{
	char link[64], path[PATH_MAX];
	size_t len = strlen(root);
	struct stat st;
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (!len || n <= (ssize_t)len || fstat(fd, &st) < 0)
		return;
	path[n] = '\0';
	if (strncmp(path, root, len) || path[len] != '/')
		return;
	if (leaves_out(S_ISDIR(st.st_mode) ? "names" : "content") &&
	    strncmp(path + len, "/state.db", 9) != 0)
		return;
	if (S_ISDIR(st.st_mode))
		flush_names(path + len + 1);
	else if (strncmp(path + len, "/state.db", 9) == 0)
		flush_database();
	else if (strncmp(path + len, "/content/", 9) == 0)
		flush_data(path + len + 1, st.st_ino);
}

void power_fail_flushes(bool on)
{
	fails = on;
}

/* In place of the C library's; weak, since a test may have its own. */
#define INSTEAD __attribute__((weak))

INSTEAD int fdatasync(int fd)
{
	if (fails) {
		errno = EIO;
		return -1;
	}
	note_flush(fd);
	return root[0] ? 0 : (int)syscall(SYS_fdatasync, fd);
}

INSTEAD int fsync(int fd)
{
	note_flush(fd);
	return root[0] ? 0 : (int)syscall(SYS_fsync, fd);
}

INSTEAD int syncfs(int fd)
{
	if (!root[0])
		return (int)syscall(SYS_syncfs, fd);
	flush_everything();
	return 0;
}

void power_watch(const char *dir)
{
	for (size_t i = 0; i < nfiles; i++)
		free(files[i].flushed.data);
	nfiles = 0;
	root[0] = '\0';
	set_blob(&flushed_db, (struct blob){ NULL, 0 });
	set_blob(&flushed_log, (struct blob){ NULL, 0 });
	if (!dir)
		return;
	snprintf(root, sizeof(root), "%s", dir);
	flush_everything();
}

/* ---- the cut ----------------------------------------------------------- */

static void write_file(const char *to, const char *name, struct blob b)
{
	char path[PATH_MAX + 700], *slash;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", to, name);
	for (slash = path + strlen(to) + 1; (slash = strchr(slash, '/'));
	     *slash++ = '/') {
		*slash = '\0';
		CHECK(mkdir(path, 0700) == 0 || errno == EEXIST);
	}
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	CHECK(fd >= 0);
	CHECK_EQ(write(fd, b.data, b.len), b.len);
	close(fd);
}

/* Any length a file may have that went from one to the other. */
static size_t draw_length(uint64_t *random, size_t from, size_t to)
{
	size_t blocks;

	if (power_draw(random, 3) == 0)
		return from;
	if (to <= from)
		return to;
	blocks = (to - from) / POWER_BLOCK;
	return to - power_draw(random, (uint32_t)blocks + 1) * POWER_BLOCK;
}

static struct blob mix(uint64_t *random, struct blob old, struct blob now)
{
	struct blob b;

	b.len = draw_length(random, old.len, now.len);
	b.data = calloc(1, b.len + 1);
	for (size_t at = 0; at < b.len; at += POWER_BLOCK) {
		size_t n = b.len - at < POWER_BLOCK ? b.len - at : POWER_BLOCK;
		bool take_old = at < old.len &&
		                (at >= now.len || power_draw(random, 2));
		const struct blob *from = take_old ? &old : &now;

		if (at + n > from->len)
			n = from->len - at;
		memcpy(b.data + at, from->data + at, n);
	}
	return b;
}

static void cut_file(uint64_t *random, const struct file *f, const char *to)
{
	struct blob now = { NULL, 0 }, mixed;

	if (f->named == f->exists ? !f->named : power_draw(random, 2))
		return;
	/* Removed: what would still have been written back was not. */
	if (f->exists)
		now = read_file(f->name);
	mixed = f->exists ? mix(random, f->flushed, now)
	                  : (struct blob){ NULL, 0 };
	write_file(to, f->name, f->exists ? mixed : f->flushed);
	free(mixed.data);
	free(now.data);
}

void power_cut(uint64_t *random, const char *to)
{
	struct blob b;

	look_at_all();
	for (size_t i = 0; i < nfiles; i++)
		cut_file(random, &files[i], to);
	if (power_draw(random, 2))
		flush_database();
	write_file(to, "state.db", flushed_db);
	write_file(to, "state.db-wal", flushed_log);
	b = read_file("incarnation");
	write_file(to, "incarnation", b);
	free(b.data);
}
