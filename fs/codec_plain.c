#include "fs/codec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "fs/cfile.h"
#include "net/names.h"

/* Folders hold ordinary files: bytes go as they are, names by OneDrive's
 * mapping. Chunks carry no tag of their own; what arrives is guarded by TLS,
 * its length and, once whole, its quickXorHash. */

#define SMALL_MAX (UINT64_C(4) << 20)

struct codec_reader {
	uint64_t size;
};

struct codec_writer {
	uint64_t size;
};

static bool is_business(const struct codec *c)
{
	return c->state != NULL;
}

static uint64_t same_size(const struct codec *c, uint64_t plain)
{
	(void)c;
	return plain;
}

static int plain_size(const struct codec *c, uint64_t sealed,
                      uint64_t *out_plain)
{
	(void)c;
	*out_plain = sealed;
	return 0;
}

static int seal_name(const struct codec *c, const struct node *n,
                     const char *target, char *out, const char **out_why)
{
	int rc = names_to_remote(n->name, out, NODE_REMOTE_MAX + 1);

	(void)target; /* links stay here */
	if (rc < 0) {
		*out_why = "the name is too long for OneDrive";
		return rc;
	}
	return names_check(out, is_business(c), node_is_dir(n), out_why);
}

static int name_units(const struct codec *c, const struct node *n,
                      const char *target, unsigned *out_units)
{
	char remote[NODE_REMOTE_MAX + 1];
	const char *why;
	int rc = seal_name(c, n, target, remote, &why);

	if (rc == 0)
		*out_units = (unsigned)names_utf16_len(remote);
	return rc;
}

static int open_name(const struct codec *c, const char *remote, struct node *n,
                     char *target)
{
	(void)c;
	target[0] = '\0';
	return names_from_remote(remote, n->name, sizeof(n->name));
}

static char *fold(const struct codec *c, const char *plain, int *out_rc)
{
	char remote[NODE_REMOTE_MAX + 1], *key;

	(void)c;
	/* What the service compares is what it holds. */
	*out_rc = names_to_remote(plain, remote, sizeof(remote));
	if (*out_rc < 0)
		return NULL;
	key = names_fold(remote);
	*out_rc = key ? 0 : -ENOMEM;
	return key;
}

/* ---- reading ------------------------------------------------------------- */

static int reader_new(const struct codec *c, uint64_t sealed,
                      const struct codec_bond *known,
                      struct codec_reader **out_r)
{
	struct codec_reader *r = malloc(sizeof(*r));

	(void)c;
	(void)known;
	if (!r)
		return -ENOMEM;
	r->size = sealed;
	*out_r = r;
	return 0;
}

static void reader_free(struct codec_reader *r)
{
	free(r);
}

static int reader_needs(struct codec_reader *r, unsigned i, uint64_t *out_off,
                        uint64_t *out_len)
{
	(void)r;
	(void)i;
	*out_off = *out_len = 0;
	return 0;
}

static int reader_feed(struct codec_reader *r, uint64_t off, const void *data,
                       size_t len, const char **out_why)
{
	(void)r;
	(void)off;
	(void)data;
	(void)len;
	*out_why = "a plain file needs nothing";
	return -EINVAL;
}

static int reader_take(struct codec_reader *r, uint64_t *out_idx,
                       const void **out_plain, size_t *out_len)
{
	(void)r;
	(void)out_idx;
	(void)out_plain;
	(void)out_len;
	return 0;
}

static void reader_bond(struct codec_reader *r, struct codec_bond *out)
{
	(void)r;
	*out = (struct codec_bond){ 0 };
}

static void reader_range(struct codec_reader *r, uint64_t idx,
                         uint64_t *out_off, uint64_t *out_len)
{
	uint64_t off = idx * CHUNK_SIZE;
	uint64_t left = off < r->size ? r->size - off : 0;

	*out_off = off;
	*out_len = left < CHUNK_SIZE ? left : CHUNK_SIZE;
}

static ssize_t reader_open(struct codec_reader *r, uint64_t idx,
                           const void *sealed, size_t len, void *out)
{
	uint64_t off, want;

	reader_range(r, idx, &off, &want);
	if (len != want)
		return -EBADMSG;
	memcpy(out, sealed, len);
	return (ssize_t)len;
}

static uint64_t reader_size(struct codec_reader *r)
{
	return r->size;
}

/* ---- writing ------------------------------------------------------------- */

static int writer_new(const struct codec *c, uint64_t plain, bool fresh,
                      const struct codec_bond *base, const char *path,
                      struct codec_seed *seed, struct codec_writer **out_w)
{
	struct codec_writer *w = malloc(sizeof(*w));

	(void)c;
	(void)base;
	(void)path;
	if (!w)
		return -ENOMEM;
	if (fresh)
		memset(seed, 0, sizeof(*seed));
	w->size = plain;
	*out_w = w;
	return 0;
}

static void writer_free(struct codec_writer *w)
{
	free(w);
}

static int writer_read(struct codec_writer *w, codec_source_fn *source,
                       void *arg, void *buf, size_t len, uint64_t off)
{
	if (off > w->size || len > w->size - off)
		return -EINVAL;
	return source(arg, buf, len, off);
}

static const struct codec_ops plain_ops = {
	.name = "plain",
	.times_in_item = true,
	.folds_names = true,
	.small_max = SMALL_MAX,
	.sealed_size = same_size,
	.plain_size = plain_size,
	.seal_name = seal_name,
	.name_units = name_units,
	.open_name = open_name,
	.fold = fold,
	.reader_new = reader_new,
	.reader_free = reader_free,
	.reader_needs = reader_needs,
	.reader_feed = reader_feed,
	.reader_take = reader_take,
	.reader_range = reader_range,
	.reader_open = reader_open,
	.reader_size = reader_size,
	.reader_bond = reader_bond,
	.writer_new = writer_new,
	.writer_free = writer_free,
	.writer_read = writer_read,
};

int codec_plain_new(bool business, struct codec **out_c)
{
	static char yes; /* its address says "business" */
	struct codec *c = malloc(sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->ops = &plain_ops;
	c->state = business ? &yes : NULL;
	*out_c = c;
	return 0;
}

void codec_free(struct codec *c)
{
	if (c && c->ops->done)
		c->ops->done(c);
	free(c);
}

void codec_seed_done(struct codec_seed *seed)
{
	sodium_memzero(seed, sizeof(*seed));
}
