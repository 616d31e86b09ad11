#include "auth/vault_store_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GENERATION_PREFIX "vault-"
#define GENERATION_SUFFIX ".age"

/* ---- the object ---------------------------------------------------------- */

int vault_store_new(struct graph *g, const char *folder_id, int64_t patience_ms,
                    struct vault_store **out_s)
{
	struct vault_store *s;

	if (!*folder_id || strlen(folder_id) > OBJECTS_ID_MAX)
		return -EINVAL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->graph = g;
	s->patience_ms = patience_ms;
	strcpy(s->root.id, folder_id);
	*out_s = s;
	return 0;
}

void vault_store_free(struct vault_store *s)
{
	if (!s)
		return;
	buf_done(&s->sealed);
	free(s);
}

struct objects vault_store_calls(const struct vault_store *s, char *why)
{
	why[0] = '\0';
	return (struct objects){ .graph = s->graph,
		                 .patience_ms = s->patience_ms,
		                 .why = why,
		                 .why_size = VAULT_STORE_WHY };
}

int vault_store_end(const struct objects *o, int rc)
{
	if (rc == 0)
		o->why[0] = '\0';
	return rc;
}

int vault_store_remember(struct vault_store *s, const struct object *file,
                         const struct buf *sealed, uint64_t generation)
{
	struct buf copy = BUF_INIT;
	int rc = buf_add(&copy, sealed->data, sealed->len);

	if (rc < 0)
		return rc;
	buf_done(&s->sealed);
	s->sealed = copy;
	s->file = *file;
	s->generation = generation;
	return 0;
}

int vault_store_get_mark(const struct vault_store *s, struct vault_mark *out)
{
	if (!s->file.id[0])
		return -ENOENT;
	out->file = s->file;
	return 0;
}

/* ---- names --------------------------------------------------------------- */

uint64_t vault_store_generation_of(const char *name)
{
	char again[VAULT_STORE_NAME_SIZE];
	uint64_t n;

	if (strncmp(name, GENERATION_PREFIX, strlen(GENERATION_PREFIX)) != 0)
		return 0;
	n = strtoull(name + strlen(GENERATION_PREFIX), NULL, 10);
	vault_store_name_of(n, again);
	return strcmp(name, again) ? 0 : n;
}

void vault_store_name_of(uint64_t generation, char out[VAULT_STORE_NAME_SIZE])
{
	snprintf(out, VAULT_STORE_NAME_SIZE,
	         GENERATION_PREFIX "%" PRIu64 GENERATION_SUFFIX, generation);
}

/* ---- finding ------------------------------------------------------------- */

int vault_store_open_folder(struct vault_store *s, const struct objects *o)
{
	struct object folder;
	int rc;

	if (s->folder.id[0])
		return 0;
	rc = objects_find(o, s->root.id, VAULT_STORE_FOLDER, &folder);
	if (rc < 0)
		return rc;
	if (!folder.is_folder) {
		objects_say(o, "\"%s\" is no folder", VAULT_STORE_FOLDER);
		return -ENOTDIR;
	}
	s->folder = folder;
	return 0;
}

int vault_store_make_folder(struct vault_store *s, const struct objects *o)
{
	int rc = vault_store_open_folder(s, o);

	if (rc != -ENOENT)
		return rc;
	rc = objects_mkdir(o, s->root.id, VAULT_STORE_FOLDER, &s->folder);
	if (rc == 0)
		return 0;
	s->folder.id[0] = '\0';
	return rc == -EEXIST ? vault_store_open_folder(s, o) : rc;
}

/* What a look by name may have missed (facts/graph.md 3.1), a list shows. */
struct found {
	struct vault_store *s;
	bool has_vault, has_files, has_folder;
	uint64_t generation; /* the highest one */
};

static int on_root_child(void *arg, const struct object *child)
{
	struct found *f = arg;

	if (strcmp(child->name, VAULT_STORE_FOLDER) != 0 || !child->is_folder) {
		f->has_files = true;
	} else {
		f->has_folder = true;
		f->s->folder = *child;
	}
	/* Enough is known; a folder of many thousands isn't read to its end. */
	return f->has_files && f->s->folder.id[0] ? 1 : 0;
}

static int on_own_child(void *arg, const struct object *child)
{
	uint64_t n = vault_store_generation_of(child->name);
	struct found *f = arg;

	if (child->is_file && !strcmp(child->name, VAULT_STORE_FILE))
		f->has_vault = true;
	if (n > f->generation)
		f->generation = n;
	return f->has_vault;
}

static int look_around(const struct objects *o, struct found *f)
{
	int rc = vault_store_open_folder(f->s, o);
	struct object file;

	if (rc == 0)
		rc = objects_find(o, f->s->folder.id, VAULT_STORE_FILE, &file);
	if (rc == 0 && file.is_file) {
		f->has_vault = true;
		return 0;
	}
	if (rc < 0 && rc != -ENOENT && rc != -EEXIST && rc != -ENOTDIR)
		return rc;
	rc = objects_list(o, f->s->root.id, on_root_child, f);
	if (rc >= 0 && f->s->folder.id[0])
		rc = objects_list(o, f->s->folder.id, on_own_child, f);
	return rc < 0 ? rc : 0;
}

static enum vault_found conclude(const struct objects *o, const struct found *f)
{
	if (f->has_vault)
		return VAULT_FOUND_VAULT;
	/* A first generation alone is what a creation leaves that was cut short
	 * before the vault existed. */
	if (f->generation > 1 || (f->generation == 1 && f->has_files)) {
		objects_say(o,
		            "%s/%s is gone; bring it back from the recycle bin "
		            "of OneDrive, or make a copy of vault-%" PRIu64
		            ".age beside it",
		            VAULT_STORE_FOLDER, VAULT_STORE_FILE,
		            f->generation);
		return VAULT_FOUND_LOST;
	}
	if (f->has_files) {
		objects_say(o, "the folder holds files and is no vault");
		return VAULT_FOUND_FILES;
	}
	return VAULT_FOUND_NOTHING;
}

int vault_store_find(struct vault_store *s, enum vault_found *out_found,
                     char *why)
{
	struct objects o = vault_store_calls(s, why);
	struct found f = { .s = s };
	int rc;

	s->folder.id[0] = '\0';
	rc = look_around(&o, &f);
	if (rc < 0)
		return rc;
	why[0] = '\0';
	*out_found = conclude(&o, &f);
	return 0;
}
