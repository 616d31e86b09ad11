#include "tests/graphd/locate.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "net/clock.h"
#include "net/json.h"
#include "tests/graphd/ids.h"
#include "tests/graphd/item_json.h"
#include "tests/graphd/must.h"
#include "tests/graphd/stats.h"

static void not_found(struct answer *out)
{
	answer_error(out, 404, "itemNotFound", NULL, "There is no such item.");
}

/* Ids go into URLs exactly as they came (facts/graph.md 2.5, 13 #2). */
static bool check_drive(struct graphd *g, const struct request *req,
                        struct answer *out)
{
	const char *id = req->route.drive, *own = g->drive->id;

	if (!id || !strcmp(id, own) ||
	    (g->quirks.short_drive_id && *own == '0' && !strcmp(id, own + 1)))
		return true;
	if (!strcasecmp(id, own)) {
		stats_forbid(g->stats,
		             "2.5: ids go into URLs exactly as received",
		             "%s %s", req->method, id);
		answer_error(out, 400, "invalidRequest", NULL,
		             "The drive id is malformed.");
	} else {
		not_found(out);
	}
	return false;
}

/* special/approot is made by the first GET of itself (1.8). */
static struct item *approot(struct graphd *g, const struct request *req)
{
	struct drive *d = g->drive;
	struct item *apps = drive_child(d, d->root, "Apps");
	struct item *own;

	if (!apps && req->route.path)
		return NULL;
	if (!apps)
		apps = drive_add(d, d->root, "Apps", ITEM_FOLDER, req->now_ns);
	own = drive_child(d, apps, "nmbackupfs");
	if (!own && !req->route.path)
		own = drive_add(d, apps, "nmbackupfs", ITEM_FOLDER,
		                req->now_ns);
	return own;
}

static struct item *special(struct graphd *g, const struct request *req,
                            struct answer *out)
{
	struct item *item;
	char *name;

	if (!strcmp(req->route.id, "approot")) { /* case-sensitive */
		if (!g->quirks.approot) {
			answer_error(out, 403, "accessDenied", NULL,
			             "No right to do this.");
			return NULL;
		}
		item = approot(g, req);
	} else {
		name = must_copy(req->route.id);
		name[0] = (char)toupper((unsigned char)name[0]);
		item = drive_child(g->drive, g->drive->root, name);
		free(name);
	}
	if (!item)
		not_found(out);
	return item;
}

static struct item *base_item(struct graphd *g, const struct request *req,
                              struct answer *out)
{
	struct item *item = NULL;

	if (!check_drive(g, req, out))
		return NULL;
	switch (req->route.base) {
	case BASE_NONE:
		break;
	case BASE_ROOT:
		item = g->drive->root;
		break;
	case BASE_ID:
		item = drive_find(g->drive, req->route.id);
		break;
	case BASE_SPECIAL:
		return special(g, req, out);
	}
	if (req->app_folder && (!item || item->num == g->drive->root->num)) {
		answer_error(out, 403, "accessDenied", NULL,
		             "The token is for the app folder only.");
		return NULL;
	}
	if (!item)
		not_found(out);
	return item;
}

/* Forms of addresses that the service refuses. */
static bool check_form(struct graphd *g, const struct request *req,
                       struct answer *out)
{
	if (req->route.bad_form) {
		stats_forbid(g->stats,
		             "2.1: the root is /root/verb, not /root:/:/verb",
		             "%s %s", req->method, req->target);
		answer_error(out, 400, "invalidRequest", NULL,
		             "The path is malformed.");
		return false;
	}
	if (g->quirks.china && req->route.base == BASE_ID && req->route.path &&
	    strstr(req->target, ":/")) {
		answer_error(out, 400, "invalidRequest", NULL,
		             "The address is not supported.");
		return false;
	}
	return true;
}

struct item *locate_item(struct graphd *g, const struct request *req,
                         struct answer *out)
{
	struct item *base, *item, *parent;
	const char *rest;

