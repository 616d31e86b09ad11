#include "fs/tree.h"

#include <errno.h>

#include "fs/attempt.h"
#include "fs/db.h"
#include "fs/store.h"
#include "fs/tree_internal.h"

int tree_guard(struct tree *t, struct db *db, const struct node *n)
{
	int rc;

	if (!t->opt.append_only)
		return 0;
	rc = node_on_server(n) ? 1 : attempt_is_open(db, n->ino);
	return rc == 1 ? -EPERM : rc;
}

int tree_guard_content(struct tree *t, const struct node *n)
{
	struct db *db;
	int rc;

	if (!t->opt.append_only)
		return 0;
	rc = store_reader(t->opt.store, &db);
	if (rc < 0)
		return rc;
	rc = tree_guard(t, db, n);
	store_reader_done(t->opt.store, db);
	return rc;
}
