#include "fs/rescue_work.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/cmd_common.h"
#include "fs/interrupt.h"
#include "fs/lock.h"
#include "fs/unseal.h"
#include "net/buf.h"
#include "net/clock.h"

#define WORKERS     4
#define QUEUE_MAX   64
#define SHOW_MS     200
#define TARGET_SIZE 4096

struct rescue_dir {
	int fd;
	unsigned refs; /* work.lock */
	bool top;
	struct restore_item it;
	char *path; /* for people; ends with '/' unless empty */
};

struct job {
	struct job *next;
	struct rescue_dir *dir;
	struct rescue_entry *e;
};

struct rescue_work {
	struct rescue_source *s;
	struct vault *vault; /* NULL: content only */
	pthread_t thread[WORKERS];
	int threads;

	pthread_mutex_t lock; /* LOCK_LEAF: all below */
	pthread_cond_t more, room;
	struct job *first, **last;
	size_t queued;
	bool end;
	struct rescue_counts counts;
	struct progress progress; /* the caller's thread */
};

/* ---- directories --------------------------------------------------------- */

struct rescue_dir *rescue_dir_new(struct rescue_work *w,
                                  const struct rescue_dir *parent,
                                  const struct restore_item *it, int fd)
{
	struct rescue_dir *d = calloc(1, sizeof(*d));
	struct buf path = BUF_INIT;

	(void)w;
	if (parent)
		buf_add_str(&path, parent->path);
	if (it)
		buf_addf(&path, "%s/", it->name);
	if (d)
		d->path = buf_steal(&path);
	buf_done(&path);
	if (!d || !d->path) {
		free(d);
		close(fd);
		return NULL;
	}
	d->fd = fd;
	d->refs = 1;
	d->top = !it;
	if (it)
		d->it = *it;
	return d;
}

int rescue_dir_fd(const struct rescue_dir *d)
{
	return d->fd;
}

void rescue_dir_unref(struct rescue_work *w, struct rescue_dir *d)
{
	unsigned left;
	int rc = 0;

	lock_take(&w->lock, LOCK_LEAF);
	left = --d->refs;
	lock_drop(&w->lock, LOCK_LEAF);
	if (left)
		return;
	if (d->top)
		close(d->fd);
	else
		rc = restore_leave(d->fd, &d->it);
	if (rc < 0)
		rescue_note(w, NULL, &d->it, rc, NULL);
	free(d->path);
	free(d);
}

/* ---- what became of it --------------------------------------------------- */

static const char *text_of(int rc, const char *why)
{
	switch (rc) {
	case -EEXIST:
		return "something else is there already; it stays";
	case -EINVAL:
		return "its name can't be used here";
	case -EPERM:
		return why && *why ? why : "only root can make that";
	default:
		return why && *why ? why : vault_strerror(rc);
	}
}

void rescue_note(struct rescue_work *w, const struct rescue_dir *d,
                 const struct restore_item *it, int rc, const char *why)
{
	lock_take(&w->lock, LOCK_LEAF);
	if (rc == -EALREADY) {
		w->counts.already++;
	} else if (rc == -EINTR) {
		w->counts.interrupted = true;
	} else if (rc < 0) {
		w->counts.failed++;
		if (rc == -ENOSPC || rc == -EDQUOT || rc == -EROFS)
			w->counts.stopped = true;
		progress_end(&w->progress);
		cmd_fail(0, "%s%s: %s", d ? d->path : "", it->name,
		         text_of(rc, why));
	} else if (S_ISDIR(it->mode)) {
		w->counts.folders++;
	} else {
		w->counts.files++;
		w->counts.bytes += S_ISREG(it->mode) ? it->size : 0;
	}
	lock_drop(&w->lock, LOCK_LEAF);
}

void rescue_note_foreign(struct rescue_work *w, const struct rescue_dir *d,
                         size_t n)
{
	if (!n)
		return;
	lock_take(&w->lock, LOCK_LEAF);
	w->counts.foreign += n;
	progress_end(&w->progress);
	cmd_fail(0, "%s: %zu items are not of the vault, and were left out",
	         d->path[0] ? d->path : ".", n);
	lock_drop(&w->lock, LOCK_LEAF);
}

bool rescue_stopped(struct rescue_work *w)
{
	bool stopped;

	lock_take(&w->lock, LOCK_LEAF);
	if (interrupt_seen())
		w->counts.interrupted = true;
	stopped = w->counts.stopped || w->counts.interrupted;
	lock_drop(&w->lock, LOCK_LEAF);
	return stopped;
}

/* ---- one file ------------------------------------------------------------ */

/* Content into a sink; 0 only if all of it was genuine. */
static int fetch(struct rescue_work *w, struct direct *d,
                 const struct rescue_entry *e, unseal_sink_fn *sink, void *arg)
{
	struct unseal_options opt = { .vault = w->vault,
		                      .keys = &w->s->keys,
		                      .sealed = e->sealed,
		                      .sink = sink,
		                      .arg = arg };
	struct item *it = malloc(sizeof(*it));
	struct unseal *u = NULL;
	int rc = it ? unseal_new(&opt, &u) : -ENOMEM;

	d->why[0] = '\0';
	if (rc == 0) {
		rescue_entry_item(e, it);
		rc = direct_raw_read(d, it, 0, it->size, unseal_feed, u);
		if (unseal_error(u) < 0) {
			rc = unseal_error(u);
			d->why[0] = '\0';
		}
	}
	if (rc == 0)
		rc = unseal_finish(u);
	unseal_free(u);
	free(it);
	return rc;
}

