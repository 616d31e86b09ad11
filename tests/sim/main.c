#include "tests/sim/sim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>

/* sim [OPTION]... [FIRST [LAST]]: one run per seed, each in a process of its
 * own. The last line is "N passed, N failed".
 *
 *	--corpus         first the seeds that failed once
 *	--jobs N         so many at a time
 *	--seconds S      from FIRST on until the time is over (make soak)
 *	--holds          mass changes wait for a person, who decides something
 *	--disk           databases on disk, opened anew after a crash
 *	--verbose        what happens
 *	--steps LIST     only these steps of the run, as --minimise prints them
 *	--minimise       leaves out of FIRST what its failure does not need
 *	--break WHAT     with a deliberate mistake
 *	--mutants        every deliberate mistake: each must be found by one of
 *	                 the seeds */

#define RUN_SECS 60
#define MAX_JOBS 64
#define OUT_MAX  (4 << 20)
#define RARE     1000 /* so many seeds, and rare mistakes are looked for, too */

/* Seeds that failed once. A change of the model makes other runs of them: then
 * they are just seeds, and those that failed since are added. */
static const unsigned corpus[] = { 56,    1547,  384,   475,   634,
	                           661,   1692,  2436,  13501, 17813,
	                           18553, 19173, 19366, 400089 };

static struct {
	bool corpus, minimise, mutants;
	unsigned long jobs, seconds;
	uint64_t first, last;
	const bool *steps;
} opt = { .jobs = 1 };

static bool chosen[SIM_STEPS];

/* ---- one run ------------------------------------------------------------- */

struct child {
	pid_t pid; /* 0: none */
	uint64_t seed;
	int out; /* what it prints */
	char dir[32];
};

static bool start_child(struct child *c, uint64_t seed, const bool *steps)
{
	strcpy(c->dir, "/dev/shm/nmb-sim-XXXXXX");
	c->seed = seed;
	c->out = memfd_create("sim", MFD_CLOEXEC);
	if (c->out < 0 || !mkdtemp(c->dir))
		return false;
	fflush(stdout);
	c->pid = fork();
	if (c->pid == 0) {
		if (!sim_verbose)
			dup2(c->out, STDOUT_FILENO);
		alarm(RUN_SECS);
		mallopt(M_TOP_PAD, 8 << 20);
		mallopt(M_TRIM_THRESHOLD, 64 << 20);
		sim_run(seed, c->dir, steps);
		fflush(stdout);
		_exit(0);
	}
	return c->pid > 0;
}

static void remove_tree(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (e->d_type == DT_DIR)
			remove_tree(fd, e->d_name);
		else
			unlinkat(fd, e->d_name, 0);
	}
	if (d)
		closedir(d);
	unlinkat(at, name, AT_REMOVEDIR);
}

