#include "tests/sim/sim.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/codec.h"
#include "fs/content.h"
#include "fs/db.h"
#include "fs/held.h"
#include "fs/engine_internal.h"
#include "fs/node.h"
#include "fs/seen.h"
#include "fs/store.h"
#include "fs/tree.h"
#include "net/clock.h"

#define MAX_NODES 18 /* fewer than a mass delete would take */

bool sim_on_disk, sim_holds;
static struct codec *codec;

static void must(int rc, const char *what)
{
	if (rc < 0)
		sim_fail("%s: %s", what, strerror(-rc));
}

/* ---- life ---------------------------------------------------------------- */

static void on_dirty(void *arg, uint64_t ino)
{
	struct device *d = arg;

	if (d->engine)
		engine_note_dirty(d->engine, ino);
}

static void on_settled(void *arg, uint64_t ino)
{
	struct device *d = arg;

	if (d->engine)
		engine_note_settled(d->engine, ino);
}

static void on_entry(void *arg, uint64_t parent, const char *name)
{
	(void)arg;
	(void)parent;
	(void)name;
}

static void on_attr(void *arg, uint64_t nodeid)
{
	(void)arg;
	(void)nodeid;
}

static void on_unsynced(void *arg)
{
	(void)arg;
}

static int fill(struct device *d, uint64_t ino);

static void on_hydrate(void *arg, uint64_t ino)
{
	struct device *d = arg;

	if (fill(d, ino) == 0)
		engine_note_dirty(d->engine, ino);
}

static void start_parts(struct device *d)
{
	static const struct hold_limits limits = {
		.n = 1,
		.clause = { { .items = 3, .percent = 10 } },
		.window_ms = 600000,
	};
	struct content_recovery rec;
	struct tree_options to = {
		.store = d->store,
		.codec = codec,
		.path_units = 4,
		.events = { .arg = d,
		            .dirty = on_dirty,
		            .settled = on_settled,
		            .stale_entry = on_entry,
		            .stale_attr = on_attr,
		            .unsynced = on_unsynced },
	};
	struct engine_options eo = {
		.store = d->store,
		.codec = codec,
		.folder = "box",
		.write_back_delay_ms = 1000,
		.max_dirty_age_ms = 300000,
		.poll_interval_ms = 60000,
		.hold = sim_holds ? &limits : NULL,
		.reconcile_interval_ms = SIM_RECONCILE_MS,
		.hydrate = on_hydrate,
		.arg = d,
	};

	must(contents_new(d->dir, d->store, &d->contents), "contents_new");
	contents_set_changed(d->contents, on_dirty, d);
	must(contents_recover(d->contents, false, &rec), "contents_recover");
	if (rec.lost)
		sim_fail("dev%d: recovery lost bytes", d->num);
	to.contents = d->contents;
	must(tree_new(&to, &d->tree), "tree_new");
	d->graph = net_new(d->num);
	eo.tree = d->tree;
	eo.contents = d->contents;
	eo.graph = d->graph;
	must(engine_new(&eo, &d->engine), "engine_new");
}

void device_start(struct device *d, int num, const char *dir)
{
	struct store_found found;

	memset(d, 0, sizeof(*d));
	d->num = num;
	if (!codec)
		must(codec_plain_new(false, &codec), "codec");
	snprintf(d->dir, sizeof(d->dir), "%s/%d", dir, num);
	if (mkdir(d->dir, 0700) < 0)
		sim_fail("mkdir %s: %s", d->dir, strerror(errno));
	must(store_open(sim_on_disk ? d->dir : NULL, &d->store, &found),
	     "store_open");
	start_parts(d);
}

/* Its memory is left behind, as it would be: nothing is closed in order. What
 * was committed survives a kill: a store in memory goes on, one on disk is
 * opened anew. */
void device_crash(struct device *d)
{
	struct store_found found;

	sim_say("dev%d crashes", d->num);
	crash_count++;
	sim_died();
	net_drop(d->graph);
	if (sim_on_disk)
		must(store_open(d->dir, &d->store, &found), "store_open");
	d->open = NULL;
	d->engine = NULL;
	start_parts(d);
}

void device_turn(struct device *d)
{
	sim_acting = d->num;
	engine_turn(d->engine);
}

void device_sync(struct device *d)
{
	must(tree_sync(d->tree), "tree_sync");
}

