#include "tests/graphd/put.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/json.h"
#include "tests/graphd/item_json.h"
#include "tests/graphd/must.h"
#include "tests/graphd/stats.h"

/* SharePoint puts properties into Office and HTML files (facts 5.6). */
static struct blob *enrich(struct graphd *g, const char *name,
                           struct blob *blob)
{
	static const char *const endings[] = { ".docx", ".xlsx", ".pptx",
		                               ".html", ".htm" };
	static const char extra[] = "<!-- properties -->";
	const char *dot = strrchr(name, '.');
	bool hit = false;
	struct blob *other;
	struct buf b = BUF_INIT;
	ssize_t n;
	int fd;

	for (size_t i = 0; dot && i < sizeof(endings) / sizeof(*endings); i++)
		hit |= !strcasecmp(dot, endings[i]);
	if (!g->quirks.enrich || !hit)
		return blob;
	fd = blob_open(g->blobs, blob);
	if (fd < 0)
		return blob;
	buf_reserve(&b, blob->size);
	while ((n = read(fd, b.data + b.len, blob->size - b.len)) > 0)
		b.len += (size_t)n;
	close(fd);
	buf_add(&b, extra, strlen(extra));
	other = blob_from(g->blobs, b.data, b.len);
	buf_done(&b);
	blob_unref(g->blobs, blob);
	return other;
}

static void set_meta(struct graphd *g, const struct request *req,
                     struct item *item, const struct put_meta *meta)
{
	bool business = g->opt.kind == DRIVE_BUSINESS;

	if (meta->fs_created_ns)
		item->fs_created_ns = meta->fs_created_ns;
	if (meta->fs_modified_ns) {
		item->fs_modified_ns = meta->fs_modified_ns;
		if (business)
			item->modified_ns = meta->fs_modified_ns;
	}
	if (meta->description && !business) {
		free(item->description);
		item->description = must_copy(meta->description);
	}
	item->no_hash = g->quirks.no_hash != 0;
	if (g->quirks.settle_ms)
		item->settle_etag_ns =
			(uint64_t)(req->now_ns + g->quirks.settle_ms * 1000000);
	drive_mark_changed(g->drive, item);
}

/* New item in t->parent; NULL and an answer if the name is taken. */
static struct item *add_file(struct graphd *g, const struct request *req,
                             struct answer *out, const struct target *t,
                             enum conflict how)
{
	struct item *item;
	char *name = locate_stored_name(g, t->name);
	struct item *there = drive_child(g->drive, t->parent, name);

	if (there && how == CONFLICT_RENAME) {
		char *other = drive_free_name(g->drive, t->parent, name);

		free(name);
		name = other;
		there = NULL;
	}
	if (there) {
		locate_name_taken(g, out, there, name);
		free(name);
		return NULL;
	}
	item = drive_add(g->drive, t->parent, name, ITEM_FILE, req->now_ns);
	free(name);
	return item;
}

struct item *put_blob(struct graphd *g, const struct request *req,
                      struct answer *out, const struct target *t,
                      enum conflict how, struct blob *blob,
                      const struct put_meta *meta, bool *out_created)
{
	struct item *item = t->item;
	bool by_id = !t->parent || !t->name;

	if (item && !by_id && how != CONFLICT_REPLACE)
		item = NULL;
	if (item && item->type != ITEM_FILE) {
		locate_name_taken(g, out, item, item->name);
		item = NULL;
	} else if (!locate_unlocked(out, item) ||
	           !locate_room(g, out, (int64_t)blob->size)) {
		item = NULL;
	} else if (item) {
		*out_created = false;
	} else {
		*out_created = true;
		item = add_file(g, req, out, t, how);
	}
	if (!item) {
		blob_unref(g->blobs, blob);
		return NULL;
	}
	blob = enrich(g, item->name, blob);
	drive_set_content(g->drive, item, blob, req->now_ns);
	set_meta(g, req, item, meta);
	return item;
}

/* ---- PUT .../content
 * ------------------------------------------------------------- */

static bool put_allowed(struct graphd *g, const struct request *req,
                        struct answer *out, const struct target *t)
{
	const char *none = request_header(req, "If-None-Match");

	if (none && !strcmp(none, "*") && t->item) {
		answer_error(out, 412, "preconditionFailed", NULL,
		             "There is such an item.");
		return false;
	}
	return !request_header(req, "If-Match") ||
	       locate_if_match(g, req, out, t->item);
}

