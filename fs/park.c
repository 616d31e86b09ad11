#include "fs/park.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/lock.h"
#include "net/clock.h"
#include "net/work.h"

#define WATCH_MS 200 /* how often callers that got a signal are looked at */

struct park {
	struct work *work;
	pthread_mutex_t lock; /* LOCK_LEAF: all below */
	pthread_cond_t changed;
	struct parked *waiting;
	unsigned unanswered; /* waiting, or resume() has not returned */
	unsigned tickets;    /* not freed */
	int ended;           /* -Exxx once park_end() was called */
	bool rest;           /* park_rest() */
	bool watch;          /* somebody waiting got a signal */
	bool stop;
	pthread_t watcher;
};

struct parked {
	struct park *park;
	struct parked *next, **pprev; /* NULL: does not wait any more */
	fuse_req_t req;
	pid_t pid;
	park_resume_fn *resume;
	void *call;
	int rc;
	bool signalled;
	unsigned refs; /* who wakes it; who resumes it */
};

/* ---- fatal or not
 * ------------------------------------------------------------ */

static uint64_t read_mask(const char *text, const char *key)
{
	const char *at = strstr(text, key);

	return at ? strtoull(at + strlen(key), NULL, 16) : 0;
}

#define SIG(n) (UINT64_C(1) << ((n)-1))

/* Whether the thread `pid` is about to die of a signal. Unknown: yes. */
static bool is_dying(pid_t pid)
{
	static const uint64_t harmless =
		SIG(SIGCHLD) | SIG(SIGURG) | SIG(SIGWINCH) | SIG(SIGCONT) |
		SIG(SIGSTOP) | SIG(SIGTSTP) | SIG(SIGTTIN) | SIG(SIGTTOU);
	char path[32], text[4096];
	uint64_t pending, kept;
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = pid > 0 ? fopen(path, "re") : NULL;
	if (!f)
		return true;
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	pending = read_mask(text, "\nSigPnd:") | read_mask(text, "\nShdPnd:");
	kept = read_mask(text, "\nSigBlk:") | read_mask(text, "\nSigIgn:") |
	       read_mask(text, "\nSigCgt:") | harmless;
	kept &= ~SIG(SIGKILL);
	return pending & ~kept;
}

/* ---- the end of a wait
 * ------------------------------------------------------- */

static void unref(struct parked *p)
{
	struct park *pk = p->park;
	bool last;

	lock_take(&pk->lock, LOCK_LEAF);
	last = --p->refs == 0;
	if (last && --pk->tickets == 0)
		pthread_cond_broadcast(&pk->changed);
	lock_drop(&pk->lock, LOCK_LEAF);
	if (last)
		free(p);
}

/* The wait is over: true for who ends it, and must call finish() or the
 * like. */
static bool take_locked(struct parked *p, int rc)
{
	if (!p->pprev)
		return false;
	*p->pprev = p->next;
	if (p->next)
		p->next->pprev = p->pprev;
	p->pprev = NULL;
	p->rc = rc;
	return true;
}

static void answered(struct park *pk)
{
	lock_take(&pk->lock, LOCK_LEAF);
	if (--pk->unanswered == 0)
		pthread_cond_broadcast(&pk->changed);
	lock_drop(&pk->lock, LOCK_LEAF);
}

static void run_resume(void *arg)
{
	struct parked *p = arg;
	struct park *pk = p->park;

	/* Waits for a running on_interrupt(); none comes after it. */
	fuse_req_interrupt_func(p->req, NULL, NULL);
	p->resume(p->call, p->rc);
	unref(p);
	answered(pk);
}

static void finish(struct parked *p)
{
	if (work_submit(p->park->work, run_resume, p) < 0)
		run_resume(p);
}

void park_wake(void *ticket, int rc)
{
	struct parked *p = ticket;
	bool mine;

	lock_take(&p->park->lock, LOCK_LEAF);
	mine = take_locked(p, rc);
	lock_drop(&p->park->lock, LOCK_LEAF);
	if (mine)
		finish(p);
	unref(p);
}

/* libfuse holds a lock of the request here: no reply, just a note. */
static void on_interrupt(fuse_req_t req, void *data)
{
	struct parked *p = data;

	(void)req;
	lock_take(&p->park->lock, LOCK_LEAF);
	p->signalled = true;
	p->park->watch = true;
	pthread_cond_broadcast(&p->park->changed);
	lock_drop(&p->park->lock, LOCK_LEAF);
}

/* ---- the watcher
 * ------------------------------------------------------------- */

/* One whose caller dies, taken off the list; NULL: none. *out_more: others
 * have to be looked at again. */
static struct parked *take_dying_locked(struct park *pk, bool *out_more)
{
	*out_more = false;
	for (struct parked *p = pk->waiting; p; p = p->next) {
		if (!p->signalled)
			continue;
		if (is_dying(p->pid) && take_locked(p, -EINTR))
			return p;
		*out_more = true;
	}
	return NULL;
}

