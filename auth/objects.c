#include "auth/objects.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "net/buf.h"
#include "net/log.h"
#include "net/quickxor.h"

#define CREATE_TRIES  3
#define REPLACE_TRIES 4

/* Tags of some drives move for no reason, or are never right: after that many
 * refusals with nothing changed, the look of a moment ago has to do. */
#define UNCONDITIONAL 2

void objects_say(const struct objects *o, const char *fmt, ...)
{
	va_list args;

	if (!o->why)
		return;
	va_start(args, fmt);
	vsnprintf(o->why, o->why_size, fmt, args);
	va_end(args);
}

/* ---- objects ------------------------------------------------------------- */

static bool take(char *to, size_t size, const char *from)
{
	size_t len = from ? strlen(from) : 0;

	if (len >= size)
		return false;
	memcpy(to, from ? from : "", len + 1);
	return true;
}

int object_copy(const struct graph_item *item, struct object *out)
{
	struct object ob = { .is_folder = item->kind == GRAPH_FOLDER,
		             .is_file = item->kind == GRAPH_FILE,
		             .has_hash = item->has_hash };

	if (item->deleted || !item->name || !item->etag ||
	    (ob.is_file && item->size < 0) ||
	    !take(ob.id, sizeof(ob.id), item->id) ||
	    !take(ob.parent_id, sizeof(ob.parent_id), item->parent_id) ||
	    !take(ob.name, sizeof(ob.name), item->name) ||
	    !take(ob.etag, sizeof(ob.etag), item->etag))
		return -EBADMSG;
	ob.size = item->size < 0 ? 0 : (uint64_t)item->size;
	memcpy(ob.hash, item->hash, sizeof(ob.hash));
	*out = ob;
	return 0;
}

bool object_same(const struct object *a, const struct object *b)
{
	return a->is_file && b->is_file && a->size == b->size && a->has_hash &&
	       b->has_hash && !memcmp(a->hash, b->hash, sizeof(a->hash));
}

/* What an upload of `data` should look like. */
static struct object describe(const void *data, size_t len)
{
	struct object ob = { .is_file = true, .has_hash = true, .size = len };
	struct quickxor q;

	quickxor_init(&q);
	quickxor_update(&q, data, len);
	quickxor_final(&q, ob.hash);
	return ob;
}

/* 1: its content is `data`, 0: it is not, -Exxx: nobody knows. The hash may be
 * missing for a moment: then the bytes count. */
static int holds(const struct objects *o, const struct object *ob,
                 const void *data, size_t len)
{
	struct object want = describe(data, len);
	struct buf got = BUF_INIT;
	int rc;

	if (!ob->is_file || ob->size != len)
		return 0;
	if (ob->has_hash)
		return object_same(ob, &want);
	rc = objects_read(o, ob, len, &got);
	if (rc == 0)
		rc = got.len == len && (!len || !memcmp(got.data, data, len));
	buf_done(&got);
	return rc;
}

/* ---- one request --------------------------------------------------------- */

struct reply {
	long status;
	bool unknown; /* whether it was carried out */
	bool has_object;
	struct object object;
};

static void say_answer(const struct objects *o, const char *what,
                       const struct graph_answer *a, int rc)
{
	if (a->offline)
		objects_say(o,
		            "%s: the network or the service can't be reached "
		            "(%s)",
		            what, strerror(-rc));
	else
		objects_say(o, "%s: %s%s%s%s", what, strerror(-rc),
		            a->code && a->code[0] ? " (" : "",
		            a->code ? a->code : "",
		            a->code && a->code[0] ? ")" : "");
}

/* Sends it, waits, frees it. */
static int ask(const struct objects *o, struct graph_prepared *p, int rc,
               const char *what, struct reply *out)
{
	struct graph_result r = { 0 };
	struct graph_item item;

	*out = (struct reply){ 0 };
	if (rc < 0)
		return rc;
	p->c.prio = HTTP_PRIO_META;
	p->c.patience_ms = o->patience_ms;
	rc = graph_wait(o->graph, &p->c, &r);
	out->status = r.answer.status;
	out->unknown = rc < 0 && r.answer.was_sent &&
	               (r.answer.verdict == RETRY_LOOK ||
	                r.answer.verdict == RETRY_WAIT) &&
	               rc != -EEXIST && rc != -ESTALE;
	if (rc == 0 && r.json && graph_parse_item(r.json, &item) == 0)
		out->has_object = object_copy(&item, &out->object) == 0;
	if (rc < 0)
		say_answer(o, what, &r.answer, rc);
	graph_result_done(&r);
	graph_prepared_done(p);
	if (out->status == 404 || out->status == 410)
		return -ENOENT;
	return rc;
}

static int senseless(const struct objects *o, const char *what)
{
	objects_say(o, "%s: the service's answer makes no sense", what);
	return -EBADMSG;
}

