#include "fs/recycle.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/direct_internal.h"
#include "fs/session.h"

#define DELETE_TRIES 4

void recycle_say_browser(struct direct *d)
{
	direct_say(d,
	           "OneDrive for work and school gives back what was deleted "
	           "only in the browser: open the recycle bin of %s there",
	           d->web_url[0] ? d->web_url : "the drive");
}

/* ---- out of the bin ------------------------------------------------------ */

/* After an answer that says nothing: is it there? */
static int look(struct direct *d, const char *id, struct item *out)
{
	int rc = direct_raw_item(d, id, out);

	return rc == -ENOENT ? -EIO : rc;
}

int recycle_restore(struct direct *d, const char *id, const char *parent_id,
                    struct item *out)
{
	struct graph_prepared p = direct_call();
	struct direct_answer *a;
	int rc;

	if (!d->personal) {
		recycle_say_browser(d);
		return -EOPNOTSUPP;
	}
	a = calloc(1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	rc = graph_prepare_restore(d->session->graph, id, parent_id, NULL, &p);
	if (rc == 0)
		rc = direct_ask(d, &p, "the recycle bin", a);
	if (rc == 0 && a->has_item && !a->item.deleted)
		*out = a->item;
	else if (rc == 0)
		rc = look(d, id, out);
	else if (a->status == 404 || a->status == 410)
		rc = -ENOENT;
	else if (a->status == 409)
		rc = -EEXIST;
	else if (a->look)
		rc = look(d, id, out);
	free(a);
	return rc;
}

/* ---- for reading --------------------------------------------------------- */

static int make_folder(struct direct *d, struct recycle *r)
{
	struct graph_prepared p = direct_call();
	struct direct_answer *a = calloc(1, sizeof(*a));
	struct item *root = malloc(sizeof(*root));
	int rc = a && root ? direct_raw_root(d, root) : -ENOMEM;

	if (rc == 0)
		rc = direct_raw_child(d, root->id, RECYCLE_FOLDER, &a->item);
	if (rc == -ENOENT) {
		r->made = true;
		rc = graph_prepare_mkdir(d->session->graph, root->id,
		                         RECYCLE_FOLDER, &p);
		if (rc == 0)
			rc = direct_ask(d, &p, RECYCLE_FOLDER, a);
		if (rc == 0 && !a->has_item)
			rc = -EIO;
	}
	if (rc == 0 && a->item.kind != ITEM_FOLDER) {
		direct_say(d,
		           "\"%s\" in the drive's root is no folder; rename it",
		           RECYCLE_FOLDER);
		rc = -ENOTDIR;
	}
	if (rc == 0)
		memcpy(r->folder_id, a->item.id, sizeof(r->folder_id));
	free(root);
	free(a);
	return rc;
}

int recycle_borrow(struct direct *d, struct recycle *r, const char *id)
{
	int rc = 0;

	r->item.id[0] = '\0';
	if (!d->personal) {
		recycle_say_browser(d);
		return -EOPNOTSUPP;
	}
	if (!r->folder_id[0])
		rc = make_folder(d, r);
	if (rc == 0)
		rc = recycle_restore(d, id, r->folder_id, &r->item);
	if (rc == -ENOENT)
		direct_say(d, "it is not in the recycle bin any more");
	else if (rc == -EEXIST)
		direct_say(d,
		           "something of that name is in \"%s\" in the drive's "
		           "root; remove it",
		           RECYCLE_FOLDER);
	if (rc < 0)
		r->item.id[0] = '\0';
	return rc;
}

/* By id and tag, while it lies where we put it; a tag that moves by itself is
 * met with a look, and at last with none. */
static int delete_item(struct direct *d, struct item *it, const char *parent_id)
{
	struct direct_answer *a = calloc(1, sizeof(*a));
	int rc = a ? -EIO : -ENOMEM;

	for (int i = 0; a && i < DELETE_TRIES; i++) {
		struct graph_prepared p = direct_call();
		bool blind = i == DELETE_TRIES - 1;

		rc = graph_prepare_delete(d->session->graph, it->id,
		                          blind ? NULL : it->etag, &p);
		if (rc == 0)
			rc = direct_ask(d, &p, it->name, a);
		if (rc == 0 || a->status == 404 || a->status == 410) {
			rc = 0;
			break;
		}
		if (!a->look)
			break;
		rc = direct_raw_item(d, it->id, it);
		if (rc == -ENOENT)
			rc = 0;
		else if (rc == 0 && !strcmp(it->parent_id, parent_id))
			continue;
		break; /* gone, or somebody took it elsewhere: it stays */
	}
	free(a);
	return rc;
}

int recycle_give_back(struct direct *d, struct recycle *r)
{
	char why[DIRECT_WHY];
	int rc;

	if (!r->item.id[0])
		return 0;
	rc = delete_item(d, &r->item, r->folder_id);
	r->item.id[0] = '\0';
	if (rc < 0) {
		snprintf(why, sizeof(why), "%s", d->why);
		direct_say(d,
		           "what was taken out of the recycle bin to be read "
		           "could not be put back, and is in the folder \"%s\" "
		           "in the drive's root (%.400s)",
		           RECYCLE_FOLDER, why);
	}
	return rc;
}

int recycle_done(struct direct *d, struct recycle *r)
{
	struct item *it;
	int rc;

	if (!r->made || !r->folder_id[0])
		return 0;
	it = malloc(sizeof(*it));
	if (!it)
		return -ENOMEM;
	rc = direct_raw_item(d, r->folder_id, it);
	if (rc == 0 && it->children == 0)
		rc = delete_item(d, it, it->parent_id);
	free(it);
	return rc == -ENOENT ? 0 : rc;
}
