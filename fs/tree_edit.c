#include "fs/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/content.h"
#include "fs/db.h"
#include "fs/lock.h"
#include "fs/store.h"
#include "fs/tree_internal.h"

enum note_kind {
	NOTE_ENTRY,
	NOTE_VERSION,
	NOTE_ATTR,
	NOTE_DIRTY,
	NOTE_DROP,
};

struct note {
	struct note *next;
	enum note_kind kind;
	uint64_t id;  /* ino, or cid of a NOTE_DROP */
	uint64_t dir; /* nodeid of the folder, once known; 0: nobody knows it */
	struct stat st; /* NOTE_VERSION: what the old one was */
	bool renewed;   /* NOTE_VERSION: of the same content */
	char name[];
};

struct tree_edit {
	struct tree *t;
	struct db *db;
	struct note *notes, **tail;
	bool failed; /* a note was lost: the edit must not happen */
};

int tree_edit_begin(struct tree *t, struct tree_edit **out_e,
                    struct db **out_db)
{
	struct tree_edit *e = calloc(1, sizeof(*e));
	int rc;

	if (!e)
		return -ENOMEM;
	e->t = t;
	e->tail = &e->notes;
	rc = tree_begin(t, &e->db);
	if (rc < 0) {
		free(e);
		return rc;
	}
	*out_e = e;
	*out_db = e->db;
	return 0;
}

void tree_edit_get_use(struct tree_edit *e, uint64_t ino, struct tree_use *out)
{
	tree_get_use(e->t, ino, out);
}

static struct note *add_note(struct tree_edit *e, enum note_kind kind,
                             uint64_t id, const char *name)
{
	struct note *n = calloc(1, sizeof(*n) + strlen(name) + 1);

	if (!n) {
		e->failed = true;
		return NULL;
	}
	n->kind = kind;
	n->id = id;
	strcpy(n->name, name);
	*e->tail = n;
	e->tail = &n->next;
	return n;
}

/* Who had that name before may be open and unlinked now: its last close tells
 * the engine. */
static void watch_former(struct tree_edit *e, uint64_t parent, const char *name)
{
	struct node n;
	struct db *db;
	int rc = store_reader(e->t->opt.store, &db);

	if (rc < 0)
		return;
	rc = node_get_child(db, parent, name, &n);
	store_reader_done(e->t->opt.store, db);
	if (rc == 0)
		tree_note_gone(e->t, n.ino);
}

void tree_edit_entry(struct tree_edit *e, uint64_t parent, const char *name)
{
	add_note(e, NOTE_ENTRY, parent, name);
	watch_former(e, parent, name);
}

/* As committed, with what memory knows better. */
static int get_former(struct tree *t, uint64_t ino, struct node *out_n)
{
	struct live *l;
	struct db *db;
	int rc = store_reader(t->opt.store, &db);

	if (rc < 0)
		return rc;
	rc = node_get(db, ino, out_n);
	store_reader_done(t->opt.store, db);
	if (rc < 0)
		return rc;
	lock_take(&t->table_lock, LOCK_LEAF);
	l = tree_find_live_locked(t, ino);
	if (l)
		tree_apply(&l->pend, out_n);
	lock_drop(&t->table_lock, LOCK_LEAF);
	return 0;
}

static void note_version(struct tree_edit *e, uint64_t ino, bool renewed)
{
	struct note *note;
	struct node former;
	int rc = get_former(e->t, ino, &former);

	if (rc == -ENOENT)
		return; /* made in this edit: nobody knows it */
	note = add_note(e, NOTE_VERSION, ino, "");
	if (rc < 0)
		e->failed = true;
	else if (note)
		tree_fill_stat(&former, &note->st);
	if (note)
		note->renewed = renewed;
}

void tree_edit_version(struct tree_edit *e, uint64_t ino)
{
	note_version(e, ino, false);
}

void tree_edit_renew(struct tree_edit *e, uint64_t ino)
{
	struct tree_use use;

	tree_get_use(e->t, ino, &use);
	if (!use.readers && !use.writers)
		note_version(e, ino, true);
}

void tree_edit_attr(struct tree_edit *e, uint64_t ino)
{
	bool closed_file;
	struct tree_use use;
	struct node n;

	/* The kernel believes its own times and size of a file it knows: a
	 * closed one gets a new nodeid for them too. */
	tree_get_use(e->t, ino, &use);
	closed_file = !use.readers && !use.writers &&
	              node_get(e->db, ino, &n) == 0 && node_is_file(&n);
	if (closed_file)
		tree_edit_version(e, ino);
	else
		add_note(e, NOTE_ATTR, ino, "");
}

