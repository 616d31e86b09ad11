#include "fs/direct.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fs/interrupt.h"
#include "fs/lock.h"
#include "fs/session.h"
#include "net/clock.h"
#include "net/graph.h"
#include "net/log.h"
#include "net/quickxor.h"
#include "net/upload.h"
#include "net/work.h"

/* One file: look what has the name, send, verify. Where the outcome is unknown
 * or the tag was old: look again, and go on only if that shows what we knew
 * (promise 3). A tag that moves by itself a second time (opening a session can
 * do that, facts 5.3) is met with a deferred commit. */

#define ROUNDS       4
#define LOOK_MS      200
#define LOOK_HASH_MS 3000 /* a hash that comes late, facts 4 */
#define HASH_LOOKS   6
#define HASH_PIECE   (1u << 18)

struct put {
	struct direct *d;
	const struct direct_place *at;
	int fd;
	uint64_t size;
	int64_t mtime_ns;
	uint8_t hash[QUICKXOR_SIZE];
	struct item base; /* what has the name; base.id "": nothing */
	unsigned moved;   /* times the tag moved by itself */
	direct_progress_fn *progress;
	void *arg;
};

static void pause_ms(int64_t ms)
{
	struct timespec ts = { .tv_sec = ms / 1000,
		               .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&ts, NULL);
}

/* ---- the file ------------------------------------------------------------ */

