#include "fs/readers.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "net/log.h"
#include "tests/unit/check.h"

static const struct {
	const char *list, *comm, *args; /* args: one */
	bool refused;
} rows[] = {
	{ "default", "tumblerd", "", true },
	{ "default", "evince-thumbnai", "", true }, /* cut by the kernel */
	{ "default", "evince-thumbna", "", false },
	{ "default", "tracker-extract", "", true },
	{ "default", "localsearch-ext", "", true },
	{ "default", "localsearch", "", true },
	{ "default", "baloo_file_extr", "", true },
	{ "default", "baloo_file", "", true },
	{ "default", "baloo_fil", "", false },
	{ "default", "updatedb.plocat", "", true },
	{ "default", "ffmpegthumbnail", "", true },
	{ "default", "kioworker", "/usr/lib/qt6/plugins/kf6/thumbnail.so",
	  true },
	{ "default", "kioworker", "thumbnail", true },
	{ "default", "kioworker", "/usr/lib/qt6/plugins/kf6/kio_file.so",
	  false },
	{ "default", "kioworker", "", false },
	{ "default", "cp", "thumbnail", false },
	{ "default", "rsync", "", false },
	{ "default", "", "", false },
	{ "off", "tumblerd", "", false },
	{ "", "tumblerd", "", false },
	{ "a,b  c", "b", "", true },
	{ "a,b  c", "c", "", true },
	{ "a,b  c", "ab", "", false },
	{ "mine default", "mine", "", true },
	{ "mine,default", "tumblerd", "", true },
	{ "mine", "tumblerd", "", false },
	{ "0123456789abcdefgh", "0123456789abcde", "", true },
	{ "0123456789abcdefgh*", "0123456789abcde", "", true },
	{ "012345*", "012345", "", true },
	{ "012345*", "01234", "", false },
};

static void test_match(void)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct readers *r;

		check_row("%s of %s %s", rows[i].list, rows[i].comm,
		          rows[i].args);
		CHECK_EQ(readers_new(rows[i].list, &r), 0);
		CHECK_EQ(readers_match(r, rows[i].comm, rows[i].args,
		                       strlen(rows[i].args) + 1),
		         rows[i].refused);
		readers_free(r);
	}
}

static void test_arguments(void)
{
	static const char args[] = "/usr/bin/x\0--flag\0/a/thumb\0\0last";
	static const struct {
		const char *list;
		bool refused;
	} lists[] = {
		{ "n/thumb", true }, { "n/last", true },   { "n/lasts", false },
		{ "n/flag", false }, { "n/--flag", true }, { "n/x", true },
		{ "n/a", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		struct readers *r;

		check_row("%s", lists[i].list);
		CHECK_EQ(readers_new(lists[i].list, &r), 0);
		CHECK_EQ(readers_match(r, "n", args, sizeof(args) - 1),
		         lists[i].refused);
		CHECK(!readers_match(r, "n", "", 0));
		readers_free(r);
	}
}

static void test_bad_lists(void)
{
	static const char *const lists[] = { "*", "a*b", "/x", "a/", "x, */y" };

	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		check_row("%s", lists[i]);
		CHECK_EQ(readers_check(lists[i]), -EINVAL);
	}
	CHECK_EQ(readers_check("default"), 0);
}

/* ---- a thread of this process -------------------------------------------- */

static unsigned said;

static void count(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	said += strstr(line, "read refused") != NULL;
}

struct asking {
	struct readers *r;
	const char *name;
	bool refused;
};

static void *ask(void *arg)
{
	struct asking *a = arg;

	prctl(PR_SET_NAME, a->name);
	a->refused = readers_refuse(a->r, (pid_t)syscall(SYS_gettid));
	return NULL;
}

static bool ask_as(struct readers *r, const char *name)
{
	struct asking a = { .r = r, .name = name };
	pthread_t t;

	CHECK_EQ(pthread_create(&t, NULL, ask, &a), 0);
	pthread_join(t, NULL);
	return a.refused;
}

static void test_threads(void)
{
	struct readers *r;

	log_set_sink(count, NULL);
	CHECK_EQ(readers_new("the-thumbnailer-of-all,indexer", &r), 0);
	CHECK(!ask_as(r, "somebody"));
	CHECK_EQ(said, 0);
	for (int i = 0; i < 3; i++)
		CHECK(ask_as(r, "the-thumbnailer-of-all"));
	CHECK_EQ(said, 1);             /* not of each read */
	prctl(PR_SET_NAME, "indexer"); /* all of its threads, then */
	CHECK(ask_as(r, "somebody"));
	CHECK_EQ(said, 2);
	CHECK(!readers_refuse(r, 0));
	CHECK(!readers_refuse(r, 0x7ffffff0));
	CHECK(!readers_refuse(NULL, getpid()));
	readers_free(r);
	log_set_sink(NULL, NULL);
}

int main(void)
{
	RUN(test_match);
	RUN(test_arguments);
	RUN(test_bad_lists);
	RUN(test_threads);
	return check_report();
}