void tree_edit_dirty(struct tree_edit *e, uint64_t ino)
{
	add_note(e, NOTE_DIRTY, ino, "");
}

void tree_edit_drop(struct tree_edit *e, uint64_t cid)
{
	if (cid)
		add_note(e, NOTE_DROP, cid, "");
}

/* ---- the end
 * ----------------------------------------------------------------- */

/* The current version, if any, becomes outdated. Notes where it is shown. */
static void outdate(struct tree_edit *e, struct note *note)
{
	struct tree *t = e->t;
	struct version *v = NULL;
	struct live *l;

	lock_take(&t->table_lock, LOCK_LEAF);
	l = tree_find_live_locked(t, note->id);
	if (l)
		v = l->current;
	for (struct version *o = l ? l->versions : NULL; o; o = o->next)
		o->renewed = o->renewed && note->renewed;
	if (v) {
		v->outdated = true;
		v->renewed = note->renewed;
		v->st = note->st;
		l->current = NULL;
		l->renumber = true;
	}
	lock_drop(&t->table_lock, LOCK_LEAF);
}

/* Before the commit: finds the places whose entries the kernel has cached. */
static void find_places(struct tree_edit *e)
{
	struct note *last = NULL;
	struct node n;

	for (struct note *note = e->notes; note != last; note = note->next) {
		if (note->kind != NOTE_VERSION)
			continue;
		if (node_get(e->db, note->id, &n) < 0 || !n.parent)
			continue;
		if (!last) /* the notes added here are not looked at */
			last = add_note(e, NOTE_ENTRY, n.parent, n.name);
		else
			add_note(e, NOTE_ENTRY, n.parent, n.name);
	}
}

/* The nodeid of `ino`, if the kernel may know it. */
static uint64_t known_nodeid(struct tree *t, uint64_t ino)
{
	uint64_t nodeid = 0;
	struct live *l;

	lock_take(&t->table_lock, LOCK_LEAF);
	l = tree_find_live_locked(t, ino);
	if (l && l->current)
		nodeid = l->current->nodeid;
	lock_drop(&t->table_lock, LOCK_LEAF);
	return nodeid;
}

/* After the commit, under tree.lock(write). */
static void tell_memory(struct tree_edit *e)
{
	bool moved = false;

	for (struct note *note = e->notes; note; note = note->next) {
		switch (note->kind) {
		case NOTE_VERSION:
			outdate(e, note);
			break;
		case NOTE_ENTRY:
			moved = true;
			note->dir = known_nodeid(e->t, note->id);
			break;
		case NOTE_ATTR:
			note->dir = known_nodeid(e->t, note->id);
			break;
		case NOTE_DIRTY:
		case NOTE_DROP:
			break;
		}
	}
	if (moved)
		tree_forget_paths(e->t);
}

/* With no lock. */
static void tell_others(struct tree *t, const struct note *note)
{
	const struct tree_events *ev = &t->opt.events;

	switch (note->kind) {
	case NOTE_ENTRY:
		if (note->dir && ev->stale_entry)
			ev->stale_entry(ev->arg, note->dir, note->name);
		break;
	case NOTE_ATTR:
		if (note->dir && ev->stale_attr)
			ev->stale_attr(ev->arg, note->dir);
		break;
	case NOTE_DIRTY:
		tree_note_dirty(t, note->id);
		break;
	case NOTE_DROP:
		content_collect(t->opt.contents, note->id);
		break;
	case NOTE_VERSION:
		break;
	}
}

int tree_edit_end(struct tree_edit *e, int rc)
{
	struct tree *t = e->t;
	struct note *note, *next;

	if (rc == 0)
		find_places(e);
	if (rc == 0 && e->failed)
		rc = -ENOMEM;
	rc = tree_commit(t, rc);
	if (rc == 0)
		tell_memory(e);
	lock_rw_drop(&t->lock, LOCK_TREE);
	if (rc == 0)
		tree_note_unsynced(t);
	for (note = e->notes; note; note = next) {
		next = note->next;
		if (rc == 0)
			tell_others(t, note);
		free(note);
	}
	free(e);
	return rc;
}
