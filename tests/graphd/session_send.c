#include "tests/graphd/session.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/clock.h"
#include "net/json.h"
#include "tests/graphd/item_json.h"
#include "tests/graphd/must.h"
#include "tests/graphd/session_internal.h"
#include "tests/graphd/stats.h"

static void no_session(struct answer *out)
{
	answer_error(out, 404, "itemNotFound", "uploadSessionNotFound",
	             "No such upload session.");
}

/* "...?guid='G'&..." or "/rup/DRIVE/G?...". */
static struct session *session_of(struct graphd *g, const char *target)
{
	const char *s = strstr(target, "guid='");
	char guid[37];

	if (s) {
		s += strlen("guid='");
	} else {
		s = strncmp(target, "/rup/", 5) ? NULL
		                                : strchr(target + 5, '/');
		s = s ? s + 1 : "";
	}
	if (strlen(s) < 36)
		return NULL;
	memcpy(guid, s, 36);
	guid[36] = '\0';
	return session_find(g, guid);
}

char *session_name(struct graphd *g, const char *target)
{
	struct session *s = session_of(g, target);
	struct item *item =
		s && s->item_num ? drive_find_num(g->drive, s->item_num) : NULL;

	if (item)
		return must_copy(item->name);
	return must_copy(s && s->name ? s->name : "");
}

/* The session of the URL, if that URL is still good. */
static struct session *enter(struct graphd *g, const struct request *req,
                             struct answer *out)
{
	struct session *s = session_of(g, req->target);

	if (!s) {
		no_session(out);
		return NULL;
	}
	if (strcmp(s->target, req->target)) {
		stats_forbid(g->stats,
		             "5.1: the upload URL is used byte for byte",
		             "%s guid=%s", req->method, s->guid);
		answer_error(out, 401, "unauthenticated", NULL,
		             "The URL was changed.");
		return NULL;
	}
	if (s->url_expires_ns && s->url_expires_ns <= req->now_ns) {
		answer_error(out, 401, "unauthenticated", "expiredToken",
		             "The upload URL is too old.");
		return NULL;
	}
	if (s->expires_ns <= req->now_ns) {
		session_drop(g, s);
		no_session(out);
		return NULL;
	}
	return s;
}

/* ---- fragments
 * --------------------------------------------------------------------- */

/* True if the other fragment's client is still there: a dead connection that
 * wasn't noticed yet is no parallel request. */
static bool is_alive(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLRDHUP };

	return fd >= 0 && poll(&p, 1, 0) == 0;
}

static void out_of_place(struct answer *out, const char *inner)
{
	answer_error(out, 416, "invalidRange", inner,
	             "The range is not the one expected.");
}

static bool check_size(struct graphd *g, const struct request *req,
                       struct answer *out, const struct range_content *r)
{
	uint64_t len = r->last - r->first + 1;

	if (len >= SESSION_MAX_FRAGMENT)
		stats_forbid(g->stats, "5.2: a fragment is below 60 MiB",
		             "%llu bytes", (unsigned long long)len);
	if ((int64_t)len > g->quirks.fragment_max_bytes) {
		answer_error(out, 413, "maxStreamSizeExceeded", NULL,
		             "The fragment is too large.");
		return false;
	}
	(void)req;
	return true;
}

static bool check_place(struct graphd *g, struct answer *out,
                        const struct session *s, const struct range_content *r)
{
	uint64_t kept = s->blob ? s->blob->size : draft_kept(s->draft);

	if (s->total >= 0 && r->total != (uint64_t)s->total) {
		stats_forbid(g->stats, "5.2: the total stays the same",
		             "%llu after %lld", (unsigned long long)r->total,
		             (long long)s->total);
		out_of_place(out, "fragmentLengthMismatch");
		return false;
	}
	if (r->first == kept && !s->blob)
		return true;
	out_of_place(out, r->first < kept || s->blob ? "fragmentOverlap"
	                                             : "fragmentOutOfOrder");
	return false;
}

/* A wrong granule may only show at the last fragment (5.2). */
static void check_granule(struct graphd *g, struct session *s,
                          const struct range_content *r)
{
	if (r->last + 1 == r->total || (r->last + 1) % SESSION_GRANULE == 0)
		return;
	s->bad_granule = true;
	stats_forbid(g->stats,
	             "5.2: fragments but the last are multiples of 327,680",
	             "bytes %llu-%llu/%llu", (unsigned long long)r->first,
	             (unsigned long long)r->last, (unsigned long long)r->total);
}

static bool read_range(struct graphd *g, const struct request *req,
                       struct answer *out, struct range_content *r)
{
	const char *range = request_header(req, "Content-Range");
	const char *length = request_header(req, "Content-Length");
	const char *why = NULL;

	if (!length || !strtoull(length, NULL, 10))
		why = "5.3: a fragment has a length";
	else if (!range || range_parse_content(range, r) < 0)
		why = "5.2: a fragment has a Content-Range";
	if (why) {
		stats_forbid(g->stats, why, "Content-Range: %s",
		             range ? range : "");
		answer_error(out, 400, "invalidRequest", NULL,
		             "Content-Range header is missing or malformed.");
		return false;
	}
	if (strtoull(length, NULL, 10) != r->last - r->first + 1) {
		stats_forbid(g->stats,
		             "5.2: Content-Length and Content-Range agree",
		             "%s, %s", length, range);
		answer_error(out, 400, "invalidRequest",
		             "fragmentLengthMismatch",
		             "Length and range differ.");
		return false;
	}
	return true;
}

bool session_begin(struct graphd *g, const struct request *req, int fd,
                   struct answer *out, struct fragment *f)
{
	struct session *s = enter(g, req, out);