void device_poll(struct device *d)
{
	engine_poll(d->engine, NULL, NULL);
}

/* ---- looking around ------------------------------------------------------ */

struct spot {
	uint64_t ino, parent;
	char name[NODE_NAME_MAX + 1];
	bool dir;
};

static size_t list_nodes(struct device *d, struct spot **out)
{
	struct spot *s = NULL;
	struct sqlite3_stmt *q;
	size_t n = 0;
	struct db *db;
	int rc;

	must(store_reader(d->store, &db), "reader");
	rc = db_query(
		db,
		"SELECT ino,parent,name,mode FROM node WHERE parent IS NOT"
		" NULL AND ino<>1 ORDER BY ino",
		DB_NONE, &q);
	while (rc == 0 && (rc = db_next(db, q)) == 1) {
		s = realloc(s, (n + 1) * sizeof(*s));
		s[n].ino = (uint64_t)db_col_int(q, 0);
		s[n].parent = (uint64_t)db_col_int(q, 1);
		db_col_text(q, 2, s[n].name, sizeof(s[n].name));
		s[n++].dir = S_ISDIR((mode_t)db_col_int(q, 3));
		rc = 0;
	}
	db_finish(q);
	store_reader_done(d->store, db);
	must(rc, "list");
	*out = s;
	return n;
}

static int get_row(struct device *d, uint64_t ino, struct node *out)
{
	struct db *db;
	int rc = store_reader(d->store, &db);

	if (rc < 0)
		return rc;
	rc = node_get(db, ino, out);
	store_reader_done(d->store, db);
	return rc;
}

/* The nodeid by which the kernel would know it now: looked up by its path. */
static uint64_t nodeid_of(struct device *d, uint64_t ino)
{
	char path[PATH_MAX], *part, *save = NULL;
	struct tree_entry e = { .nodeid = NODE_ROOT };
	uint64_t list, at = NODE_ROOT;
	struct db *db;

	must(store_reader(d->store, &db), "reader");
	if (node_path(db, ino, path, sizeof(path)) < 0)
		path[0] = '\0';
	store_reader_done(d->store, db);
	if (!path[0])
		return 0;
	for (part = strtok_r(path, "/", &save); part;
	     part = strtok_r(NULL, "/", &save)) {
		if (tree_lookup(d->tree, at, part, &e, &list) < 0)
			return 0;
		at = e.nodeid;
	}
	return at;
}

/* ---- contents ------------------------------------------------------------ */

/* What the network would bring: all chunks of the base. */
static int fill_content(struct content *c)
{
	struct cfile row;
	struct blob *b;
	int rc = content_is_whole(c);

	if (rc != 0)
		return rc < 0 ? rc : 0;
	content_get_row(c, &row);
	/* What was written here on a base that is deleted by now would be
	 * blocked for good; here it can still be had. */
	if (row.flags & CFILE_CLEAN && !service_find(row.base_id)) {
		sim_say("base %s is gone: size %llu base_size %llu flags %x "
		        "gen %llu",
		        row.base_id, (unsigned long long)row.size,
		        (unsigned long long)row.base_size, row.flags,
		        (unsigned long long)row.gen);
		return -ENOENT;
	}
	b = service_version(row.base_id, row.base_etag);
	if (!b)
		return -ESTALE;
	for (uint64_t off = 0, i = 0; off < b->len; off += CHUNK_SIZE, i++) {
		size_t len =
			b->len - off < CHUNK_SIZE ? b->len - off : CHUNK_SIZE;

		rc = content_store_chunk(c, row.base_etag, i, b->data + off,
		                         len);
		if (rc < 0)
			return rc;
	}
	return content_is_whole(c) == 1 ? 0 : -EIO;
}

static int fill(struct device *d, uint64_t ino)
{
	struct handle *h;
	struct content *c;
	uint64_t id = nodeid_of(d, ino);
	int rc = id ? tree_open(d->tree, id, O_RDONLY, &h) : -ENOENT;

	if (rc < 0) {
		sim_say("dev%d can't open %llu (%llu)", d->num,
		        (unsigned long long)ino, (unsigned long long)id);
		return rc;
	}
	rc = tree_handle_content(d->tree, h, &c);
	if (rc == 0) {
		rc = fill_content(c);
		content_put(c);
	}
	tree_release(d->tree, h);
	if (rc < 0)
		sim_say("dev%d can't fill %llu: %s", d->num,
		        (unsigned long long)ino, strerror(-rc));
	return rc;
}

