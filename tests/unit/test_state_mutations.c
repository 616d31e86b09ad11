/* A state directory whose database is changed at random: a bit, a run of
 * bytes, a sector, its length, two pages, its log. Whatever was done to it,
 * starting on it or repairing it ends without a crash, and every content that
 * was not sent is still there.
 *
 * NMB_TEST_FULL=1: 500 mutations; NMB_TEST_SEED: the first of them. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/check.h"
#include "fs/db.h"
#include "fs/node.h"
#include "fs/salvage.h"
#include "net/log.h"
#include "tests/unit/content_rig.h"
#include "tests/unit/power.h"

#define UNSENT 12 /* files, each of a size of its own */
#define SENT   12
#define SHIFT  100 /* bytes of file n: n + SHIFT */

static struct crig rig;
static char pristine[64], dir[64];

/* In memory, if there is such a place: nothing here is about flushes. */
static void make_dir(char out[64])
{
	snprintf(out, 64, "%s/nmb-mutation-XXXXXX",
	         access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	CHECK(mkdtemp(out) != NULL);
}

/* ---- what is there ------------------------------------------------------- */

static void add_files(void)
{
	char name[64];
	struct content *c;

	crig_open_in(&rig, access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	for (unsigned i = 0; i < UNSENT + SENT; i++) {
		snprintf(name, sizeof(name), "file number %u", i);
		crig_add_file(&rig, name, &c);
		crig_write(c, 0, i + SHIFT, i + 1);
		crig_settle(c);
		content_put(c);
	}
	for (unsigned i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "another one, %u", i);
		crig_add_remote(&rig, name, 1000000, &c);
		content_put(c);
	}
}

static void prepare(bool clean)
{
	make_dir(pristine);
	if (clean) {
		contents_free(rig.cs);
		store_close(rig.store, true);
	}
	crig_copy(&rig, pristine);
	if (clean)
		crig_start(&rig);
}

/* ---- mutations ----------------------------------------------------------- */

static void change(int fd, uint64_t *random)
{
	uint8_t page[2][4096], byte;
	struct stat st;
	uint32_t size, at;

	CHECK_EQ(fstat(fd, &st), 0);
	size = (uint32_t)st.st_size;
	if (size < sizeof(page))
		return;
	at = power_draw(random, size);
	switch (power_draw(random, 6)) {
	case 0:
	case 1:
		CHECK_EQ(pread(fd, &byte, 1, at), 1);
		byte ^= (uint8_t)(1u << power_draw(random, 8));
		CHECK_EQ(pwrite(fd, &byte, 1, at), 1);
		break;
	case 2:
		for (size_t i = 0; i < 16; i++)
			page[0][i] = (uint8_t)power_draw(random, 256);
		CHECK_EQ(pwrite(fd, page[0], 16, at), 16);
		break;
	case 3:
		memset(page[0], 0, 512);
		CHECK_EQ(pwrite(fd, page[0], 512, at & ~511u), 512);
		break;
	case 4:
		CHECK_EQ(ftruncate(fd, at), 0);
		break;
	default:
		at &= ~4095u;
		size = power_draw(random, size / 4096) * 4096;
		CHECK_EQ(pread(fd, page[0], 4096, at), 4096);
		CHECK_EQ(pread(fd, page[1], 4096, size), 4096);
		CHECK_EQ(pwrite(fd, page[0], 4096, size), 4096);
		CHECK_EQ(pwrite(fd, page[1], 4096, at), 4096);
	}
}

static void mutate(uint64_t *random)
{
	static const char *const names[] = { "state.db", "state.db",
		                             "state.db-wal" };
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir,
	         names[power_draw(random, 3)]);
	if (power_draw(random, 20) == 0) {
		unlink(path);
		return;
	}
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0) /* after an orderly end there is no log */
		return;
	change(fd, random);
	close(fd);
}

/* ---- what a mount does with it ------------------------------------------- */

static int touch_node(void *arg, const struct node *n)
{
	(void)arg;
	(void)n;
	return 0;
}

static int touch_cfile(void *arg, const struct cfile *f)
{
	(void)arg;
	(void)f;
	return 0;
}

static int use(struct store *s)
{
	struct content_recovery recovered;
	struct content_scan scan;
	struct contents *cs = NULL;
	struct db *db;
	int rc = contents_new(dir, s, &cs);

	if (rc == 0)
		rc = contents_recover(cs, false, &recovered);
	if (rc == 0)
		rc = store_reader(s, &db);
	if (rc == 0) {
		node_each_child(db, NODE_ROOT, 0, touch_node, NULL);
		node_each_dirty(db, 0, touch_node, NULL);
		cfile_each(db, 0, touch_cfile, NULL);
		store_reader_done(s, db);
		rc = store_check(s);
	}
	if (rc == 0)
		rc = contents_scan(cs, &scan);
	contents_free(cs);
	return rc;
}