void put_content(struct graphd *g, const struct request *req,
                 struct answer *out)
{
	static const struct put_meta none;
	enum conflict how = locate_conflict(req, NULL, CONFLICT_REPLACE);
	struct item *item = NULL;
	struct target t;
	bool created;

	if (!req->in_batch && !request_header(req, "Content-Length")) {
		answer_error(out, 411, "invalidRequest", NULL,
		             "Content-Length is needed.");
		return;
	}
	if ((int64_t)draft_kept(req->draft) > g->quirks.put_max_bytes) {
		answer_error(out, 413, "maxFileSizeExceeded", NULL,
		             "Use an upload session.");
		return;
	}
	if (!locate_target(g, req, out, &t))
		return;
	if (put_allowed(g, req, out, &t)) {
		item = put_blob(g, req, out, &t, how, draft_take(req->draft),
		                &none, &created);
	}
	if (item)
		item_json_answer(g, req, out, created ? 201 : 200, item);
	locate_target_done(&t);
}

/* ---- multipart/related
 * ------------------------------------------------------------ */

struct parts {
	cJSON *metadata;
	const char *content;
	size_t content_len;
	unsigned n;
};

static void take_part(const char *part, size_t len, struct parts *p)
{
	const char *body = memmem(part, len, "\r\n\r\n", 4);
	size_t head;

	if (!body)
		return;
	p->n++;
	body += 4;
	head = (size_t)(body - part);
	if (memmem(part, head, "metadata", 8)) {
		p->metadata = json_parse(body, len - head);
	} else if (memmem(part, head, "content>", 8)) {
		p->content = body;
		p->content_len = len - head;
	}
}

/* Parts between "--boundary" lines; each ends with CR LF before the next. */
static void split_parts(const struct request *req, struct parts *p)
{
	const char *type = request_header(req, "Content-Type");
	const char *b = type ? strstr(type, "boundary=") : NULL;
	const char *at = req->body->data;
	const char *end = at ? at + req->body->len : NULL;
	char *mark;

	if (!b || !at)
		return;
	b += strlen("boundary=");
	b += *b == '"';
	mark = must_printf("--%.*s", (int)strcspn(b, "\"; "), b);
	at = memmem(at, (size_t)(end - at), mark, strlen(mark));
	while (at) {
		const char *from = at + strlen(mark), *next;

		if (end - from < 2 || !strncmp(from, "--", 2))
			break;
		next = memmem(from, (size_t)(end - from), mark, strlen(mark));
		if (next && next - from > 2)
			take_part(from, (size_t)(next - from) - 2, p);
		at = next;
	}
	free(mark);
}

static void store_parts(struct graphd *g, const struct request *req,
                        struct answer *out, struct item *parent,
                        const struct parts *p)
{
	const cJSON *info = json_obj(p->metadata, "fileSystemInfo");
	enum conflict how = locate_conflict(req, p->metadata, CONFLICT_FAIL);
	struct target t = { .parent = parent };
	struct put_meta meta = { 0 };
	struct item *item;
	bool created;

	if (!locate_time(g, out, info, "createdDateTime",
	                 &meta.fs_created_ns) ||
	    !locate_time(g, out, info, "lastModifiedDateTime",
	                 &meta.fs_modified_ns))
		return;
	t.name = must_copy(json_str(p->metadata, "name"));
	if (locate_check_name(g, out, parent, t.name, false)) {
		t.item = drive_child(g->drive, parent, t.name);
		item = put_blob(g, req, out, &t, how,
		                blob_from(g->blobs, p->content, p->content_len),
		                &meta, &created);
		if (item)
			item_json_answer(g, req, out, created ? 201 : 200,
			                 item);
	}
	locate_target_done(&t);
}

void put_multipart(struct graphd *g, const struct request *req,
                   struct answer *out)
{
	struct item *parent = locate_item(g, req, out);
	struct parts p = { 0 };

	if (!parent)
		return;
	if (g->quirks.multipart && req->body)
		split_parts(req, &p);
	if (p.n != 2 || !p.content || !json_str(p.metadata, "name") ||
	    !json_obj(p.metadata, "file"))
		answer_error(out, 400, "invalidRequest", NULL,
		             "Two parts, metadata and content, are needed.");
	else if (p.content_len > 4194304)
		answer_error(out, 413, "maxFileSizeExceeded", NULL,
		             "Use an upload session.");
	else
		store_parts(g, req, out, parent, &p);
	cJSON_Delete(p.metadata);
}
