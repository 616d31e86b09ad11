/* Random work on a few files, power cuts and kills in between, and after each
 * the question whether what is there may be there:
 *  - fsynced content is there, all of it;
 *  - a file replaced since is the old one or the new one, whole, never a
 *    mixture and never empty; a new one is whole or not there at all;
 *  - what was edited in place is, per block, one of the things written since
 *    it was last durable; never zeros that nobody wrote, never a checksum that
 *    does not fit;
 *  - what is fetched again mixes with nothing, whether it is read first or
 *    written to. */
#include "fs/content.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/attempt.h"
#include "fs/db.h"
#include "net/log.h"
#include "tests/unit/content_rig.h"
#include "tests/unit/power.h"

#define BLOCKS    48 /* of a file, at most: three chunks */
#define VERSIONS  32 /* 0: zeros, 1: the server's, the rest written here */
#define NFILES    3
#define NSTATES   64
#define BIT(n)    (UINT64_C(1) << (n))
#define PER_CHUNK (CHUNK_SIZE / POWER_BLOCK)

/* One content of a file, and what a cut may leave of it. */
struct state {
	bool maybe; /* was settled: may be found */
	bool sure;  /* and that is durable: nothing older may be */
	bool parts; /* has a base: its map tells what was written */
	unsigned size, now[BLOCKS]; /* versions by block */
	uint64_t sizes;             /* bit n: n blocks */
	uint64_t may[BLOCKS];       /* bit v: version v */
	unsigned saved[BLOCKS];     /* as in the last map committed */
	uint64_t since[BLOCKS];     /* written after that */
};

struct file {
	uint64_t ino; /* 0: there is none */
	struct content *c;
	struct state states[NSTATES]; /* the last one is the present one */
	unsigned n;
	bool wrote; /* before it was read, after a cut */
};

static struct crig rig;
static struct file files[NFILES];
static uint64_t seed;
static unsigned version, log_flushes;
static unsigned cuts, kills, reverted; /* that it really happens */

static uint32_t draw(uint32_t below)
{
	return power_draw(&seed, below);
}

/* ---- what may be found ------------------------------------------------- */

static struct state *top(struct file *f)
{
	return &f->states[f->n - 1];
}

/* Nothing but the present state may be found of this content. */
static void pin(struct state *s)
{
	s->sizes = BIT(s->size);
	for (unsigned i = 0; i < BLOCKS; i++)
		s->may[i] = i < s->size ? BIT(s->now[i]) : BIT(0);
}

/* The map was committed, its bytes before it. */
static void note_saved(struct state *s)
{
	for (unsigned i = 0; i < BLOCKS; i++) {
		s->saved[i] = s->now[i];
		s->since[i] = 0;
	}
}

/* The log was flushed: what was committed is durable. */
static void note_log_flush(struct file *f)
{
	struct state *s;

	if (!f->ino)
		return;
	s = top(f);
	for (unsigned i = 0; s->parts && i < BLOCKS; i++)
		s->may[i] = BIT(s->saved[i]) | s->since[i];
	for (unsigned k = f->n; k-- > 0;) {
		if (f->states[k].maybe) {
			f->states[k].sure = true;
			break;
		}
	}
}

static void look_for_log_flushes(void)
{
	unsigned n = power_count_log_flushes();

	for (int i = 0; n != log_flushes && i < NFILES; i++)
		note_log_flush(&files[i]);
	log_flushes = n;
}

static void set_size(struct state *s, unsigned size)
{
	for (unsigned i = s->size; i < size; i++) {
		s->sizes |= BIT(i + 1);
		s->now[i] = 0;
		s->may[i] |= BIT(0);
		s->since[i] |= BIT(0);
	}
	s->sizes |= BIT(size);
	s->size = size;
}

static void set_block(struct state *s, unsigned i, unsigned v)
{
	s->now[i] = v;
	s->may[i] |= BIT(v);
	s->since[i] |= BIT(v);
}

/* ---- work -------------------------------------------------------------- */