static int ask_object(const struct objects *o, struct graph_prepared *p, int rc,
                      const char *what, struct object *out)
{
	struct reply r;

	rc = ask(o, p, rc, what, &r);
	if (rc == 0 && !r.has_object)
		return senseless(o, what);
	if (rc == 0)
		*out = r.object;
	return rc;
}

/* Ids of personal drives lose their leading zero and change their case in
 * places (facts/graph.md 2.5). */
static bool same_id(const char *a, const char *b)
{
	return !strcasecmp(a + strspn(a, "0"), b + strspn(b, "0"));
}

static bool is_at(const struct object *ob, const char *parent_id,
                  const char *name)
{
	return !strcmp(ob->name, name) &&
	       (!ob->parent_id[0] || same_id(ob->parent_id, parent_id));
}

/* ---- looking ------------------------------------------------------------- */

int objects_get(const struct objects *o, const char *id, struct object *out)
{
	struct graph_prepared p = { 0 };
	int rc = graph_prepare_get_item(o->graph, id, &p);

	return ask_object(o, &p, rc, "looking at an object of the vault", out);
}

int objects_find(const struct objects *o, const char *parent_id,
                 const char *name, struct object *out)
{
	struct graph_prepared p = { 0 };
	struct object ob;
	int rc = graph_prepare_get_child(o->graph, parent_id, name, &p);

	rc = ask_object(o, &p, rc, name, &ob);
	if (rc < 0)
		return rc;
	if (!is_at(&ob, parent_id, name)) {
		objects_say(o, "\"%s\": the service holds \"%s\" equal to it",
		            name, ob.name);
		return -EEXIST;
	}
	*out = ob;
	return 0;
}

static int each_of(const cJSON *value, objects_each_fn *each, void *arg)
{
	const cJSON *v;

	cJSON_ArrayForEach (v, value) {
		struct graph_item item;
		struct object ob;
		int rc;

		if (graph_parse_item(v, &item) < 0 || item.deleted)
			continue;
		/* What can't be copied still is something that is there. */
		if (object_copy(&item, &ob) < 0)
			ob = (struct object){ .name = "" };
		rc = each(arg, &ob);
		if (rc != 0)
			return rc;
	}
	return 0;
}

int objects_list(const struct objects *o, const char *folder_id,
                 objects_each_fn *each, void *arg)
{
	struct graph_prepared p = { 0 };
	int rc = graph_prepare_list(o->graph, folder_id, &p);
	struct graph_walk walk = { 0 };
	bool more = true;

	while (rc == 0 && more) {
		struct graph_page page = { 0 };
		struct graph_result r = { 0 };

		p.c.prio = HTTP_PRIO_META;
		p.c.patience_ms = o->patience_ms;
		rc = graph_wait(o->graph, &p.c, &r);
		graph_prepared_done(&p);
		if (rc < 0)
			say_answer(o, "listing a folder of the vault",
			           &r.answer, rc);
		else
			rc = graph_parse_page(o->graph, r.json, &page);
		if (rc == 0 && page.next_link)
			rc = graph_walk_on(&walk, &page);
		if (rc == 0)
			rc = each_of(page.value, each, arg);
		more = page.next_link;
		if (rc == 0 && more)
			rc = graph_prepare_link(o->graph, page.next_link, &p);
		graph_result_done(&r);
	}
	return rc;
}

/* ---- making -------------------------------------------------------------- */

/* The service says it made an object of that name. */
static int check_made(const struct objects *o, const char *parent_id,
                      const char *name, const struct object *ob)
{
	if (is_at(ob, parent_id, name))
		return 0;
	objects_say(o, "\"%s\": the service made \"%s\" of it", name, ob->name);
	return -EBADMSG;
}

/* The answer got lost, and there is nothing: it may be sent again. */
static bool is_lost(const struct reply *r, int found, int tries)
{
	return r->unknown && found == -ENOENT && tries < CREATE_TRIES;
}

int objects_mkdir(const struct objects *o, const char *parent_id,
                  const char *name, struct object *out)
{
	struct reply r;
	int rc, tries = 0;

	do {
		struct graph_prepared p = { 0 };

		rc = graph_prepare_mkdir(o->graph, parent_id, name, &p);
		rc = ask(o, &p, rc, name, &r);
		/* A folder is a folder, whoever made it. */
		if (r.unknown)
			rc = objects_find(o, parent_id, name, &r.object);
	} while (is_lost(&r, rc, ++tries));
	if (rc < 0)
		return rc;
	if (r.unknown && !r.object.is_folder)
		return -EEXIST;
	if (!r.unknown && (!r.has_object || !r.object.is_folder))
		return senseless(o, name);
	*out = r.object;
	return check_made(o, parent_id, name, out);
}

