#include "fs/direct_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fs/interrupt.h"
#include "net/clock.h"
#include "net/log.h"
#include "net/quickxor.h"

/* One file: look what has the name, send, verify. Where the outcome is unknown
 * or the tag was old: look again, and go on only if that shows what we knew
 * (promise 3). A tag that moves by itself a second time (opening a session can
 * do that, facts 5.3) is met with a deferred commit. */

#define ROUNDS       4
#define LOOK_HASH_MS 3000 /* a hash that comes late, facts 4 */
#define HASH_LOOKS   6
#define HASH_PIECE   (1u << 18)

static void pause_ms(int64_t ms)
{
	struct timespec ts = { .tv_sec = ms / 1000,
		               .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&ts, NULL);
}

/* ---- the file ------------------------------------------------------------ */

int put_read(const struct put *p, void *buf, size_t len, uint64_t off)
{
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

		rc = interrupt_seen() ? -EINTR : put_read(p, piece, n, q.len);
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

void put_say(struct put *p, int rc)
{
	if (rc == -EINTR)
		direct_say(p->d, "interrupted");
	else if (rc == -ENOSPC || rc == -EDQUOT)
		direct_say(p->d, "\"%s\": the drive is full", p->at->name);
	else if (rc != -ESTALE)
		direct_say(p->d, "\"%s\": %s", p->at->name, strerror(-rc));
}

/* ---- looking ------------------------------------------------------------- */

bool put_is_base(const struct put *p, const struct item *now)
{
	if (!p->base.id[0] || strcmp(now->id, p->base.id) != 0)
		return false;
	if (!strcmp(now->etag, p->base.etag))
		return true;
	/* Without a hash nobody knows whether it is the same content. */
	return now->size == p->base.size && now->has_hash == p->base.has_hash &&
	       (now->has_hash || !now->size) &&
	       !memcmp(now->hash, p->base.hash, sizeof(now->hash));
}

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
	if (put_is_base(p, &now)) {
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
		rc = put_send(p, a);
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
		put_say(p, rc);
	free(p);
	return rc;
}
