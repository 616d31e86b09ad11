/* The network thread: timers, idleness, many callers at once, no memory. */
#include "net/http.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/clock.h"
#include "tests/unit/alloc.h"
#include "tests/unit/check.h"
#include "tests/unit/http_fixture.h"

/* ---- timers ------------------------------------------------------------ */

/* Many timers' common log: who fired, in order. */
struct firing {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	char log[64];
	unsigned n;
	struct http *h;
};

struct tick {
	struct firing *f;
	char name;
	int again; /* how often it sets itself anew */
	struct http_timer *timer, *victim;
	int64_t due_ms, late_ms;
	bool cancelled;
	int rc;
};

static void firing_init(struct firing *f, struct http *h)
{
	*f = (struct firing){ .lock = PTHREAD_MUTEX_INITIALIZER,
		              .cond = PTHREAD_COND_INITIALIZER,
		              .h = h };
}

static void wait_for(struct firing *f, unsigned n)
{
	pthread_mutex_lock(&f->lock);
	while (f->n < n)
		pthread_cond_wait(&f->cond, &f->lock);
	pthread_mutex_unlock(&f->lock);
}

static void on_tick(void *arg)
{
	struct tick *t = arg;

	t->late_ms = clock_mono_ms() - t->due_ms;
	if (t->victim)
		t->cancelled = http_cancel_timer(t->victim);
	if (t->again-- > 0)
		t->rc = http_call_later(t->f->h, 0, on_tick, t, NULL);
	pthread_mutex_lock(&t->f->lock);
	t->f->log[t->f->n++ % sizeof(t->f->log)] = t->name;
	pthread_cond_broadcast(&t->f->cond);
	pthread_mutex_unlock(&t->f->lock);
}

static void set_tick(struct tick *t, int64_t delay_ms)
{
	t->due_ms = clock_mono_ms() + delay_ms;
	CHECK_EQ(http_call_later(t->f->h, delay_ms, on_tick, t, &t->timer), 0);
}

static void test_timer_order(void)
{
	struct http *h = new_http(NULL);
	struct firing f;
	static const int delays[] = { 90, 30, 60, 0, 30, 120, -5, 61 };
	struct tick t[ARRAY_LEN(delays)];

	firing_init(&f, h);
	/* Late enough for all to be set before the first fires. */
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		t[i] = (struct tick){ .f = &f, .name = (char)('a' + i) };
		set_tick(&t[i], delays[i] + 100);
	}
	wait_for(&f, ARRAY_LEN(t));
	http_free(h);
	CHECK_STR(f.log, "gdbechaf");
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		check_row("%zu", i);
		CHECK(t[i].late_ms >= 0);
	}
}

static void test_timer_cancel(void)
{
	struct http *h = new_http(NULL);
	struct firing f;
	struct tick a, b, c;

	firing_init(&f, h);
	a = (struct tick){ .f = &f, .name = 'a' };
	b = (struct tick){ .f = &f, .name = 'b' };
	c = (struct tick){ .f = &f, .name = 'c' };
	set_tick(&a, 3600000);
	CHECK(http_cancel_timer(a.timer));

	/* Both are due at once; the first takes the second away. */
	set_tick(&c, 50);
	b.victim = c.timer;
	b.due_ms = c.due_ms;
	CHECK_EQ(http_call_later(h, 0, on_tick, &b, NULL), 0);
	wait_for(&f, 1);
	nanosleep(&(struct timespec){ 0, 100000000 }, NULL);
	http_free(h);
	CHECK_STR(f.log, "b");
	CHECK(b.cancelled);
}

/* Within fn its own handle can't be cancelled any more. */
static void test_timer_cancel_self(void)
{
	struct http *h = new_http(NULL);
	struct firing f;
	struct tick a;

	firing_init(&f, h);
	a = (struct tick){ .f = &f, .name = 'a', .cancelled = true };
	CHECK_EQ(http_call_later(h, 0, on_tick, &a, &a.victim), 0);
	wait_for(&f, 1);
	http_free(h);
	CHECK(!a.cancelled);
}

