/* What "another device" does: straight on the drive, no rules of names. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "net/clock.h"
#include "net/json.h"
#include "tests/graphd/control_internal.h"
#include "tests/graphd/must.h"

#define PATTERN_PIECE 65536

/* Folder of the path, made if missing; *out_name is its last segment. */
static struct item *parent_of(struct graphd *g, const char *path,
                              const char **out_name)
{
	struct item *at = g->drive->root;

	for (;;) {
		const char *end;
		struct item *next;
		char *name;

		path += strspn(path, "/");
		end = strchrnul(path, '/');
		if (!*end) {
			*out_name = path;
			return *path && at->type == ITEM_FOLDER ? at : NULL;
		}
		name = must_copy_n(path, (size_t)(end - path));
		next = drive_child(g->drive, at, name);
		at = next ? next
		          : drive_add(g->drive, at, name, ITEM_FOLDER,
		                      graphd_now_ns(g));
		free(name);
		path = end;
	}
}

static struct blob *pattern(struct graphd *g, uint64_t size, uint64_t seed)
{
	uint8_t *piece = must_alloc(PATTERN_PIECE);
	struct draft *d;
	struct blob *b;
	unsigned ticket;

	must_ok(draft_new(g->blobs, &d), "content file");
	ticket = draft_claim(d);
	for (uint64_t i = 0; i < size;) {
		size_t n = 0;

		for (; n < PATTERN_PIECE && i < size; n++, i++)
			piece[n] = (uint8_t)(seed + i * 131 + i / 251);
		must_ok(draft_write(d, ticket, piece, n), "content file");
	}
	draft_keep(d, ticket);
	b = draft_take(d);
	draft_free(d);
	free(piece);
	return b;
}

static struct blob *decoded(struct graphd *g, const char *base64)
{
	size_t len = strlen(base64), n = 0;
	unsigned char *data = must_alloc(len + 1);
	struct blob *b;

	sodium_base642bin(data, len, base64, len, NULL, &n, NULL,
	                  sodium_base64_VARIANT_ORIGINAL);
	b = blob_from(g->blobs, data, n);
	free(data);
	return b;
}

static struct blob *new_content(struct graphd *g, const cJSON *op)
{
	const char *text = json_str(op, "text");
	const char *base64 = json_str(op, "base64");

	if (base64)
		return decoded(g, base64);
	if (text)
		return blob_from(g->blobs, text, strlen(text));
	return pattern(g, (uint64_t)json_i64(op, "size", 0),
	               (uint64_t)json_i64(op, "seed", 0));
}

/* ---- operations; NULL: can't, and *why
 * ---------------------------------------------- */

static struct item *do_put(struct graphd *g, const cJSON *op, const char *path,
                           const char **why)
{
	const char *mtime = json_str(op, "mtime"), *name;
	struct item *parent = parent_of(g, path, &name), *item;
	int64_t now = graphd_now_ns(g), ns;

	if (!parent) {
		*why = "the parent is no folder";
		return NULL;
	}
	item = drive_child(g->drive, parent, name);
	if (!item)
		item = drive_add(g->drive, parent, name, ITEM_FILE, now);
	if (item->type != ITEM_FILE) {
		*why = "it is no file";
		return NULL;
	}
	drive_set_content(g->drive, item, new_content(g, op), now);
	if (mtime && clock_parse_rfc3339(mtime, &ns) == 0)
		item->fs_modified_ns = ns;
	return item;
}

static struct item *do_make(struct graphd *g, const char *path,
                            enum item_type type, const char **why)
{
	const char *name;
	struct item *parent = parent_of(g, path, &name);

	if (parent && !drive_child(g->drive, parent, name))
		return drive_add(g->drive, parent, name, type,
		                 graphd_now_ns(g));
	*why = parent ? "it is there" : "the parent is no folder";
	return NULL;
}

/* Many at once: all have one content. */
static struct item *do_fill(struct graphd *g, const cJSON *op, const char *path,
                            const char **why)
{
	const char *name;
	struct item *folder = parent_of(g, path, &name), *there = NULL, *file;
	int64_t n = json_i64(op, "files", 0), now = graphd_now_ns(g);
	struct blob *content = new_content(g, op);
	char text[32];

	if (folder)
		there = drive_child(g->drive, folder, name);
	if (folder && !there)
		there = drive_add(g->drive, folder, name, ITEM_FOLDER, now);
	for (int64_t i = 0; there && i < n; i++) {
		snprintf(text, sizeof(text), "f%07lld", (long long)i);
		if (drive_child(g->drive, there, text))
			continue;
		file = drive_add(g->drive, there, text, ITEM_FILE, now);
		drive_set_content(g->drive, file, blob_ref(content), now);
	}
	blob_unref(g->blobs, content);
	*why = "the parent is no folder";
	return there;
}

