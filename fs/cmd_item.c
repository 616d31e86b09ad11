#include "fs/cmd_item.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "fs/direct.h"
#include "fs/running.h"
#include "net/log.h"

const char *cmd_path_in_folder(const char *what, const struct running *r)
{
	size_t len = strlen(r->mountpoint);

	if (len && !strncmp(what, r->mountpoint, len) &&
	    (what[len] == '/' || !what[len]))
		what += len;
	return what + strspn(what, "/");
}

int cmd_find_item(struct direct *d, const char *path, const char *what,
                  struct direct_file *out)
{
	struct direct_place at;
	int rc = -ENOENT;

	if (path) {
		rc = direct_find(d, path, false, &at);
		if (rc == 0)
			rc = direct_look(d, &at, out);
	}
	if (rc == -ENOENT && *what && !strchr(what, '/') &&
	    strlen(what) <= NODE_ID_MAX)
		rc = direct_look_id(d, what, out);
	if (rc == -ENOENT)
		snprintf(d->why, DIRECT_WHY,
		         "%s: no file of that name in the folder, and no item "
		         "of that id",
		         what);
	return rc;
}

bool cmd_add_name(struct cJSON *o, const char *key, const char *name)
{
	size_t size = strlen(name) * 4 + 1;
	char *safe = malloc(size);
	bool ok = false;

	if (safe) {
		log_sanitize(name, safe, size);
		ok = cJSON_AddStringToObject(o, key, safe) != NULL;
	}
	free(safe);
	return ok;
}
