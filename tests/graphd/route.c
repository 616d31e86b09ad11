#include "tests/graphd/route.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "tests/graphd/must.h"

static const char *const class_names[CLASS_COUNT] = {
#define X(name, op) #name,
	ROUTE_CLASSES(X)
#undef X
};

const char *route_class_name(enum route_class class)
{
	return class_names[class];
}

enum route_class route_class_of(const char *name)
{
	int i = 0;

	while (i < CLASS_COUNT && strcmp(class_names[i], name))
		i++;
	return (enum route_class)i;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

char *route_decode(const char *s, size_t len, bool plus_is_space)
{
	char *out = must_alloc(len + 1), *o = out;

	for (size_t i = 0; i < len; i++) {
		if (s[i] == '%' && i + 2 < len && hex_digit(s[i + 1]) >= 0 &&
		    hex_digit(s[i + 2]) >= 0) {
			*o++ = (char)(hex_digit(s[i + 1]) * 16 +
			              hex_digit(s[i + 2]));
			i += 2;
		} else {
			*o++ = s[i] == '+' && plus_is_space ? ' ' : s[i];
		}
	}
	return out;
}

/* Options that OData gives a "$"; "token" and the like never have one. */
static bool is_plain_option(const char *name)
{
	static const char *const options[] = { "select", "top", "expand",
		                               "orderby", "skiptoken" };

	for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++) {
		if (!strcmp(name, options[i]))
			return true;
	}
	return false;
}

void query_parse(const char *target, struct query *out)
{
	const char *s = strchr(target, '?');
	bool with = false, without = false;

	memset(out, 0, sizeof(*out));
	s = s ? s + 1 : "";
	while (*s) {
		const char *end = strchrnul(s, '&');
		const char *eq = memchr(s, '=', (size_t)(end - s));
		const char *name_end = eq ? eq : end;
		struct query_pair *p;
		char *name;

		out->pairs = must_grow(out->pairs,
		                       (out->n + 1) * sizeof(*out->pairs));
		p = &out->pairs[out->n++];
		name = route_decode(s, (size_t)(name_end - s), true);
		with |= *name == '$';
		without |= is_plain_option(name);
		p->name = must_copy(*name == '$' ? name + 1 : name);
		free(name);
		p->value =
			eq ? route_decode(eq + 1, (size_t)(end - eq - 1), true)
			   : must_copy("");
		s = *end ? end + 1 : end;
	}
	out->mixed = with && without;
}

void query_done(struct query *q)
{
	for (size_t i = 0; i < q->n; i++) {
		free(q->pairs[i].name);
		free(q->pairs[i].value);
	}
	free(q->pairs);
	memset(q, 0, sizeof(*q));
}

const char *query_get(const struct query *q, const char *name)
{
	for (size_t i = 0; i < q->n; i++) {
		if (!strcmp(q->pairs[i].name, name))
			return q->pairs[i].value;
	}
	return NULL;
}

void route_done(struct route *r)
{
	free(r->drive);
	free(r->id);
	free(r->path);
	free(r->arg);
	memset(r, 0, sizeof(*r));
}

/* Skips `word` if it comes next and ends a segment. */
static bool skip(const char **s, const char *word)
{
	size_t len = strlen(word);

	if (strncasecmp(*s, word, len) || !strchr("/:(", (*s)[len]))
		return false;
	*s += len;
	return true;
}

static char *take_segment(const char **s)
{
	size_t len = strcspn(*s, "/:");
	char *segment = must_copy_n(*s, len);

	*s += len;
	return segment;
}

/* Text of "('...')" with doubled quotes undone. */
static char *take_literal(const char *s)
{
	const char *open = strchr(s, '\''), *close = strrchr(s, '\'');
	char *out, *o;

	if (!open || close == open)
		return must_copy("");
	o = out = must_alloc((size_t)(close - open));
	for (const char *p = open + 1; p < close; p++) {
		*o++ = *p;
		if (*p == '\'' && p + 1 < close && p[1] == '\'')
			p++;
	}
	return out;
}

/* ---- what stands behind an item -------------------------------------------
 */

static enum route_class by_method(const char *method, enum route_class get,
                                  enum route_class post, enum route_class put)
{
	if (!strcmp(method, "GET") || !strcmp(method, "HEAD"))
		return get;
	if (!strcmp(method, "POST"))
		return post;
	if (!strcmp(method, "PUT"))
		return put;
	return CLASS_other;
}