	if (!check_form(g, req, out))
		return NULL;
	base = base_item(g, req, out);
	if (!base || !req->route.path)
		return base;
	item = drive_resolve(g->drive, base, req->route.path, &parent, &rest);
	if (!item)
		not_found(out);
	return item;
}

/* ---- names
 * ------------------------------------------------------------------- */

static struct collate_rules rules_of(struct graphd *g)
{
	struct collate_rules r = g->drive->rules;

	r.reserved_with_extension = g->quirks.reserved_with_extension;
	r.strip_trailing = g->quirks.strip_trailing;
	/* Another limit than 400 is a longer or shorter prefix. */
	r.prefix_units += (size_t)(COLLATE_PATH_MAX - g->quirks.path_units);
	return r;
}

char *locate_stored_name(struct graphd *g, const char *name)
{
	return must_copy_n(name, g->quirks.strip_trailing ? collate_strip(name)
	                                                  : strlen(name));
}

static bool refuse(struct answer *out, const struct collate_refusal *r)
{
	if (r)
		answer_error(out, 400, "invalidRequest", r->inner, r->message);
	return !r;
}

bool locate_check_name(struct graphd *g, struct answer *out,
                       const struct item *parent, const char *name,
                       bool is_folder)
{
	struct collate_rules r = rules_of(g);
	struct buf path = BUF_INIT;
	bool ok;

	if (!refuse(out,
	            collate_check_name(&r, name, is_folder, !parent->parent)))
		return false;
	drive_path(parent, false, &path);
	buf_addf(&path, "/%s", name);
	ok = refuse(out, collate_check_path(&r, must_text(&path)));
	buf_done(&path);
	return ok;
}

void locate_name_taken(struct graphd *g, struct answer *out,
                       const struct item *there, const char *name)
{
	bool similar = strcasecmp(there->name, name) != 0;

	(void)g;
	answer_error(out, 409, "nameAlreadyExists",
	             similar ? "similarRelationshipNameAlreadyExists" : NULL,
	             similar ? "A similar name is taken."
	                     : "The name is taken.");
}

/* ---- where a file goes
 * ------------------------------------------------------- */

/* Makes the folders of "a/b/name" that aren't there; *out_name is the last
 * segment. */
static struct item *make_parents(struct graphd *g, const struct request *req,
                                 struct answer *out, struct item *parent,
                                 const char *rest, char **out_name)
{
	const char *slash;

	while ((slash = strchr(rest, '/'))) {
		char *name = must_copy_n(rest, (size_t)(slash - rest));

		if (!locate_check_name(g, out, parent, name, true)) {
			free(name);
			return NULL;
		}
		parent = drive_add(g->drive, parent, name, ITEM_FOLDER,
		                   req->now_ns);
		free(name);
		rest = slash + strspn(slash, "/");
	}
	*out_name = must_copy(rest);
	return parent;
}

bool locate_target(struct graphd *g, const struct request *req,
                   struct answer *out, struct target *t)
{
	const char *path = req->route.path, *rest, *slash;
	struct item *parent = NULL;
	struct item *base;

	memset(t, 0, sizeof(*t));
	if (!check_form(g, req, out))
		return false;
	base = base_item(g, req, out);
	if (!base)
		return false;
	if (!path || !path[strspn(path, "/")]) {
		t->item = base;
	} else {
		t->item = drive_resolve(g->drive, base, path, &parent, &rest);
		if (t->item) {
			slash = strrchr(path, '/');
			t->name = must_copy(slash ? slash + 1 : path);
			t->parent = t->item->parent;
		} else if (parent->type != ITEM_FOLDER) {
			answer_error(out, 400, "invalidRequest", NULL,
			             "The parent is not a folder.");
			return false;
		} else {
			t->parent = make_parents(g, req, out, parent, rest,
			                         &t->name);
			if (!t->parent || !locate_check_name(g, out, t->parent,
			                                     t->name, false)) {
				locate_target_done(t);
				return false;
			}
		}
	}
	return true;
}