static int key_of_content(struct content *c, uint64_t *out)
{
	uint64_t size = content_size(c);
	char *buf = malloc(size + 1);
	ssize_t n = content_pread(c, buf, size, 0);

	if (n >= 0)
		*out = sim_key(buf, (size_t)n);
	free(buf);
	return n < 0 ? (int)n : 0;
}

/* What this device holds of it: local bytes, or what it knows by hash. */
static int key_of(struct device *d, uint64_t ino, uint64_t *out)
{
	struct node *n = malloc(sizeof(*n));
	struct content *c;
	int rc = get_row(d, ino, n);

	*out = 0;
	if (rc == 0 && n->cid) {
		rc = content_get(d->contents, n->cid, false, &c);
		if (rc == 0) {
			if (content_is_whole(c) == 1)
				rc = key_of_content(c, out);
			else
				rc = -ENODATA;
			content_put(c);
		}
		if (rc == -ENODATA)
			rc = 0;
		else
			goto out;
	}
	if (rc == 0 && n->s_size && n->flags & NODE_HASHED) {
		memcpy(out, n->s_hash, sizeof(*out));
	} else if (rc == 0 && n->s_size) { /* by its tag, then */
		const struct blob *b = service_version(n->s_id, n->s_etag);

		*out = b ? b->key : 0;
	}
out:
	free(n);
	return rc;
}

/* ---- what a person says of what is held ---------------------------------- */

static void forget_key(struct device *d, uint64_t ino);

static void decided(void *arg, int rc, const struct engine_decided *out)
{
	struct device *d = arg;

	if (rc < 0 && rc != -ENOENT)
		sim_fail("dev%d: decides: %s", d->num, strerror(-rc));
	if (rc == 0)
		sim_say("dev%d decided done=%lld kept=%lld busy=%lld lost=%lld",
		        d->num, (long long)out->done, (long long)out->kept,
		        (long long)out->busy, (long long)out->lost);
}

/* What he takes back is set aside: nobody misses it in the tree. */
static void forget_held(struct device *d)
{
	uint64_t inos[64];
	struct db *db;
	int n;

	must(store_reader(d->store, &db), "reader");
	n = held_list(db, 0, 64, inos);
	store_reader_done(d->store, db);
	must(n, "held_list");
	for (int i = 0; i < n; i++)
		forget_key(d, inos[i]);
}

void device_decide(struct device *d, bool undo)
{
	enum engine_verdict v = undo ? ENGINE_UNDO : ENGINE_APPROVE;

	if (undo)
		forget_held(d);
	must(engine_decide(d->engine, HOLD_OUT, v, decided, d), "decide");
	must(engine_decide(d->engine, HOLD_IN, v, decided, d), "decide");
	sim_acting = d->num;
	engine_turn(d->engine);
}

/* ---- what programs do ---------------------------------------------------- */

static void fresh_bytes(char *buf, size_t len)
{
	for (size_t i = 0; i < len; i++)
		buf[i] = (char)sim_random();
}

static void write_bytes(struct device *d, struct handle *h, uint64_t off,
                        size_t len)
{
	struct content *c;
	char buf[600];

	fresh_bytes(buf, len);
	must(tree_handle_content(d->tree, h, &c), "handle_content");
	must(content_write(c, buf, len, off), "write");
	tree_wrote(d->tree, h, c, false);
	content_put(c);
}

/* Closed: from now on it must not get lost. */
static void close_handle(struct device *d, struct handle *h, const char *what)
{
	struct content *c;
	uint64_t key = 0;
	char path[64];

	must(tree_flush(d->tree, h), "flush");
	must(tree_handle_content(d->tree, h, &c), "handle_content");
	if (content_is_whole(c) == 1) {
		must(key_of_content(c, &key), "read back");
		snprintf(path, sizeof(path), "%s ino %llu", what,
		         (unsigned long long)handle_ino(h));
		if (key)
			sim_acknowledged(key, "device", path);
	}
	content_put(c);
	tree_release(d->tree, h);
}

static void forget_key(struct device *d, uint64_t ino)
{
	uint64_t key;

	if (key_of(d, ino, &key) == 0 && key)
		sim_superseded(key);
}

