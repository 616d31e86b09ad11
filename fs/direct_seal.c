#include "fs/direct_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "fs/interrupt.h"
#include "net/clock.h"
#include "net/log.h"

/* The file as the service gets it: bytes through the codec's writer, and the
 * name. */

#define HASH_PIECE (1u << 18)

/* ---- the file ------------------------------------------------------------ */

static int read_file(void *arg, void *buf, size_t len, uint64_t off)
{
	struct put *p = arg;

	while (len) {
		ssize_t n = pread(p->fd, buf, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ESTALE; /* shorter by now */
		buf = (char *)buf + n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int put_read(struct put *p, void *buf, size_t len, uint64_t off)
{
	int rc = p->d->codec->ops->writer_read(p->writer, read_file, p, buf,
	                                       len, off);

	if (rc == -ESTALE)
		p->changed = true;
	return rc == -ESTALE ? -EBUSY : rc;
}

int put_stat(struct put *p, mode_t mask)
{
	struct stat st;

	if (fstat(p->fd, &st) < 0)
		return -errno;
	p->size = (uint64_t)st.st_size;
	p->mtime_ns = clock_timespec_to_ns(st.st_mtim);
	p->mode = S_IFREG | (st.st_mode & 0777 & ~mask);
	p->sealed = p->d->codec->ops->sealed_size(p->d->codec, p->size);
	return 0;
}

int put_hash(struct put *p)
{
	struct quickxor q;
	char *piece = malloc(HASH_PIECE);
	int rc = piece ? 0 : -ENOMEM;

	quickxor_init(&q);
	while (rc == 0 && q.len < p->sealed) {
		size_t n = p->sealed - q.len < HASH_PIECE
		                   ? (size_t)(p->sealed - q.len)
		                   : HASH_PIECE;

		rc = interrupt_seen() ? -EINTR : put_read(p, piece, n, q.len);
		if (rc == 0)
			quickxor_update(&q, piece, n);
	}
	quickxor_final(&q, p->hash);
	free(piece);
	return rc;
}

bool put_file_changed(const struct put *p)
{
	struct stat st;

	return p->changed || fstat(p->fd, &st) < 0 ||
	       (uint64_t)st.st_size != p->size ||
	       clock_timespec_to_ns(st.st_mtim) != p->mtime_ns;
}

/* ---- sealing ------------------------------------------------------------- */

struct header {
	size_t len;
	uint8_t data[CODEC_HEADER_MAX];
};

/* direct_sink_fn */
static int add_header(void *arg, const void *data, size_t len)
{
	struct header *h = arg;

	if (len > sizeof(h->data) - h->len)
		return -EPROTO;
	memcpy(h->data + h->len, data, len);
	h->len += len;
	return 0;
}

/* What the version there is: the new one follows it. What can't be read is
 * replaced all the same, its bytes stay as a version. */
static int read_bond(struct put *p, struct codec_bond *out)
{
	const struct codec *c = p->d->codec;
	const struct item *base = &p->base.item;
	const char *why = "it is too short";
	struct codec_bond there = { 0 };
	struct header h = { 0 };
	int rc = -EBADMSG;

	memset(out, 0, sizeof(*out));
	if (!base->id[0] || !c->ops->header_size)
		return 0;
	direct_known_bond(p->d, base->id, out);
	if (base->size >= c->ops->header_size) {
		rc = direct_download(p->d, &p->base, 0, c->ops->header_size,
		                     add_header, &h);
		if (rc < 0)
			return rc;
		rc = c->ops->read_header(c, h.data, h.len, &there, &why);
	}
	if (rc == -EBADMSG)
		log_warn("\"%s\" id=%s header: %s; it is replaced", p->at->name,
		         base->id, why);
	/* One that is older than the version known here does not count. */
	else if (rc == 0 &&
	         (!out->known ||
	          (there.version > out->version &&
	           !memcmp(there.file_id, out->file_id, CODEC_FILE_ID))))
		*out = there;
	return rc == -EBADMSG ? 0 : rc;
}

int put_seal(struct put *p)
{
	const struct codec *c = p->d->codec;
	struct codec_seed *seed;
	struct codec_bond base;
	int rc = read_bond(p, &base);

	if (rc < 0)
		return rc;
	seed = sodium_malloc(sizeof(*seed));
	if (!seed)
		return -ENOMEM;
	memset(seed, 0, sizeof(*seed));
	rc = c->ops->writer_new(c, p->size, true, &base, p->at->path, seed,
	                        &p->writer);
	sodium_free(seed);
	return rc;
}

/* ---- the name ------------------------------------------------------------ */

int put_name(struct put *p)
{
	const struct codec *c = p->d->codec;
	struct node n = p->base.node;
	const char *why;
	int rc;

	if (!p->base.item.id[0]) {
		memset(&n, 0, sizeof(n));
		memcpy(n.name, p->at->name, sizeof(n.name));
		n.uid = getuid();
		n.gid = getgid();
	}
	n.mode = p->mode;
	n.mtime = p->mtime_ns;
	rc = c->ops->seal_name(c, &n, NULL, p->name, &why);
	if (rc < 0)
		direct_say(p->d, "\"%s\": %s", p->at->name, why);
	return rc;
}
