/* A disk that is full, read-only, or refuses a flush. The full one is a small
 * tmpfs in a mount namespace of this process. */
#include "fs/content.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/db.h"
#include "net/log.h"
#include "tests/unit/content_rig.h"
#include "tests/unit/power.h"

#define MIB (UINT64_C(1) << 20)

static struct crig rig;
static struct content *c;
static char mnt[] = "/tmp/nmb-disk-XXXXXX";
static bool mounted;

static void mount_small(void)
{
	if (!mkdtemp(mnt) || unshare(CLONE_NEWNS) < 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return;
	mounted = mount("none", mnt, "tmpfs", 0, "size=4m") == 0;
}

/* Leaves `left` bytes (multiple of 4,096). */
static void fill_disk(uint64_t left)
{
	char path[64];
	uint64_t free_bytes;
	int fd;

	snprintf(path, sizeof(path), "%s/ballast", mnt);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	CHECK_EQ(contents_get_free(rig.cs, &free_bytes), 0);
	if (free_bytes > left)
		CHECK_EQ(posix_fallocate(fd, 0, (off_t)(free_bytes - left)), 0);
	close(fd);
}

static void empty_disk(void)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/ballast", mnt);
	CHECK_EQ(unlink(path), 0);
}

/* ---- full -------------------------------------------------------------- */

static void test_full_for_bytes(void)
{
	uint8_t *buf;
	uint64_t ino;

	if (!mounted)
		SKIP("can't mount a tmpfs here");
	crig_open_in(&rig, mnt);
	ino = crig_add_file(&rig, "a", &c);
	crig_write(c, 0, 100, 1);
	crig_settle(c);
	fill_disk(512 * 1024);
	buf = malloc(MIB);
	crig_pattern(buf, MIB, 100, 1);
	CHECK_EQ(content_write(c, buf, MIB, 100), -ENOSPC);
	free(buf);
	/* As write(2): what fitted is there, what was is intact. */
	CHECK(content_size(c) > 100 && content_size(c) < MIB);
	crig_expect(c, 0, content_size(c), 1);
	CHECK_EQ(content_truncate(c, 100), 0);
	empty_disk();
	crig_write(c, 100, MIB, 1);
	crig_settle(c);
	content_put(c);
	c = crig_get(&rig, ino);
	crig_expect(c, 0, MIB + 100, 1);
	content_put(c);
	crig_close(&rig);
}

static int set_text(const char *key, const char *text)
{
	struct db *db;
	int rc = store_begin(rig.store, &db);

	if (rc < 0)
		return rc;
	rc = store_set_text(db, key, text);
	return store_end(rig.store, rc);
}

/* Adds to the database until not even a page has room. */
static int grow_database(void)
{
	static const size_t sizes[] = { 60000, 4000, 10 };
	static char text[65536];
	char key[32];
	int rc = 0;

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		memset(text, 'x', sizes[i]);
		text[sizes[i]] = '\0';
		rc = 0;
		for (int n = 0; n < 4000 && rc == 0; n++) {
			snprintf(key, sizeof(key), "ballast%zu.%d", i, n);
			rc = set_text(key, text);
		}
	}
	return rc;
}

static unsigned nuntidy;

static void count_untidy(void *arg)
{
	CHECK(arg == &nuntidy);
	nuntidy++;
}

/* The bytes fit, the row does not: nothing is forgotten while the program
 * lives, and all is saved when there is room again. */
static void test_full_for_rows(void)
{
	uint64_t ino;

	if (!mounted)
		SKIP("can't mount a tmpfs here");
	crig_open_in(&rig, mnt);
	ino = crig_add_file(&rig, "a", &c);
	crig_write(c, 0, 100, 1);
	fill_disk(256 * 1024);
	CHECK_EQ(grow_database(), -ENOSPC);
	CHECK_EQ(content_transact(c, NULL, NULL), -ENOSPC);
	CHECK_EQ(content_settle(c), -ENOSPC);
	content_put(c); /* can't be saved */
	c = crig_get(&rig, ino);
	CHECK_EQ(content_size(c), 100);
	crig_expect(c, 0, 100, 1);
	CHECK_EQ(content_write(c, "x", 1, 0), 0); /* room in the last page */
	crig_write(c, 0, 100, 1);
	contents_set_untidy(rig.cs, count_untidy, &nuntidy);
	content_put(c);
	CHECK_EQ(nuntidy, 1);
	CHECK_EQ(contents_tidy(rig.cs), -EAGAIN);
	empty_disk();
	CHECK_EQ(contents_tidy(rig.cs), 0); /* saves */
	crig_kill(&rig, NULL, false);
	CHECK_EQ(rig.found.resized, 0);
	c = crig_get(&rig, ino);
	crig_expect(c, 0, 100, 1);
	crig_settle(c);
	content_put(c);
	crig_close(&rig);
}

/* Chunks that find no room stay absent; what was there stays readable. */
static void test_full_for_chunks(void)
{
	uint8_t buf[CHUNK_SIZE];
	uint64_t idx = 0;
	int rc = 0;

	if (!mounted)
		SKIP("can't mount a tmpfs here");
	crig_open_in(&rig, mnt);
	crig_add_remote(&rig, "a", 32 * CHUNK_SIZE, &c);
	crig_arrive(c, 0, 1);
	fill_disk(4 * CHUNK_SIZE);
	while (rc == 0 && ++idx < 32) {
		crig_pattern(buf, CHUNK_SIZE, idx * CHUNK_SIZE, 1);
		rc = content_store_chunk(c, "E1", idx, buf, CHUNK_SIZE);
	}
	CHECK_EQ(rc, -ENOSPC);
	CHECK(idx > 1 && idx < 6);
	CHECK_EQ(content_pread(c, buf, 1, idx * CHUNK_SIZE), -EAGAIN);
	crig_expect(c, 0, idx * CHUNK_SIZE, 1);
	empty_disk();
	crig_arrive(c, idx, 1);
	crig_expect(c, 0, (idx + 1) * CHUNK_SIZE, 1);
	content_put(c);
	crig_close(&rig);
}