static void do_create(struct file *f, unsigned which)
{
	char name[16];

	snprintf(name, sizeof(name), "f%u.%u", which, version);
	memset(f, 0, sizeof(*f));
	f->n = 1;
	top(f)->sizes = BIT(0);
	if (which == NFILES - 1) {
		f->ino = crig_add_remote(&rig, name, BLOCKS * POWER_BLOCK,
		                         &f->c);
		top(f)->parts = top(f)->maybe = true;
		set_size(top(f), BLOCKS);
		for (unsigned i = 0; i < BLOCKS; i++)
			top(f)->now[i] = 1;
		pin(top(f));
		note_saved(top(f));
		CHECK_EQ(store_sync(rig.store), 0);
	} else {
		f->ino = crig_add_file(&rig, name, &f->c);
	}
}

static void do_write(struct file *f)
{
	unsigned at = draw(BLOCKS), n = 1 + draw(draw(2) ? 3 : BLOCKS - at);

	version = version == VERSIONS - 1 ? 2 : version + 1;
	if (at + n > BLOCKS)
		n = BLOCKS - at;
	crig_write(f->c, at * POWER_BLOCK, n * POWER_BLOCK, version);
	look_for_log_flushes(); /* of the generation: before the bytes */
	if (at + n > top(f)->size)
		set_size(top(f), at + n);
	for (unsigned i = at; i < at + n; i++)
		set_block(top(f), i, version);
}

static void do_truncate(struct file *f)
{
	unsigned size = 1 + draw(BLOCKS);

	CHECK_EQ(content_truncate(f->c, size * POWER_BLOCK), 0);
	look_for_log_flushes();
	set_size(top(f), size);
}

static void do_save(struct file *f)
{
	CHECK_EQ(content_transact(f->c, NULL, NULL), 0);
	look_for_log_flushes();
	note_saved(top(f));
}

static void do_settle(struct file *f)
{
	CHECK_EQ(content_settle(f->c), 0);
	look_for_log_flushes();
	top(f)->maybe = true;
	note_saved(top(f));
	if (!top(f)->parts)
		pin(top(f));
}

static void do_fsync(struct file *f)
{
	do_settle(f);
	CHECK_EQ(store_sync(rig.store), 0);
	look_for_log_flushes();
	CHECK(top(f)->sure);
	pin(top(f));
}

static void do_replace(struct file *f)
{
	if (f->n == NSTATES)
		return;
	content_put(f->c);
	note_saved(top(f));
	f->c = crig_replace(&rig, f->ino);
	look_for_log_flushes();
	memset(&f->states[f->n++], 0, sizeof(f->states[0]));
	top(f)->sizes = BIT(0);
	for (unsigned i = 0; i < BLOCKS; i++)
		top(f)->may[i] = BIT(0);
}

static void do_reload(struct file *f)
{
	content_put(f->c);
	note_saved(top(f));
	f->c = crig_get(&rig, f->ino);
}

static void do_arrive(struct file *f)
{
	crig_arrive(f->c, draw(BLOCKS / PER_CHUNK), 1);
}

static void do_flush_all(void)
{
	CHECK_EQ(contents_flush(rig.cs), 0);
	look_for_log_flushes();
}

static void do_tidy(void)
{
	CHECK_EQ(contents_tidy(rig.cs), 0);
	look_for_log_flushes();
}

/* It has begun to be sent: what it goes back to gets a number of its own. */
static void do_send(struct file *f)
{
	struct attempt *a = attempt_alloc();
	struct db *db;
	int rc;

	a->ino = f->ino;
	a->gen = content_gen(f->c);
	CHECK_EQ(store_begin(rig.store, &db), 0);
	rc = attempt_is_open(db, f->ino);
	if (rc == 0)
		rc = attempt_insert(db, a);
	CHECK(rc >= 0);
	CHECK_EQ(store_commit(rig.store), 0);
	attempt_free(a);
}

/* ---- afterwards -------------------------------------------------------- */

static unsigned find_version(const uint8_t *block, uint64_t off)
{
	uint8_t want[POWER_BLOCK];

	for (unsigned v = 0; v < VERSIONS; v++) {
		crig_pattern(want, POWER_BLOCK, off, v);
		if (memcmp(want, block, POWER_BLOCK) == 0)
			return v;
	}
	return VERSIONS;
}