static int rescue_regular(struct rescue_work *w, struct direct *d, int dir,
                          const struct rescue_entry *e)
{
	struct restore_file f;
	int rc = restore_begin(dir, &e->it, &f);

	if (rc < 0)
		return rc;
	return restore_end(&f, &e->it, fetch(w, d, e, restore_write, &f));
}

static int keep_target(void *arg, const void *data, size_t len)
{
	struct buf *b = arg;

	if (b->len + len >= TARGET_SIZE)
		return -ENAMETOOLONG;
	return buf_add(b, data, len);
}

/* A symlink whose target did not fit into its name. */
static int rescue_link(struct rescue_work *w, struct direct *d, int dir,
                       const struct rescue_entry *e)
{
	struct restore_item it = e->it;
	struct buf target = BUF_INIT;
	int rc = fetch(w, d, e, keep_target, &target);

	if (rc == 0 && (!target.len || strlen(target.data) != target.len))
		rc = -EBADMSG;
	if (rc == 0) {
		it.target = target.data;
		rc = restore_node(dir, &it);
	}
	buf_done(&target);
	return rc;
}

static void run_job(struct rescue_work *w, struct direct *d, struct job *j)
{
	int rc = -EINTR;

	if (!rescue_stopped(w))
		rc = S_ISLNK(j->e->it.mode)
		             ? rescue_link(w, d, j->dir->fd, j->e)
		             : rescue_regular(w, d, j->dir->fd, j->e);
	rescue_note(w, j->dir, &j->e->it, rc, d->why);
	rescue_dir_unref(w, j->dir);
	rescue_entry_free(j->e);
	free(j);
}

/* ---- workers ------------------------------------------------------------- */

static struct job *take_job(struct rescue_work *w)
{
	struct job *j;

	lock_take(&w->lock, LOCK_LEAF);
	while (!w->first && !w->end)
		lock_wait(&w->more, &w->lock);
	j = w->first;
	if (j) {
		w->first = j->next;
		if (!w->first)
			w->last = &w->first;
		w->queued--;
		pthread_cond_signal(&w->room);
	}
	lock_drop(&w->lock, LOCK_LEAF);
	return j;
}

static void *work_run(void *arg)
{
	struct rescue_work *w = arg;
	char why[DIRECT_WHY] = "";
	struct direct d = *w->s->direct;
	struct job *j;

	d.why = why;
	while ((j = take_job(w)))
		run_job(w, &d, j);
	return NULL;
}

static void show_locked(struct rescue_work *w)
{
	char text[96], size[CMD_SIZE_TEXT];

	cmd_format_size(w->counts.bytes, size);
	snprintf(text, sizeof(text), "%" PRIu64 " files, %s", w->counts.files,
	         size);
	progress_show(&w->progress, 0, 0, text);
}

void rescue_work_add(struct rescue_work *w, struct rescue_dir *d,
                     struct rescue_entry *e)
{
	struct job *j = calloc(1, sizeof(*j));

	if (!j) {
		rescue_note(w, d, &e->it, -ENOMEM, NULL);
		rescue_entry_free(e);
		return;
	}
	j->dir = d;
	j->e = e;
	lock_take(&w->lock, LOCK_LEAF);
	while (w->queued >= QUEUE_MAX) {
		lock_wait_until(&w->room, &w->lock, clock_mono_ms() + SHOW_MS);
		show_locked(w);
	}
	d->refs++;
	*w->last = j;
	w->last = &j->next;
	w->queued++;
	pthread_cond_signal(&w->more);
	show_locked(w);
	lock_drop(&w->lock, LOCK_LEAF);
}

/* ---- life ---------------------------------------------------------------- */

int rescue_work_new(struct rescue_source *s, struct rescue_work **out_w)
{
	struct rescue_work *w = calloc(1, sizeof(*w));
	struct rescue_counts none;
	int rc = 0;

	if (!w)
		return -ENOMEM;
	w->s = s;
	w->vault = vault_slot_get(&s->slot);
	w->last = &w->first;
	pthread_mutex_init(&w->lock, NULL);
	lock_cond_init(&w->more);
	lock_cond_init(&w->room);
	while (w->threads < WORKERS && rc == 0) {
		rc = -pthread_create(&w->thread[w->threads], NULL, work_run, w);
		w->threads += rc == 0;
	}
	if (!w->threads) {
		rescue_work_end(w, &none);
		return rc;
	}
	*out_w = w;
	return 0;
}

void rescue_work_end(struct rescue_work *w, struct rescue_counts *out)
{
	lock_take(&w->lock, LOCK_LEAF);
	while (w->queued) {
		lock_wait_until(&w->room, &w->lock, clock_mono_ms() + SHOW_MS);
		show_locked(w);
	}
	w->end = true;
	pthread_cond_broadcast(&w->more);
	lock_drop(&w->lock, LOCK_LEAF);
	for (int i = 0; i < w->threads; i++)
		pthread_join(w->thread[i], NULL);
	progress_end(&w->progress);
	*out = w->counts;
	vault_unref(w->vault);
	pthread_cond_destroy(&w->more);
	pthread_cond_destroy(&w->room);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