/* 1: it has to be set aside. */
static int start(void)
{
	struct store_found found;
	struct store *s;
	int rc = store_open(dir, &s, &found);

	if (rc == 0) {
		rc = use(s);
		store_close(s, rc == 0);
	}
	/* A newer version's is refused; everything else is damage. */
	CHECK(rc == 0 || rc == -EUCLEAN || rc == -ENOTSUP);
	return rc == -EUCLEAN || store_is_marked(dir);
}

static void mount_like(void)
{
	char stamp[STORE_STAMP_SIZE];
	struct salvage found;

	if (start() != 1)
		return;
	CHECK_EQ(store_mark_damaged(dir, stamp), 0);
	CHECK_EQ(salvage_content(dir, stamp, &found), 0);
	CHECK_EQ(store_set_aside(dir), 0);
	CHECK_EQ(start(), 0);
}

/* ---- what check does with it --------------------------------------------- */

struct seen {
	unsigned bad, newer;
};

static void count_finding(void *arg, const struct check_finding *f)
{
	struct seen *s = arg;

	CHECK(f->text[0]);
	s->newer += !strcmp(f->kind, "version");
	s->bad += f->level == CHECK_DAMAGE && !f->repaired &&
	          strcmp(f->kind, "lost") && strcmp(f->kind, "damaged") &&
	          strcmp(f->kind, "refused");
}

static struct seen check(bool repair)
{
	struct seen seen = { 0 };
	struct check_options opt = { .state_dir = dir,
		                     .repair = repair,
		                     .report = count_finding,
		                     .arg = &seen };
	struct check_result r;

	CHECK_EQ(check_state(&opt, &r), 0);
	return seen;
}

static void repair_and_start(void)
{
	struct seen seen;

	check(false);
	check(true);
	seen = check(false);
	CHECK(seen.newer || seen.bad == 0);
	if (!seen.newer)
		CHECK_EQ(start(), 0);
}

/* ---- nothing is lost ----------------------------------------------------- */

static bool have[UNSENT];

static int look_at_file(const char *path, const struct stat *st, int type,
                        struct FTW *ftw)
{
	uint8_t got[UNSENT + SHIFT], want[UNSENT + SHIFT];
	size_t size = (size_t)st->st_size;
	int fd;

	(void)ftw;
	if (type != FTW_F || st->st_size < SHIFT ||
	    st->st_size >= UNSENT + SHIFT)
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0);
	CHECK_EQ(read(fd, got, size), (ssize_t)size);
	close(fd);
	crig_pattern(want, size, 0, (unsigned)(size - SHIFT) + 1);
	have[size - SHIFT] |= memcmp(got, want, size) == 0;
	return 0;
}

static void expect_all(void)
{
	memset(have, 0, sizeof(have));
	CHECK_EQ(nftw(dir, look_at_file, 16, FTW_PHYS), 0);
	for (unsigned i = 0; i < UNSENT; i++)
		CHECK(have[i]);
}

static void shell(const char *what, const char *one, const char *two)
{
	char cmd[256];

	snprintf(cmd, sizeof(cmd), "%s %s %s", what, one, two);
	CHECK_EQ(system(cmd), 0);
}

static unsigned runs, first;

static void mutate_all(void (*deal)(void))
{
	for (unsigned i = 0; i < runs; i++) {
		uint64_t random = first + i;

		check_row("seed %u", first + i);
		make_dir(dir);
		shell("cp -a -T", pristine, dir);
		mutate(&random);
		deal();
		expect_all();
		shell("rm -rf", dir, "");
	}
}

static void mark_sent(void)
{
	struct db *db;
	int rc = store_begin(rig.store, &db);

	if (rc == 0)
		rc = db_script(db, "UPDATE node SET flags=flags&~1,"
		                   "s_id='ID'||ino,s_parent=1,s_name=name,"
		                   "s_gen=gen,s_size=size,s_len=size"
		                   " WHERE ino>27 AND s_id IS NULL;"
		                   "UPDATE cfile SET flags=flags|1,base_id='ID'"
		                   "||ino,base_etag='E',base_len=size"
		                   " WHERE ino>27;");
	CHECK_EQ(store_end(rig.store, rc), 0);
}

/* fault 57 */
static void test_start_on_mutations(void)
{
	prepare(false);
	mutate_all(mount_like);
	shell("rm -rf", pristine, "");
	prepare(true);
	first += 1000;
	mutate_all(mount_like);
	shell("rm -rf", pristine, "");
}

static void test_repair_mutations(void)
{
	prepare(false);
	mutate_all(repair_and_start);
	shell("rm -rf", pristine, "");
	prepare(true);
	first += 1000;
	mutate_all(repair_and_start);
	shell("rm -rf", pristine, "");
}

static void drop_line(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	(void)line;
}

int main(void)
{
	const char *seed = getenv("NMB_TEST_SEED");

	runs = getenv("NMB_TEST_FULL") ? 125 : 15;
	first = seed ? (unsigned)strtoul(seed, NULL, 10) : 1;
	if (!getenv("V"))
		log_set_sink(drop_line, NULL);
	add_files();
	mark_sent();
	RUN(test_start_on_mutations);
	RUN(test_repair_mutations);
	crig_close(&rig);
	return check_report();
}
