#include "net/work.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct job {
	struct job *next;
	work_fn *fn;
	void *arg;
};

struct work {
	pthread_mutex_t lock;
	pthread_cond_t more;      /* a job was added, or stop was set */
	struct job *first, *last; /* lock */
	bool stop;                /* lock; no job left: end */
	char name[16];
	unsigned count;
	pthread_t thread[];
};

static struct job *take_job(struct work *w)
{
	struct job *job;

	pthread_mutex_lock(&w->lock);
	while (!w->first && !w->stop)
		pthread_cond_wait(&w->more, &w->lock);
	job = w->first;
	if (job)
		w->first = job->next;
	pthread_mutex_unlock(&w->lock);
	return job;
}

/* After stop, the thread whose job submits another one is the one that is
 * sure to find it: so nothing is left when the last thread ends. */
static void *run_jobs(void *arg)
{
	struct work *w = arg;
	struct job *job;

	pthread_setname_np(pthread_self(), w->name);
	while ((job = take_job(w))) {
		job->fn(job->arg);
		free(job);
	}
	return NULL;
}

static void stop_threads(struct work *w)
{
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_broadcast(&w->more);
	pthread_mutex_unlock(&w->lock);
	for (unsigned i = 0; i < w->count; i++)
		pthread_join(w->thread[i], NULL);
	pthread_cond_destroy(&w->more);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

/* Signals are for the thread that waits for them, so none come here. */
static int start_threads(struct work *w, unsigned threads)
{
	sigset_t all, old;
	int rc = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (w->count < threads && rc == 0) {
		rc = -pthread_create(&w->thread[w->count], NULL, run_jobs, w);
		if (rc == 0)
			w->count++;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc;
}

int work_new(const char *name, unsigned threads, struct work **out_w)
{
	struct work *w;
	int rc;

	w = calloc(1, sizeof(*w) + threads * sizeof(w->thread[0]));
	if (!w)
		return -ENOMEM;
	strncpy(w->name, name, sizeof(w->name) - 1);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->more, NULL);
	rc = start_threads(w, threads);
	if (rc < 0) {
		stop_threads(w);
		return rc;
	}
	*out_w = w;
	return 0;
}

void work_free(struct work *w)
{
	if (w)
		stop_threads(w);
}

int work_submit(struct work *w, work_fn *fn, void *arg)
{
	struct job *job = malloc(sizeof(*job));

	if (!job)
		return -ENOMEM;
	*job = (struct job){ .fn = fn, .arg = arg };
	pthread_mutex_lock(&w->lock);
	if (w->first)
		w->last->next = job;
	else
		w->first = job;
	w->last = job;
	pthread_cond_signal(&w->more);
	pthread_mutex_unlock(&w->lock);
	return 0;
}