void device_close(struct device *d)
{
	struct node *n = malloc(sizeof(*n));
	struct handle *h = d->open;
	bool gone;

	d->open = NULL;
	gone = h &&
	       (d->open_gone || get_row(d, handle_ino(h), n) < 0 || !n->parent);
	free(n);
	if (!h)
		return;
	if (gone) { /* nobody can want it back */
		tree_release(d->tree, h);
		return;
	}
	if (d->open_idle || sim_chance(50)) {
		forget_key(d, handle_ino(h));
		write_bytes(d, h, sim_below(200), 24 + sim_below(100));
	}
	close_handle(d, h, "late close");
}

static void keep_or_close(struct device *d, struct handle *h, const char *what)
{
	if (!d->open && sim_chance(15)) {
		d->open = h;
		d->open_gone = d->open_idle = false;
	} else {
		close_handle(d, h, what);
	}
}

static void do_create(struct device *d, uint64_t dir, const char *name)
{
	struct tree_entry e;
	struct handle *h;
	uint64_t id = nodeid_of(d, dir);
	int rc;

	if (!id)
		return;
	rc = tree_create(d->tree, id, name, S_IFREG | 0644, O_WRONLY | O_EXCL,
	                 0, 0, &e, &h);
	if (rc < 0)
		return;
	sim_say("dev%d creates %s in %llu: ino %llu", d->num, name,
	        (unsigned long long)dir, (unsigned long long)e.st.st_ino);
	if (sim_chance(95))
		write_bytes(d, h, 0, 24 + sim_below(500));
	keep_or_close(d, h, name);
}

static void do_write(struct device *d, const struct spot *s)
{
	int trunc = sim_chance(60) ? O_TRUNC : 0;
	struct handle *h;
	uint64_t id;

	/* Else the rest comes later, when the engine asks for it. */
	if (!trunc && sim_chance(70) && fill(d, s->ino) < 0)
		return;
	id = nodeid_of(d, s->ino);
	forget_key(d, s->ino);
	if (!id || tree_open(d->tree, id, O_WRONLY | trunc, &h) < 0)
		return;
	sim_say("dev%d writes %s ino %llu%s", d->num, s->name,
	        (unsigned long long)s->ino, trunc ? " anew" : "");
	if (!d->open && sim_chance(15)) {
		d->open = h;
		d->open_gone = false;
		d->open_idle = true;
		return;
	}
	write_bytes(d, h, trunc ? 0 : sim_below(100), 24 + sim_below(300));
	keep_or_close(d, h, s->name);
}

static void do_unlink(struct device *d, const struct spot *s)
{
	uint64_t list, dir = nodeid_of(d, s->parent), key = 0;
	int rc;

	if (!dir)
		return;
	if (!s->dir)
		key_of(d, s->ino, &key);
	sim_risk(key);
	rc = s->dir ? tree_rmdir(d->tree, dir, s->name, &list)
	            : tree_unlink(d->tree, dir, s->name);
	sim_risk(0);
	if (rc == 0 && key)
		sim_superseded(key);
	if (rc == 0 && d->open && handle_ino(d->open) == s->ino)
		d->open_gone = true;
	if (rc == 0)
		sim_say("dev%d removes %s ino %llu", d->num, s->name,
		        (unsigned long long)s->ino);
}

/* rm -r */
static void do_remove_tree(struct device *d, const struct spot *s)
{
	struct spot *all;
	size_t n = list_nodes(d, &all);

	for (size_t i = 0; i < n; i++) {
		if (all[i].parent == s->ino)
			do_remove_tree(d, &all[i]);
	}
	free(all);
	do_unlink(d, s);
}

