#include "fs/records.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs/config.h"
#include "fs/db.h"
#include "fs/node.h"
#include "fs/paths.h"
#include "fs/running.h"
#include "fs/store.h"

/* The state directory, and what `path` is called in the folder. */
static int find_place(const struct config *cfg, const char *path,
                      struct records *out, char in_folder[PATH_MAX], char *why,
                      size_t why_size)
{
	char full[PATH_MAX];
	struct running r;
	size_t len;
	int rc;

	in_folder[0] = '\0';
	rc = path ? running_find_path(cfg, path, &r, full, why, why_size)
	          : -ENOTTY;
	if (rc == 0) {
		strcpy(out->state_dir, r.state_dir);
		strcpy(out->mountpoint, r.mountpoint);
		strcpy(in_folder, full + strlen(r.mountpoint));
		return 0;
	}
	if (rc == -EHOSTDOWN)
		return rc;
	rc = paths_state_dir(cfg, out->state_dir, sizeof(out->state_dir));
	if (rc < 0) {
		snprintf(why, why_size, "no place for state: %s",
		         strerror(-rc));
		return rc;
	}
	if (running_find(cfg, &r, why, why_size) == 0 && r.mounted)
		strcpy(out->mountpoint, r.mountpoint);
	if (!path)
		return 0;
	if (strlen(path) >= PATH_MAX) {
		snprintf(why, why_size, "the path is too long");
		return -ENAMETOOLONG;
	}
	len = strlen(out->mountpoint);
	if (len && !strncmp(path, out->mountpoint, len) &&
	    (path[len] == '/' || !path[len]))
		path += len;
	strcpy(in_folder, path);
	return 0;
}

static int open_db(const struct config *cfg, struct records *out, char *why,
                   size_t why_size)
{
	char path[PATH_MAX + sizeof("/state.db")], kind[64] = "";
	int64_t schema = 0;
	int rc;

	snprintf(path, sizeof(path), "%s/state.db", out->state_dir);
	rc = db_open_look(path, &out->db);
	if (rc == 0)
		rc = store_get_int(out->db, "schema", 0, &schema);
	if (rc == 0)
		rc = store_get_text(out->db, "kind", kind, sizeof(kind));
	out->sealed = !strncmp(kind, "vault", 5);
	if (rc == 0 && schema != STORE_SCHEMA) {
		snprintf(why, why_size,
		         "%s is of another version of nmbackupfs; mount it "
		         "once with this one",
		         path);
		rc = -ENOTSUP;
	} else if (rc == -ENOENT) {
		snprintf(why, why_size,
		         "nothing was mounted for the profile \"%s\" yet",
		         config_text(cfg, CONFIG_PROFILE));
	} else if (rc < 0) {
		snprintf(why, why_size,
		         "%s: %s; `nmbackupfs check` says what is wrong", path,
		         strerror(-rc));
	}
	return rc;
}

int records_open(const struct config *cfg, const char *path,
                 struct records *out, char *why, size_t why_size)
{
	char in_folder[PATH_MAX];
	int rc;

	*out = (struct records){ .ino = NODE_ROOT };
	why[0] = '\0';
	rc = find_place(cfg, path, out, in_folder, why, why_size);
	if (rc == 0)
		rc = open_db(cfg, out, why, why_size);
	if (rc == 0)
		rc = db_script(out->db, "BEGIN");
	if (rc == 0)
		rc = node_find(out->db, in_folder, &out->ino);
	if (rc < 0) {
		if (rc == -ENOENT && !why[0])
			snprintf(why, why_size,
			         "%s: not in this folder, or not known here "
			         "yet",
			         path);
		else if (!why[0])
			snprintf(why, why_size, "%s", strerror(-rc));
		records_close(out);
	}
	return rc;
}

void records_close(struct records *r)
{
	if (r->db)
		db_close(r->db);
	r->db = NULL;
}

int records_refresh(struct records *r)
{
	return db_script(r->db, "COMMIT; BEGIN");
}
