#include "net/work.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "tests/unit/alloc.h"
#include "tests/unit/check.h"

#define JOBS 5000

static atomic_uint ran;

static void count(void *arg)
{
	(void)arg;
	atomic_fetch_add(&ran, 1);
}

static void test_all_run(void)
{
	static const unsigned threads[] = { 1, 2, 7 };

	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		struct work *w;

		check_row("%u threads", threads[i]);
		atomic_store(&ran, 0);
		CHECK_EQ(work_new("test", threads[i], &w), 0);
		for (unsigned n = 0; n < JOBS; n++)
			CHECK_EQ(work_submit(w, count, NULL), 0);
		work_free(w);
		CHECK_EQ(atomic_load(&ran), JOBS);
	}
}

static unsigned order[100], order_len;

static void note_order(void *arg)
{
	order[order_len++] = *(unsigned *)arg;
}

static void test_order_of_one_thread(void)
{
	unsigned n[100];
	struct work *w;

	CHECK_EQ(work_new("one", 1, &w), 0);
	for (unsigned i = 0; i < 100; i++) {
		n[i] = i;
		CHECK_EQ(work_submit(w, note_order, &n[i]), 0);
	}
	work_free(w);
	CHECK_EQ(order_len, 100);
	for (unsigned i = 0; i < order_len; i++)
		CHECK_EQ(order[i], i);
}

struct chain {
	struct work *w;
	atomic_int left;
};

static void submit_next(void *arg)
{
	struct chain *c = arg;

	atomic_fetch_add(&ran, 1);
	if (atomic_fetch_sub(&c->left, 1) > 1)
		CHECK_EQ(work_submit(c->w, submit_next, c), 0);
}

/* work_free() waits for what jobs submit while it waits. */
static void test_jobs_submit_jobs(void)
{
	struct chain c;

	atomic_init(&c.left, 1000);
	atomic_store(&ran, 0);
	CHECK_EQ(work_new("chain", 3, &c.w), 0);
	CHECK_EQ(work_submit(c.w, submit_next, &c), 0);
	work_free(c.w);
	CHECK_EQ(atomic_load(&ran), 1000);
}

static void look_at_mask(void *arg)
{
	sigset_t mask;
	char name[16];

	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	CHECK(sigismember(&mask, SIGTERM) == 1);
	pthread_getname_np(pthread_self(), name, sizeof(name));
	CHECK_STR(name, (const char *)arg);
}

static void test_name_and_signals(void)
{
	static char name[] = "fifteen bytes..";
	sigset_t mask;
	struct work *w;

	CHECK_EQ(work_new("fifteen bytes...and more", 1, &w), 0);
	CHECK_EQ(work_submit(w, look_at_mask, name), 0);
	work_free(w);
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	CHECK(sigismember(&mask, SIGTERM) == 0);
}

static void test_out_of_memory(void)
{
	atomic_store(&ran, 0);
	for (unsigned n = 1; alloc_fail_at(n); n++) {
		struct work *w;
		int rc = work_new("oom", 2, &w);

		if (rc < 0) {
			CHECK_EQ(rc, -ENOMEM);
			continue;
		}
		rc = work_submit(w, count, NULL);
		CHECK(rc == 0 || rc == -ENOMEM);
		work_free(w);
	}
	alloc_fail_off();
	CHECK_EQ(atomic_load(&ran), 1);
	work_free(NULL);
}

int main(void)
{
	RUN(test_all_run);
	RUN(test_order_of_one_thread);
	RUN(test_jobs_submit_jobs);
	RUN(test_name_and_signals);
	RUN(test_out_of_memory);
	return check_report();
}
