#include "fs/past_tree.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/cmd_common.h"
#include "fs/direct.h"
#include "fs/interrupt.h"
#include "fs/lock.h"
#include "fs/past.h"
#include "fs/past_fetch.h"
#include "fs/past_job.h"
#include "fs/past_read.h"
#include "fs/recycle.h"
#include "fs/when.h"

#define WORKERS 4

struct work {
	const struct past_tree *t;
	struct past_job *jobs;
	size_t n, cap;
	size_t skip; /* bytes of the path that are left out */

	pthread_mutex_t lock; /* LOCK_LEAF, what follows */
	size_t next, end;
	bool bin; /* the second round */
	struct past_counts counts;
	struct progress progress;
	uint64_t done;
};

const char *past_doubt_text(unsigned doubts)
{
	if (doubts & PAST_EARLY)
		return "it is older than what this machine noted of it";
	if (doubts & PAST_FOREIGN)
		return "another device made or changed it";
	if (doubts & PAST_MOVED)
		return "another device moved it, and when is not known";
	if (doubts & PAST_VANISHED)
		return "another device deleted it, and when is not known";
	return "";
}

/* ---- what there is to do ------------------------------------------------- */

static bool is_in(const char *path, const char *top, size_t *out_skip)
{
	size_t len = strlen(top);

	if (!len) {
		*out_skip = 0;
		return true;
	}
	if (strncmp(path, top, len) != 0 || path[len] != '/')
		return false;
	*out_skip = len + 1;
	return true;
}

/* past_each_fn */
static int add_job(void *arg, const struct past_item *it)
{
	struct work *w = arg;
	size_t skip;
	struct past_job *j;

	if (!strcmp(it->path, w->t->path)) {
		w->skip = 1; /* there is such a thing */
		return S_ISDIR(it->mode) ? 0 : -ENOTDIR;
	}
	if (!is_in(it->path, w->t->path, &skip))
		return 0;
	if (w->n == w->cap) {
		size_t cap = w->cap ? w->cap * 2 : 256;

		j = realloc(w->jobs, cap * sizeof(*j));
		if (!j)
			return -ENOMEM;
		w->jobs = j;
		w->cap = cap;
	}
	return past_job_init(&w->jobs[w->n++], it, skip);
}

static void free_jobs(struct work *w)
{
	for (size_t i = 0; i < w->n; i++)
		past_job_done(&w->jobs[i]);
	free(w->jobs);
}

/* ---- what became of it --------------------------------------------------- */

static void say(struct work *w, const struct past_job *j, const char *text)
{
	progress_end(&w->progress);
	cmd_fail(0, "%s: %s", j->path, text);
}

static void note(struct work *w, struct past_job *j, int rc, bool sure,
                 const char *why)
{
	const char *doubt = past_doubt_text(j->it.doubts);

	lock_take(&w->lock, LOCK_LEAF);
	w->done++;
	if (rc == -EINTR) {
		w->counts.interrupted = true;
	} else if (rc == -ENOENT || rc == -ENODATA || rc == -EISDIR) {
		w->counts.missing++;
		say(w, j, why);
	} else if (rc < 0) {
		w->counts.failed++;
		say(w, j, why && *why ? why : strerror(-rc));
	} else if (S_ISDIR(j->it.mode)) {
		w->counts.folders++;
	} else {
		w->counts.files++;
		w->counts.bytes += j->it.plain_size;
		if (!sure || *doubt) {
			char line[256];

			w->counts.unsure++;
			snprintf(line, sizeof(line),
			         "restored, but maybe not what it was: %s",
			         *doubt ? doubt
			                : "the version was told by its time "
			                  "or size only");
			say(w, j, line);
		}
	}
	progress_show(&w->progress, w->done, w->n, "restoring");
	lock_drop(&w->lock, LOCK_LEAF);
}

/* The line for what is not on the drive any more. */
static void say_gone(struct work *w, struct direct *d, const struct past_job *j)
{
	char when[WHEN_TEXT];

	if (!j->it.deleted) {
		snprintf(d->why, DIRECT_WHY,
		         "it is not on the drive any more; this machine did "
		         "not delete it");
		return;
	}
	when_format_local(j->it.deleted, when);
	snprintf(d->why, DIRECT_WHY, "it was deleted (%s)%s", when,
	         w->t->direct->personal ? ", and is in the recycle bin" : "");
	lock_take(&w->lock, LOCK_LEAF);
	w->counts.in_bin++;
	lock_drop(&w->lock, LOCK_LEAF);
}

static bool reads_bin(const struct work *w)
{
	return w->t->direct->personal && !w->t->leave_bin;
}

static void run_job(struct work *w, struct direct *d, struct past_job *j)
{
	struct past_got got = { 0 };
	int rc;

	d->why[0] = '\0';
	rc = past_job_restore(j, d, w->t->dest, w->t->at, &got);
	if (rc == -ENOENT && j->it.deleted && !w->bin && reads_bin(w)) {
		j->binned = true;
		return;
	}
	if (rc == -ENOENT)
		say_gone(w, d, j);
	note(w, j, rc, got.sure, d->why);
}

/* ---- several at a time --------------------------------------------------- */

static bool is_for_worker(const struct work *w, const struct past_job *j)
{
	return !S_ISDIR(j->it.mode) && !(j->it.doubts & PAST_BACK) &&
	       j->binned == w->bin;
}