	if (!s)
		return false;
	if (is_alive(s->fd))
		stats_forbid(g->stats, "5.2: one request at a time per session",
		             "guid=%s", s->guid);
	if (!read_range(g, req, out, &f->range) ||
	    !check_size(g, req, out, &f->range) ||
	    !check_place(g, out, s, &f->range))
		return false;
	check_granule(g, s, &f->range);
	s->total = (int64_t)f->range.total;
	s->fd = fd;
	memcpy(f->guid, s->guid, sizeof(f->guid));
	f->draft = draft_ref(s->draft);
	f->ticket = s->ticket = draft_claim(s->draft);
	return true;
}

void session_leave(struct graphd *g, struct fragment *f)
{
	struct session *s;

	if (!f->draft)
		return;
	s = session_find(g, f->guid);
	if (s && s->ticket == f->ticket)
		s->fd = -1;
	draft_free(f->draft);
	f->draft = NULL;
}

static void answer_ranges(struct answer *out, int status,
                          const struct session *s, bool with_end)
{
	cJSON *json = cJSON_CreateObject();
	unsigned long long next =
		s->blob ? s->blob->size : draft_kept(s->draft);
	char text[64];
	cJSON *list;

	clock_format_rfc3339(s->expires_ns, 3, text);
	cJSON_AddStringToObject(json, "expirationDateTime", text);
	list = cJSON_AddArrayToObject(json, "nextExpectedRanges");
	if (with_end && s->total > 0)
		snprintf(text, sizeof(text), "%llu-%llu", next,
		         (unsigned long long)s->total - 1);
	else
		snprintf(text, sizeof(text), "%llu-", next);
	if (!s->blob)
		cJSON_AddItemToArray(list, cJSON_CreateString(text));
	answer_json(out, status, json);
}

void session_end(struct graphd *g, const struct request *req,
                 struct answer *out, struct fragment *f)
{
	struct session *s = session_find(g, f->guid);

	if (!s) { /* cancelled meanwhile */
		no_session(out);
		return;
	}
	if (draft_size(f->draft) != f->range.last + 1 ||
	    draft_keep(f->draft, f->ticket) < 0) {
		out_of_place(out, "fragmentOverlap"); /* overtaken */
		return;
	}
	/* Progress extends it (5.4); never the URL's own token. */
	s->expires_ns = req->now_ns + g->quirks.session_life_s * NS_PER_SEC;
	if (f->range.last + 1 < f->range.total) {
		answer_ranges(out, 202, s, false);
	} else if (s->bad_granule) {
		session_drop(g, s);
		answer_error(out, 400, "invalidRequest", NULL,
		             "The fragments can't be put together.");
	} else if (s->defer) {
		s->blob = draft_take(s->draft);
		answer_ranges(out, 202, s, false);
	} else {
		session_finish(g, req, out, s);
	}
}

/* ---- the other calls
 * --------------------------------------------------------------- */

void session_status(struct graphd *g, const struct request *req,
                    struct answer *out)
{
	struct session *s = enter(g, req, out);

	if (s)
		answer_ranges(out, 200, s, true);
}

void session_cancel(struct graphd *g, const struct request *req,
                    struct answer *out)
{
	struct session *s = enter(g, req, out);

	if (!s)
		return;
	session_drop(g, s);
	answer_empty(out, 204);
}

static bool is_complete(struct answer *out, const struct session *s)
{
	if (s->blob)
		return true;
	answer_error(out, 400, "invalidRequest", NULL,
	             "The upload is not complete.");
	return false;
}

void session_commit(struct graphd *g, const struct request *req,
                    struct answer *out)
{
	struct session *s = enter(g, req, out);

	if (!s)
		return;
	if (g->opt.kind == DRIVE_PERSONAL)
		answer_error(out, 400, "invalidRequest", NULL,
		             "Commit with a PUT here.");
	else if (is_complete(out, s))
		session_finish(g, req, out, s);
}

/* The session is named by its URL, the place by the request's. */
static void commit_to(struct graphd *g, const struct request *req,
                      struct answer *out, const cJSON *body, struct session *s)
{
	const char *name = json_str(body, "name");
	struct target t;
	char *copy;

	if (!is_complete(out, s) || !locate_target(g, req, out, &t))
		return;
	if (!name && t.item == g->drive->root) {
		answer_error(out, 400, "invalidRequest", NULL,
		             "The name is missing.");
	} else if (locate_if_match(g, req, out, t.item)) {
		s->how = locate_conflict(req, body, CONFLICT_RENAME);
		s->item_num = 0;
		s->guarded = s->doomed = false;
		if (t.item && t.item->type == ITEM_FOLDER && name) {
			/* The documented form addresses the folder. */
			s->parent_num = t.item->num;
		} else if (t.name) {
			s->parent_num = t.parent->num;
			name = t.name;
		} else if (t.item && t.item->parent) {
			s->parent_num = t.item->parent->num;
			name = t.item->name;
		}
		copy = must_copy(name);
		free(s->name);
		s->name = copy;
		session_finish(g, req, out, s);
	}
	locate_target_done(&t);
}

void session_commit_put(struct graphd *g, const struct request *req,
                        struct answer *out)
{
	struct session *s = NULL;
	const char *url;
	cJSON *body;

	if (!g->quirks.commit_put) {
		answer_error(out, 400, "invalidRequest", NULL,
		             "The call is not supported here.");
		return;
	}
	body = request_json(req, out);
	if (!body)
		return;
	url = json_str(body, "@microsoft.graph.sourceUrl");
	if (url && !strncmp(url, g->content_url, strlen(g->content_url)))
		s = session_of(g, url + strlen(g->content_url));
	if (!s)
		no_session(out);
	else
		commit_to(g, req, out, body, s);
	cJSON_Delete(body);
}