/* A snapshot that finds no room is given up; the write is not. */
static void test_full_for_snapshot(void)
{
	uint64_t *sums;
	uint8_t byte;
	size_t n;

	if (!mounted)
		SKIP("can't mount a tmpfs here");
	crig_open_in(&rig, mnt);
	crig_add_file(&rig, "a", &c);
	crig_write(c, 0, 8 * CHUNK_SIZE, 1);
	content_freeze(c);
	crig_settle(c);
	CHECK_EQ(content_get_sums(c, &sums, &n), 0);
	CHECK_EQ(content_snapshot_begin(c, 8 * CHUNK_SIZE, sums, false), 0);
	crig_write(c, 0, 1, 2); /* its generation is open */
	fill_disk(CHUNK_SIZE);
	crig_write(c, 0, 8 * CHUNK_SIZE, 2);
	CHECK_EQ(content_snapshot_read(c, &byte, 1, 0), -ESTALE);
	content_snapshot_end(c);
	empty_disk();
	crig_settle(c);
	crig_expect(c, 0, 8 * CHUNK_SIZE, 2);
	content_put(c);
	free(sums);
	crig_close(&rig);
}

/* ---- read-only --------------------------------------------------------- */

static void test_read_only(void)
{
	char dir[96];
	uint64_t ino;

	if (!mounted)
		SKIP("can't mount here");
	crig_open_in(&rig, mnt);
	ino = crig_add_file(&rig, "a", &c);
	crig_write(c, 0, 100, 1);
	crig_settle(c);
	content_put(c);
	contents_free(rig.cs);
	snprintf(dir, sizeof(dir), "%s/content", rig.dir);
	CHECK_EQ(mount(dir, dir, NULL, MS_BIND, NULL), 0);
	CHECK_EQ(mount("none", dir, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY,
	               NULL),
	         0);
	CHECK_EQ(contents_new(rig.dir, rig.store, &rig.cs), 0);
	c = crig_get(&rig, ino);
	crig_expect(c, 0, 100, 1);
	CHECK_EQ(content_write(c, "x", 1, 0), -EROFS);
	CHECK_EQ(content_truncate(c, 10), -EROFS);
	crig_expect(c, 0, 100, 1);
	content_put(c);
	contents_free(rig.cs);
	CHECK_EQ(umount(dir), 0);
	CHECK_EQ(contents_new(rig.dir, rig.store, &rig.cs), 0);
	c = crig_get(&rig, ino);
	crig_write(c, 0, 100, 2);
	content_put(c);
	crig_close(&rig);
}

/* ---- a flush that fails ------------------------------------------------ */

/* The kernel says it once: it is remembered, over a restart too. */
static void test_failed_flush(void)
{
	struct cfile row;
	uint64_t ino;
	uint8_t byte;

	crig_open(&rig);
	ino = crig_add_file(&rig, "a", &c);
	crig_write(c, 0, 100, 1);
	power_fail_flushes(true);
	CHECK_EQ(content_settle(c), -EIO);
	power_fail_flushes(false);
	CHECK_EQ(content_settle(c), -EIO);
	crig_expect(c, 0, 100, 1); /* a chance to save it elsewhere */
	content_put(c);
	crig_kill(&rig, NULL, false);
	c = crig_get(&rig, ino);
	content_get_row(c, &row);
	CHECK(row.flags & CFILE_SOFT && row.flags & CFILE_FAILED);
	CHECK_EQ(content_settle(c), -EIO);
	CHECK_EQ(content_pread(c, &byte, 1, 0), -EIO); /* nobody knows */
	content_put(c);
	crig_close(&rig);
}

/* A flush of the file system spares the one of the file, but not for what was
 * written after it. */
static void test_flush_of_all(void)
{
	crig_open(&rig);
	crig_add_file(&rig, "a", &c);
	crig_write(c, 0, 100, 1);
	CHECK_EQ(contents_flush(rig.cs), 0);
	power_fail_flushes(true);
	CHECK_EQ(content_settle(c), 0);
	CHECK(!content_is_soft(c));
	power_fail_flushes(false);
	crig_write(c, 0, 100, 2);
	power_fail_flushes(true);
	CHECK_EQ(content_settle(c), -EIO);
	power_fail_flushes(false);
	content_put(c);
	crig_close(&rig);
}

/* Old bytes that can't be made safe are not edited over. */
static void test_failed_flush_before_edit(void)
{
	crig_open(&rig);
	crig_add_remote(&rig, "a", 2 * CHUNK_SIZE, &c);
	crig_arrive(c, 0, 1);
	power_fail_flushes(true);
	CHECK_EQ(content_write(c, "x", 1, 5), -EIO);
	power_fail_flushes(false);
	crig_expect(c, 0, CHUNK_SIZE, 1);
	content_put(c);
	crig_close(&rig);
}

static void drop_line(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	(void)line;
}

int main(void)
{
	log_set_sink(drop_line, NULL);
	mount_small();
	RUN(test_full_for_bytes);
	RUN(test_full_for_rows);
	RUN(test_full_for_chunks);
	RUN(test_full_for_snapshot);
	RUN(test_read_only);
	RUN(test_failed_flush);
	RUN(test_flush_of_all);
	RUN(test_failed_flush_before_edit);
	if (mounted)
		umount(mnt);
	rmdir(mnt);
	return check_report();
}