/* The content counts, not what the service says it did. */
static int check_content(const struct objects *o, const struct object *ob,
                         const void *data, size_t len)
{
	int rc = holds(o, ob, data, len);

	if (rc == 0) {
		objects_say(o,
		            "\"%s\": the service has other bytes than were "
		            "sent",
		            ob->name);
		return -EBADMSG;
	}
	return rc < 0 ? rc : 0;
}

/* Looks what has the name: 0 if it is `data`, -EEXIST if not. */
static int look_for(const struct objects *o, const char *parent_id,
                    const char *name, const void *data, size_t len,
                    struct object *out)
{
	int rc = objects_find(o, parent_id, name, out);

	if (rc == 0)
		rc = holds(o, out, data, len);
	return rc > 0 ? 0 : rc == 0 ? -EEXIST : rc;
}

int objects_create(const struct objects *o, const char *parent_id,
                   const char *name, const void *data, size_t len,
                   struct object *out)
{
	int rc, found = 0, tries = 0;
	struct reply r;

	do {
		struct graph_prepared p = { 0 };

		rc = graph_prepare_put_new(o->graph, parent_id, name, data, len,
		                           &p);
		rc = ask(o, &p, rc, name, &r);
		/* Also "taken": by a first try of which no answer came. */
		if (r.unknown || rc == -EEXIST)
			found = look_for(o, parent_id, name, data, len,
			                 &r.object);
	} while (is_lost(&r, found, ++tries));
	if (r.unknown || rc == -EEXIST) {
		*out = r.object;
		return found == -ENOENT && rc == -EEXIST ? rc : found;
	}
	if (rc < 0)
		return rc;
	if (!r.has_object)
		return senseless(o, name);
	*out = r.object;
	rc = check_made(o, parent_id, name, out);
	return rc == 0 ? check_content(o, out, data, len) : rc;
}

/* ---- changing ------------------------------------------------------------ */

/* After a replace of which is not known what it did, or whose tag was old. 0:
 * it is done; -EAGAIN: nothing has happened, *known has the tag of now;
 * -ESTALE: somebody else changed it. */
static int look_again(const struct objects *o, struct object *known,
                      const void *data, size_t len, struct object *out)
{
	struct object now;
	int rc = objects_get(o, known->id, &now);

	if (rc < 0)
		return rc == -ENOENT ? -ESTALE : rc;
	rc = holds(o, &now, data, len);
	if (rc < 0)
		return rc;
	if (rc > 0) {
		*out = now;
		return 0;
	}
	if (!object_same(known, &now) ||
	    !is_at(&now, known->parent_id, known->name)) {
		objects_say(o, "\"%s\" was changed by another device",
		            known->name);
		return -ESTALE;
	}
	*known = now;
	return -EAGAIN;
}

int objects_replace(const struct objects *o, const struct object *known,
                    const void *data, size_t len, struct object *out)
{
	struct object base = *known;
	unsigned moved = 0;
	int rc = -EAGAIN;

	for (int i = 0; i < REPLACE_TRIES && rc == -EAGAIN; i++) {
		struct graph_prepared p = { 0 };
		struct reply r;

		if (moved >= UNCONDITIONAL)
			log_warn("event=unconditional_replace name=%s",
			         base.name);
		rc = graph_prepare_put(o->graph, base.id,
		                       moved < UNCONDITIONAL ? base.etag : NULL,
		                       data, len, &p);
		rc = ask(o, &p, rc, base.name, &r);
		if (rc == 0 && !r.has_object)
			return senseless(o, base.name);
		if (rc == 0) {
			*out = r.object;
			return check_content(o, out, data, len);
		}
		if (rc == -ENOENT)
			return -ESTALE;
		if (rc == -ESTALE || r.unknown) {
			moved += rc == -ESTALE;
			rc = look_again(o, &base, data, len, out);
		}
	}
	return rc;
}

/* What is known is still what is there: *known gets the tag of now. */
static int refresh(const struct objects *o, struct object *known)
{
	struct object now;
	int rc = objects_get(o, known->id, &now);

	if (rc < 0)
		return rc;
	if (!is_at(&now, known->parent_id, known->name) ||
	    (!now.is_folder && !object_same(known, &now)))
		return -ESTALE;
	*known = now;
	return 0;
}

int objects_delete(const struct objects *o, const struct object *known)
{
	struct object base = *known;
	struct reply r;
	int rc = -ESTALE;

	for (int i = 0; i < REPLACE_TRIES && rc == -ESTALE; i++) {
		struct graph_prepared p = { 0 };

		if (i > 0 && (rc = refresh(o, &base)) < 0)
			break;
		if (i >= UNCONDITIONAL)
			log_warn("event=unconditional_delete name=%s",
			         base.name);
		rc = graph_prepare_delete(o->graph, base.id,
		                          i < UNCONDITIONAL ? base.etag : NULL,
		                          &p);
		rc = ask(o, &p, rc, base.name, &r);
	}
	return rc == -ENOENT ? 0 : rc;
}