static enum route_class parse_versions(const char *method, const char *s,
                                       struct route *r)
{
	enum route_class class;

	s += strspn(s, "/");
	if (!*s)
		return by_method(method, CLASS_versions, CLASS_other,
		                 CLASS_other);
	r->arg = take_segment(&s);
	if (!strcmp(s, "/content"))
		return by_method(method, CLASS_version_content, CLASS_other,
		                 CLASS_other);
	if (!strcasecmp(s, "/restoreVersion"))
		return by_method(method, CLASS_other, CLASS_version_restore,
		                 CLASS_other);
	class = by_method(method, CLASS_version, CLASS_other, CLASS_other);
	return strcmp(method, "DELETE") ? class : CLASS_version_delete;
}

/* children('@a1')/verb?@a1='path': the form for 21Vianet. */
static bool china_child(const char *target, const char **s, struct route *r)
{
	struct query q;
	const char *close;
	char *name;

	if (strncmp(*s, "('", 2) || !(close = strstr(*s, "')")))
		return false;
	name = must_copy_n(*s + 2, (size_t)(close - *s - 2));
	query_parse(target, &q);
	free(r->path);
	r->path = query_get(&q, name) ? take_literal(query_get(&q, name))
	                              : must_copy(name);
	query_done(&q);
	free(name);
	*s = close + 2;
	return true;
}

static enum route_class parse_verb(const char *method, const char *target,
                                   const char *s, struct route *r);

static enum route_class parse_item(const char *method)
{
	if (!strcmp(method, "PATCH"))
		return CLASS_patch;
	if (!strcmp(method, "DELETE"))
		return CLASS_delete;
	return by_method(method, CLASS_item, CLASS_other, CLASS_commit_put);
}

static enum route_class parse_children(const char *method, const char *target,
                                       const char *s, struct route *r)
{
	if (china_child(target, &s, r))
		return parse_verb(method, target, s, r);
	return by_method(method, CLASS_children, CLASS_create, CLASS_other);
}

static enum route_class parse_delta(const char *method, const char *s,
                                    struct route *r)
{
	if (*s == '(')
		r->arg = take_literal(s);
	return by_method(method, CLASS_delta, CLASS_other, CLASS_other);
}

static const struct {
	const char *word;
	enum route_class class;
	const char *method;
} verbs[] = {
	{ "createUploadSession", CLASS_session, "POST" },
	{ "copy", CLASS_copy, "POST" },
	{ "restore", CLASS_restore, "POST" },
	{ "permanentDelete", CLASS_permanent_delete, "POST" },
	{ "permissions", CLASS_permissions, NULL },
	{ "subscriptions", CLASS_subscription, NULL },
};

static enum route_class parse_verb(const char *method, const char *target,
                                   const char *s, struct route *r)
{
	s += strspn(s, "/");
	if (!*s)
		return parse_item(method);
	if (skip(&s, "children"))
		return parse_children(method, target, s, r);
	if (skip(&s, "content"))
		return by_method(method, CLASS_content, CLASS_other, CLASS_put);
	if (skip(&s, "delta") || skip(&s, "microsoft.graph.delta"))
		return parse_delta(method, s, r);
	if (skip(&s, "versions"))
		return parse_versions(method, s, r);
	if (skip(&s, "search")) {
		r->arg = take_literal(s);
		return CLASS_search;
	}
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (skip(&s, verbs[i].word) &&
		    (!verbs[i].method || !strcmp(method, verbs[i].method)))
			return verbs[i].class;
	}
	return CLASS_other;
}

/* "", "/verb", ":/path", ":/path:", ":/path:/verb". */
static void parse_base(const char *method, const char *target, const char *s,
                       struct route *r)
{
	if (*s == ':') {
		size_t len = strcspn(++s, ":");
		const char *verb = s[len] ? s + len + 1 : "";

		r->path = must_copy_n(s, len);
		while (len && r->path[len - 1] == '/')
			r->path[--len] = '\0';
		r->bad_form = !len && r->base == BASE_ROOT && *verb;
		s = verb;
	}
	r->class = parse_verb(method, target, s, r);
}