void locate_target_done(struct target *t)
{
	free(t->name);
	memset(t, 0, sizeof(*t));
}

/* ---- conditions
 * -------------------------------------------------------------- */

/* Compares without the outer quotes, which one client leaves away. */
static bool same_tag(const char *sent, const char *tag)
{
	size_t n = strlen(sent), m = tag ? strlen(tag) : 0;

	if (!tag)
		return false;
	if (n >= 2 && *sent == '"' && sent[n - 1] == '"')
		sent++, n -= 2;
	if (m >= 2 && *tag == '"' && tag[m - 1] == '"')
		tag++, m -= 2;
	return n == m && !memcmp(sent, tag, n);
}

static void precondition_failed(struct graphd *g, struct answer *out)
{
	answer_error(out, g->quirks.status_409_for_412 ? 409 : 412,
	             "resourceModified", "entityTagDoesNotMatch",
	             "The item has another eTag by now.");
}

bool locate_if_match(struct graphd *g, const struct request *req,
                     struct answer *out, struct item *item)
{
	const char *sent = request_header(req, "If-Match");
	char *etag, *ctag;
	bool ok;

	if (!sent)
		return true;
	if (strcmp(sent, "*") && (*sent != '"' || strlen(sent) < 3))
		stats_forbid(g->stats, "2.4: If-Match is a quoted string or *",
		             "%s %s If-Match: %s", req->method, req->target,
		             sent);
	if (!*sent || !strncmp(sent, "W/", 2)) {
		answer_error(out, 400, "invalidRequest", "malformedEntityTag",
		             "The eTag is malformed.");
		return false;
	}
	if (!item) {
		precondition_failed(g, out);
		return false;
	}
	etag = item_etag(g, item, req->now_ns);
	ctag = ids_ctag(g->opt.kind, item, item->ctag_n);
	ok = !strcmp(sent, "*") || same_tag(sent, etag) || same_tag(sent, ctag);
	if (!ok)
		precondition_failed(g, out);
	free(etag);
	free(ctag);
	return ok;
}

bool locate_unlocked(struct answer *out, const struct item *item)
{
	if (item && item->locked) {
		answer_error(out, 423, "resourceLocked", NULL,
		             "The item is locked.");
		return false;
	}
	return true;
}

bool locate_room(struct graphd *g, struct answer *out, int64_t more)
{
	if (drive_is_full(g->drive, more)) {
		answer_error(out, 507, "quotaLimitReached", NULL,
		             "No space is left.");
		return false;
	}
	return true;
}

/* ---- members of bodies
 * -------------------------------------------------------- */

#define CONFLICT_MEMBER     "@microsoft.graph.conflictBehavior"
#define OLD_CONFLICT_MEMBER "@name.conflictBehavior"

enum conflict locate_conflict(const struct request *req, const cJSON *body,
                              enum conflict def)
{
	const char *s = query_get(&req->query, CONFLICT_MEMBER);

	if (!s)
		s = query_get(&req->query, OLD_CONFLICT_MEMBER);
	if (!s)
		s = json_str(body, CONFLICT_MEMBER);
	if (!s)
		s = json_str(body, OLD_CONFLICT_MEMBER);
	if (!s)
		return def;
	if (!strcmp(s, "replace"))
		return CONFLICT_REPLACE;
	return strcmp(s, "rename") ? CONFLICT_FAIL : CONFLICT_RENAME;
}

bool locate_time(struct graphd *g, struct answer *out, const cJSON *info,
                 const char *name, int64_t *out_ns)
{
	const char *text = json_str(info, name);
	int64_t unit = g->quirks.precision_ms * 1000000, ns;

	if (!text)
		return true;
	if (clock_parse_rfc3339(text, &ns) < 0) {
		answer_error(out, 400, "invalidRequest",
		             "invalidParameterFormat", "No such time.");
		return false;
	}
	if (unit > 0)
		ns -= ((ns % unit) + unit) % unit;
	*out_ns = ns ? ns : 1; /* 0: the client said nothing */
	return true;
}