/* Reads the file, fetching what is not here. */
static void read_found(struct content *c, struct state *out)
{
	uint8_t block[POWER_BLOCK];
	uint64_t size = content_size(c);

	memset(out, 0, sizeof(*out));
	CHECK_EQ(size % POWER_BLOCK, 0);
	CHECK(size <= (uint64_t)BLOCKS * POWER_BLOCK);
	out->size = (unsigned)(size / POWER_BLOCK);
	for (unsigned i = 0; i < out->size; i++) {
		uint64_t off = (uint64_t)i * POWER_BLOCK;
		ssize_t n = content_pread(c, block, POWER_BLOCK, off);

		if (n == -EAGAIN) {
			crig_arrive(c, off / CHUNK_SIZE, 1);
			n = content_pread(c, block, POWER_BLOCK, off);
		}
		CHECK_EQ(n, POWER_BLOCK);
		out->now[i] = find_version(block, off);
	}
}

static bool fits(const struct state *s, const struct state *found)
{
	if (!(s->sizes >> found->size & 1))
		return false;
	for (unsigned i = 0; i < found->size; i++) {
		if (found->now[i] >= VERSIONS ||
		    !(s->may[i] >> found->now[i] & 1))
			return false;
	}
	return true;
}

static void print_state(const char *what, const struct state *s)
{
	printf("    %s: size %u, may %" PRIx64 "%s%s%s:", what, s->size,
	       s->sizes, s->maybe ? " maybe" : "", s->sure ? " sure" : "",
	       s->parts ? " parts" : "");
	for (unsigned i = 0; i < s->size; i++)
		printf(" %u/%" PRIx64, s->now[i], s->may[i]);
	printf("\n");
}

/* The newest state that explains what was found, or -1. After a kill there is
 * but the present one, and of whole content every byte of it. */
static int find_state(const struct file *f, const struct state *found, bool cut)
{
	for (int k = (int)f->n - 1; k >= 0; k--) {
		const struct state *s = &f->states[k];
		bool same = s->size == found->size &&
		            !memcmp(s->now, found->now,
		                    s->size * sizeof(s->now[0]));

		if ((cut ? s->maybe : s->parts || same) && fits(s, found))
			return k;
		if (!cut || s->sure)
			return -1;
	}
	return -1;
}

static void match(struct file *f, const struct state *found, bool cut)
{
	int k = find_state(f, found, cut);

	if (k < 0) {
		check_fail(__FILE__, __LINE__, "that must not be found");
		print_state("found", found);
		for (k = (int)f->n - 1; k >= 0; k--)
			print_state("state", &f->states[k]);
		return;
	}
	if (cut) {
		reverted += k + 1 < (int)f->n;
		f->states[0] = f->states[k];
		f->n = 1;
		top(f)->maybe = top(f)->sure = true;
	}
	top(f)->size = found->size;
	memcpy(top(f)->now, found->now, sizeof(found->now));
	note_saved(top(f));
	pin(top(f));
}

/* Writes one block before anybody has read the file. */
static void write_first(struct file *f)
{
	uint64_t blocks = content_size(f->c) / POWER_BLOCK;
	unsigned at;

	f->wrote = blocks && draw(2);
	if (!f->wrote)
		return;
	at = draw((uint32_t)blocks);
	version = version == VERSIONS - 1 ? 2 : version + 1;
	crig_write(f->c, at * POWER_BLOCK, POWER_BLOCK, version);
	log_flushes = power_count_log_flushes();
	for (unsigned k = 0; k < f->n; k++)
		f->states[k].may[at] |= BIT(version);
}

static void check_file(struct file *f, bool cut)
{
	struct node n = crig_node(&rig, f->ino);
	struct state found;
	bool must = !cut;

	f->c = NULL;
	if (!f->ino)
		return;
	for (unsigned k = 0; k < f->n; k++)
		must |= f->states[k].sure;
	if (!n.ino) {
		CHECK(!must);
		reverted++;
		f->ino = 0;
		return;
	}
	CHECK_EQ(content_get(rig.cs, n.cid, false, &f->c), 0);
	CHECK_EQ(n.gen, content_gen(f->c));
	if (cut)
		write_first(f);
	read_found(f->c, &found);
	match(f, &found, cut);
}

