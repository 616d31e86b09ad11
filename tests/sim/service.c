#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/clock.h"
#include "net/names.h"
#include "net/quickxor.h"

struct service service;

static struct thing *new_thing(struct thing *parent, const char *name)
{
	struct thing *t = calloc(1, sizeof(*t));

	if (!t || service.n == SERVICE_MAX)
		sim_fail("the drive is too large");
	snprintf(t->id, sizeof(t->id), "I%04u%04x", (unsigned)service.n,
	         sim_random() & 0xffff);
	t->parent = parent;
	snprintf(t->name, sizeof(t->name), "%s", name);
	t->created = t->mtime = service.now_ns;
	service.things[service.n++] = t;
	return t;
}

static void changed(struct thing *t)
{
	t->etag++;
	t->seq = ++service.seq;
	t->of_tag[t->etag % 64] = t->blob;
}

void service_start(void)
{
	struct thing *t;

	memset(&service, 0, sizeof(service));
	service.now_ns = INT64_C(1700000000) * NS_PER_SEC;
	t = new_thing(NULL, "root");
	t->folder = true;
	changed(t);
}

struct thing *service_root(void)
{
	return service.things[0];
}

struct thing *service_find(const char *id)
{
	for (size_t i = 0; i < service.n; i++) {
		if (!strcmp(service.things[i]->id, id))
			return service.things[i]->deleted ? NULL
			                                  : service.things[i];
	}
	return NULL;
}

static bool same_name(const char *a, const char *b)
{
	char *fa, *fb;
	bool same;

	if (!strcmp(a, b))
		return true;
	if (strlen(a) != strlen(b))
		return false;
	fa = names_fold(a);
	fb = names_fold(b);
	same = fa && fb && !strcmp(fa, fb);
	free(fa);
	free(fb);
	return same;
}

struct thing *service_child(const struct thing *parent, const char *name)
{
	for (size_t i = 0; i < service.n; i++) {
		struct thing *t = service.things[i];

		if (!t->deleted && t->parent == parent &&
		    same_name(t->name, name))
			return t;
	}
	return NULL;
}

struct blob *service_blob(const void *data, size_t len)
{
	struct blob *b = malloc(sizeof(*b) + len);
	struct quickxor q;

	if (!b)
		sim_fail("no memory");
	b->len = len;
	if (len)
		memcpy(b->data, data, len);
	quickxor_init(&q);
	quickxor_update(&q, data, len);
	quickxor_final(&q, b->hash);
	b->key = sim_key(data, len);
	return b;
}

struct thing *service_add(struct thing *parent, const char *name, bool folder,
                          struct blob *b)
{
	struct thing *t = new_thing(parent, name);

	t->folder = folder;
	t->blob = b;
	changed(t);
	t->came = t->born = t->seq;
	return t;
}

static void remember(struct thing *t)
{
	t->before = (struct thing_state){ .parent = t->parent,
		                          .blob = t->blob,
		                          .etag = t->etag,
		                          .mtime = t->mtime };
	memcpy(t->before.name, t->name, sizeof(t->name));
}

void service_write(struct thing *t, struct blob *b)
{
	remember(t);
	t->blob = b;
	t->mtime = service.now_ns;
	changed(t);
}

bool service_is_below(const struct thing *t, const struct thing *folder)
{
	for (; t; t = t->parent) {
		if (t == folder)
			return true;
	}
	return false;
}

bool service_move(struct thing *t, struct thing *parent, const char *name)
{
	if (service_is_below(parent, t))
		return false;
	remember(t);
	if (name != t->name)
		snprintf(t->name, sizeof(t->name), "%s", name);
	t->parent = parent;
	changed(t);
	if (parent != t->before.parent)
		t->came = t->seq;
	return true;
}

void service_delete(struct thing *t)
{
	for (size_t i = 0; i < service.n; i++) {
		struct thing *c = service.things[i];

		if (!c->deleted && c->parent == t)
			service_delete(c);
	}
	if (t->blob)
		sim_superseded(t->blob->key);
	t->deleted = true;
	t->untold = service.loses_tombs && !service.calm && sim_chance(20);
	t->seq = ++service.seq;
}

void service_move_tag(struct thing *t)
{
	t->etag++;
	t->of_tag[t->etag % 64] = t->blob;
}

void service_etag(const struct thing *t, char out[48])
{
	snprintf(out, 48, "\"{%s},%u\"", t->id, t->etag);
}

struct blob *service_version(const char *id, const char *etag)
{
	char tag[48];
	unsigned n;

	for (size_t i = 0; i < service.n; i++) {
		struct thing *t = service.things[i];

		if (strcmp(t->id, id) != 0)
			continue;
		for (n = t->etag; n && n + 63 > t->etag; n--) {
			snprintf(tag, sizeof(tag), "\"{%s},%u\"", id, n);
			if (!strcmp(tag, etag))
				return t->of_tag[n % 64];
		}
	}
	return NULL;
}

