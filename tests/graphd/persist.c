#include "tests/graphd/persist.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/db.h"
#include "net/json.h"
#include "tests/graphd/must.h"
#include "tests/graphd/session.h"
#include "tests/graphd/strmap.h"

#define MAX_JSON (1 << 20)

struct persist {
	struct db *db;
	char *sessions; /* as last stored */
};

static const char schema[] =
	"PRAGMA journal_mode = WAL;"
	"PRAGMA synchronous = OFF;"
	"CREATE TABLE IF NOT EXISTS item(num INTEGER PRIMARY KEY, json TEXT);"
	"CREATE TABLE IF NOT EXISTS meta(name TEXT PRIMARY KEY, value TEXT);";

int persist_make_dir(const char *dir)
{
	return mkdir(dir, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

/* ---- items as JSON
 * --------------------------------------------------------------- */

/* int64 goes as text: JSON numbers are doubles here. */
static void put_i64(cJSON *o, const char *name, int64_t v)
{
	char *s = must_printf("%lld", (long long)v);

	cJSON_AddStringToObject(o, name, s);
	free(s);
}

static int64_t get_i64(const cJSON *o, const char *name)
{
	const char *s = json_str(o, name);

	return s ? strtoll(s, NULL, 10) : 0;
}

static cJSON *blob_json(const struct blob *b)
{
	cJSON *o = cJSON_CreateObject();

	put_i64(o, "num", (int64_t)b->num);
	put_i64(o, "size", (int64_t)b->size);
	cJSON_AddStringToObject(o, "quickxor", b->quickxor);
	cJSON_AddStringToObject(o, "sha1", b->sha1);
	return o;
}

static void put_versions(cJSON *o, const struct item *item)
{
	cJSON *list = cJSON_AddArrayToObject(o, "versions");

	for (size_t i = 0; i < item->nversions; i++) {
		cJSON *v = blob_json(item->versions[i].blob);

		put_i64(v, "n", item->versions[i].n);
		put_i64(v, "modified", item->versions[i].modified_ns);
		cJSON_AddItemToArray(list, v);
	}
}

/* Fields by one table for both directions. */
static const struct {
	const char *name;
	size_t offset, size;
} fields[] = {
#define F(m)                                                                   \
	{                                                                      \
#m, offsetof(struct item, m), sizeof(((struct item *)0)->m)    \
	}
	F(type),        F(state),         F(binned_with),    F(version_n),
	F(etag_n),      F(ctag_n),        F(below_ns),       F(created_ns),
	F(modified_ns), F(fs_created_ns), F(fs_modified_ns), F(seq),
	F(changed_ns),  F(content_ns),    F(malware),        F(locked),
	F(no_hash),     F(wrong_hash),    F(no_tombstone),   F(remote),
#undef F
};

#define NFIELDS (sizeof(fields) / sizeof(*fields))

static int64_t read_field(const struct item *item, size_t i)
{
	const char *p = (const char *)item + fields[i].offset;
	int64_t v = 0;

	memcpy(&v, p, fields[i].size); /* little-endian */
	return v;
}

static cJSON *item_to_json(const struct item *item)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "id", item->id);
	cJSON_AddStringToObject(o, "guid", item->guid);
	cJSON_AddStringToObject(o, "name", item->name);
	if (item->description)
		cJSON_AddStringToObject(o, "description", item->description);
	if (item->parent)
		put_i64(o, "parent", (int64_t)item->parent->num);
	for (size_t i = 0; i < NFIELDS; i++)
		put_i64(o, fields[i].name, read_field(item, i));
	if (item->blob)
		cJSON_AddItemToObject(o, "blob", blob_json(item->blob));
	put_versions(o, item);
	return o;
}

/* ---- saving
 * ---------------------------------------------------------------------- */

static void save_item(struct db *db, const struct item *item)
{
	cJSON *json = item_to_json(item);
	char *text = cJSON_PrintUnformatted(json);

	must_ok(db_run(db, "INSERT OR REPLACE INTO item VALUES(?1, ?2)",
	               DB_ARGS(DB_INT(item->num), DB_TEXT(text))),
	        "storing an item");
	free(text);
	cJSON_Delete(json);
}

static void save_sessions(struct graphd *g)
{
	struct persist *p = g->persist;
	cJSON *json = session_save(g);
	char *text = cJSON_PrintUnformatted(json);

	cJSON_Delete(json);
	if (p->sessions && !strcmp(p->sessions, text)) {
		free(text);
		return;
	}
	must_ok(db_run(p->db,
	               "INSERT OR REPLACE INTO meta VALUES('sessions', ?1)",
	               DB_ARGS(DB_TEXT(text))),
	        "storing sessions");
	free(p->sessions);
	p->sessions = text;
}

void persist_save(struct graphd *g)
{
	struct item *list = drive_take_dirty(g->drive);
	struct persist *p = g->persist;

	if (list)
		must_ok(db_run(p->db, "BEGIN", DB_NONE), "storing");
	for (struct item *item = list; item; item = item->next_dirty)
		save_item(p->db, item);
	if (list)
		must_ok(db_run(p->db, "COMMIT", DB_NONE), "storing");
	save_sessions(g);
}

/* ---- loading
 * --------------------------------------------------------------------- */

struct loading {
	struct graphd *g;
	struct strmap *blobs; /* by number: versions share them */
	struct item **items;
	uint64_t *parents; /* numbers, by index of items */
	size_t n;
};