static void test_timer_again_and_shutdown(void)
{
	struct http *h = new_http(NULL);
	struct firing f;
	struct tick a, b;

	firing_init(&f, h);
	a = (struct tick){ .f = &f, .name = 'a', .again = 5 };
	b = (struct tick){ .f = &f, .name = 'b', .again = 5 };
	set_tick(&a, 0);
	wait_for(&f, 6);
	set_tick(&b, 3600000);
	http_free(h);
	/* Called before its time, once, and could not set itself again. */
	CHECK_STR(f.log, "aaaaaab");
	CHECK_EQ(a.rc, 0);
	CHECK_EQ(b.rc, -ESHUTDOWN);
}

/* Cancels race with firing: each timer fires or is cancelled, never both. */
struct race {
	pthread_mutex_t lock;
	struct http_timer *timer; /* lock; NULL once fired */
	unsigned fired, cancelled;
};

static void on_race(void *arg)
{
	struct race *r = arg;

	pthread_mutex_lock(&r->lock);
	r->timer = NULL;
	r->fired++;
	pthread_mutex_unlock(&r->lock);
}

static void test_timer_race(void)
{
	static struct race races[2000];
	struct http *h = new_http(NULL);
	unsigned cancelled = 0;

	for (size_t i = 0; i < ARRAY_LEN(races); i++) {
		struct race *r = &races[i];

		memset(r, 0, sizeof(*r));
		pthread_mutex_init(&r->lock, NULL);
		pthread_mutex_lock(&r->lock);
		CHECK_EQ(http_call_later(h, (int64_t)(i % 3), on_race, r,
		                         &r->timer),
		         0);
		pthread_mutex_unlock(&r->lock);
		if (i % 2)
			sched_yield();
		pthread_mutex_lock(&r->lock);
		if (r->timer && http_cancel_timer(r->timer)) {
			r->cancelled++;
			cancelled++;
		}
		r->timer = NULL;
		pthread_mutex_unlock(&r->lock);
	}
	http_free(h);
	for (size_t i = 0; i < ARRAY_LEN(races); i++)
		CHECK_EQ(races[i].fired + races[i].cancelled, 1);
	CHECK(cancelled > 0);
}

/* ---- idleness ---------------------------------------------------------- */

static long switches_of(const char *tid)
{
	char path[280], line[256];
	long n = -1, k;
	bool is_http = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%s/status", tid);
	f = fopen(path, "r");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f)) {
		if (!strcmp(line, "Name:\thttp\n"))
			is_http = true;
		if (sscanf(line, "voluntary_ctxt_switches: %ld", &k) == 1)
			n = k;
	}
	fclose(f);
	return is_http ? n : -1;
}

/* How often the network thread has gone to sleep. */
static long network_switches(void)
{
	DIR *d = opendir("/proc/self/task");
	struct dirent *e;
	long n = -1;

	while (d && n < 0 && (e = readdir(d)))
		n = switches_of(e->d_name);
	if (d)
		closedir(d);
	return n;
}

static void do_nothing(void *arg)
{
	(void)arg;
}

static void test_idle_is_free(void)
{
	struct raw_server *s = raw_start(raw_serve_echo, NULL);
	struct http *h = new_http(NULL);
	struct http_timer *t;
	struct call c;
	long before;

	call_init(&c, raw_url(s, "/"));
	CHECK_EQ(call_run(&c, h), 0);
	CHECK_EQ(http_call_later(h, 3600000, do_nothing, NULL, &t), 0);
	nanosleep(&(struct timespec){ 0, 300000000 }, NULL);
	before = network_switches();
	CHECK(before > 0);
	nanosleep(&(struct timespec){ 1, 500000000 }, NULL);
	CHECK_EQ(network_switches(), before);
	CHECK(http_cancel_timer(t));
	call_free(&c);
	http_free(h);
	raw_stop(s);
}

/* ---- many at once ------------------------------------------------------ */

#define CALLERS    6
#define PER_CALLER 60

