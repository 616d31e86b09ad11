#include "fs/compare.h"

#include <stddef.h>
#include <string.h>

#include "fs/item.h"
#include "fs/node.h"

const char *compare_name(enum compare_verdict v)
{
	switch (v) {
	case COMPARE_SAME:
		return "same";
	case COMPARE_UNHASHED:
		return "unhashed";
	case COMPARE_MISSING:
		return "missing";
	case COMPARE_CHANGED:
		return "changed";
	case COMPARE_DAMAGED:
		return "damaged";
	case COMPARE_UNREADABLE:
		return "unreadable";
	}
	return "";
}

static enum compare_verdict differs(const struct node *n,
                                    const struct item *there)
{
	return n->s_etag[0] && !strcmp(n->s_etag, there->etag)
	               ? COMPARE_DAMAGED
	               : COMPARE_CHANGED;
}

enum compare_verdict compare_item(const struct node *n,
                                  const struct item *there)
{
	if (!there || there->deleted)
		return COMPARE_MISSING;
	if (n->flags & NODE_FOREIGN)
		return COMPARE_SAME; /* never ours to compare */
	if (node_is_dir(n) || there->kind != ITEM_FILE)
		return node_is_dir(n) == (there->kind == ITEM_FOLDER)
		               ? COMPARE_SAME
		               : differs(n, there);
	switch (item_same_content(there, n->s_size,
	                          n->flags & NODE_HASHED ? n->s_hash : NULL)) {
	case 1:
		return COMPARE_SAME;
	case 0:
		return differs(n, there);
	default:
		return COMPARE_UNHASHED;
	}
}