static void do_rename(struct device *d, const struct spot *s, uint64_t to,
                      const char *name)
{
	uint64_t list, from_id = nodeid_of(d, s->parent),
		       to_id = nodeid_of(d, to), key = 0, over = 0;
	struct tree_entry e;
	unsigned flags = sim_chance(15)   ? RENAME_EXCHANGE
	                 : sim_chance(40) ? RENAME_NOREPLACE
	                                  : 0;
	int rc;

	if (!from_id || !to_id)
		return;
	if (tree_lookup(d->tree, to_id, name, &e, &list) == 0 && !flags &&
	    e.st.st_ino != s->ino && S_ISREG(e.st.st_mode)) {
		key_of(d, e.st.st_ino, &key);
		over = e.st.st_ino;
	}
	sim_risk(key);
	rc = tree_rename(d->tree, from_id, s->name, to_id, name, flags, &list);
	sim_risk(0);
	if (rc < 0)
		return;
	if (key)
		sim_superseded(key);
	if (over && d->open && handle_ino(d->open) == over)
		d->open_gone = true;
	sim_say("dev%d renames %s ino %llu to %s in %llu%s", d->num, s->name,
	        (unsigned long long)s->ino, name, (unsigned long long)to,
	        flags == RENAME_EXCHANGE ? " (exchange)" : "");
}

static uint64_t pick_dir(const struct spot *all, size_t n)
{
	const struct spot *s = n ? &all[sim_below((uint32_t)n)] : NULL;

	return s && s->dir ? s->ino : NODE_ROOT;
}

void device_work(struct device *d)
{
	char name[2] = { sim_letter(), '\0' };
	struct spot *all;
	size_t n = list_nodes(d, &all);
	const struct spot *s = n ? &all[sim_below((uint32_t)n)] : NULL;
	uint64_t dir = pick_dir(all, n);
	struct tree_entry e;

	sim_acting = d->num;
	switch (sim_below(10)) {
	case 0:
	case 1:
		if (n < MAX_NODES)
			do_create(d, dir, name);
		break;
	case 2:
		if (n < MAX_NODES && nodeid_of(d, dir) &&
		    tree_make(d->tree, nodeid_of(d, dir), name, S_IFDIR | 0755,
		              0, 0, 0, &e) == 0)
			sim_say("dev%d mkdir %s in %llu: ino %llu", d->num,
			        name, (unsigned long long)dir,
			        (unsigned long long)e.st.st_ino);
		break;
	case 3:
	case 4:
	case 5:
		if (s && !s->dir)
			do_write(d, s);
		break;
	case 6:
		if (s)
			do_unlink(d, s);
		break;
	case 7:
		if (s && s->dir && sim_chance(50))
			do_remove_tree(d, s);
		break;
	case 8:
	case 9:
		if (s)
			do_rename(d, s, dir, name);
		break;
	}
	free(all);
}

/* ---- the person who reads the status ------------------------------------- */

/* The service holds the name equal to another: they rename it. If that one has
 * left by now, the next try will do. */
static void unblock(struct device *d, const struct spot *s)
{
	static unsigned count;
	const struct thing *folder;
	struct node *p = malloc(sizeof(*p));
	char name[NODE_NAME_MAX + 1];
	uint64_t list, dir = nodeid_of(d, s->parent);

	must(get_row(d, s->parent, p), "row");
	folder = service_find(p->s_id);
	free(p);
	if (!folder || !service_child(folder, s->name))
		return;
	snprintf(name, sizeof(name), "%.100s-%d%u", s->name, d->num, count++);
	if (dir)
		must(tree_rename(d->tree, dir, s->name, dir, name, 0, &list),
		     "rename what is blocked");
	sim_say("dev%d renames %s, which is blocked, to %s", d->num, s->name,
	        name);
}

void device_unblock(struct device *d)
{
	struct spot *all;
	size_t n = list_nodes(d, &all);
	char why[256];
	struct db *db;
	int rc, blocked;

	sim_acting = d->num;
	for (size_t i = 0; i < n; i++) {
		must(store_reader(d->store, &db), "reader");
		rc = node_get_blocked(db, all[i].ino, &blocked, why,
		                      sizeof(why));
		store_reader_done(d->store, db);
		if (rc == 0 && (blocked == -EEXIST || blocked == -EBUSY))
			unblock(d, &all[i]);
	}
	free(all);
}

/* ---- the end ------------------------------------------------------------- */

bool device_is_calm(struct device *d)
{
	int64_t seen = 0, dirty = 0, unlisted = 0;
	struct db *db;

	must(store_reader(d->store, &db), "reader");
	seen_count(db, &seen);
	node_count_dirty(db, &dirty);
	must(db_query_int(db,
	                  "SELECT count(*) FROM node WHERE flags&4 AND s_id IS"
	                  " NOT NULL AND parent IS NOT NULL",
	                  DB_NONE, 0, &unlisted),
	     "query");
	store_reader_done(d->store, db);
	return !seen && !dirty && !unlisted;
}

