#include "fs/verify.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/tokens.h"
#include "fs/direct.h"
#include "fs/interrupt.h"
#include "fs/lock.h"
#include "fs/records.h"
#include "fs/sample.h"
#include "fs/session.h"

/* Small files cost round trips and hardly any bytes: a few at a time. Rows are
 * read, and results told, by one worker at a time. */

#define WORKERS    4
#define MAX_FAILED 8 /* transfers in a row: then it is not the file */

struct reading_back {
	struct direct *d;
	struct records *records;
	const struct verify_calls *calls;
	const uint64_t *ino;
	size_t n;

	pthread_mutex_t lock; /* LOCK_LEAF: all below, the records, the calls */
	size_t next;
	unsigned failed; /* in a row */
	int rc;          /* why it ends early */
	struct verify_read *out;
};

struct reader {
	struct reading_back *all;
	struct direct direct; /* a copy, with a `why` of its own */
	char why[DIRECT_WHY];
	struct sample sample;
	pthread_t thread;
};

static void tell(struct reading_back *b, const struct sample *s,
                 enum compare_verdict verdict, const char *why)
{
	const struct verify_finding f = { .verdict = verdict,
		                          .asked = true,
		                          .path = s->path,
		                          .id = s->id,
		                          .why = why };

	b->out->failed++;
	b->calls->finding(b->calls->arg, &f);
}

static void take_result(struct reading_back *b, const struct sample *s)
{
	b->failed = 0;
	b->out->files++;
	b->out->bytes += s->bytes;
	switch (s->verdict) {
	case COMPARE_SAME:
		return;
	case COMPARE_UNHASHED:
		b->out->unhashed++;
		return;
	case COMPARE_MISSING:
	case COMPARE_CHANGED:
	case COMPARE_DAMAGED:
	case COMPARE_UNREADABLE:
		tell(b, s, s->verdict, s->why);
	}
}

/* Of that file, or of all that follow? */
static void take_error(struct reading_back *b, const struct reader *r, int rc)
{
	if (b->rc < 0)
		return;
	if (rc == -EINTR || rc == -ENOMEM ||
	    !tokens_signed_in(b->d->session->tokens) ||
	    ++b->failed >= MAX_FAILED) {
		b->rc = rc;
		snprintf(b->d->why, DIRECT_WHY, "%s", r->why);
		return;
	}
	b->out->files++;
	tell(b, &r->sample, COMPARE_UNREADABLE, r->why);
}

/* With the lock. 1, with the row; 0: there are no more, or it ends. */
static int take_next(struct reader *r, struct sample_row **out_row)
{
	struct reading_back *b = r->all;
	int rc = 0;

	if (b->rc == 0 && interrupt_seen())
		b->rc = -EINTR;
	while (rc == 0 && b->rc == 0 && b->next < b->n) {
		if (b->calls->progress)
			b->calls->progress(b->calls->arg, "downloading",
			                   b->next, b->n);
		rc = records_refresh(b->records);
		if (rc == 0)
			rc = sample_look(b->records->db, b->ino[b->next++],
			                 out_row, &r->sample);
	}
	if (rc < 0) {
		snprintf(b->d->why, DIRECT_WHY, "state.db: %s", strerror(-rc));
		b->rc = rc;
	}
	return rc == 1;
}

static void *run_reader(void *arg)
{
	struct reader *r = arg;
	struct reading_back *b = r->all;
	struct sample_row *row;
	int rc;

	lock_take(&b->lock, LOCK_LEAF);
	while (take_next(r, &row)) {
		lock_drop(&b->lock, LOCK_LEAF);
		rc = sample_fetch(&r->direct, row, NULL, NULL, &r->sample);
		lock_take(&b->lock, LOCK_LEAF);
		if (rc == 0)
			take_result(b, &r->sample);
		else
			take_error(b, r, rc);
	}
	lock_drop(&b->lock, LOCK_LEAF);
	return NULL;
}

static int run_readers(struct reading_back *b)
{
	struct reader *r = calloc(WORKERS, sizeof(*r));
	int n = 0, rc = r ? 0 : -ENOMEM;

	for (; n < WORKERS && rc == 0; n++) {
		r[n].all = b;
		r[n].direct = *b->d;
		r[n].direct.why = r[n].why;
		rc = -pthread_create(&r[n].thread, NULL, run_reader, &r[n]);
		if (rc < 0)
			break;
	}
	if (n > 0)
		rc = 0; /* fewer will do */
	for (int i = 0; i < n; i++)
		pthread_join(r[i].thread, NULL);
	free(r);
	return rc;
}

int verify_read_back(struct direct *d, struct records *r, uint64_t n,
                     const struct verify_calls *calls, struct verify_read *out)
{
	struct reading_back b = {
		.d = d, .records = r, .calls = calls, .out = out
	};
	uint64_t *inos = NULL;
	int rc;

	*out = (struct verify_read){ 0 };
	d->why[0] = '\0';
	rc = sample_pick(r->db, n, &inos, &b.n);
	b.ino = inos;
	pthread_mutex_init(&b.lock, NULL);
	if (rc == 0 && b.n)
		rc = run_readers(&b);
	pthread_mutex_destroy(&b.lock);
	free(inos);
	return rc < 0 ? rc : b.rc;
}
