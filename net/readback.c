#include "net/readback.h"

#include <errno.h>
#include <stdlib.h>

#include "net/download.h"
#include "net/quickxor.h"

struct readback {
	struct download *download;
	struct download_range *range;
	struct quickxor hash;
	readback_done_fn *done;
	void *arg;
};

static int take(void *arg, uint64_t off, const void *data, size_t len)
{
	struct readback *r = arg;

	if (off != r->hash.len)
		return -EPROTO;
	quickxor_update(&r->hash, data, len);
	return 0;
}

static void ended(void *arg, int rc)
{
	struct readback *r = arg;
	uint8_t hash[QUICKXOR_SIZE];

	quickxor_final(&r->hash, hash);
	r->done(r->arg, rc, hash);
	download_free(r->download);
	free(r);
}

int readback_start(struct graph *g, const struct readback_what *what,
                   readback_done_fn *done, void *arg, struct readback **out_r)
{
	struct readback *r = calloc(1, sizeof(*r));
	int rc;

	if (!r)
		return -ENOMEM;
	r->done = done;
	r->arg = arg;
	quickxor_init(&r->hash);
	rc = download_new(g, what->item_id, what->etag, what->size, NULL,
	                  what->version_id, &r->download);
	if (rc < 0)
		goto err_free;
	*out_r = r;
	rc = download_start(r->download, 0, what->size, HTTP_PRIO_BULK, -1,
	                    take, ended, r, &r->range);
	if (rc < 0)
		goto err_download;
	return 0;

err_download:
	download_free(r->download);
err_free:
	free(r);
	return rc;
}

void readback_cancel(struct readback *r)
{
	download_cancel(r->range);
}