/* True if all was well. `out` (OUT_MAX) gets what it printed. */
static bool end_child(struct child *c, int status, char *out)
{
	ssize_t n = pread(c->out, out, OUT_MAX - 1, 0);

	out[n > 0 ? n : 0] = '\0';
	close(c->out);
	remove_tree(AT_FDCWD, c->dir);
	c->pid = 0;
	if (WIFSIGNALED(status))
		snprintf(out + strlen(out), OUT_MAX - strlen(out),
		         "FAIL seed=%llu: signal %d\n",
		         (unsigned long long)c->seed, WTERMSIG(status));
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static char *out_buffer(void)
{
	static char buf[OUT_MAX];

	return buf;
}

/* ---- many ---------------------------------------------------------------- */

struct batch {
	struct child child[MAX_JOBS];
	unsigned running;
	bool quiet;
	unsigned long passed, failed;
	uint64_t last_failed;
};

static void wait_one(struct batch *b)
{
	char *out = out_buffer();
	int status;
	pid_t pid = wait(&status);

	for (unsigned i = 0; i < MAX_JOBS; i++) {
		if (pid <= 0 || b->child[i].pid != pid)
			continue;
		b->running--;
		if (end_child(&b->child[i], status, out)) {
			b->passed++;
			continue;
		}
		b->failed++;
		b->last_failed = b->child[i].seed;
		if (!b->quiet)
			fputs(out, stdout);
	}
}

static void start_one(struct batch *b, uint64_t seed)
{
	unsigned i = 0;

	while (b->running >= opt.jobs)
		wait_one(b);
	while (b->child[i].pid)
		i++;
	if (!start_child(&b->child[i], seed, opt.steps)) {
		fprintf(stderr, "sim: %s\n", strerror(errno));
		exit(1);
	}
	b->running++;
}

static int run_seeds(void)
{
	static struct batch b;
	time_t end = time(NULL) + (time_t)opt.seconds;

	for (size_t i = 0; opt.corpus && i < sizeof(corpus) / sizeof(*corpus);
	     i++)
		start_one(&b, corpus[i]);
	for (uint64_t s = opt.first;
	     opt.seconds ? time(NULL) < end : s && s <= opt.last; s++)
		start_one(&b, s);
	while (b.running)
		wait_one(&b);
	printf("%lu passed, %lu failed\n", b.passed, b.failed);
	return b.failed != 0;
}

/* ---- deliberate mistakes ------------------------------------------------- */

static bool is_found(const char *what, uint64_t seed)
{
	static struct batch b;

	memset(&b, 0, sizeof(b));
	b.quiet = true;
	sim_broken = what;
	if (seed) {
		start_one(&b, seed);
		wait_one(&b);
	}
	for (uint64_t s = opt.first; s <= opt.last && !b.failed; s++)
		start_one(&b, s);
	while (b.running)
		wait_one(&b);
	if (b.failed)
		printf("ok    %s: seed %llu\n", what,
		       (unsigned long long)b.last_failed);
	else
		printf("FAIL  %s: %lu runs did not find it\n", what, b.passed);
	return b.failed;
}

static int run_mutants(void)
{
	unsigned passed = 0, failed = 0;

	for (const struct sim_mutant *m = sim_mutants; m->what; m++) {
		if (m->seed || opt.last >= RARE)
			is_found(m->what, m->seed) ? passed++ : failed++;
	}
	printf("%u passed, %u failed\n", passed, failed);
	return failed != 0;
}

/* ---- the minimiser ------------------------------------------------------- */

/* What kind of failure: the message without words that have digits. */
static void kind_of(const char *out, char kind[64])
{
	const char *p = strstr(out, "FAIL seed="), *end;
	size_t n = 0;

	p = p ? strchr(p, ':') : NULL;
	for (; p && *p && *p != '\n'; p = end) {
		size_t len = strcspn(p + 1, " \n") + 1;

		end = p + len;
		if (strcspn(p, "0123456789") >= len && n + len < 64) {
			memcpy(kind + n, p, len);
			n += len;
		}
	}
	kind[n] = '\0';
}

static bool fails_with(const bool *steps, char kind[64])
{
	struct child c = { 0 };
	char *out = out_buffer(), got[64];
	int status;

	if (!start_child(&c, opt.first, steps))
		return false;
	waitpid(c.pid, &status, 0);
	if (end_child(&c, status, out))
		return false;
	kind_of(out, got);
	if (!kind[0])
		strcpy(kind, got);
	return !strcmp(kind, got);
}

static unsigned count(const bool *steps, unsigned n)
{
	unsigned some = 0;

	for (unsigned i = 0; i < n; i++)
		some += steps[i];
	return some;
}

/* Leaves out runs of `size` chosen steps where the failure stays. */
static bool leave_out(bool *steps, unsigned n, unsigned size, char kind[64])
{
	bool less[SIM_STEPS], any = false;

	for (unsigned i = 0; i < n;) {
		unsigned gone = 0;

		memcpy(less, steps, sizeof(less));
		for (; i < n && gone < size; i++) {
			gone += less[i];
			less[i] = false;
		}
		if (gone && fails_with(less, kind)) {
			memcpy(steps, less, sizeof(less));
			any = true;
		}
	}
	return any;
}

static int minimise(void)
{
	unsigned n = sim_steps(opt.first), size = n / 2;
	bool *steps = chosen;
	char kind[64] = "";

	for (unsigned i = 0; i < n && !opt.steps; i++)
		steps[i] = true;
	if (!fails_with(steps, kind)) {
		printf("seed %llu does not fail\n",
		       (unsigned long long)opt.first);
		return 1;
	}
	while (size) {
		if (!leave_out(steps, n, size, kind) || size > 1)
			size /= 2;
		fprintf(stderr, "%u steps\n", count(steps, n));
	}
	printf("failure:%s\nsim --verbose --steps ", kind);
	for (unsigned i = 0, some = 0; i < n; i++) {
		if (steps[i])
			printf("%s%u", some++ ? "," : "", i);
	}
	printf(" %llu\n", (unsigned long long)opt.first);
	return 0;
}

/* ---- options ------------------------------------------------------------- */

static void choose(const char *list)
{
	char *end;

	for (; *list; list = *end ? end + 1 : end) {
		unsigned long i = strtoul(list, &end, 10);

		if (i < SIM_STEPS)
			chosen[i] = true;
	}
	opt.steps = chosen;
}

static bool option(const char *name, const char *value)
{
	if (!strcmp(name, "--verbose"))
		sim_verbose = true;
	else if (!strcmp(name, "--corpus"))
		opt.corpus = true;
	else if (!strcmp(name, "--holds"))
		sim_holds = true;
	else if (!strcmp(name, "--disk"))
		sim_on_disk = true;
	else if (!strcmp(name, "--minimise"))
		opt.minimise = true;
	else if (!strcmp(name, "--mutants"))
		opt.mutants = true;
	else if (value && !strcmp(name, "--break"))
		sim_broken = value;
	else if (value && !strcmp(name, "--jobs"))
		opt.jobs = strtoul(value, NULL, 10);
	else if (value && !strcmp(name, "--seconds"))
		opt.seconds = strtoul(value, NULL, 10);
	else if (value && !strcmp(name, "--steps"))
		choose(value);
	else
		return false;
	return true;
}

static bool has_value(const char *name)
{
	return !strcmp(name, "--break") || !strcmp(name, "--jobs") ||
	       !strcmp(name, "--seconds") || !strcmp(name, "--steps");
}

int main(int argc, char **argv)
{
	int i = 1;

	for (; i < argc && argv[i][0] == '-'; i++) {
		if (!option(argv[i], argv[i + 1])) {
			fprintf(stderr, "sim: %s?\n", argv[i]);
			return 2;
		}
		i += has_value(argv[i]);
	}
	if (i < argc)
		opt.first = opt.last = strtoull(argv[i++], NULL, 10);
	if (i < argc)
		opt.last = strtoull(argv[i], NULL, 10);
	if (opt.jobs < 1 || opt.jobs > MAX_JOBS)
		opt.jobs = 1;
	if (sodium_init() < 0)
		return 1;
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (opt.minimise)
		return minimise();
	return opt.mutants ? run_mutants() : run_seeds();
}