static void parse_drive(const char *method, const char *target, const char *s,
                        struct route *r)
{
	r->has_drive = true;
	s += strspn(s, "/");
	if (!*s) {
		r->class = by_method(method, CLASS_drive, CLASS_other,
		                     CLASS_other);
	} else if (skip(&s, "root")) {
		r->base = BASE_ROOT;
		parse_base(method, target, s, r);
	} else if (skip(&s, "items")) {
		s += strspn(s, "/");
		r->base = BASE_ID;
		r->id = take_segment(&s);
		parse_base(method, target, s, r);
	} else if (skip(&s, "special")) {
		s += strspn(s, "/");
		r->base = BASE_SPECIAL;
		r->id = take_segment(&s);
		parse_base(method, target, s, r);
	} else if (skip(&s, "sharedWithMe") || skip(&s, "recent")) {
		r->class = CLASS_shared;
	} else if (skip(&s, "search")) {
		r->base = BASE_ROOT;
		r->arg = take_literal(s);
		r->class = CLASS_search;
	}
}

static void parse_graph(const char *method, const char *target, const char *s,
                        struct route *r)
{
	if (skip(&s, "$batch")) {
		r->class = by_method(method, CLASS_other, CLASS_batch,
		                     CLASS_other);
	} else if (skip(&s, "drives")) {
		s += strspn(s, "/");
		r->drive = take_segment(&s);
		parse_drive(method, target, s, r);
	} else if (skip(&s, "me")) {
		s += strspn(s, "/");
		if (!*s)
			r->class = by_method(method, CLASS_me, CLASS_other,
			                     CLASS_other);
		else if (skip(&s, "drives"))
			r->class = CLASS_drives;
		else if (skip(&s, "drive"))
			parse_drive(method, target, s, r);
	} else if (skip(&s, "sites")) {
		r->class = CLASS_shared;
	} else if (skip(&s, "subscriptions")) {
		r->class = CLASS_subscription;
	}
}

/* ---- hosts of content ------------------------------------------------------
 */

static void parse_session(const char *method, struct route *r)
{
	r->place = PLACE_SESSION;
	r->class = by_method(method, CLASS_session_status, CLASS_session_commit,
	                     CLASS_fragment);
	if (!strcmp(method, "DELETE"))
		r->class = CLASS_session_cancel;
}

static bool starts(const char *s, const char *with)
{
	return !strncmp(s, with, strlen(with));
}

static bool is_version(const char *s)
{
	return starts(s, "/v1.0/") || starts(s, "/v2.0/") ||
	       starts(s, "/beta/");
}

/* Reserved characters that must be escaped stand behind a colon (2.1). */
static bool has_raw(const char *target)
{
	const char *end = strchrnul(target, '?');
	const char *c = memchr(target, ':', (size_t)(end - target));

	for (; c && c < end; c++) {
		if (!isalnum((unsigned char)*c) && !strchr("-._~%/:", *c))
			return true;
	}
	return false;
}

void route_parse(const char *method, const char *target, bool plus_is_space,
                 struct route *out)
{
	size_t len = strcspn(target, "?");
	char *path = route_decode(target, len, plus_is_space);

	memset(out, 0, sizeof(*out));
	if (starts(path, "/graphd/")) {
		out->place = PLACE_CONTROL;
		out->class = CLASS_control;
		out->arg = must_copy(path + strlen("/graphd/"));
	} else if (starts(path, "/_api/v2.0/monitor/") ||
	           starts(path, "/monitor/")) {
		out->place = PLACE_MONITOR;
		out->class = CLASS_monitor;
		out->arg = must_copy(strrchr(path, '/') + 1);
	} else if (starts(path, "/_api/v2.0/drives/") ||
	           starts(path, "/rup/")) {
		parse_session(method, out);
	} else if (starts(path, "/personal/") || starts(path, "/y4m")) {
		out->place = PLACE_DOWNLOAD;
		out->class = by_method(method, CLASS_download, CLASS_other,
		                       CLASS_other);
	} else if (is_version(path)) {
		out->place = PLACE_GRAPH;
		out->raw_path = has_raw(target);
		parse_graph(method, target, path + strlen("/v1.0/"), out);
	} else {
		out->place = PLACE_LOGIN;
		out->class = CLASS_login;
	}
	free(path);
}