static struct blob *load_blob(struct loading *l, const cJSON *o)
{
	uint64_t num = (uint64_t)get_i64(o, "num");
	struct blob *b;

	if (!o)
		return NULL;
	b = strmap_get(l->blobs, &num, sizeof(num));
	if (!b) {
		b = blob_adopt(l->g->blobs, num, (uint64_t)get_i64(o, "size"),
		               json_str(o, "quickxor"), json_str(o, "sha1"));
		strmap_put(l->blobs, &num, sizeof(num), b);
	}
	return blob_ref(b);
}

static void load_versions(struct loading *l, const cJSON *o, struct item *item)
{
	const cJSON *list = json_arr(o, "versions"), *v;

	item->versions = must_alloc((size_t)(cJSON_GetArraySize(list) + 1) *
	                            sizeof(*item->versions));
	cJSON_ArrayForEach (v, list) {
		item->versions[item->nversions++] = (struct version){
			.n = (unsigned)get_i64(v, "n"),
			.blob = load_blob(l, v),
			.modified_ns = get_i64(v, "modified"),
		};
	}
}

static void load_item(struct loading *l, uint64_t num, const cJSON *o)
{
	struct item *item = drive_adopt(l->g->drive, json_str(o, "id"), num);

	for (size_t i = 0; i < NFIELDS; i++) {
		int64_t v = get_i64(o, fields[i].name);

		memcpy((char *)item + fields[i].offset, &v, fields[i].size);
	}
	strncpy(item->guid, json_str(o, "guid"), sizeof(item->guid) - 1);
	free(item->name);
	item->name = must_copy(json_str(o, "name"));
	item->description = must_copy(json_str(o, "description"));
	item->blob = load_blob(l, json_obj(o, "blob"));
	load_versions(l, o, item);
	l->items = must_grow(l->items, (l->n + 1) * sizeof(*l->items));
	l->parents = must_grow(l->parents, (l->n + 1) * sizeof(*l->parents));
	l->parents[l->n] = (uint64_t)get_i64(o, "parent");
	l->items[l->n++] = item;
}

static int load_items(struct loading *l, struct db *db)
{
	char *text = must_alloc(MAX_JSON);
	struct sqlite3_stmt *q;
	int rc;

	rc = db_query(db, "SELECT num, json FROM item ORDER BY num", DB_NONE,
	              &q);
	while (rc == 0 && (rc = db_next(db, q)) == 1) {
		cJSON *o;

		db_col_text(q, 1, text, MAX_JSON);
		o = json_parse(text, strlen(text));
		if (o)
			load_item(l, (uint64_t)db_col_int(q, 0), o);
		cJSON_Delete(o);
		rc = 0;
	}
	db_finish(q);
	free(text);
	return rc;
}

static int load_meta(struct db *db, const char *name, char **out)
{
	char *text = must_alloc(MAX_JSON);
	struct sqlite3_stmt *q;
	int rc;

	*out = NULL;
	rc = db_query(db, "SELECT value FROM meta WHERE name = ?1",
	              DB_ARGS(DB_TEXT(name)), &q);
	if (rc == 0)
		rc = db_next(db, q);
	if (rc == 1) {
		db_col_text(q, 0, text, MAX_JSON);
		*out = must_copy(text);
		rc = 0;
	}
	db_finish(q);
	free(text);
	return rc;
}

static int check_kind(struct graphd *g, struct db *db)
{
	char *kind, *own = must_printf("%d", g->opt.kind);
	int rc = load_meta(db, "kind", &kind);

	if (rc == 0 && kind && strcmp(kind, own))
		rc = -EINVAL;
	if (rc == 0 && !kind)
		rc = db_run(db, "INSERT INTO meta VALUES('kind', ?1)",
		            DB_ARGS(DB_TEXT(own)));
	free(kind);
	free(own);
	return rc;
}

static int load_all(struct graphd *g, struct db *db)
{
	struct loading l = { .g = g, .blobs = strmap_new() };
	char *sessions = NULL;
	int rc = load_items(&l, db);

	for (size_t i = 0; i < l.n; i++)
		l.items[i]->parent =
			l.parents[i] ? drive_find_num(g->drive, l.parents[i])
				     : NULL;
	if (rc == 0 && l.n)
		drive_adopt_done(g->drive, l.items, l.n);
	if (rc == 0)
		rc = load_meta(db, "sessions", &sessions);
	if (sessions) {
		cJSON *list = json_parse(sessions, strlen(sessions));

		session_load(g, list);
		cJSON_Delete(list);
	}
	free(sessions);
	strmap_free(l.blobs);
	free(l.items);
	free(l.parents);
	return rc;
}

int persist_open(struct graphd *g, const char *dir)
{
	struct persist *p = must_alloc(sizeof(*p));
	char *path = must_printf("%s/graphd.db", dir);
	int rc;

	rc = db_open(path, true, &p->db);
	free(path);
	if (rc < 0) {
		free(p);
		return rc;
	}
	g->persist = p;
	rc = db_script(p->db, schema);
	if (rc == 0)
		rc = check_kind(g, p->db);
	if (rc == 0)
		rc = load_all(g, p->db);
	if (rc == 0)
		persist_save(g);
	return rc;
}

void persist_close(struct graphd *g)
{
	if (!g->persist)
		return;
	db_close(g->persist->db);
	free(g->persist->sessions);
	free(g->persist);
	g->persist = NULL;
}
