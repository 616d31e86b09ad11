#include "fs/ops_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "fs/engine.h"
#include "fs/node.h"
#include "fs/store.h"

/* What the mount knows of a node, for people and scripts:
 *
 *	user.nmbackupfs.state   synced, pending, uploading, blocked, or cloud
 *	                        (synced, and its bytes are not on this machine)
 *	user.nmbackupfs.id      the item's id on the service
 *	user.nmbackupfs.hash    quickXorHash of what the service has, base64
 *	user.nmbackupfs.error   why it is blocked
 *
 * Read-only, and only for who asks by name; other names don't exist. Those that
 * are not for users (ACLs, labels) are not supported, which `ls -l` asks once,
 * and not for each file. */

#define VALUE_MAX 512

typedef int attr_fn(struct nmb *nmb, const struct node *n, char *out);

static int get_error(struct nmb *nmb, const struct node *n, char *out)
{
	struct db *db;
	int why, rc = store_reader(nmb->store, &db);

	if (rc < 0)
		return rc;
	rc = node_get_blocked(db, n->ino, &why, out, VALUE_MAX);
	store_reader_done(nmb->store, db);
	return rc == -ENOENT ? -ENODATA : rc;
}

struct wanted {
	uint64_t ino;
	bool found;
};

static int is_it(void *arg, uint64_t ino, uint64_t sent, uint64_t total)
{
	struct wanted *w = arg;

	(void)sent;
	(void)total;
	w->found |= ino == w->ino;
	return w->found;
}

static bool is_uploading(struct nmb *nmb, uint64_t ino)
{
	struct wanted w = { .ino = ino };

	engine_each_upload(nmb->engine, is_it, &w);
	return w.found;
}

static int get_state(struct nmb *nmb, const struct node *n, char *out)
{
	char why[VALUE_MAX];
	const char *state;

	if (get_error(nmb, n, why) == 0)
		state = "blocked";
	else if (is_uploading(nmb, n->ino))
		state = "uploading";
	else if (n->flags & NODE_DIRTY)
		state = "pending";
	else if (node_is_file(n) && !n->cid && n->s_gen && n->s_len)
		state = "cloud";
	else
		state = "synced";
	strcpy(out, state);
	return 0;
}

static int get_id(struct nmb *nmb, const struct node *n, char *out)
{
	(void)nmb;
	strcpy(out, n->s_id);
	return n->s_id[0] ? 0 : -ENODATA;
}

static int get_hash(struct nmb *nmb, const struct node *n, char *out)
{
	(void)nmb;
	if (!(n->flags & NODE_HASHED) || !n->s_id[0])
		return -ENODATA;
	sodium_bin2base64(out, VALUE_MAX, n->s_hash, sizeof(n->s_hash),
	                  sodium_base64_VARIANT_ORIGINAL);
	return 0;
}

#define PREFIX "user.nmbackupfs."
static const struct attr {
	const char *name;
	attr_fn *get;
} attrs[] = {
	{ PREFIX "state", get_state },
	{ PREFIX "id", get_id },
	{ PREFIX "hash", get_hash },
	{ PREFIX "error", get_error },
};
#define NATTRS (sizeof(attrs) / sizeof(attrs[0]))

/* As getxattr(2) and listxattr(2): size 0 asks for the size. */
static void reply_value(fuse_req_t req, const char *data, size_t len,
                        size_t size)
{
	if (!size)
		fuse_reply_xattr(req, len);
	else if (len > size)
		reply_error(req, -ERANGE);
	else
		fuse_reply_buf(req, data, len);
}

/* Valid replies: buf, data, xattr, err. The kernel asks for
 * security.capability at every write: what isn't ours is answered first. */
void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct nmb *nmb = fuse_req_userdata(req);
	char value[VALUE_MAX] = "";
	const struct attr *a = NULL;
	struct node n;
	int rc;

	for (size_t i = 0; i < NATTRS && !a; i++) {
		if (!strcmp(name, attrs[i].name))
			a = &attrs[i];
	}
	if (a)
		rc = tree_get_node(nmb->tree, ino, &n);
	else
		rc = strncmp(name, "user.", 5) ? -EOPNOTSUPP : -ENODATA;
	if (rc == 0)
		rc = a->get(nmb, &n, value);
	if (rc < 0)
		reply_error(req, rc);
	else
		reply_value(req, value, strlen(value), size);
}

/* None is listed: what copies attributes along (rsync -X, cp -a) would take
 * them for the file's own, and fail where it may not set or remove them.
 * Valid replies: buf, data, xattr, err. */
void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	(void)ino;
	reply_value(req, "", 0, size);
}