/* ---- as JSON ------------------------------------------------------------- */

static void add_time(cJSON *obj, const char *name, int64_t ns)
{
	char text[CLOCK_RFC3339_SIZE];

	clock_format_rfc3339(ns, 3, text);
	cJSON_AddStringToObject(obj, name, text);
}

static void add_file(cJSON *j, const struct thing *t)
{
	char text[QUICKXOR_TEXT];
	cJSON *file = cJSON_AddObjectToObject(j, "file");
	cJSON *hashes = cJSON_AddObjectToObject(file, "hashes");

	quickxor_to_text(t->blob->hash, text);
	if (!service.hides_hashes || sim_chance(60))
		cJSON_AddStringToObject(hashes, "quickXorHash", text);
	cJSON_AddNumberToObject(j, "size", (double)t->blob->len);
}

cJSON *service_json(const struct thing *t)
{
	cJSON *j = cJSON_CreateObject(), *ref;
	char etag[48];
	int children = 0;

	cJSON_AddStringToObject(j, "id", t->id);
	if (t->parent) {
		ref = cJSON_AddObjectToObject(j, "parentReference");
		cJSON_AddStringToObject(ref, "id", t->parent->id);
	}
	if (t->deleted) {
		cJSON_AddObjectToObject(j, "deleted");
		return j;
	}
	service_etag(t, etag);
	cJSON_AddStringToObject(j, "name", t->name);
	cJSON_AddStringToObject(j, "eTag", etag);
	add_time(j, "createdDateTime", t->created);
	add_time(cJSON_AddObjectToObject(j, "fileSystemInfo"),
	         "lastModifiedDateTime", t->mtime);
	for (size_t i = 0; i < service.n; i++)
		children += !service.things[i]->deleted &&
		            service.things[i]->parent &&
		            !strcmp(service.things[i]->parent->id, t->id);
	if (t->folder)
		cJSON_AddNumberToObject(cJSON_AddObjectToObject(j, "folder"),
		                        "childCount", children);
	else
		add_file(j, t);
	if (!t->parent)
		cJSON_AddObjectToObject(j, "root");
	return j;
}

cJSON *service_list(const struct thing *folder)
{
	cJSON *j = cJSON_CreateObject();
	cJSON *value = cJSON_AddArrayToObject(j, "value");

	for (size_t i = 0; i < service.n; i++) {
		const struct thing *t = service.things[i];

		if (!t->deleted && t->parent == folder)
			cJSON_AddItemToArray(value, service_json(t));
	}
	return j;
}

/* ---- the feed ------------------------------------------------------------ */

static struct thing *next_change(uint64_t from)
{
	struct thing *best = NULL;

	for (size_t i = 0; i < service.n; i++) {
		struct thing *t = service.things[i];

		if (t->seq > from && (!best || t->seq < best->seq))
			best = t;
	}
	return best;
}

/* Links: "N:from:first:began" the next page, "D:from:0:0" the next round.
 * `first`: where the feed was when a first enumeration began, 0 in others;
 * `began`: where the round began. */
struct link {
	unsigned long from, first, began;
};

/* In a deleted folder: not named by itself, unless this drive does that, or it
 * came there after the round began. A first enumeration tells of deletes since
 * it began. */
static bool is_told(const struct thing *t, const struct link *l)
{
	if (!t->deleted)
		return true;
	if (t->untold)
		return false;
	return t->seq > l->first && (service.tombs_for_all ||
	                             !t->parent->deleted || t->came > l->began);
}

static void add_link(cJSON *j, const char *name, char kind,
                     const struct link *l)
{
	char text[96];

	snprintf(text, sizeof(text), "%c:%lu:%lu:%lu", kind, l->from, l->first,
	         l->began);
	cJSON_AddStringToObject(j, name, text);
}

/* As it was before its last change; the feed will tell that change again. */
static cJSON *old_json(struct thing *t)
{
	struct thing old = *t;

	old.parent = t->before.parent;
	memcpy(old.name, t->before.name, sizeof(old.name));
	old.blob = t->before.blob;
	old.etag = t->before.etag;
	old.mtime = t->before.mtime;
	t->seq = ++service.seq;
	sim_say("  it is told as it was before");
	return service_json(&old);
}

static bool is_old(const struct thing *t)
{
	return service.feed_is_old && !service.calm && t->before.etag &&
	       !t->deleted && !t->before.parent->deleted && sim_chance(15);
}

/* What came where it is before `until` but changed since is not left out. */
static void add_later(cJSON *value, const struct link *l, uint64_t until)
{
	for (size_t i = 0; i < service.n; i++) {
		const struct thing *t = service.things[i];

		if (t->came > l->began && t->came <= until && t->seq > until &&
		    !(t->deleted && (t->untold || t->born > l->began)))
			cJSON_AddItemToArray(value, service_json(t));
	}
}

