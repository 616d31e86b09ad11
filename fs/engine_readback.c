#include "fs/engine_internal.h"

#include <inttypes.h>
#include <string.h>

#include "fs/lock.h"
#include "net/log.h"
#include "net/readback.h"

/* The service never said the hash of what it holds: what is there is read, and
 * the item's hash is known by that (facts/graph.md 4). */

/* On the network thread. */
static void was_read(void *arg, int rc, const uint8_t hash[GRAPH_HASH_SIZE])
{
	struct job *j = arg;
	struct engine *e = j->e;

	if (rc == 0) {
		memcpy(j->item.hash, hash, sizeof(j->item.hash));
		j->item.has_hash = true;
	}
	lock_take(&e->lock, LOCK_LEAF);
	j->readback = NULL;
	lock_drop(&e->lock, LOCK_LEAF);
	j->rc = rc;
	job_post(j);
}

void engine_read_back(struct engine *e, struct job *j, job_fn *next)
{
	struct readback_what what = { .item_id = j->item.id,
		                      .etag = j->item.etag,
		                      .size = j->item.size };
	int rc;

	log_info("ino=%" PRIu64 " id=%s bytes=%" PRIu64
	         " has no hash, it is read back",
	         j->ino, j->item.id, j->item.size);
	j->next = next;
	lock_take(&e->lock, LOCK_LEAF);
	rc = readback_start(e->opt.graph, &what, was_read, j, &j->readback);
	if (rc < 0)
		j->readback = NULL;
	lock_drop(&e->lock, LOCK_LEAF);
	if (rc < 0) {
		j->rc = rc;
		job_post(j);
	}
}

void engine_cancel_readbacks(struct engine *e)
{
	lock_take(&e->lock, LOCK_LEAF);
	for (struct job *j = e->all; j; j = j->sibling) {
		if (j->readback)
			readback_cancel(j->readback);
	}
	lock_drop(&e->lock, LOCK_LEAF);
}
