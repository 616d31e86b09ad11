#include "fs/proof.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/db.h"
#include "fs/ledger.h"
#include "fs/plan.h"

const char *proof_state_name(enum proof_state s)
{
	switch (s) {
	case PROOF_CONFIRMED:
		return "confirmed";
	case PROOF_TOLD:
		return "listed";
	case PROOF_OLDER:
		return "older";
	case PROOF_NOT_THERE:
		return "missing";
	}
	return "";
}

/* ---- one node ------------------------------------------------------------ */

/* Is that entry about the content which is there now? */
static bool is_of_content(const struct ledger_entry *e, const struct node *n)
{
	bool hashed = n->flags & NODE_HASHED;

	return e->size == n->s_size && e->has_hash == hashed &&
	       (!hashed || !memcmp(e->hash, n->s_hash, sizeof(e->hash)));
}

static int add_ledger(struct db *db, const struct node *n, struct proof *out)
{
	struct ledger_entry *e = malloc(sizeof(*e));
	int rc = e ? ledger_get_content(db, n->s_id, e) : -ENOMEM;

	if (rc == 0 && is_of_content(e, n)) {
		out->confirmed = e->time;
		out->has_plain_hash = e->has_plain_hash;
		memcpy(out->plain_hash, e->plain_hash, sizeof(e->plain_hash));
	}
	free(e);
	return rc == -ENOENT ? 0 : rc;
}

int proof_of(struct db *db, const struct node *n, struct proof *out)
{
	int rc;

	out->ino = n->ino;
	out->mode = n->mode;
	out->local_size = n->size;
	out->state = PROOF_NOT_THERE;
	out->id[0] = '\0';
	out->size = out->stored = 0;
	out->has_hash = out->has_plain_hash = false;
	out->confirmed = 0;
	/* A new item gets an id only with its content; one that was taken over
	 * from a file that it replaced holds nothing of it yet. */
	if (!node_on_server(n))
		return 0;
	memcpy(out->id, n->s_id, sizeof(out->id));
	out->size = n->s_len;
	out->stored = n->s_size;
	out->has_hash = n->flags & NODE_HASHED;
	memcpy(out->hash, n->s_hash, sizeof(out->hash));
	rc = add_ledger(db, n, out);
	if (plan_content_differs(n))
		out->state = PROOF_OLDER;
	else
		out->state = out->confirmed ? PROOF_CONFIRMED : PROOF_TOLD;
	return rc;
}

/* ---- a tree -------------------------------------------------------------- */

struct walk {
	struct db *db;
	proof_each_fn *each;
	void *arg;
	struct proof proof; /* .path: of what is being looked at */
	struct node node;
};

/* By name. The rows are read again one by one: a list of them would be large,
 * and a query must not be asked within itself. */
static int walk_below(struct walk *w, uint64_t ino, size_t len);

static int walk_one(struct walk *w, uint64_t ino, size_t len)
{
	char *path = w->proof.path;
	int n, rc = node_get(w->db, ino, &w->node);

	if (rc < 0)
		return rc == -ENOENT ? 0 : rc; /* it went just now */
	n = snprintf(path + len, sizeof(w->proof.path) - len, "/%s",
	             w->node.name);
	if (n < 0 || (size_t)n >= sizeof(w->proof.path) - len)
		return -ENAMETOOLONG;
	if (node_is_dir(&w->node))
		return walk_below(w, ino, len + (size_t)n);
	rc = proof_of(w->db, &w->node, &w->proof);
	return rc < 0 ? rc : w->each(w->arg, &w->proof);
}

static int walk_below(struct walk *w, uint64_t ino, size_t len)
{
	struct node_inos f = { 0 };
	int rc = node_each_named_child(w->db, ino, "", node_add_ino, &f);

	for (size_t i = 0; i < f.n && rc == 0; i++)
		rc = walk_one(w, f.ino[i], len);
	free(f.ino);
	return rc;
}

int proof_each(struct db *db, uint64_t ino, proof_each_fn *each, void *arg)
{
	struct walk *w = calloc(1, sizeof(*w));
	int rc = w ? node_get(db, ino, &w->node) : -ENOMEM;

	if (rc == 0) {
		w->db = db;
		w->each = each;
		w->arg = arg;
		rc = node_path(db, ino, w->proof.path, sizeof(w->proof.path));
	}
	if (rc == 0 && !node_is_dir(&w->node)) {
		rc = proof_of(db, &w->node, &w->proof);
		if (rc == 0)
			rc = each(arg, &w->proof);
	} else if (rc == 0) {
		/* The root is "/", and all below begin with one. */
		rc = walk_below(w, ino,
		                ino == NODE_ROOT ? 0 : strlen(w->proof.path));
	}
	free(w);
	return rc;
}