cJSON *service_delta(const char *link)
{
	struct link l = { 0, service.seq, 0 };
	cJSON *j = cJSON_CreateObject();
	cJSON *value = cJSON_AddArrayToObject(j, "value");
	uint64_t until = service.calm ? service.seq : service.seq - service.lag;
	unsigned room = 1 + sim_below(service.calm ? 50 : 6);
	struct thing *t, *last = NULL;

	if (link &&
	    sscanf(link + 2, "%lu:%lu:%lu", &l.from, &l.first, &l.began) != 3)
		sim_fail("delta link %s", link);
	if (link && link[0] == 'D')
		l.began = l.from;
	while ((t = next_change(l.from)) && t->seq <= until && room) {
		if (is_told(t, &l)) {
			sim_say("  %lu %s \"%s\"%s", (unsigned long)t->seq,
			        t->id, t->name, t->deleted ? " gone" : "");
			l.from = t->seq;
			cJSON_AddItemToArray(value, is_old(t)
			                                    ? old_json(t)
			                                    : service_json(t));
			room--;
			last = t;
		} else {
			l.from = t->seq;
		}
	}
	if (!t || t->seq > until)
		add_later(value, &l, until);
	if (last && !service.calm && sim_chance(20)) /* said twice */
		cJSON_AddItemToArray(value, service_json(last));
	sim_say("delta %s: %d items to %lu", link ? link : "anew",
	        cJSON_GetArraySize(value), l.from);
	if (t && t->seq <= until) {
		add_link(j, "@odata.nextLink", 'N', &l);
	} else {
		l.first = l.began = 0;
		add_link(j, "@odata.deltaLink", 'D', &l);
	}
	return j;
}

/* ---- somebody else ------------------------------------------------------- */

static struct thing *pick(struct thing *box, bool folders)
{
	struct thing *list[SERVICE_MAX];
	size_t n = 0;

	for (size_t i = 0; i < service.n; i++) {
		struct thing *t = service.things[i];

		if (!t->deleted && t != box && service_is_below(t, box) &&
		    t->folder == folders)
			list[n++] = t;
	}
	if (folders && sim_chance(n ? 40 : 100))
		return box;
	return n ? list[sim_below((uint32_t)n)] : NULL;
}

static struct blob *fresh_blob(void)
{
	unsigned char data[300];
	size_t len = 24 + sim_below(200);

	for (size_t i = 0; i < len; i++)
		data[i] = (unsigned char)sim_random();
	return service_blob(data, len);
}

void service_visitor(struct thing *box)
{
	struct thing *f = pick(box, sim_chance(30)), *to = pick(box, true), *at;
	char name[2] = { sim_letter(), '\0' };
	struct blob *b;

	service.now_ns += NS_PER_SEC;
	at = service_child(to, name);
	switch (sim_below(6)) {
	case 0:
		if (at)
			return;
		b = fresh_blob();
		f = service_add(to, name, false, b);
		sim_say("visitor makes %s: %s in %s", f->id, name, to->name);
		sim_acknowledged(b->key, "visitor", name);
		break;
	case 1:
		if (!at)
			service_add(to, name, true, NULL);
		break;
	case 2:
	case 3:
		if (!f || f == box || f->folder)
			return;
		sim_superseded(f->blob->key);
		b = fresh_blob();
		service_write(f, b);
		sim_say("visitor writes %s %s", f->id, f->name);
		sim_acknowledged(b->key, "visitor", f->name);
		break;
	case 4:
		if (f && f != box && !at && service_move(f, to, name))
			sim_say("visitor moves %s to %s/%s", f->id, to->name,
			        name);
		break;
	case 5:
		if (!f || f == box || sim_chance(50))
			return;
		sim_say("visitor deletes %s %s", f->id, f->name);
		service_delete(f);
		break;
	}
}

/* ---- for the end --------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char *service_listing(void)
{
	struct thing *box = service_child(service_root(), "box");
	char *lines[SERVICE_MAX], *out;
	size_t n = 0, len = 1;

	for (size_t i = 0; box && i < service.n; i++) {
		struct thing *t = service.things[i];
		char path[2048] = "", more[2048];

		if (t->deleted || t == box || !service_is_below(t, box))
			continue;
		for (struct thing *p = t; p != box; p = p->parent) {
			snprintf(more, sizeof(more), "/%s%.1900s", p->name,
			         path);
			memcpy(path, more, sizeof(path));
		}
		lines[n] = malloc(2200);
		snprintf(lines[n], 2200, "%s %016llx\n", path,
		         t->folder ? ~0ULL : (unsigned long long)t->blob->key);
		len += strlen(lines[n++]);
	}
	qsort(lines, n, sizeof(*lines), compare);
	out = calloc(1, len);
	for (size_t i = 0; i < n; i++)
		strcat(out, lines[i]);
	return out;
}