static struct item *do_move(struct graphd *g, const cJSON *op,
                            struct item *item, const char **why)
{
	const char *to = json_str(op, "to"), *name;
	struct item *parent = to ? parent_of(g, to, &name) : NULL;
	struct item *there =
		parent ? drive_child(g->drive, parent, name) : NULL;

	if (!parent || drive_is_below(parent, item) ||
	    (there && there != item)) {
		*why = "can't go there";
		return NULL;
	}
	drive_move(g->drive, item, parent, name, graphd_now_ns(g));
	return item;
}

static struct item *do_set(struct graphd *g, const cJSON *op, struct item *item)
{
	item->malware = json_bool(op, "malware", item->malware);
	item->locked = json_bool(op, "locked", item->locked);
	item->no_hash = json_bool(op, "no_hash", item->no_hash);
	item->wrong_hash = json_bool(op, "wrong_hash", item->wrong_hash);
	item->no_tombstone = json_bool(op, "no_tombstone", item->no_tombstone);
	item->remote = json_bool(op, "remote", item->remote);
	drive_mark_changed(g->drive, item);
	return item;
}

/* All that is in the bin, what was deleted last first: a folder comes before
 * what was deleted in it. */
static struct item *do_give_back(struct graphd *g)
{
	struct drive *d = g->drive;
	struct item *item = d->newest;

	while (item) {
		struct item *older = item->older;

		if (item->state == ITEM_BINNED &&
		    item->binned_with == item->num &&
		    item->parent->state == ITEM_LIVE) {
			char *name =
				drive_free_name(d, item->parent, item->name);

			if (!drive_child(d, item->parent, item->name)) {
				free(name);
				name = must_copy(item->name);
			}
			drive_restore(d, item, item->parent, name,
			              graphd_now_ns(g));
			free(name);
			older = d->newest; /* the list is another one now */
		}
		item = older;
	}
	return d->root;
}

static struct item *run(struct graphd *g, const cJSON *op, const char **why)
{
	const char *what = json_str(op, "op"), *path = json_str(op, "path");
	struct item *item = control_find(g, path);

	*why = "op or path is missing";
	if (!what || !path)
		return NULL;
	if (!strcmp(what, "put"))
		return do_put(g, op, path, why);
	if (!strcmp(what, "mkdir"))
		return do_make(g, path, ITEM_FOLDER, why);
	if (!strcmp(what, "fill"))
		return do_fill(g, op, path, why);
	if (!strcmp(what, "give_back"))
		return do_give_back(g);
	if (!strcmp(what, "package"))
		return do_make(g, path, ITEM_PACKAGE, why);
	*why = "there is no such item";
	if (!item || !item->parent)
		return NULL;
	if (!strcmp(what, "move"))
		return do_move(g, op, item, why);
	if (!strcmp(what, "set"))
		return do_set(g, op, item);
	*why = "no such op";
	if (!strcmp(what, "trim"))
		while (item->nversions)
			drive_drop_version(g->drive, item, 0);
	else if (!strcmp(what, "touch"))
		drive_touch(g->drive, item, graphd_now_ns(g));
	else if (!strcmp(what, "delete"))
		drive_bin(g->drive, item, graphd_now_ns(g));
	else if (!strcmp(what, "destroy"))
		drive_destroy(g->drive, item, graphd_now_ns(g));
	else
		return NULL;
	return item;
}

void control_change(struct graphd *g, const cJSON *body, struct answer *out)
{
	cJSON *json = cJSON_CreateObject();
	cJSON *items = cJSON_AddArrayToObject(json, "items");
	const cJSON *op = cJSON_IsArray(body) ? body->child : body;
	const char *why;

	for (; op; op = cJSON_IsArray(body) ? op->next : NULL) {
		struct item *item = run(g, op, &why);

		if (!item) {
			cJSON_Delete(json);
			control_bad(out, "change: %s: %s", json_str(op, "path"),
			            why);
			return;
		}
		cJSON_AddItemToArray(items, control_item_json(g, item));
	}
	answer_json(out, 200, json);
}
