#include "fs/item.h"

#include <errno.h>
#include <string.h>

#include "net/graph.h"

static int copy_text(char *out, size_t size, const char *text)
{
	size_t len = text ? strlen(text) : 0;

	if (len >= size)
		return -EBADMSG;
	memset(out, 0, size);
	if (len)
		memcpy(out, text, len);
	return 0;
}

int item_copy(const struct graph_item *g, struct item *out)
{
	struct item r = { .deleted = g->deleted,
		          .malware = g->malware,
		          .root = g->root,
		          .has_hash = g->has_hash,
		          .size = g->size < 0 ? 0 : (uint64_t)g->size,
		          .mtime = g->mtime_ns,
		          .created = g->created_ns,
		          .children = g->child_count };
	int rc = copy_text(r.id, sizeof(r.id), g->id);

	r.kind = g->kind == GRAPH_FILE     ? ITEM_FILE
	         : g->kind == GRAPH_FOLDER ? ITEM_FOLDER
	                                   : ITEM_OTHER;
	if (rc == 0)
		rc = copy_text(r.parent_id, sizeof(r.parent_id), g->parent_id);
	if (rc == 0)
		rc = copy_text(r.name, sizeof(r.name), g->name);
	if (rc == 0)
		rc = copy_text(r.etag, sizeof(r.etag), g->etag);
	if (rc < 0)
		return rc;
	memcpy(r.hash, g->hash, sizeof(r.hash));
	if (!r.deleted && !r.root &&
	    (!r.name[0] || (r.kind == ITEM_FILE && g->size < 0)))
		return -EBADMSG;
	*out = r;
	return 0;
}

int item_same_content(const struct item *r, uint64_t size, const uint8_t *hash)
{
	if (r->size != size)
		return 0;
	if (!size)
		return 1;
	if (!r->has_hash || !hash)
		return -ENODATA;
	return !memcmp(r->hash, hash, NODE_HASH_SIZE);
}
