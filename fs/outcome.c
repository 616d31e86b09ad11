#include "fs/outcome_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/bond.h"
#include "fs/cfile.h"
#include "fs/content.h"
#include "fs/db.h"
#include "fs/errand.h"
#include "fs/ledger.h"
#include "fs/naming.h"
#include "fs/remote.h"
#include "fs/store.h"
#include "fs/told.h"
#include "fs/tree.h"
#include "net/clock.h"
#include "net/log.h"

/* A node row on the heap within an edit. */
struct edit {
	struct tree_edit *e;
	struct db *db;
	struct node *n;
};

static int begin(const struct outcome *o, uint64_t ino, struct edit *x)
{
	int rc;

	x->n = malloc(sizeof(*x->n));
	if (!x->n)
		return -ENOMEM;
	rc = tree_edit_begin(o->tree, &x->e, &x->db);
	if (rc < 0) {
		free(x->n);
		return rc;
	}
	rc = node_get(x->db, ino, x->n);
	if (rc < 0) {
		tree_edit_end(x->e, rc);
		free(x->n);
	}
	return rc;
}

static int end(struct edit *x, int rc)
{
	rc = tree_edit_end(x->e, rc);
	free(x->n);
	return rc;
}

int outcome_clean(const struct outcome *o, struct plan_view *v)
{
	uint64_t ino = v->n.ino;
	struct edit x;
	bool same;
	int rc = begin(o, ino, &x);

	if (rc < 0)
		return rc == -ENOENT ? 1 : rc;
	same = node_same(x.n, &v->n);
	if (same)
		rc = node_set_flags(x.db, ino, 0,
		                    NODE_DIRTY | NODE_ASIDE | NODE_APPROVED);
	if (rc == 0 && same)
		rc = node_set_blocked(x.db, ino, 0, NULL);
	rc = end(&x, rc);
	return rc < 0 ? rc : same;
}

int outcome_forget(const struct outcome *o, uint64_t ino)
{
	struct tree_use use;
	struct edit x;
	int rc = begin(o, ino, &x);

	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	tree_edit_get_use(x.e, ino, &use);
	if (x.n->parent || node_on_server(x.n) || use.readers || use.writers)
		return end(&x, -EBUSY);
	tree_edit_version(x.e, ino); /* the kernel may still hold it */
	rc = node_delete(x.db, ino);
	if (rc == 0 && x.n->cid)
		tree_edit_drop(x.e, x.n->cid);
	return end(&x, rc);
}

uint64_t outcome_folder_of(struct db *db, const struct item *it,
                           uint64_t parent)
{
	struct node *p = malloc(sizeof(*p));

	if (p && it->parent_id[0] && node_get_by_id(db, it->parent_id, p) == 0)
		parent = p->ino;
	free(p);
	return parent;
}

int outcome_note_ledger(struct db *db, enum ledger_what what,
                        const struct node *n, const struct item *it,
                        const struct attempt *a)
{
	struct ledger_entry *e = calloc(1, sizeof(*e));
	int rc;

	if (!e)
		return -ENOMEM;
	e->what = what;
	e->time = clock_real_ns();
	memcpy(e->id, it->id, sizeof(e->id));
	memcpy(e->etag, it->etag, sizeof(e->etag));
	e->size = it->size;
	e->plain_size = n->s_len;
	e->has_hash = it->has_hash;
	memcpy(e->hash, it->hash, sizeof(e->hash));
	memcpy(e->parent_id, it->parent_id, sizeof(e->parent_id));
	e->mode = n->mode;
	e->mtime = n->mtime;
	if (S_ISLNK(n->mode))
		node_get_target(db, n->ino, e->target, sizeof(e->target));
	if (a && a->has_plain_hash) {
		e->has_plain_hash = true;
		memcpy(e->plain_hash, a->plain_hash, sizeof(e->plain_hash));
	}
	rc = node_path(db, n->ino, e->path, sizeof(e->path));
	if (rc == -ENAMETOOLONG || rc == -ELOOP) {
		e->path[0] = '\0'; /* as it was called before */
		rc = 0;
	}
	if (rc == 0)
		rc = ledger_add(db, e);
	free(e);
	return rc;
}

void outcome_note_alias(const struct outcome *o, struct db *db, struct node *n,
                        const char *sent)
{
	char want[NODE_REMOTE_MAX + 1];
	const char *why;

	if (!strcmp(sent, n->s_name) || n->s_parent != n->parent)
		return;
	if (naming_seal(o->gather.codec, db, n, want, &why) < 0)
		return;
	if (!strcmp(want, sent)) {
		log_warn("name ino=%" PRIu64 " sent=\"%s\" stored=\"%s\"",
		         n->ino, sent, n->s_name);
		n->flags |= NODE_ALIAS;
	}
}

int outcome_made(const struct outcome *o, uint64_t ino, uint64_t parent,
                 const struct item *it)
{
	struct edit x;
	int rc = begin(o, ino, &x);

	if (rc < 0)
		return rc;
	remote_set_synced(&o->gather, x.n, it,
	                  outcome_folder_of(x.db, it, parent));
	x.n->flags |= NODE_DIRTY;
	if (it->children) /* somebody was quick */
		x.n->flags |= NODE_UNLISTED;
	rc = node_update(x.db, x.n);
	if (rc == 0)
		rc = outcome_note_ledger(x.db, LEDGER_CREATED, x.n, it, NULL);
	if (rc == 0)
		rc = errand_delete(x.db, ino);
	told_note(o->told, it->id);
	return end(&x, rc);
}

/* ---- places -------------------------------------------------------------- */

