#include "fs/remote_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/cfile.h"
#include "fs/content.h"
#include "fs/db.h"
#include "fs/held.h"
#include "fs/naming.h"
#include "fs/plan.h"
#include "fs/store.h"
#include "fs/tree.h"
#include "net/clock.h"
#include "net/crashpoint.h"
#include "net/log.h"

#define PATH_BYTES 4096
#define MAX_TRIES  8 /* a program changes the node meanwhile */

struct undo {
	struct remote *r;
	struct contents *cs;
	const char *dir;
	struct node n, shown, at;
	char path[PATH_BYTES];
	bool whole, kept;
};

static bool is_overwritten(const struct node *n)
{
	return node_is_file(n) && n->gen != n->s_gen;
}

/* ---- what was written here ----------------------------------------------- */

/* Before the rows forget it. */
static int keep_content(struct undo *u)
{
	char path[PATH_BYTES + 16];
	int rc;

	snprintf(path, sizeof(path), "%s%s", u->path,
	         u->whole ? "" : " (incomplete)");
	rc = content_keep_aside(u->cs, u->n.cid, u->dir, path);
	if (rc == 0)
		rc = contents_flush(u->cs);
	if (rc < 0)
		return rc;
	CRASH_POINT("undo-kept");
	u->kept = true;
	log_info("undo ino=%" PRIu64 " kept=\"quarantine/%s%s\"", u->n.ino,
	         u->dir, path);
	return 0;
}

static int look(struct undo *u, uint64_t ino)
{
	struct cfile row;
	struct db *db;
	int rc = store_reader(u->r->store, &db);

	if (rc < 0)
		return rc;
	rc = node_get(db, ino, &u->n);
	if (rc == 0)
		rc = held_path(db, ino, u->path, sizeof(u->path));
	u->whole = true;
	if (rc == 0 && u->n.cid && cfile_get(db, u->n.cid, &row) == 0)
		u->whole = row.flags & CFILE_WHOLE || !row.base_id[0];
	store_reader_done(u->r->store, db);
	return rc;
}

/* ---- rows ---------------------------------------------------------------- */

/* What its name on the server says. */
static void read_name(struct undo *u)
{
	const struct codec *codec = u->r->gather.codec;
	char target[4096];

	u->shown = u->n;
	u->shown.mtime = u->n.s_mtime;
	if (plan_is_aside_name(u->n.s_name) || u->n.flags & NODE_ALIAS)
		return;
	if (codec->ops->open_name(codec, u->n.s_name, &u->shown, target) < 0)
		memcpy(u->shown.name, u->n.name, sizeof(u->shown.name));
}

static void take_attributes(struct undo *u)
{
	struct node *n = &u->n;

	if (u->r->gather.codec->ops->keeps_attributes) {
		n->mode = (n->mode & S_IFMT) | (u->shown.mode & 07777);
		n->uid = u->shown.uid;
		n->gid = u->shown.gid;
	}
	if (node_is_file(n) && plan_times_differ(&u->shown))
		n->mtime = u->shown.mtime;
	else if (node_is_file(n) && is_overwritten(n))
		n->mtime = u->shown.mtime;
}

static void take_content(struct undo *u, struct tree_edit *e)
{
	struct node *n = &u->n;

	if (!is_overwritten(n))
		return;
	remote_drop_content(e, n);
	n->flags &= ~(uint32_t)NODE_FRESH;
	tree_edit_version(e, n->ino);
}

/* Who stands there and is new makes room. */
static int take_place(struct undo *u, struct tree_edit *e, struct db *db)
{
	struct remote *r = u->r;
	struct node *n = &u->n;
	char name[NODE_NAME_MAX + 1];
	int rc = remote_relink_above(r, e, db, n->s_parent);

	if (rc < 0 ||
	    (n->parent == n->s_parent && !strcmp(n->name, u->shown.name)))
		return rc;
	rc = node_get_child(db, n->s_parent, u->shown.name, &u->at);
	if (rc == 0 && !node_on_server(&u->at))
		rc = remote_place_aside(r, e, db, &u->at);
	if (rc == 0 || rc == -ENOENT)
		rc = remote_place(r, e, db, n, n->s_parent, u->shown.name);
	if (rc != -EEXIST)
		return rc;
	rc = remote_conflict_name(r, db, n->s_parent, u->shown.name, name);
	return rc < 0 ? rc : remote_place(r, e, db, n, n->s_parent, name);
}

static int edit(struct undo *u, struct tree_edit *e, struct db *db)
{
	struct node *n = &u->n, *now = &u->at;
	struct tree_use use;
	int rc = node_get(db, n->ino, now);

	if (rc < 0)
		return rc;
	if (!node_same(now, n))
		return -EAGAIN;
	tree_edit_get_use(e, n->ino, &use);
	if (use.writers)
		return -EBUSY;
	read_name(u);
	take_attributes(u);
	take_content(u, e);
	n->flags |= NODE_DIRTY;
	n->ctime = clock_real_ns();
	n->replaced_by = 0;
	rc = node_update(db, n);
	if (rc == 0)
		rc = take_place(u, e, db);
	if (rc == 0)
		tree_edit_dirty(e, n->ino);
	return rc;
}

static int try_undo(struct undo *u, uint64_t ino)
{
	struct tree_use use;
	struct tree_edit *e;
	struct db *db;
	int rc = look(u, ino);

	if (rc < 0 || !held_is(&u->n))
		return rc == -ENOENT ? 0 : rc;
	tree_get_use(u->r->tree, ino, &use);
	if (use.writers)
		return -EBUSY;
	if (is_overwritten(&u->n) && u->n.cid)
		rc = keep_content(u);
	if (rc == 0)
		rc = tree_edit_begin(u->r->tree, &e, &db);
	if (rc == 0)
		rc = remote_told(u->r, tree_edit_end(e, edit(u, e, db)));
	CRASH_POINT("undo-noted");
	return rc;
}

int remote_undo(struct remote *r, uint64_t ino, struct contents *cs,
                const char *dir, bool *out_kept)
{
	struct undo *u = calloc(1, sizeof(*u));
	int rc = -EAGAIN;

	if (!u)
		return -ENOMEM;
	u->r = r;
	u->cs = cs;
	u->dir = dir;
	for (int i = 0; i < MAX_TRIES && rc == -EAGAIN; i++)
		rc = try_undo(u, ino);
	if (rc == 0)
		*out_kept = u->kept;
	free(u);
	return rc == -EAGAIN ? -EBUSY : rc;
}
