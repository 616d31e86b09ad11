#include "net/upload_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/work.h"

int upload_body_init(struct upload_body *b)
{
	b->ring = malloc(UPLOAD_RING);
	if (!b->ring)
		return -ENOMEM;
	pthread_mutex_init(&b->lock, NULL);
	return 0;
}

void upload_body_done(struct upload_body *b)
{
	if (!b->ring)
		return;
	pthread_mutex_destroy(&b->lock);
	free(b->ring);
}

/* ---- the worker ---------------------------------------------------------- */

static bool has_room_locked(const struct upload_body *b)
{
	return b->rc == 0 && !b->want_idle && b->made < b->end &&
	       b->made - b->taken <= UPLOAD_RING - UPLOAD_BLOCK;
}

static char *place(const struct upload_body *b, uint64_t off)
{
	return b->ring + (off - b->start) % UPLOAD_RING;
}

static void resume_locked(struct upload_body *b)
{
	if (b->starved && b->req)
		http_resume(b->req);
	b->starved = false;
}

/* One block. A rewind meanwhile makes it void: nobody reads that place before
 * this same worker has filled it anew. */
static void fill_block_locked(struct upload_body *b)
{
	uint64_t off = b->made, left = b->end - off;
	size_t len = left < UPLOAD_BLOCK ? (size_t)left : UPLOAD_BLOCK;
	char *to = place(b, off);
	unsigned epoch = b->epoch;
	int rc;

	pthread_mutex_unlock(&b->lock);
	rc = b->read(b->arg, to, len, off);
	pthread_mutex_lock(&b->lock);
	if (rc < 0)
		b->rc = rc;
	else if (epoch == b->epoch)
		b->made += len;
	if (b->rc < 0 || b->made > b->taken)
		resume_locked(b);
}

static void fill(void *arg)
{
	struct upload_body *b = arg;
	bool idle;

	pthread_mutex_lock(&b->lock);
	while (has_room_locked(b))
		fill_block_locked(b);
	b->filling = false;
	idle = b->want_idle;
	pthread_mutex_unlock(&b->lock);
	if (idle)
		b->idle(b);
}

static int start_filling_locked(struct upload_body *b)
{
	int rc;

	if (b->filling || !has_room_locked(b))
		return 0;
	rc = work_submit(b->work, fill, b);
	b->filling = rc == 0;
	return rc;
}

/* ---- the request --------------------------------------------------------- */

void upload_body_begin(struct upload_body *b, uint64_t start, uint64_t end)
{
	pthread_mutex_lock(&b->lock);
	b->start = b->made = b->taken = start;
	b->end = end;
	b->epoch++;
	b->rc = 0;
	b->starved = b->want_idle = false;
	b->req = NULL;
	(void)start_filling_locked(b); /* else the first read does it */
	pthread_mutex_unlock(&b->lock);
}

void upload_body_set_request(struct upload_body *b, struct http_request *r)
{
	pthread_mutex_lock(&b->lock);
	b->req = r;
	pthread_mutex_unlock(&b->lock);
}

int upload_body_rewind(struct upload_body *b)
{
	int rc;

	pthread_mutex_lock(&b->lock);
	b->made = b->taken = b->start;
	b->epoch++;
	rc = b->rc;
	if (rc == 0)
		rc = start_filling_locked(b);
	pthread_mutex_unlock(&b->lock);
	return rc;
}

static size_t copy_locked(struct upload_body *b, void *buf, size_t len)
{
	const char *from = place(b, b->taken);
	size_t to_wrap = (size_t)(b->ring + UPLOAD_RING - from);
	uint64_t there = b->made - b->taken;

	if (len > there)
		len = (size_t)there;
	if (len > to_wrap)
		len = to_wrap;
	memcpy(buf, from, len);
	b->taken += len;
	return len;
}

ssize_t upload_body_read(struct upload_body *b, void *buf, size_t len)
{
	ssize_t n;
	int rc;

	pthread_mutex_lock(&b->lock);
	n = b->rc < 0 ? b->rc : (ssize_t)copy_locked(b, buf, len);
	b->starved = n == 0;
	rc = start_filling_locked(b);
	if (n == 0 && rc < 0)
		n = rc;
	pthread_mutex_unlock(&b->lock);
	return n;
}

bool upload_body_end(struct upload_body *b)
{
	bool idle;

	pthread_mutex_lock(&b->lock);
	b->req = NULL;
	b->want_idle = true;
	idle = !b->filling;
	pthread_mutex_unlock(&b->lock);
	return idle;
}

int upload_body_error(struct upload_body *b)
{
	int rc;

	pthread_mutex_lock(&b->lock);
	rc = b->rc;
	pthread_mutex_unlock(&b->lock);
	return rc;
}

uint64_t upload_body_taken(struct upload_body *b)
{
	uint64_t taken;

	pthread_mutex_lock(&b->lock);
	taken = b->taken;
	pthread_mutex_unlock(&b->lock);
	return taken;
}
