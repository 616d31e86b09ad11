#include "fs/reseal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/objects.h"
#include "fs/direct.h"
#include "fs/interrupt.h"
#include "fs/lock.h"
#include "fs/session.h"
#include "net/clock.h"
#include "net/quickxor.h"
#include "net/upload.h"
#include "net/work.h"

#define PATIENCE_MS 60000
#define SMALL_MAX   (4u << 20) /* one request */
#define PIECE       (1u << 18)
#define LOOK_MS     200

static int read_at(int fd, void *buf, size_t len, uint64_t off)
{
	while (len) {
		ssize_t n = pread(fd, buf, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		buf = (char *)buf + n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

static struct objects calls(struct direct *d)
{
	return (struct objects){ .graph = d->session->graph,
		                 .patience_ms = PATIENCE_MS,
		                 .why = d->why,
		                 .why_size = DIRECT_WHY };
}

/* The item as it is now, if its content is still what was read. */
static int look(const struct objects *o, const struct item *known,
                struct object *out)
{
	int rc = objects_get(o, known->id, out);

	if (rc == -ENOENT)
		return -ESTALE;
	if (rc < 0 || !strcmp(out->etag, known->etag))
		return rc;
	return out->is_file && out->size == known->size && out->has_hash &&
	                       known->has_hash &&
	                       !memcmp(out->hash, known->hash,
	                               sizeof(out->hash))
	               ? 0
	               : -ESTALE;
}

static int send_small(struct direct *d, const struct item *known, int fd,
                      size_t size)
{
	struct objects o = calls(d);
	struct object now, out;
	char *data = malloc(size);
	int rc = data ? read_at(fd, data, size, 0) : -ENOMEM;

	if (rc == 0)
		rc = look(&o, known, &now);
	if (rc == 0)
		rc = objects_replace(&o, &now, data, size, &out);
	free(data);
	return rc;
}

/* ---- a session ----------------------------------------------------------- */

struct sending {
	int fd;
	pthread_mutex_t lock; /* LOCK_LEAF, all below */
	pthread_cond_t over;
	bool ended;
	int rc;
	char *url; /* a secret */
};

static int on_read(void *arg, void *buf, size_t len, uint64_t off)
{
	const struct sending *s = arg;

	return read_at(s->fd, buf, len, off);
}

static int on_note(void *arg, const char *url, uint64_t next)
{
	struct sending *s = arg;
	int rc = 0;

	(void)next;
	lock_take(&s->lock, LOCK_LEAF);
	if (!s->url || strcmp(s->url, url) != 0) {
		free(s->url);
		s->url = strdup(url);
		rc = s->url ? 0 : -ENOMEM;
	}
	lock_drop(&s->lock, LOCK_LEAF);
	return rc;
}

static void end(struct sending *s, int rc)
{
	lock_take(&s->lock, LOCK_LEAF);
	s->rc = rc;
	s->ended = true;
	pthread_cond_signal(&s->over);
	lock_drop(&s->lock, LOCK_LEAF);
}

static void on_end(void *arg, const struct upload_end *e)
{
	end(arg, e->rc);
}

static void on_committed(void *arg, const struct graph_answer *a)
{
	end(arg, a->rc);
}

static int upload(struct direct *d, struct sending *s, struct work *work,
                  const struct item *known, uint64_t size)
{
	struct upload_spec spec = { .graph = d->session->graph,
		                    .work = work,
		                    .item_id = known->id,
		                    .defer_commit = true,
		                    .total = size,
		                    .prio = HTTP_PRIO_BULK,
		                    .read = on_read,
		                    .note = on_note,
		                    .done = on_end,
		                    .arg = s };
	struct upload *u;
	int rc = upload_start(&spec, &u);

	if (rc < 0)
		return rc;
	lock_take(&s->lock, LOCK_LEAF);
	while (!s->ended && !interrupt_seen())
		lock_wait_until(&s->over, &s->lock, clock_mono_ms() + LOOK_MS);
	lock_drop(&s->lock, LOCK_LEAF);
	upload_free(u);
	return interrupt_seen() && s->rc < 0 ? -EINTR : s->rc;
}

static int commit(struct direct *d, struct sending *s, const struct object *now)
{
	int rc;

	s->ended = false;
	rc = upload_commit(d->session->graph, s->url, now->parent_id, now->name,
	                   true, now->etag, on_committed, s);
	if (rc < 0)
		return rc;
	lock_take(&s->lock, LOCK_LEAF);
	while (!s->ended)
		lock_wait(&s->over, &s->lock);
	lock_drop(&s->lock, LOCK_LEAF);
	return s->rc;
}

static int hash_file(int fd, uint64_t size, uint8_t out[QUICKXOR_SIZE])
{
	char *piece = malloc(PIECE);
	struct quickxor q;
	int rc = piece ? 0 : -ENOMEM;

	quickxor_init(&q);
	while (rc == 0 && q.len < size) {
		size_t n =
			size - q.len < PIECE ? (size_t)(size - q.len) : PIECE;

		rc = read_at(fd, piece, n, q.len);
		if (rc == 0)
			quickxor_update(&q, piece, n);
	}
	quickxor_final(&q, out);
	free(piece);
	return rc;
}

/* What is there counts, not what the answers said. */
static int verify(const struct objects *o, const struct item *known,
                  const uint8_t hash[QUICKXOR_SIZE], uint64_t size, int rc)
{
	struct object now;
	int looked = objects_get(o, known->id, &now);

	if (looked < 0)
		return rc < 0 ? rc : looked;
	if (now.size == size && now.has_hash &&
	    !memcmp(now.hash, hash, sizeof(now.hash)))
		return 0;
	return rc < 0 ? rc : -EBADMSG;
}

/* All bytes go up before the last look: opening a session alone moves tags on
 * some drives (facts 5.3). */
static int send_large(struct direct *d, const struct item *known, int fd,
                      uint64_t size)
{
	struct sending s = { .fd = fd };
	struct objects o = calls(d);
	uint8_t hash[QUICKXOR_SIZE];
	struct object now;
	struct work *work;
	int rc = hash_file(fd, size, hash);

	if (rc == 0)
		rc = work_new("nmb-reseal", 2, &work);
	if (rc < 0)
		return rc;
	pthread_mutex_init(&s.lock, NULL);
	lock_cond_init(&s.over);
	rc = upload(d, &s, work, known, size);
	if (rc == 0)
		rc = look(&o, known, &now);
	if (rc == 0)
		rc = verify(&o, known, hash, size, commit(d, &s, &now));
	work_free(work);
	if (rc < 0 && s.url)
		upload_abandon_wait(d->session->graph, s.url);
	pthread_cond_destroy(&s.over);
	pthread_mutex_destroy(&s.lock);
	free(s.url);
	return rc;
}

int reseal_send(struct direct *d, const struct item *known, int fd,
                uint64_t size)
{
	d->why[0] = '\0';
	return size <= SMALL_MAX ? send_small(d, known, fd, (size_t)size)
	                         : send_large(d, known, fd, size);
}
