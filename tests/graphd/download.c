#include "tests/graphd/download.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xxhash.h>

#include "net/clock.h"
#include "tests/graphd/ids.h"
#include "tests/graphd/item_json.h"
#include "tests/graphd/locate.h"
#include "tests/graphd/must.h"
#include "tests/graphd/range.h"
#include "tests/graphd/stats.h"

#define MAC_SEED UINT64_C(0x6e6d625f677261) /* no secret: it guards tests */

struct token {
	unsigned long long item, version, issued_ms, expires_s, nonce;
};

/* Path and query. The checksum covers the fields; the rest of the text is made
 * from them, so that any other spelling is another URL. */
static char *make_target(struct graphd *g, const struct item *item,
                         const struct token *t)
{
	char text[160];
	int n = snprintf(text, sizeof(text), "%llx.%llx.%llx.%llx.%llx",
	                 t->item, t->version, t->issued_ms, t->expires_s,
	                 t->nonce);
	unsigned long long mac =
		XXH3_64bits_withSeed(text, (size_t)n, MAC_SEED);

	if (g->opt.kind == DRIVE_PERSONAL)
		return must_printf("/y4m_v1.%s.%016llx", text, mac);
	return must_printf("/personal/some_one_contoso_example/_layouts/15/"
	                   "download.aspx?UniqueId=%s&Translate=false&"
	                   "tempauth=v1.%s.%016llx&ApiVersion=2.0",
	                   item->guid, text, mac);
}

char *download_url(struct graphd *g, const struct item *item,
                   const struct version *version, int64_t now_ns)
{
	struct token t = { .item = item->num };
	char *target, *url;

	if (version)
		t.version = version->n;
	else if (g->quirks.pin_downloads)
		t.version = item->version_n;
	t.issued_ms = (uint64_t)now_ns / 1000000;
	t.expires_s =
		(uint64_t)(now_ns / NS_PER_SEC + g->quirks.download_life_s);
	t.nonce = ++g->pages;
	target = make_target(g, item, &t);
	url = must_printf("%s%s", g->content_url, target);
	free(target);
	return url;
}

/* ---- /content
 * ------------------------------------------------------------------- */

static void refuse_malware(struct answer *out)
{
	answer_error(out, 403, "malwareDetected", "virusSuspicious",
	             "The content is infected.");
	answer_header(out, "X-Virus-Infected", "true");
}

static bool overrides(const struct request *req)
{
	return strstr(req->target, "AVOverride=1") != NULL;
}

static bool not_modified(struct graphd *g, const struct request *req,
                         struct item *item)
{
	const char *sent = request_header(req, "If-None-Match");
	char *etag;
	bool same;

	if (!sent)
		return false;
	etag = item_etag(g, item, req->now_ns);
	same = !strcmp(sent, etag) ||
	       (*sent == '"' && !strncmp(sent + 1, etag, strlen(etag)));
	free(etag);
	return same;
}

void download_content(struct graphd *g, const struct request *req,
                      struct answer *out)
{
	struct item *item = locate_item(g, req, out);
	char *url;

	if (!item)
		return;
	if (item->type != ITEM_FILE) {
		answer_error(out, 400, "invalidRequest", NULL,
		             "The item has no content.");
	} else if (item->malware && !overrides(req)) {
		refuse_malware(out);
	} else if (not_modified(g, req, item)) {
		answer_empty(out, 304);
	} else {
		url = download_url(g, item, NULL, req->now_ns);
		answer_empty(out, 302);
		answer_header(out, "Location", "%s", url);
		free(url);
	}
}

/* ---- the content host
 * --------------------------------------------------------------- */

/* The item of a URL that is genuine and spelled as it was given out; else
 * NULL. One suffix is allowed (6: AVOverride). */
static struct item *check_target(struct graphd *g, const char *target,
                                 struct token *t)
{
	const char *s = strstr(target, "v1.");
	struct item *item;
	char *own;
	size_t len;
	bool same;

