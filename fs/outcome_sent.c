#include "fs/outcome_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/bond.h"
#include "fs/cfile.h"
#include "fs/content.h"
#include "fs/db.h"
#include "fs/remote.h"
#include "fs/store.h"
#include "fs/told.h"
#include "fs/tree.h"

struct sent {
	const struct outcome *o;
	const struct attempt *a;
	const struct item *it;
	bool verified;
	struct tree_edit *edit; /* NULL: in a content's own transaction */
};

/* What the node shows is not its own, but what the server had before: after a
 * power cut that took what was sent, say. */
static int shows_theirs(const struct attempt *a, struct db *db,
                        const struct node *n)
{
	struct cfile row;
	int rc;

	if (!node_is_file(n) || !n->cid || n->cid == a->cid)
		return node_is_file(n) && !n->cid;
	rc = cfile_get(db, n->cid, &row);
	return rc < 0 ? rc : (row.flags & CFILE_CLEAN) != 0;
}

/* Then what is there now is what it has, and the kernel must not read the one
 * in the other's size. Who is about to write has seen the other. */
static int take_theirs(const struct sent *s, struct db *db, struct node *n)
{
	struct tree_use use = { 0 };
	int rc = shows_theirs(s->a, db, n);

	if (s->edit)
		tree_edit_get_use(s->edit, n->ino, &use);
	if (rc <= 0 || (n->cid && (!s->edit || use.writers)))
		return rc < 0 ? rc : 0;
	if (s->edit && !use.writers && n->gen != n->s_gen)
		tree_edit_version(s->edit, n->ino);
	if (s->edit)
		tree_edit_drop(s->edit, n->cid);
	n->cid = 0;
	n->gen = n->s_gen;
	n->size = n->s_len;
	return 0;
}

/* The item changed hands while its content was on the way: who holds it now
 * has nothing of its own there yet, so what is there is what was sent. */
static int note_heir(const struct sent *s, struct db *db, struct node *heir,
                     struct item *it)
{
	if (s->a->op != ATTEMPT_REPLACE || heir->s_gen)
		return 0; /* the feed tells of it */
	memcpy(it->name, heir->s_name, sizeof(it->name));
	remote_set_synced(&s->o->gather, heir, it, heir->s_parent);
	heir->flags |= NODE_DIRTY;
	return node_update(db, heir);
}

static int note_sender(const struct sent *s, struct db *db, struct node *n,
                       struct item *it)
{
	const struct attempt *a = s->a;
	bool create = a->op == ATTEMPT_CREATE;
	int rc;

	/* Where an item lies that already was there, and what it is called, is
	 * for the merger to follow. */
	if (!create)
		memcpy(it->name, n->s_name, sizeof(it->name));
	remote_set_synced(&s->o->gather, n, it,
	                  create ? outcome_folder_of(db, it, a->parent)
	                         : n->s_parent);
	n->s_gen = a->gen;
	n->s_len = a->plain_size;
	n->flags &= ~(uint32_t)NODE_APPROVED; /* what comes next is not */
	rc = take_theirs(s, db, n);
	n->flags |= NODE_DIRTY;
	if (create)
		outcome_note_alias(s->o, db, n, a->name);
	if (rc == 0)
		rc = node_update(db, n);
	return rc < 0 ? rc
	              : outcome_note_ledger(
				db, create ? LEDGER_CREATED : LEDGER_CONTENT, n,
				it, s->verified ? a : NULL);
}

static int note_in_nodes(const struct sent *s, struct db *db)
{
	struct node *n = malloc(sizeof(*n));
	struct item *it = malloc(sizeof(*it));
	int rc = n && it ? 0 : -ENOMEM;

	if (rc == 0) {
		*it = *s->it;
		rc = node_get_by_id(db, it->id, n);
	}
	if (rc == 0 && n->ino != s->a->ino) {
		rc = note_heir(s, db, n, it);
	} else if (rc == 0 || rc == -ENOENT) {
		rc = node_get(db, s->a->ino, n);
		if (rc == 0)
			rc = note_sender(s, db, n, it);
		else if (rc == -ENOENT)
			rc = 0; /* forgotten; the feed will tell of it */
	}
	free(it);
	free(n);
	return rc;
}

static int note_sent(const struct sent *s, struct db *db, struct cfile *row)
{
	const struct attempt *a = s->a;
	int rc = note_in_nodes(s, db);

	if (row && row->gen == a->gen) {
		if (s->verified && !(row->flags & CFILE_SOFT))
			row->flags |= CFILE_CLEAN;
		memcpy(row->base_id, s->it->id, sizeof(row->base_id));
		memcpy(row->base_etag, s->it->etag, sizeof(row->base_etag));
		row->base_size = s->it->size;
		row->base_hashed = s->it->has_hash;
		memcpy(row->base_hash, s->it->hash, sizeof(row->base_hash));
	}
	if (rc == 0)
		rc = bond_put(db, s->it->id, &a->seed.bond);
	return rc < 0 ? rc : attempt_delete(db, a->aid);
}

static int edit_sent(void *arg, struct db *db, struct cfile *row)
{
	return note_sent(arg, db, row);
}

/* The attempt's content is the node's, or a change of it is. */
static int note_with_content(const struct outcome *o, struct sent *s)
{
	const struct attempt *a = s->a;
	struct content *c;
	int rc = content_get(o->contents, a->cid, false, &c);

	if (rc < 0)
		return rc;
	/* Only settled content may be called clean; the syncer has mostly done
	 * that by now. */
	if (s->verified && content_is_soft(c) && content_gen(c) == a->gen)
		content_settle(c);
	rc = content_transact(c, edit_sent, s);
	content_put(c);
	return rc;
}

static int note_alone(const struct outcome *o, struct sent *s)
{
	struct db *db;
	int rc = tree_edit_begin(o->tree, &s->edit, &db);

	if (rc < 0)
		return rc;
	rc = note_sent(s, db, NULL);
	if (rc == 0)
		tree_edit_drop(s->edit, s->a->cid);
	return tree_edit_end(s->edit, rc);
}

/* True if the node goes on without the attempt's content. */
static bool goes_alone(const struct outcome *o, const struct attempt *a)
{
	struct node *n = malloc(sizeof(*n));
	struct db *db;
	int rc = n ? store_reader(o->store, &db) : -ENOMEM;

	if (rc == 0) {
		rc = node_get(db, a->ino, n);
		if (rc == 0)
			rc = shows_theirs(a, db, n);
		store_reader_done(o->store, db);
	}
	free(n);
	return rc == 1;
}

int outcome_sent(const struct outcome *o, const struct attempt *a,
                 const struct item *it, bool verified)
{
	struct sent s = { o, a, it, verified, NULL };
	int rc = -ENOENT;

	told_note(o->told, it->id);
	if (a->cid && !goes_alone(o, a))
		rc = note_with_content(o, &s);
	return rc == -ENOENT ? note_alone(o, &s) : rc;
}

int outcome_not_sent(const struct outcome *o, uint64_t aid)
{
	struct db *db;
	int rc = store_begin(o->store, &db);

	if (rc < 0)
		return rc;
	rc = attempt_delete(db, aid);
	return store_end(o->store, rc);
}
