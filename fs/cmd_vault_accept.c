#include "fs/cmd_vault.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "fs/bond.h"
#include "fs/cmd_common.h"
#include "fs/db.h"
#include "fs/exit.h"
#include "fs/node.h"
#include "fs/paths.h"
#include "fs/running.h"
#include "fs/statelock.h"

const char vault_usage_accept[] =
	"usage: nmbackupfs vault accept PATH\n"
	"\n"
	"Takes the content of a file as it lies on the drive. When an older "
	"version\n"
	"than the one known here, or another file's content, appears there, it "
	"is\n"
	"not read: the service may have been tampered with. If you put it "
	"there\n"
	"yourself (OneDrive's version history), say so with this command. PATH "
	"is\n"
	"in the mount; if nothing is mounted, below the folder.\n"
	"\n"
	"Exit status: 0 done; 7 in use by another process; 1 else.\n";

/* ---- by the mount -------------------------------------------------------- */

static int ask_mount(const struct running *r, const char *path)
{
	char why[CMD_WHY_BYTES] = "";
	cJSON *answer = NULL;
	int rc = cmd_ask(r, "accept", path, &answer, why, sizeof(why));

	cJSON_Delete(answer);
	return rc < 0 ? cmd_fail(EXIT_FAILED, "%s: %s", path, why) : EXIT_OK;
}

/* ---- without one --------------------------------------------------------- */

static int find_node(struct db *db, const char *path, struct node *out)
{
	char name[NODE_NAME_MAX + 1];
	uint64_t ino = NODE_ROOT;
	int rc = -ENOENT;

	for (;;) {
		size_t len;

		path += strspn(path, "/");
		len = strcspn(path, "/");
		if (!len)
			return rc;
		if (len >= sizeof(name))
			return -ENOENT;
		memcpy(name, path, len);
		name[len] = '\0';
		path += len;
		rc = node_get_child(db, ino, name, out);
		if (rc < 0)
			return rc;
		ino = out->ino;
	}
}

static int forget(const char *state_dir, const char *path)
{
	char file[PATH_MAX + 16];
	struct node *n;
	struct db *db;
	int rc;

	snprintf(file, sizeof(file), "%s/state.db", state_dir);
	if (access(file, F_OK) < 0)
		return -errno;
	rc = db_open(file, true, &db);
	if (rc < 0)
		return rc;
	n = malloc(sizeof(*n));
	rc = n ? find_node(db, path, n) : -ENOMEM;
	if (rc == 0)
		rc = node_on_server(n) ? bond_forget(db, n->s_id) : -ENOENT;
	free(n);
	db_close(db);
	return rc;
}

static int accept_unmounted(const struct config *cfg, const char *path)
{
	char why[CMD_WHY_BYTES] = "", dir[PATH_MAX];
	int lock, rc = paths_state_dir(cfg, dir, sizeof(dir));

	if (rc == 0)
		rc = access(dir, F_OK) < 0 ? -ENOENT : 0;
	if (rc < 0)
		return cmd_fail(EXIT_FAILED,
		                "nothing is remembered here of any file");
	rc = statelock_take(dir, "", 0, &lock, why, sizeof(why));
	if (rc < 0)
		return cmd_fail(rc == -EBUSY ? EXIT_BUSY : EXIT_FAILED, "%s",
		                why[0] ? why : strerror(-rc));
	rc = forget(dir, path);
	close(lock);
	if (rc < 0)
		return cmd_fail(EXIT_FAILED, "%s: %s", path,
		                rc == -ENOENT ? "no such file is known here"
		                              : strerror(-rc));
	return EXIT_OK;
}

int vault_run_accept(struct config *cfg, const struct vault_args *args)
{
	char why[CMD_WHY_BYTES] = "", path[PATH_MAX];
	const char *what = args->words[0];
	struct running r;
	int rc = running_find_path(cfg, what, &r, path, why, sizeof(why));

	if (rc == 0)
		return ask_mount(&r, path);
	if (rc != -ENOTTY && rc != -ENOENT)
		return cmd_fail(EXIT_FAILED, "%s", why);
	if (running_find(cfg, &r, why, sizeof(why)) == 0)
		return ask_mount(&r, what);
	return accept_unmounted(cfg, what);
}