struct caller {
	pthread_t thread;
	struct http *h;
	struct raw_server *s;
	unsigned seed, ok, cancelled, other;
};

static void *run_caller(void *arg)
{
	struct caller *me = arg;
	static const char body[30000];
	char url[64];

	snprintf(url, sizeof(url), "http://127.0.0.1:%d/x", raw_port(me->s));
	for (int i = 0; i < PER_CALLER; i++) {
		struct call c;

		call_init(&c, url);
		c.spec.prio = (enum http_prio)(i % 3);
		c.spec.bearer = "sesame";
		if (i % 4 == 0) {
			c.spec.method = "PUT";
			c.spec.body = body;
			c.spec.body_len = sizeof(body);
		}
		if (call_start(&c, me->h) < 0) {
			me->other++;
			continue;
		}
		if (rand_r(&me->seed) % 3 == 0)
			call_cancel(&c);
		if (rand_r(&me->seed) % 50 == 0)
			http_set_limits(me->h, 0, 50000000);
		call_wait(&c);
		if (c.rc == 0 && c.status == 200 && c.dones == 1)
			me->ok++;
		else if (c.rc == -ECANCELED && c.dones == 1)
			me->cancelled++;
		else
			me->other++;
		call_free(&c);
	}
	return NULL;
}

static void test_many_callers(void)
{
	struct http_options opt = { .max_connections = 4 };
	struct raw_server *s = raw_start(raw_serve_echo, NULL);
	struct http *h = new_http(&opt);
	struct caller callers[CALLERS];
	unsigned ok = 0, other = 0;

	for (unsigned i = 0; i < CALLERS; i++) {
		callers[i] = (struct caller){ .h = h, .s = s, .seed = i };
		CHECK_EQ(pthread_create(&callers[i].thread, NULL, run_caller,
		                        &callers[i]),
		         0);
	}
	for (unsigned i = 0; i < CALLERS; i++) {
		pthread_join(callers[i].thread, NULL);
		ok += callers[i].ok;
		other += callers[i].other;
	}
	CHECK(ok >= CALLERS * PER_CALLER / 2);
	CHECK_EQ(other, 0);
	http_free(h);
	raw_stop(s);
}

/* ---- memory ------------------------------------------------------------ */

static void test_no_memory(void)
{
	static const char *const headers[] = { "X: y", NULL };
	struct raw_server *s = raw_start(raw_serve_echo, NULL);
	struct http *h = new_http(NULL);
	const char *url = raw_url(s, "/");
	unsigned failed = 0;

	for (unsigned n = 1; alloc_fail_at(n); n++) {
		struct call c;
		int rc;

		call_init(&c, url);
		c.spec.headers = headers;
		c.spec.bearer = "sesame";
		c.spec.method = "PUT";
		c.spec.body = "x";
		c.spec.body_len = 1;
		rc = call_start(&c, h);
		if (rc == 0) {
			call_wait(&c);
			CHECK_EQ(c.rc, 0);
		} else {
			CHECK_EQ(rc, -ENOMEM);
			CHECK_EQ(c.dones, 0);
			failed++;
		}
		call_free(&c);
	}
	alloc_fail_off();
	CHECK(failed >= 3);
	http_free(h);
	raw_stop(s);
}

static void test_new_without_memory(void)
{
	struct http_options opt = { .user_agent = "x" };

	for (unsigned n = 1; alloc_fail_at(n); n++) {
		struct http *h = NULL;
		int rc = http_new(&opt, &h);

		CHECK(rc == 0 || (rc == -ENOMEM && !h));
		http_free(h);
	}
	alloc_fail_off();
}

static void test_free_null(void)
{
	http_free(NULL);
}

int main(void)
{
	RUN(test_timer_order);
	RUN(test_timer_cancel);
	RUN(test_timer_cancel_self);
	RUN(test_timer_again_and_shutdown);
	RUN(test_timer_race);
	RUN(test_idle_is_free);
	RUN(test_many_callers);
	RUN(test_no_memory);
	RUN(test_new_without_memory);
	RUN(test_free_null);
	return check_report();
}
