#include "fs/pulse.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

#include <fuse_lowlevel.h>

#include "fs/lock.h"
#include "net/clock.h"

#define END_MS 1000 /* an answer is waited for, at the end */

struct pulse {
	pthread_mutex_t lock; /* LOCK_LEAF: all below */
	pthread_cond_t turn;
	struct fuse_session *fuse; /* NULL: does not answer */
	bool calling;              /* is being asked just now */
	bool asked;                /* and has not answered */
};

int pulse_new(struct pulse **out_p)
{
	struct pulse *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	pthread_mutex_init(&p->lock, NULL);
	lock_cond_init(&p->turn);
	*out_p = p;
	return 0;
}

void pulse_free(struct pulse *p)
{
	if (!p)
		return;
	pthread_cond_destroy(&p->turn);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

void pulse_begin(struct pulse *p, struct fuse_session *se)
{
	if (!p)
		return;
	lock_take(&p->lock, LOCK_LEAF);
	p->fuse = se;
	lock_drop(&p->lock, LOCK_LEAF);
}

void pulse_end(struct pulse *p)
{
	int64_t until = clock_mono_ms() + END_MS;

	if (!p)
		return;
	lock_take(&p->lock, LOCK_LEAF);
	p->fuse = NULL;
	while (p->calling)
		lock_wait(&p->turn, &p->lock);
	while (p->asked && clock_mono_ms() < until)
		lock_wait_until(&p->turn, &p->lock, until);
	p->asked = false;
	lock_drop(&p->lock, LOCK_LEAF);
}

void pulse_ask(struct pulse *p)
{
	struct fuse_session *se;
	int rc;

	if (!p)
		return;
	lock_take(&p->lock, LOCK_LEAF);
	se = p->fuse;
	p->calling = p->asked = se != NULL;
	lock_drop(&p->lock, LOCK_LEAF);
	if (!se)
		return;
	lock_assert_none();
	rc = fuse_lowlevel_notify_retrieve(se, FUSE_ROOT_ID, 0, 0, NULL);
	lock_take(&p->lock, LOCK_LEAF);
	p->calling = false;
	if (rc < 0) /* just unmounted, or a kernel that can't: no proof */
		p->asked = false;
	pthread_cond_broadcast(&p->turn);
	lock_drop(&p->lock, LOCK_LEAF);
}

bool pulse_answered(struct pulse *p)
{
	bool answered = true;

	if (!p)
		return true;
	lock_take(&p->lock, LOCK_LEAF);
	answered = !p->fuse || !p->asked;
	lock_drop(&p->lock, LOCK_LEAF);
	return answered;
}

void pulse_echo(struct pulse *p)
{
	if (!p)
		return;
	lock_take(&p->lock, LOCK_LEAF);
	p->asked = false;
	pthread_cond_broadcast(&p->turn);
	lock_drop(&p->lock, LOCK_LEAF);
}