static struct past_job *take_job(struct work *w)
{
	struct past_job *j = NULL;

	lock_take(&w->lock, LOCK_LEAF);
	if (interrupt_seen())
		w->counts.interrupted = true;
	while (!j && w->next < w->end && !w->counts.interrupted) {
		j = &w->jobs[w->next++];
		if (!is_for_worker(w, j))
			j = NULL;
	}
	lock_drop(&w->lock, LOCK_LEAF);
	return j;
}

static void *run_worker(void *arg)
{
	struct work *w = arg;
	struct direct d = *w->t->direct;
	char *why = calloc(1, DIRECT_WHY);
	struct past_job *j;

	d.why = why;
	while (why && (j = take_job(w)))
		run_job(w, &d, j);
	free(why);
	return NULL;
}

/* Jobs [first, end). */
static void run_jobs(struct work *w, size_t first, size_t end)
{
	pthread_t thread[WORKERS];
	int n = 0;

	w->next = first;
	w->end = end;
	while (n < WORKERS && (size_t)n < end - first &&
	       pthread_create(&thread[n], NULL, run_worker, w) == 0)
		n++;
	if (!n)
		run_worker(w);
	while (n)
		pthread_join(thread[--n], NULL);
}

/* ---- what was deleted ---------------------------------------------------- */

static int by_delete(const void *a, const void *b)
{
	const struct past_job *x = a, *y = b;

	if (x->binned != y->binned)
		return x->binned ? -1 : 1;
	if (x->it.deleted != y->it.deleted)
		return x->it.deleted < y->it.deleted ? -1 : 1;
	return strcmp(x->path, y->path);
}

/* All that one delete took away, [first, end). */
static void run_group(struct work *w, struct recycle *bin, size_t first,
                      size_t end)
{
	struct direct *d = w->t->direct;
	const struct past_delete *top =
		past_delete_at(w->t->deletes, w->jobs[first].it.deleted);
	int rc = recycle_borrow(d, bin, top ? top->id : w->jobs[first].id);

	if (rc == 0) {
		run_jobs(w, first, end);
		if (recycle_give_back(d, bin) < 0)
			cmd_fail(0, "%s", d->why);
		return;
	}
	for (size_t i = first; i < end; i++) {
		lock_take(&w->lock, LOCK_LEAF);
		w->counts.in_bin += rc != -ENOENT;
		lock_drop(&w->lock, LOCK_LEAF);
		note(w, &w->jobs[i], rc, false, d->why);
	}
}

static void restore_deleted(struct work *w)
{
	struct recycle bin = { 0 };
	size_t first = 0, end;

	qsort(w->jobs, w->n, sizeof(*w->jobs), by_delete);
	if (!w->n || !w->jobs[0].binned)
		return;
	progress_end(&w->progress);
	fprintf(stderr, "nmbackupfs: taking what was deleted since out of the "
	                "recycle bin, and putting it back\n");
	w->bin = true;
	for (; first < w->n && w->jobs[first].binned; first = end) {
		for (end = first + 1;
		     end < w->n && w->jobs[end].binned &&
		     w->jobs[end].it.deleted == w->jobs[first].it.deleted;)
			end++;
		if (w->counts.interrupted || interrupt_seen())
			break;
		run_group(w, &bin, first, end);
	}
	recycle_done(w->t->direct, &bin);
}

/* ---- folders ------------------------------------------------------------- */

/* From the innermost ones on: a mode may shut those who come after. */
static void set_modes(struct work *w)
{
	for (size_t i = w->n; i-- > 0;) {
		const struct past_job *j = &w->jobs[i];

		if (S_ISDIR(j->it.mode) && !(j->it.doubts & PAST_BACK))
			past_job_leave(j, w->t->dest);
	}
}

static int by_path(const void *a, const void *b)
{
	const struct past_job *x = a, *y = b;

	return strcmp(x->path, y->path);
}

static void make_folders(struct work *w)
{
	for (size_t i = 0; i < w->n; i++) {
		struct past_job *j = &w->jobs[i];

		if (j->it.doubts & PAST_BACK) {
			lock_take(&w->lock, LOCK_LEAF);
			w->counts.missing++;
			say(w, j,
			    "left out: it was deleted by then and is there "
			    "again now; when it came back is not known");
			lock_drop(&w->lock, LOCK_LEAF);
		} else if (S_ISDIR(j->it.mode)) {
			note(w, j, past_job_enter(j, w->t->dest), true, NULL);
		}
	}
}

/* ---- all of it ----------------------------------------------------------- */

int past_tree_restore(const struct past_tree *t, struct past_counts *out)
{
	struct work w = { .t = t };
	int rc;

	*out = (struct past_counts){ 0 };
	pthread_mutex_init(&w.lock, NULL);
	rc = past_each(t->past, add_job, &w);
	if (rc == 0 && !w.n && !w.skip && t->path[0])
		rc = -ENOENT;
	if (rc == 0) {
		make_folders(&w);
		run_jobs(&w, 0, w.n);
		if (!w.counts.interrupted)
			restore_deleted(&w);
		qsort(w.jobs, w.n, sizeof(*w.jobs), by_path);
		set_modes(&w);
		progress_end(&w.progress);
		if (syncfs(t->dest) < 0)
			rc = -errno;
	}
	free_jobs(&w);
	pthread_mutex_destroy(&w.lock);
	*out = w.counts;
	return rc;
}