int outcome_moved(const struct outcome *o, uint64_t ino, uint64_t parent,
                  const char *sent, const struct item *it, bool aside)
{
	uint64_t s_gen;
	struct edit x;
	int rc = begin(o, ino, &x);

	if (rc < 0)
		return rc;
	s_gen = x.n->s_gen;
	if (node_is_file(x.n) &&
	    !item_same_content(it, x.n->s_size,
	                       x.n->flags & NODE_HASHED ? x.n->s_hash : NULL)) {
		/* It got another content meanwhile, and the tag did not tell:
		 * leave the content's columns to the merger. */
		struct node before = *x.n;

		remote_set_synced(&o->gather, x.n, it,
		                  outcome_folder_of(x.db, it, parent));
		x.n->s_size = before.s_size;
		x.n->s_len = before.s_len;
		memcpy(x.n->s_hash, before.s_hash, sizeof(before.s_hash));
		x.n->s_etag[0] = '\0';
	} else {
		remote_set_synced(&o->gather, x.n, it,
		                  outcome_folder_of(x.db, it, parent));
	}
	x.n->s_gen = s_gen;
	x.n->flags |= NODE_DIRTY;
	if (aside)
		x.n->flags |= NODE_ASIDE;
	else
		x.n->flags &= ~(uint32_t)NODE_ASIDE;
	if (!aside)
		outcome_note_alias(o, x.db, x.n, sent);
	rc = node_update(x.db, x.n);
	if (rc == 0)
		rc = outcome_note_ledger(x.db, LEDGER_MOVED, x.n, it, NULL);
	if (rc == 0)
		rc = errand_delete(x.db, ino);
	told_note(o->told, it->id);
	return end(&x, rc);
}

/* Everything that lay in it there went with it. */
static int deleted_below(struct db *db, uint64_t ino)
{
	return db_run(
		db,
		"UPDATE node SET s_id=NULL,s_gen=0,flags=flags|1 WHERE ino IN"
		" (WITH RECURSIVE gone(ino) AS (SELECT ?1 UNION SELECT node.ino"
		" FROM node JOIN gone ON node.s_parent=gone.ino WHERE"
		" node.s_id IS NOT NULL) SELECT ino FROM gone)",
		DB_ARGS(DB_INT(ino)));
}

static int each_below(struct db *db, uint64_t ino, struct node_inos *f)
{
	int rc = node_each_synced_child(db, ino, node_add_ino, f);

	for (size_t i = 0; i < f->n && rc == 0; i++) {
		/* The list grows while it is walked: breadth first. */
		rc = node_each_synced_child(db, f->ino[i], node_add_ino, f);
	}
	return rc;
}

int outcome_deleted(const struct outcome *o, uint64_t ino)
{
	struct node_inos f = { 0 };
	struct edit x;
	int rc = begin(o, ino, &x);

	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	told_note(o->told, x.n->s_id);
	if (node_is_dir(x.n))
		rc = each_below(x.db, ino, &f);
	if (rc == 0)
		rc = ledger_add_deleted(x.db, ino, clock_real_ns());
	if (rc == 0 && x.n->parent) {
		free(f.ino);
		rc = end(&x, 0);
		return rc < 0 ? rc : 1;
	}
	if (rc == 0)
		rc = deleted_below(x.db, ino);
	for (size_t i = 0; i < f.n && rc == 0; i++)
		tree_edit_dirty(x.e, f.ino[i]);
	free(f.ino);
	return end(&x, rc);
}

int outcome_adopted(const struct outcome *o, uint64_t ino, uint64_t from)
{
	struct node *t = malloc(sizeof(*t));
	struct edit x;
	int rc;

	if (!t)
		return -ENOMEM;
	rc = begin(o, ino, &x);
	if (rc < 0) {
		free(t);
		return rc;
	}
	rc = node_get(x.db, from, t);
	if (rc == 0 && (t->parent || !node_on_server(t) || node_on_server(x.n)))
		rc = -EBUSY;
	if (rc == 0) {
		struct node *n = x.n;

		memcpy(n->s_id, t->s_id, sizeof(n->s_id));
		memcpy(n->s_name, t->s_name, sizeof(n->s_name));
		memcpy(n->s_etag, t->s_etag, sizeof(n->s_etag));
		memcpy(n->s_hash, t->s_hash, sizeof(n->s_hash));
		n->s_parent = t->s_parent;
		n->s_size = t->s_size;
		n->s_len = t->s_len;
		n->s_mtime = t->s_mtime;
		n->s_created = t->s_created;
		n->s_gen = 0; /* holds nothing of this node yet */
		n->flags |=
			NODE_DIRTY | (t->flags & (NODE_HASHED | NODE_APPROVED));
		remote_clear_synced(t);
		t->flags |= NODE_DIRTY;
		rc = node_update(x.db, t); /* first: ids are unique */
		if (rc == 0)
			rc = node_update(x.db, n);
		if (rc == 0)
			rc = errand_hand_over(x.db, from, ino);
		tree_edit_dirty(x.e, from);
	}
	free(t);
	return end(&x, rc);
}

/* ---- blocked ------------------------------------------------------------- */

int outcome_blocked(const struct outcome *o, uint64_t ino, int rc,
                    const char *why)
{
	struct db *db;
	int ret = store_begin(o->store, &db);

	if (ret < 0)
		return ret;
	ret = node_set_blocked(db, ino, rc, why);
	return store_end(o->store, ret);
}

int outcome_unblocked(const struct outcome *o, uint64_t ino)
{
	return outcome_blocked(o, ino, 0, NULL);
}