/* Up to which change it has heard of everything. */
static uint64_t heard_of(struct db *db)
{
	unsigned long at = 0, first = 1;
	char link[96];
	int64_t state = 0;

	must(store_get_text(db, "delta_link", link, sizeof(link)), "link");
	must(store_get_int(db, "delta_state", 0, &state), "state");
	if (sscanf(link[0] ? link + 2 : "", "%lu:%lu", &at, &first) != 2 ||
	    first || state != 2)
		return 0;
	return at;
}

bool device_may_take(struct device *d, const struct thing *t,
                     const struct thing *folder)
{
	struct node *n = malloc(sizeof(*n));
	struct db *db;
	bool may = false;
	int rc;

	must(store_reader(d->store, &db), "reader");
	for (const struct thing *p = t; p != folder && !may; p = p->parent)
		may = p->seq > heard_of(db);
	rc = node_get_by_id(db, t->id, n);
	if (!may && rc == 0)
		may = !n->parent &&
		      (!t->blob || !(n->flags & NODE_HASHED) ||
		       !memcmp(n->s_hash, t->blob->hash, sizeof(n->s_hash)));
	store_reader_done(d->store, db);
	free(n);
	return may;
}

/* What it still has to do, for people. */
void device_explain(struct device *d)
{
	struct sqlite3_stmt *q;
	struct db *db;
	char a[4][NODE_NAME_MAX + 1];

	must(store_reader(d->store, &db), "reader");
	must(db_query(db,
	              "SELECT ino,parent,name,s_id,s_parent,s_name,flags,"
	              "ifnull(gen,0),ifnull(s_gen,0) FROM node WHERE flags&1",
	              DB_NONE, &q),
	     "query");
	while (db_next(db, q) == 1) {
		db_col_text(q, 2, a[0], sizeof(a[0]));
		db_col_text(q, 3, a[1], sizeof(a[1]));
		db_col_text(q, 5, a[2], sizeof(a[2]));
		printf("dev%d dirty ino %lld: %s in %lld; there %s %s in %lld;"
		       " flags %llx gen %lld of %lld\n",
		       d->num, (long long)db_col_int(q, 0), a[0],
		       (long long)db_col_int(q, 1), a[1], a[2],
		       (long long)db_col_int(q, 4),
		       (unsigned long long)db_col_int(q, 6),
		       (long long)db_col_int(q, 8),
		       (long long)db_col_int(q, 7));
	}
	db_finish(q);
	must(db_query(db, "SELECT id,name,parent_id,deleted FROM seen", DB_NONE,
	              &q),
	     "query");
	while (db_next(db, q) == 1) {
		db_col_text(q, 0, a[0], sizeof(a[0]));
		db_col_text(q, 1, a[1], sizeof(a[1]));
		db_col_text(q, 2, a[2], sizeof(a[2]));
		printf("dev%d parked %s: %s in %s%s\n", d->num, a[0], a[1],
		       a[2], db_col_int(q, 3) ? ", deleted" : "");
	}
	db_finish(q);
	store_reader_done(d->store, db);
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char *device_list(struct device *d)
{
	struct spot *all;
	size_t n = list_nodes(d, &all), len = 1;
	char **lines = calloc(n + 1, sizeof(*lines)), *out;

	for (size_t i = 0; i < n; i++) {
		char path[PATH_MAX] = "";
		uint64_t key = ~UINT64_C(0);
		struct db *db;

		must(store_reader(d->store, &db), "reader");
		node_path(db, all[i].ino, path, sizeof(path));
		store_reader_done(d->store, db);
		if (!all[i].dir) {
			int rc = fill(d, all[i].ino);

			if (rc < 0)
				sim_fail("dev%d can't read %s: %s", d->num,
				         path, strerror(-rc));
			must(key_of(d, all[i].ino, &key), "read");
		}
		lines[i] = malloc(strlen(path) + 32);
		sprintf(lines[i], "%s %016llx\n", path,
		        (unsigned long long)key);
		len += strlen(lines[i]);
	}
	qsort(lines, n, sizeof(*lines), compare);
	out = calloc(1, len);
	for (size_t i = 0; i < n; i++)
		strcat(out, lines[i]);
	free(all);
	return out;
}
