#include "fs/park.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/work.h"
#include "tests/unit/check.h"

/* Stands for libfuse: one request at a time, its lock and its interrupt. */
static struct {
	pthread_mutex_t lock;
	fuse_interrupt_func_t func;
	void *data;
	bool interrupted;
	struct fuse_ctx ctx;
} req = { .lock = PTHREAD_MUTEX_INITIALIZER };

void fuse_req_interrupt_func(fuse_req_t r, fuse_interrupt_func_t func,
                             void *data)
{
	pthread_mutex_lock(&req.lock);
	req.func = func;
	req.data = data;
	if (req.interrupted && func)
		func(r, data);
	pthread_mutex_unlock(&req.lock);
}

const struct fuse_ctx *fuse_req_ctx(fuse_req_t r)
{
	(void)r;
	return &req.ctx;
}

static void interrupt(void)
{
	pthread_mutex_lock(&req.lock);
	req.interrupted = true;
	if (req.func)
		req.func(NULL, req.data);
	pthread_mutex_unlock(&req.lock);
}

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int resumed, rc;
} seen = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0 };

static void resume(void *call, int rc)
{
	CHECK(call == &seen);
	pthread_mutex_lock(&seen.lock);
	seen.resumed++;
	seen.rc = rc;
	pthread_cond_broadcast(&seen.changed);
	pthread_mutex_unlock(&seen.lock);
}

static int wait_resumed(void)
{
	int rc;

	pthread_mutex_lock(&seen.lock);
	while (!seen.resumed)
		pthread_cond_wait(&seen.changed, &seen.lock);
	rc = seen.rc;
	pthread_mutex_unlock(&seen.lock);
	return rc;
}

static struct work *work;
static struct park *park;

static void begin(pid_t pid)
{
	req.func = NULL;
	req.interrupted = false;
	req.ctx.pid = pid;
	seen.resumed = 0;
	seen.rc = 1;
	CHECK_EQ(work_new("test", 2, &work), 0);
	CHECK_EQ(park_new(work, &park), 0);
}

static void end(int times)
{
	park_end(park, -EIO);
	work_free(work);
	park_free(park);
	CHECK_EQ(seen.resumed, times);
	CHECK(req.func == NULL); /* the request may be gone */
}

static struct parked *add(void)
{
	struct parked *p = NULL;

	CHECK_EQ(park_add(park, NULL, resume, &seen, &p), 0);
	return p;
}

static void test_wake(void)
{
	begin(getpid());
	park_wake(add(), 0);
	CHECK_EQ(wait_resumed(), 0);
	end(1);
	begin(getpid());
	park_wake(add(), -ETIMEDOUT);
	CHECK_EQ(wait_resumed(), -ETIMEDOUT);
	end(1);
}

static void test_taken_back(void)
{
	begin(getpid());
	CHECK_EQ(park_remove(add()), 0);
	end(0);
}

static void test_end(void)
{
	struct parked *p;

	begin(getpid());
	p = add();
	park_end(park, -EIO);
	CHECK_EQ(wait_resumed(), -EIO);
	park_wake(p, 0); /* the source comes late */
	CHECK_EQ(park_add(park, NULL, resume, &seen, &p), -EIO);
	end(1);
}

static void test_rest(void)
{
	struct parked *p;

	begin(getpid());
	p = add();
	park_rest(park, true);
	CHECK_EQ(wait_resumed(), -ETIMEDOUT);
	park_wake(p, 0);
	CHECK_EQ(park_add(park, NULL, resume, &seen, &p), -ETIMEDOUT);
	CHECK(req.func == NULL);
	park_rest(park, false);
	seen.resumed = 0;
	park_wake(add(), 0);
	CHECK_EQ(wait_resumed(), 0);
	park_rest(park, true);
	park_end(park, -EIO);
	park_rest(park, false); /* the end is for good */
	CHECK_EQ(park_add(park, NULL, resume, &seen, &p), -EIO);
	end(1);
}

/* A child that has a signal pending and takes none of it: stopped. */
static pid_t stopped_child(int sig, void (*handler)(int))
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		signal(sig, handler);
		raise(SIGSTOP);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
	CHECK(WIFSTOPPED(status));
	kill(pid, sig);
	return pid;
}

static void reap(pid_t pid)
{
	kill(pid, SIGKILL);
	kill(pid, SIGCONT);
	waitpid(pid, NULL, 0);
}

static void test_fatal_signal(void)
{
	pid_t pid = stopped_child(SIGTERM, SIG_DFL);
	struct parked *p;

	begin(pid);
	p = add();
	interrupt();
	CHECK_EQ(wait_resumed(), -EINTR);
	CHECK_EQ(park_remove(p), -EALREADY);
	end(1);

	/* it was there before the wait began */
	begin(pid);
	req.interrupted = true;
	p = add();
	CHECK_EQ(wait_resumed(), -EINTR);
	park_wake(p, 0);
	end(1);

	/* nobody we can see: taken for fatal */
	begin(0);
	p = add();
	interrupt();
	CHECK_EQ(wait_resumed(), -EINTR);
	park_wake(p, 0);
	end(1);
	reap(pid);
}

static void handle(int sig)
{
	(void)sig;
}

static void test_handled_signal(void)
{
	pid_t pid = stopped_child(SIGUSR1, handle);
	struct parked *p;

	begin(pid);
	p = add();
	interrupt();
	usleep(20000); /* it must not be resumed: nothing to wait for */
	CHECK_EQ(seen.resumed, 0);
	kill(pid, SIGTERM); /* and now one that it does not handle */
	CHECK_EQ(wait_resumed(), -EINTR);
	park_wake(p, 0);
	end(1);
	reap(pid);
}

/* ---- wakes, interrupts and ends at the same time
 * -------------------------------- */

static void *wake_it(void *p)
{
	park_wake(p, 0);
	return NULL;
}

static void *interrupt_it(void *arg)
{
	(void)arg;
	interrupt();
	return NULL;
}

static void *end_it(void *arg)
{
	(void)arg;
	park_end(park, -EIO);
	return NULL;
}

static void test_races(void)
{
	for (int i = 0; i < 100; i++) {
		pthread_t t[3];
		struct parked *p;

		begin(0);
		p = add();
		pthread_create(&t[0], NULL, wake_it, p);
		pthread_create(&t[1], NULL, interrupt_it, NULL);
		pthread_create(&t[2], NULL, end_it, NULL);
		for (int n = 0; n < 3; n++)
			pthread_join(t[n], NULL);
		end(1);
	}
}

int main(void)
{
	RUN(test_wake);
	RUN(test_taken_back);
	RUN(test_end);
	RUN(test_rest);
	RUN(test_fatal_signal);
	RUN(test_handled_signal);
	RUN(test_races);
	return check_report();
}