	if (!s ||
	    sscanf(s, "v1.%llx.%llx.%llx.%llx.%llx", &t->item, &t->version,
	           &t->issued_ms, &t->expires_s, &t->nonce) != 5)
		return NULL;
	item = drive_find_num(g->drive, t->item);
	if (!item)
		return NULL;
	own = make_target(g, item, t);
	len = strlen(own);
	same = !strncmp(own, target, len) &&
	       (!target[len] || !strcmp(target + len + 1, "AVOverride=1"));
	free(own);
	return same ? item : NULL;
}

struct item *download_item(struct graphd *g, const char *target)
{
	struct token t;

	return check_target(g, target, &t);
}

static struct blob *content_of(const struct item *item, unsigned long long n)
{
	if (!n || n == item->version_n)
		return item->blob;
	for (size_t i = 0; i < item->nversions; i++) {
		if (item->versions[i].n == n)
			return item->versions[i].blob;
	}
	return NULL;
}

/* False: 416. */
static bool apply_range(struct graphd *g, const struct request *req,
                        struct answer *out, uint64_t size)
{
	const char *range = request_header(req, "Range");
	int rc;

	out->status = 200;
	out->fd_off = 0;
	out->fd_len = size;
	if (!range || g->quirks.ignore_range || req->ignore_range)
		return true;
	rc = range_parse(range, size, &out->fd_off, &out->fd_len);
	if (rc == -E2BIG)
		stats_forbid(g->stats, "6: one range per request", "%s", range);
	if (rc == -ERANGE) {
		answer_error(out, 416, "invalidRange", NULL,
		             "The range is not in the file.");
		answer_header(out, "Content-Range", "bytes */%llu",
		              (unsigned long long)size);
		return false;
	}
	if (rc == 0) {
		out->status = 206;
		answer_header(
			out, "Content-Range", "bytes %llu-%llu/%llu",
			(unsigned long long)out->fd_off,
			(unsigned long long)(out->fd_off + out->fd_len - 1),
			(unsigned long long)size);
	}
	return true;
}

static void add_headers(struct graphd *g, const struct request *req,
                        struct answer *out, struct item *item)
{
	char *etag = item_etag(g, item, req->now_ns);
	struct buf name = BUF_INIT;

	answer_header(out, "Accept-Ranges", "bytes");
	answer_header(out, "Content-Type", "application/octet-stream");
	if (*etag == '"')
		answer_header(out, "ETag", "%s", etag);
	else
		answer_header(out, "ETag", "\"%s\"", etag);
	buf_add_percent(&name, item->name, strlen(item->name));
	answer_header(out, "Content-Disposition",
	              "attachment; filename*=UTF-8''%s", must_text(&name));
	buf_done(&name);
	free(etag);
}

static void send_content(struct graphd *g, const struct request *req,
                         struct answer *out, struct item *item,
                         const struct blob *blob)
{
	int fd;

	if (not_modified(g, req, item)) {
		answer_empty(out, 304);
		return;
	}
	fd = blob_open(g->blobs, blob);
	if (fd < 0) {
		answer_error(out, 500, "generalException", NULL,
		             "The content is lost.");
		return;
	}
	if (!apply_range(g, req, out, blob->size)) {
		close(fd);
		return;
	}
	out->fd = fd;
	add_headers(g, req, out, item);
}

void download_serve(struct graphd *g, const struct request *req,
                    struct answer *out)
{
	struct token t = { 0 };
	struct item *item = check_target(g, req->target, &t);
	const struct blob *blob;

	if (!item) {
		stats_forbid(g->stats,
		             "6: download URLs are used byte for byte", "%.40s",
		             req->target);
		answer_error(out, 401, "unauthenticated", NULL,
		             "The URL is not genuine.");
		return;
	}
	blob = item->state == ITEM_LIVE ? content_of(item, t.version) : NULL;
	if ((int64_t)t.expires_s * NS_PER_SEC <= req->now_ns ||
	    (int64_t)t.issued_ms * 1000000 < g->urls_from_ns)
		answer_error(out, (int)g->quirks.download_refusal,
		             "unauthenticated", "expiredToken",
		             "The URL is too old.");
	else if (!blob)
		answer_error(out, 404, "itemNotFound", NULL,
		             "There is no such content.");
	else if (item->malware && !overrides(req))
		refuse_malware(out);
	else
		send_content(g, req, out, item, blob);
}