static int read_exact(void *arg, void *buf, size_t len, uint64_t off)
{
	const struct put *p = arg;

	while (len) {
		ssize_t n = pread(p->fd, buf, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EBUSY; /* shorter by now */
		buf = (char *)buf + n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

static int stat_file(const struct put *p, uint64_t *out_size, int64_t *out_ns)
{
	struct stat st;

	if (fstat(p->fd, &st) < 0)
		return -errno;
	*out_size = (uint64_t)st.st_size;
	*out_ns = clock_timespec_to_ns(st.st_mtim);
	return 0;
}

/* Before it is sent: a range that has to be sent again must not count twice,
 * and the answer is compared with what was here at the start. */
static int hash_file(struct put *p)
{
	struct quickxor q;
	char *piece = malloc(HASH_PIECE);
	int rc = piece ? stat_file(p, &p->size, &p->mtime_ns) : -ENOMEM;

	quickxor_init(&q);
	while (rc == 0 && q.len < p->size) {
		size_t n = p->size - q.len < HASH_PIECE
		                   ? (size_t)(p->size - q.len)
		                   : HASH_PIECE;

		rc = interrupt_seen() ? -EINTR : read_exact(p, piece, n, q.len);
		if (rc == 0)
			quickxor_update(&q, piece, n);
	}
	quickxor_final(&q, p->hash);
	free(piece);
	return rc;
}

static bool file_changed(const struct put *p)
{
	uint64_t size = 0;
	int64_t mtime_ns = 0;

	return stat_file(p, &size, &mtime_ns) < 0 || size != p->size ||
	       mtime_ns != p->mtime_ns;
}

/* ---- a session ----------------------------------------------------------- */

struct outgoing {
	struct put *p;
	pthread_mutex_t lock; /* LOCK_LEAF, all below */
	pthread_cond_t over;
	bool ended, has_item, look, defer;
	int rc;
	char *url; /* a secret */
	struct item item;
};

static int on_read(void *arg, void *buf, size_t len, uint64_t off)
{
	struct outgoing *o = arg;

	return read_exact(o->p, buf, len, off);
}

static int on_note(void *arg, const char *url, uint64_t next)
{
	struct outgoing *o = arg;
	int rc = 0;

	(void)next;
	lock_take(&o->lock, LOCK_LEAF);
	if (!o->url || strcmp(o->url, url) != 0) {
		free(o->url);
		o->url = strdup(url);
		rc = o->url ? 0 : -ENOMEM;
	}
	lock_drop(&o->lock, LOCK_LEAF);
	return rc;
}

static void on_end(void *arg, const struct upload_end *end)
{
	struct outgoing *o = arg;

	lock_take(&o->lock, LOCK_LEAF);
	o->rc = end->rc;
	o->look = end->verdict == RETRY_LOOK || end->verdict == RETRY_RESTART;
	o->has_item = end->item && item_copy(end->item, &o->item) == 0;
	o->ended = true;
	pthread_cond_signal(&o->over);
	lock_drop(&o->lock, LOCK_LEAF);
}

static void wait_for_end(struct outgoing *o, struct upload *u)
{
	const struct put *p = o->p;
	bool canceled = false;

	lock_take(&o->lock, LOCK_LEAF);
	while (!o->ended) {
		lock_wait_until(&o->over, &o->lock, clock_mono_ms() + LOOK_MS);
		if (o->ended)
			break;
		lock_drop(&o->lock, LOCK_LEAF);
		if (p->progress)
			p->progress(p->arg, upload_sent(u), p->size);
		if (interrupt_seen() && !canceled) {
			upload_cancel(u);
			canceled = true;
		}
		lock_take(&o->lock, LOCK_LEAF);
	}
	if (canceled && o->rc < 0) {
		o->rc = -EINTR;
		o->look = false;
	}
	lock_drop(&o->lock, LOCK_LEAF);
}

static int run_session(struct outgoing *o, struct work *work)
{
	struct put *p = o->p;
	struct upload_spec spec = {
		.graph = p->d->session->graph,
		.work = work,
		.defer_commit = o->defer,
		.total = p->size,
		.mtime_ns = p->mtime_ns,
		.prio = HTTP_PRIO_USER,
		.read = on_read,
		.note = on_note,
		.done = on_end,
		.arg = o,
	};
	struct upload *u;
	int rc;

	if (p->base.id[0]) {
		spec.item_id = p->base.id;
		spec.etag = o->defer ? NULL : p->base.etag;
	} else {
		spec.parent_id = p->at->parent_id;
		spec.name = p->at->name;
	}
	rc = upload_start(&spec, &u);
	if (rc < 0)
		return rc;
	wait_for_end(o, u);
	upload_free(u);
	return o->rc;
}

struct committing {
	pthread_mutex_t lock; /* LOCK_LEAF */
	pthread_cond_t over;
	bool ended, look, has_item;
	int rc;
	struct item item;
};

static void on_committed(void *arg, const struct graph_answer *a)
{
	struct committing *c = arg;
	struct graph_item item;

	lock_take(&c->lock, LOCK_LEAF);
	c->rc = a->rc;
	c->look = a->verdict == RETRY_LOOK || a->verdict == RETRY_WAIT;
	if (a->rc == 0 && a->json && graph_parse_item(a->json, &item) == 0)
		c->has_item = item_copy(&item, &c->item) == 0;
	c->ended = true;
	pthread_cond_signal(&c->over);
	lock_drop(&c->lock, LOCK_LEAF);
}

/* What was known: the same item with the same content, whatever its tag. */
static bool is_base(const struct put *p, const struct item *now)
{
	return p->base.id[0] && !strcmp(now->id, p->base.id) &&
	       now->size == p->base.size && now->has_hash == p->base.has_hash &&
	       !memcmp(now->hash, p->base.hash, sizeof(now->hash));
}

/* All bytes are there, nothing has happened: look, then make it so. The
 * session was opened without a tag, since the opening itself moves it; nothing
 * but this one request lies between the look and the commit. */
static int commit(struct outgoing *o)
{
	struct put *p = o->p;
	struct committing c = { .rc = 0 };
	struct item now;
	int rc = direct_look(p->d, p->at, &now);

	if (rc == 0 && !is_base(p, &now))
		rc = -ESTALE;
	if (rc < 0)
		return rc == -ENOENT ? -ESTALE : rc;
	p->base = now;
	pthread_mutex_init(&c.lock, NULL);
	lock_cond_init(&c.over);
	rc = upload_commit(p->d->session->graph, o->url, p->at->parent_id,
	                   p->at->name, true, now.etag, on_committed, &c);
	if (rc == 0) {
		lock_take(&c.lock, LOCK_LEAF);
		while (!c.ended)
			lock_wait(&c.over, &c.lock);
		lock_drop(&c.lock, LOCK_LEAF);
		rc = c.rc;
		o->look = c.look;
		o->has_item = c.has_item;
		o->item = c.item;
	}
	pthread_cond_destroy(&c.over);
	pthread_mutex_destroy(&c.lock);
	return rc;
}

static void say_sent(struct put *p, int rc)
{
	if (rc == -EINTR)
		direct_say(p->d, "interrupted");
	else if (rc == -ENOSPC || rc == -EDQUOT)
		direct_say(p->d, "\"%s\": the drive is full", p->at->name);
	else if (rc != -ESTALE)
		direct_say(p->d, "\"%s\": %s", p->at->name, strerror(-rc));
}

/* One attempt. *out_look: the outcome is unknown; look. */
static int send_session(struct put *p, struct direct_answer *out)
{
	struct outgoing *o = calloc(1, sizeof(*o));
	struct work *work;
	int rc = o ? work_new("nmb-put", 2, &work) : -ENOMEM;

	if (rc < 0) {
		free(o);
		return rc;
	}
	o->p = p;
	o->defer = p->moved >= 1 && p->base.id[0];
	pthread_mutex_init(&o->lock, NULL);
	lock_cond_init(&o->over);
	rc = run_session(o, work);
	if (rc == 0 && o->defer && !o->has_item)
		rc = commit(o);
	work_free(work);
	if (rc < 0 && o->url)
		upload_abandon(p->d->session->graph, o->url);
	if (rc < 0)
		say_sent(p, rc);
	out->look = o->look;
	out->has_item = rc == 0 && o->has_item;
	out->item = o->item;
	pthread_cond_destroy(&o->over);
	pthread_mutex_destroy(&o->lock);
	free(o->url);
	free(o);
	return rc;
}

/* Empty content can't go through a session. */
static int send_empty(struct put *p, struct direct_answer *out)
{
	struct graph_prepared call = { .c = { .prio = HTTP_PRIO_USER,
		                              .patience_ms = 60000 } };
	struct graph *g = p->d->session->graph;
	int rc;

	if (p->base.id[0])
		rc = graph_prepare_put(g, p->base.id, p->base.etag, "", 0,
		                       &call);
	else
		rc = graph_prepare_put_new(g, p->at->parent_id, p->at->name, "",
		                           0, &call);
	return rc < 0 ? rc : direct_ask(p->d, &call, p->at->name, out);
}

/* ---- looking ------------------------------------------------------------- */

/* What has the name now, into p->base. */
static int look(struct put *p, struct item *out)
{
	int rc = direct_look(p->d, p->at, out);

	if (rc == -ENOENT) {
		memset(out, 0, sizeof(*out));
		return 0;
	}
	if (rc == 0 && out->kind != ITEM_FILE) {
		direct_say(p->d, "\"%s\" is there, and is no file",
		           p->at->name);
		rc = -EISDIR;
	}
	return rc;
}

/* Ours, by its bytes, and not what was there before. */
static bool is_ours(const struct put *p, const struct item *now)
{
	return now->id[0] && strcmp(now->etag, p->base.etag) != 0 &&
	       item_same_content(now, p->size, p->hash) == 1;
}

/* After a round without an answer to trust: 1: it is there after all; 0: send
 * again; -ESTALE: somebody else was here. */
static int look_again(struct put *p, struct item *out)
{
	struct item now;
	int rc = look(p, &now);

	if (rc < 0)
		return rc;
	if (is_ours(p, &now)) {
		*out = now;
		return 1;
	}
	if (!now.id[0] && !p->base.id[0])
		return 0;
	if (is_base(p, &now)) {
		p->moved += strcmp(now.etag, p->base.etag) != 0;
		p->base = now;
		return 0;
	}
	direct_say(p->d,
	           "\"%s\" was changed by somebody else meanwhile; nothing was "
	           "replaced, try again",
	           p->at->name);
	return -ESTALE;
}

/* ---- verifying ----------------------------------------------------------- */

static int drop_bytes(void *arg, const void *data, size_t len)
{
	struct quickxor *q = arg;

	quickxor_update(q, data, len);
	return 0;
}

/* No hash comes: the bytes themselves are asked for (facts 4). */
static int read_back(struct put *p, const struct item *it)
{
	uint8_t got[QUICKXOR_SIZE];
	struct quickxor q;
	int rc;

	quickxor_init(&q);
	rc = direct_get(p->d, it, drop_bytes, &q, NULL, NULL);
	quickxor_final(&q, got);
	if (rc < 0)
		return rc;
	return memcmp(got, p->hash, sizeof(got)) ? 0 : 1;
}

/* The item as the service has it: its bytes must be those of the file. */
static int verify(struct put *p, struct item *it)
{
	int same = item_same_content(it, p->size, p->hash), rc;
	char id[NODE_ID_MAX + 1];

	memcpy(id, it->id, sizeof(id));
	for (int i = 0; i < HASH_LOOKS && same == -ENODATA; i++) {
		if (interrupt_seen())
			return -EINTR;
		pause_ms(LOOK_HASH_MS);
		rc = direct_look_id(p->d, id, it);
		if (rc < 0)
			return rc;
		same = item_same_content(it, p->size, p->hash);
	}
	if (same == -ENODATA)
		same = read_back(p, it);
	if (same != 0)
		return same < 0 ? same : 0;
	if (file_changed(p)) {
		direct_say(p->d,
		           "the file was changed while it was sent; try again");
		return -EBUSY;
	}
	direct_say(p->d,
	           "\"%s\": the service has other bytes than were sent (id %s)",
	           p->at->name, it->id);
	return -EBADMSG;
}

/* ---- all of it ----------------------------------------------------------- */

static int send_rounds(struct put *p, struct item *out)
{
	struct direct_answer *a = calloc(1, sizeof(*a));
	int rc = a ? 0 : -ENOMEM;

	for (int i = 0; i < ROUNDS && rc == 0; i++) {
		memset(a, 0, sizeof(*a));
		rc = p->size ? send_session(p, a) : send_empty(p, a);
		if (rc == 0 && a->has_item) {
			*out = a->item;
			break;
		}
		if (rc < 0 && !a->look)
			break;
		/* A 2xx without an item is not known either (facts 5.2). */
		log_debug("put: looking again round=%d rc=%d", i, rc);
		rc = look_again(p, out);
		if (rc == 0 && i + 1 == ROUNDS) {
			direct_say(p->d,
			           "\"%s\": the service takes it, but it does "
			           "not appear; try again later",
			           p->at->name);
			rc = -EIO;
		}
	}
	free(a);
	return rc < 0 ? rc : 0;
}

int direct_put(struct direct *d, const struct direct_place *at, int fd,
               direct_progress_fn *progress, void *arg, struct item *out)
{
	struct put *p = calloc(1, sizeof(*p));
	struct interrupt signals;
	int rc = p ? 0 : -ENOMEM;

	if (rc < 0)
		return rc;
	d->why[0] = '\0';
	*p = (struct put){
		.d = d, .at = at, .fd = fd, .progress = progress, .arg = arg
	};
	interrupt_catch(&signals);
	rc = hash_file(p);
	if (rc == 0)
		rc = look(p, &p->base);
	if (rc == 0)
		rc = send_rounds(p, out);
	if (rc == 0)
		rc = verify(p, out);
	interrupt_release(&signals);
	if (rc < 0 && !d->why[0])
		say_sent(p, rc);
	free(p);
	return rc;
}
