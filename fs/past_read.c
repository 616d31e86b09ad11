#include "fs/past_read.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/codec.h"
#include "fs/db.h"
#include "fs/direct.h"
#include "fs/interrupt.h"
#include "fs/ledger.h"
#include "fs/naming.h"
#include "fs/past.h"
#include "fs/paths.h"
#include "net/buf.h"

/* ---- the ledger ---------------------------------------------------------- */

int past_open_db(const struct config *cfg, struct db **out_db)
{
	char path[PATH_MAX + sizeof("/state.db")];
	int rc = paths_state_dir(cfg, path, PATH_MAX);

	if (rc < 0)
		return rc;
	strcat(path, "/state.db");
	if (access(path, F_OK) < 0)
		return -ENOENT;
	return db_open(path, false, out_db);
}

struct reading {
	struct past *past;
	struct past_deletes *deletes;
	int rc;
};

static int add_delete(struct past_deletes *l, const struct ledger_entry *e)
{
	struct past_delete *d;

	if (l->n && l->v[l->n - 1].time == e->time)
		return 0; /* it lay in that one */
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;

		d = realloc(l->v, cap * sizeof(*d));
		if (!d)
			return -ENOMEM;
		l->v = d;
		l->cap = cap;
	}
	d = &l->v[l->n++];
	d->time = e->time;
	memcpy(d->id, e->id, sizeof(d->id));
	return 0;
}

static int note(void *arg, const struct ledger_entry *e)
{
	struct reading *r = arg;

	r->rc = past_note(r->past, e);
	if (r->rc == 0 && e->what == LEDGER_DELETED)
		r->rc = add_delete(r->deletes, e);
	return r->rc < 0 ? r->rc : 0;
}

const struct past_delete *past_delete_at(const struct past_deletes *l,
                                         int64_t time)
{
	for (size_t i = 0; i < l->n; i++) {
		if (l->v[i].time == time)
			return &l->v[i];
	}
	return NULL;
}

void past_deletes_done(struct past_deletes *l)
{
	free(l->v);
	*l = (struct past_deletes){ 0 };
}

int past_read_ledger(struct direct *d, int64_t at, struct past **out_p,
                     struct past_deletes *out_deletes)
{
	struct reading r = { .deletes = out_deletes };
	struct db *db;
	int rc = past_new(at, d->folder_id, &r.past);

	*out_deletes = (struct past_deletes){ 0 };
	if (rc < 0)
		return rc;
	rc = past_open_db(d->config, &db);
	if (rc == 0) {
		rc = ledger_each_entry(db, note, &r);
		db_close(db);
	} else if (rc == -ENOENT) {
		rc = 0;
	}
	if (rc < 0) {
		snprintf(d->why, DIRECT_WHY,
		         "what this machine noted can't be read: %s%s",
		         strerror(-rc),
		         rc == -EUCLEAN ? "; see `nmbackupfs check`" : "");
		past_free(r.past);
		past_deletes_done(out_deletes);
		return rc;
	}
	*out_p = r.past;
	return 0;
}

/* ---- what is there ------------------------------------------------------- */

static struct past_seen seen_of(const struct direct_file *f, const char *path,
                                const char *target)
{
	const struct item *it = &f->item;
	struct past_seen s = { .id = it->id,
		               .parent_id = it->parent_id,
		               .path = path,
		               .mode = f->node.mode,
		               .mtime = f->node.mtime,
		               .target = target,
		               .size = it->size,
		               .has_hash = it->has_hash,
		               .created = it->created };

	memcpy(s.hash, it->hash, sizeof(s.hash));
	return s;
}

int past_see_one(struct past *p, const struct direct_file *f, const char *path)
{
	struct past_seen s = seen_of(f, path, NULL);

	return past_see(p, &s);
}

/* A folder whose children are still to be listed. */
struct folder {
	struct folder *next;
	char id[NODE_ID_MAX + 1];
	char *path;
};

struct listing {
	struct direct *d;
	struct past *past;
	struct folder *at; /* the one that is listed */
	struct folder **last;
	struct direct_file file;
	char target[DIRECT_TARGET];
};

static struct folder *new_folder(const char *id, const char *path)
{
	struct folder *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	snprintf(f->id, sizeof(f->id), "%s", id);
	f->path = strdup(path);
	if (!f->path) {
		free(f);
		return NULL;
	}
	return f;
}

static int see(struct listing *l, const char *path)
{
	struct past_seen s = seen_of(&l->file, path, l->target);
	char alias[NODE_NAME_MAX + 1];
	int rc;

	naming_alias(l->d->codec, l->file.node.name, l->file.item.id, alias);
	s.alias = alias;
	rc = past_see(l->past, &s);
	if (rc < 0 || l->file.item.kind != ITEM_FOLDER)
		return rc;
	*l->last = new_folder(l->file.item.id, path);
	if (!*l->last)
		return -ENOMEM;
	l->last = &(*l->last)->next;
	return 0;
}

/* direct_each_fn. Names that are not of the vault are not ours. */
static int each_child(void *arg, const struct item *it)
{
	struct listing *l = arg;
	struct buf path = BUF_INIT;
	int rc;

	if (interrupt_seen())
		return -EINTR;
	l->file.item = *it;
	if (it->kind == ITEM_OTHER ||
	    (direct_describe(l->d, &l->file, l->target) < 0 &&
	     l->d->codec->ops->keeps_attributes))
		return 0;
	buf_addf(&path, "%s%s%s", l->at->path, l->at->path[0] ? "/" : "",
	         l->file.node.name);
	rc = path.failed ? -ENOMEM : see(l, path.data);
	buf_done(&path);
	return rc;
}

int past_see_all(struct direct *d, struct past *p)
{
	struct listing *l = calloc(1, sizeof(*l));
	struct folder *first = new_folder(d->folder_id, "");
	int rc = l && first ? 0 : -ENOMEM;

	if (l && first) {
		l->d = d;
		l->past = p;
		l->last = &first->next;
	}
	while (first) {
		struct folder *f = first;

		if (rc == 0) {
			l->at = f;
			rc = direct_raw_list(d, f->id, each_child, l);
			if (rc == -ENOENT && f->path[0])
				rc = 0; /* deleted while we looked */
		}
		first = f->next;
		free(f->path);
		free(f);
	}
	free(l);
	return rc;
}
