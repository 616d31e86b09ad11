#include "fs/compare.h"

#include <string.h>

#include "fs/item.h"
#include "fs/node.h"
#include "tests/unit/check.h"

#define FILE_MODE 0100644
#define DIR_MODE  0040755

static const struct row {
	const char *what;
	mode_t mode;
	uint32_t flags;
	const char *etag; /* there; ours is "T1" */
	uint64_t size;    /* there; ours is 7 */
	int hash;         /* there: 0 none, else its byte; ours is 5 */
	enum item_kind kind;
	bool deleted;
	enum compare_verdict want;
} rows[] = {
	{ "same", FILE_MODE, NODE_HASHED, "T1", 7, 5, ITEM_FILE, false,
	  COMPARE_SAME },
	{ "tags move", FILE_MODE, NODE_HASHED, "T2", 7, 5, ITEM_FILE, false,
	  COMPARE_SAME },
	{ "rot", FILE_MODE, NODE_HASHED, "T1", 7, 6, ITEM_FILE, false,
	  COMPARE_DAMAGED },
	{ "cut", FILE_MODE, NODE_HASHED, "T1", 6, 5, ITEM_FILE, false,
	  COMPARE_DAMAGED },
	{ "cut, no hash", FILE_MODE, 0, "T1", 6, 0, ITEM_FILE, false,
	  COMPARE_DAMAGED },
	{ "replaced", FILE_MODE, NODE_HASHED, "T2", 7, 6, ITEM_FILE, false,
	  COMPARE_CHANGED },
	{ "replaced, other size", FILE_MODE, NODE_HASHED, "T2", 9, 0, ITEM_FILE,
	  false, COMPARE_CHANGED },
	{ "no hash there", FILE_MODE, NODE_HASHED, "T1", 7, 0, ITEM_FILE, false,
	  COMPARE_UNHASHED },
	{ "no hash here", FILE_MODE, 0, "T1", 7, 5, ITEM_FILE, false,
	  COMPARE_UNHASHED },
	{ "deleted", FILE_MODE, NODE_HASHED, "T1", 7, 5, ITEM_FILE, true,
	  COMPARE_MISSING },
	{ "a folder now", FILE_MODE, NODE_HASHED, "T2", 7, 0, ITEM_FOLDER,
	  false, COMPARE_CHANGED },
	{ "folder", DIR_MODE, 0, "T9", 4711, 0, ITEM_FOLDER, false,
	  COMPARE_SAME },
	{ "a file now", DIR_MODE, 0, "T9", 7, 5, ITEM_FILE, false,
	  COMPARE_CHANGED },
	{ "folder deleted", DIR_MODE, 0, "T1", 0, 0, ITEM_FOLDER, true,
	  COMPARE_MISSING },
	{ "notebook", FILE_MODE, NODE_FOREIGN, "T2", 9, 0, ITEM_OTHER, false,
	  COMPARE_SAME },
};

static void test_rows(void)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *r = &rows[i];
		struct node n = { .mode = r->mode,
			          .flags = r->flags,
			          .s_size = 7,
			          .s_etag = "T1" };
		struct item it = { .kind = r->kind,
			           .deleted = r->deleted,
			           .size = r->size,
			           .has_hash = r->hash != 0 };

		check_row("%s", r->what);
		memset(n.s_hash, 5, sizeof(n.s_hash));
		memset(it.hash, r->hash, sizeof(it.hash));
		strcpy(it.etag, r->etag);
		CHECK_EQ(compare_item(&n, &it), r->want);
	}
}

static void test_edges(void)
{
	struct node n = { .mode = FILE_MODE };
	struct item it = { .kind = ITEM_FILE };

	CHECK_EQ(compare_item(&n, NULL), COMPARE_MISSING);
	/* Of nothing no hash is needed. */
	CHECK_EQ(compare_item(&n, &it), COMPARE_SAME);
	/* Without a tag of ours nobody can say that nobody changed it. */
	it.size = 1;
	CHECK_EQ(compare_item(&n, &it), COMPARE_CHANGED);
	for (int v = COMPARE_SAME; v <= COMPARE_UNREADABLE; v++)
		CHECK(compare_name((enum compare_verdict)v)[0]);
}

int main(void)
{
	RUN(test_rows);
	RUN(test_edges);
	return check_report();
}
