#include "fs/verdict.h"

#include <string.h>

#include <cjson/cJSON.h>

#include "fs/exit.h"
#include "tests/unit/check.h"

typedef int verdict_fn(const cJSON *status, char *why, size_t size);

struct row {
	const char *status;
	int verdict;
	const char *word; /* in the line for people; NULL: none */
};

static void check_rows(const struct row *rows, size_t n, verdict_fn *verdict)
{
	for (size_t i = 0; i < n; i++) {
		cJSON *o = cJSON_Parse(rows[i].status);
		char why[256] = "old";

		check_row("%s", rows[i].status);
		CHECK_EQ(verdict(o, why, sizeof(why)), rows[i].verdict);
		CHECK(rows[i].word ? strstr(why, rows[i].word) != NULL
		                   : !why[0]);
		cJSON_Delete(o);
	}
}

static void test_mounts(void)
{
	static const struct row rows[] = {
		{ "{\"state\":\"idle\",\"pending_changes\":0}", EXIT_OK, NULL },
		/* Nothing is lost while there is no network. */
		{ "{\"state\":\"offline\",\"pending_changes\":0}", EXIT_OK,
		  NULL },
		{ "{\"state\":\"syncing\",\"pending_changes\":3}",
		  EXIT_UNFINISHED, "3 not on" },
		{ "{\"state\":\"throttled\",\"pending_changes\":1}",
		  EXIT_UNFINISHED, "1 not on" },
		{ "{\"state\":\"idle\",\"pending_changes\":0,"
		  "\"uploading\":[{}]}",
		  EXIT_UNFINISHED, "1 not on" },
		{ "{\"state\":\"idle\",\"pending_changes\":1,"
		  "\"blocked\":[{}]}",
		  EXIT_HELD, "1 blocked" },
		{ "{\"state\":\"full\",\"pending_changes\":2}", EXIT_HELD,
		  "full" },
		{ "{\"state\":\"full\",\"pending_changes\":2,"
		  "\"blocked\":[{}]}",
		  EXIT_HELD, "1 blocked" },
		{ "{\"state\":\"syncing\",\"pending_changes\":9,\"held\":"
		  "[{\"deletes\":3,\"overwrites\":1}]}",
		  EXIT_HELD, "4 held" },
		/* What a person does first. */
		{ "{\"state\":\"signed-out\",\"pending_changes\":1,"
		  "\"blocked\":[{}]}",
		  EXIT_SIGN_IN, "auth" },
		{ "{\"state\":\"signed-out\"}", EXIT_SIGN_IN, "auth" },
		/* Members of another version, or none at all. */
		{ "{\"state\":7,\"pending_changes\":\"x\",\"held\":{}}",
		  EXIT_OK, NULL },
	};

	check_rows(rows, ARRAY_LEN(rows), verdict_of_mount);
}

static void test_nodes(void)
{
	static const struct row rows[] = {
		{ "{\"state\":\"synced\"}", EXIT_OK, NULL },
		{ "{\"state\":\"cloud\"}", EXIT_OK, NULL },
		{ "{\"state\":\"pending\"}", EXIT_UNFINISHED, "not on" },
		{ "{\"state\":\"uploading\"}", EXIT_UNFINISHED, "not on" },
		{ "{\"state\":\"local\"}", EXIT_UNFINISHED, "not on" },
		{ "{\"state\":\"blocked\"}", EXIT_HELD, "1 blocked" },
		{ "{\"state\":\"held\"}", EXIT_HELD, "1 held" },
		{ "{\"state\":\"synced\",\"below\":{\"pending\":2,"
		  "\"blocked\":0,\"held\":0}}",
		  EXIT_UNFINISHED, "2 not on" },
		{ "{\"state\":\"pending\",\"below\":{\"pending\":2,"
		  "\"blocked\":1,\"held\":0}}",
		  EXIT_HELD, "1 blocked" },
		{ "{\"state\":\"synced\",\"below\":{\"pending\":0,"
		  "\"blocked\":0,\"held\":0}}",
		  EXIT_OK, NULL },
	};

	check_rows(rows, ARRAY_LEN(rows), verdict_of_node);
}

int main(void)
{
	RUN(test_mounts);
	RUN(test_nodes);
	return check_report();
}