static void *watch(void *arg)
{
	struct park *pk = arg;
	struct parked *p;
	bool more;

	lock_take(&pk->lock, LOCK_LEAF);
	while (!pk->stop) {
		if (!pk->watch) {
			lock_wait(&pk->changed, &pk->lock);
			continue;
		}
		while ((p = take_dying_locked(pk, &more))) {
			lock_drop(&pk->lock, LOCK_LEAF);
			finish(p);
			lock_take(&pk->lock, LOCK_LEAF);
		}
		pk->watch = more;
		if (more && !pk->stop)
			lock_wait_until(&pk->changed, &pk->lock,
			                clock_mono_ms() + WATCH_MS);
	}
	lock_drop(&pk->lock, LOCK_LEAF);
	return NULL;
}

/* ---- the beginning of a wait
 * ------------------------------------------------- */

int park_add(struct park *pk, fuse_req_t req, park_resume_fn *resume,
             void *call, struct parked **out_p)
{
	struct parked *p = calloc(1, sizeof(*p));
	int rc;

	if (!p)
		return -ENOMEM;
	p->park = pk;
	p->req = req;
	p->pid = fuse_req_ctx(req)->pid;
	p->resume = resume;
	p->call = call;
	p->refs = 2;
	/* Before anybody can find it and answer: then `req` is gone. */
	fuse_req_interrupt_func(req, on_interrupt, p);
	lock_take(&pk->lock, LOCK_LEAF);
	rc = pk->ended ? pk->ended : pk->rest ? -ETIMEDOUT : 0;
	if (rc == 0) {
		p->next = pk->waiting;
		p->pprev = &pk->waiting;
		if (p->next)
			p->next->pprev = &p->next;
		pk->waiting = p;
		pk->unanswered++;
		pk->tickets++;
		if (p->signalled) {
			pk->watch = true;
			pthread_cond_broadcast(&pk->changed);
		}
	}
	lock_drop(&pk->lock, LOCK_LEAF);
	if (rc < 0) {
		fuse_req_interrupt_func(req, NULL, NULL);
		free(p);
		return rc;
	}
	*out_p = p;
	return 0;
}

int park_remove(struct parked *p)
{
	struct park *pk = p->park;
	bool mine;

	lock_take(&pk->lock, LOCK_LEAF);
	mine = take_locked(p, 0);
	lock_drop(&pk->lock, LOCK_LEAF);
	if (mine) {
		fuse_req_interrupt_func(p->req, NULL, NULL);
		unref(p);
		answered(pk);
	}
	unref(p);
	return mine ? 0 : -EALREADY;
}

/* ---- life
 * -------------------------------------------------------------------- */

int park_new(struct work *work, struct park **out_pk)
{
	struct park *pk = calloc(1, sizeof(*pk));
	int rc;

	if (!pk)
		return -ENOMEM;
	pk->work = work;
	pthread_mutex_init(&pk->lock, NULL);
	lock_cond_init(&pk->changed);
	rc = -pthread_create(&pk->watcher, NULL, watch, pk);
	if (rc < 0) {
		pthread_cond_destroy(&pk->changed);
		pthread_mutex_destroy(&pk->lock);
		free(pk);
		return rc;
	}
	*out_pk = pk;
	return 0;
}

static void end_waits_locked(struct park *pk, int rc)
{
	struct parked *p;

	while ((p = pk->waiting)) {
		take_locked(p, rc);
		lock_drop(&pk->lock, LOCK_LEAF);
		finish(p);
		lock_take(&pk->lock, LOCK_LEAF);
	}
	while (pk->unanswered)
		lock_wait(&pk->changed, &pk->lock);
}

void park_end(struct park *pk, int rc)
{
	lock_take(&pk->lock, LOCK_LEAF);
	pk->ended = rc;
	end_waits_locked(pk, rc);
	lock_drop(&pk->lock, LOCK_LEAF);
}

void park_rest(struct park *pk, bool rest)
{
	lock_take(&pk->lock, LOCK_LEAF);
	pk->rest = rest;
	if (rest)
		end_waits_locked(pk, -ETIMEDOUT);
	lock_drop(&pk->lock, LOCK_LEAF);
}

void park_free(struct park *pk)
{
	if (!pk)
		return;
	lock_take(&pk->lock, LOCK_LEAF);
	pk->stop = true;
	pthread_cond_broadcast(&pk->changed);
	while (pk->tickets)
		lock_wait(&pk->changed, &pk->lock);
	lock_drop(&pk->lock, LOCK_LEAF);
	pthread_join(pk->watcher, NULL);
	pthread_cond_destroy(&pk->changed);
	pthread_mutex_destroy(&pk->lock);
	free(pk);
}