static void do_crash(bool cut)
{
	struct content_scan scan;
	char to[64];

	cuts += cut;
	kills += !cut;
	crig_make_dir(to);
	if (cut)
		power_cut(&seed, to);
	else
		crig_copy(&rig, to);
	power_watch(NULL);
	for (int i = 0; i < NFILES; i++) {
		if (files[i].ino)
			content_put(files[i].c);
	}
	crig_move(&rig, to, cut);
	CHECK_EQ(rig.found.lost, 0);
	power_watch(to);
	log_flushes = power_count_log_flushes();
	if (draw(2)) {
		CHECK_EQ(contents_scan(rig.cs, &scan), 0);
		CHECK_EQ(scan.lost, 0);
		log_flushes = power_count_log_flushes();
	}
	for (int i = 0; i < NFILES; i++)
		check_file(&files[i], cut);
	for (int i = 0; i < NFILES; i++) {
		if (files[i].ino && files[i].wrote)
			do_fsync(&files[i]);
		files[i].wrote = false;
	}
}

/* ---- one run ----------------------------------------------------------- */

static void do_something(struct file *f)
{
	switch (draw(14)) {
	case 0:
		do_truncate(f);
		break;
	case 1:
		do_save(f);
		break;
	case 2:
		do_settle(f);
		if (draw(2))
			do_tidy();
		break;
	case 3:
		do_fsync(f);
		break;
	case 4:
		do_replace(f);
		break;
	case 5:
		do_reload(f);
		break;
	case 6:
		do_arrive(f);
		break;
	case 7:
		do_tidy();
		break;
	case 8:
		do_flush_all();
		break;
	case 9:
		content_freeze(f->c);
		break;
	case 10:
		do_send(f);
		break;
	default:
		do_write(f);
		break;
	}
}

static void run_once(uint64_t with_seed)
{
	check_row("seed %" PRIu64, with_seed);
	seed = with_seed;
	version = 2;
	memset(files, 0, sizeof(files));
	crig_open(&rig);
	power_watch(rig.dir);
	log_flushes = power_count_log_flushes();
	for (int step = 0; step < 60; step++) {
		unsigned which = draw(NFILES);

		if (draw(12) == 0)
			do_crash(draw(3) > 0);
		else if (!files[which].ino)
			do_create(&files[which], which);
		else
			do_something(&files[which]);
	}
	do_crash(true);
	power_watch(NULL);
	for (int i = 0; i < NFILES; i++) {
		if (files[i].ino)
			content_put(files[i].c);
	}
	crig_close(&rig);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RUNS 20 /* they take five times as long, and find other things */
#else
#define RUNS 60
#endif

/* fault 13, 14, 16, 17 */
static void test_runs(void)
{
	const char *one = getenv("SEED"), *count = getenv("RUNS");
	unsigned n = count ? (unsigned)atoi(count) : RUNS;

	if (one) {
		run_once(strtoull(one, NULL, 10));
		return;
	}
	for (unsigned i = 1; i <= n; i++)
		run_once(i);
	CHECK(cuts > n && kills > n && reverted > n / 4);
}

/* A program that leaves out one kind of flush does not pass. */
static void test_each_flush_is_needed(void)
{
	static const char *const kinds[] = { "content", "names", "log" };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		int status = 0;
		pid_t pid = fork();

		if (pid == 0) {
			setenv("POWER_BREAK", kinds[i], 1);
			setenv("RUNS", "12", 1);
			if (!freopen("/dev/null", "w", stdout) ||
			    !freopen("/dev/null", "w", stderr))
				_exit(0);
			execl("/proc/self/exe", "test_content_power", NULL);
			_exit(0);
		}
		check_row("%s", kinds[i]);
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK(status != 0);
	}
}

static void drop_line(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	(void)line;
}

int main(void)
{
	if (getenv("SEED"))
		setvbuf(stdout, NULL, _IONBF, 0);
	else
		log_set_sink(drop_line, NULL);
	RUN(test_runs);
	if (!getenv("POWER_BREAK"))
		RUN(test_each_flush_is_needed);
	printf("cuts %u kills %u reverted %u\n", cuts, kills, reverted);
	return check_report();
}
