#include "auth/objects.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "net/buf.h"
#include "net/download.h"
#include "net/quickxor.h"

struct inflow {
	pthread_mutex_t lock;
	pthread_cond_t over;
	struct buf data; /* lock */
	size_t max;
	bool ended; /* lock */
	int rc;     /* lock */
};

static int on_data(void *arg, uint64_t off, const void *data, size_t len)
{
	struct inflow *in = arg;
	int rc = -EFBIG;

	(void)off;
	pthread_mutex_lock(&in->lock);
	if (len <= in->max - in->data.len)
		rc = buf_add(&in->data, data, len);
	pthread_mutex_unlock(&in->lock);
	return rc;
}

static void on_done(void *arg, int rc)
{
	struct inflow *in = arg;

	pthread_mutex_lock(&in->lock);
	in->rc = rc;
	in->ended = true;
	pthread_cond_signal(&in->over);
	pthread_mutex_unlock(&in->lock);
}

static int fetch(const struct objects *o, const struct object *known,
                 struct inflow *in)
{
	struct download_range *range;
	struct download *d;
	int rc = download_new(o->graph, known->id, known->etag, known->size,
	                      NULL, NULL, &d);

	if (rc < 0)
		return rc;
	rc = download_start(d, 0, known->size, HTTP_PRIO_META, o->patience_ms,
	                    on_data, on_done, in, &range);
	if (rc == 0) {
		pthread_mutex_lock(&in->lock);
		while (!in->ended)
			pthread_cond_wait(&in->over, &in->lock);
		rc = in->rc;
		pthread_mutex_unlock(&in->lock);
	}
	download_free(d);
	return rc;
}

static bool is_whole(const struct object *known, const struct buf *data)
{
	uint8_t hash[QUICKXOR_SIZE];
	struct quickxor q;

	if (data->len != known->size)
		return false;
	quickxor_init(&q);
	quickxor_update(&q, data->data, data->len);
	quickxor_final(&q, hash);
	return !known->has_hash || !memcmp(hash, known->hash, sizeof(hash));
}

int objects_read(const struct objects *o, const struct object *known,
                 size_t max, struct buf *out)
{
	struct inflow in = { .data = BUF_INIT, .max = max };
	int rc = 0;

	if (known->size > max) {
		objects_say(o, "\"%s\" is too large", known->name);
		return -EFBIG;
	}
	pthread_mutex_init(&in.lock, NULL);
	pthread_cond_init(&in.over, NULL);
	if (known->size > 0)
		rc = fetch(o, known, &in);
	if (rc == -ENOENT)
		rc = -ESTALE;
	if (rc == 0 && !is_whole(known, &in.data))
		rc = -EBADMSG;
	if (rc == 0 && known->size > 0)
		rc = buf_add(out, in.data.data, in.data.len);
	if (rc < 0)
		objects_say(o, "reading \"%s\": %s", known->name,
		            rc == -ESTALE    ? "it was changed meanwhile"
		            : rc == -EBADMSG ? "other bytes came than the "
		                               "service has by its own hash"
		                             : strerror(-rc));
	buf_done(&in.data);
	pthread_cond_destroy(&in.over);
	pthread_mutex_destroy(&in.lock);
	return rc;
}
