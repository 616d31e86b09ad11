#include "fs/verdict.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "fs/exit.h"
#include "net/json.h"

static bool is_state(const cJSON *status, const char *state)
{
	const char *s = json_str(status, "state");

	return s && !strcmp(s, state);
}

static int64_t held_items(const cJSON *status)
{
	const cJSON *h;
	int64_t n = 0;

	cJSON_ArrayForEach (h, json_arr(status, "held"))
		n += json_i64(h, "deletes", 0) + json_i64(h, "overwrites", 0);
	return n;
}

static int decide(int64_t held, int64_t blocked, int64_t pending, char *why,
                  size_t size)
{
	if (held > 0)
		snprintf(why, size,
		         "%" PRId64 " held: `nmbackupfs approve` lets them go, "
		         "`nmbackupfs undo` takes them back",
		         held);
	else if (blocked > 0)
		snprintf(why, size,
		         "%" PRId64 " blocked: `nmbackupfs status` "
		         "says why",
		         blocked);
	else if (pending > 0)
		snprintf(why, size, "%" PRId64 " not on the server yet",
		         pending);
	return held > 0 || blocked > 0 ? EXIT_HELD
	       : pending > 0           ? EXIT_UNFINISHED
	                               : EXIT_OK;
}

int verdict_of_mount(const cJSON *status, char *why, size_t size)
{
	int64_t pending = json_i64(status, "pending_changes", 0);
	int64_t uploading = cJSON_GetArraySize(json_arr(status, "uploading"));
	int64_t blocked = cJSON_GetArraySize(json_arr(status, "blocked"));
	int64_t held = held_items(status);

	why[0] = '\0';
	if (is_state(status, "signed-out")) {
		snprintf(why, size,
		         "nobody is signed in: run `nmbackupfs auth`");
		return EXIT_SIGN_IN;
	}
	if (is_state(status, "full") && !held && !blocked) {
		snprintf(why, size,
		         "OneDrive is full: %" PRId64 " wait for room there",
		         pending);
		return EXIT_HELD;
	}
	return decide(held, blocked, pending > uploading ? pending : uploading,
	              why, size);
}

int verdict_of_node(const cJSON *status, char *why, size_t size)
{
	const cJSON *below = json_obj(status, "below");
	int64_t held = json_i64(below, "held", 0);
	int64_t blocked = json_i64(below, "blocked", 0);
	int64_t pending = json_i64(below, "pending", 0);

	why[0] = '\0';
	held += is_state(status, "held");
	blocked += is_state(status, "blocked");
	pending += is_state(status, "pending") ||
	           is_state(status, "uploading") || is_state(status, "local");
	return decide(held, blocked, pending, why, size);
}
