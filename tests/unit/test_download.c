#include "net/download.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/clock.h"
#include "net/log.h"
#include "tests/unit/alloc.h"
#include "tests/unit/check.h"
#include "tests/unit/fake.h"

#define SIZE 300000

/* ---- the service --------------------------------------------------------- */

enum fault_kind {
	SAY,    /* that status and body instead */
	SHORT,  /* the connection breaks after `arg` bytes of the body */
	WHOLE,  /* 200 with everything, in spite of the range */
	SHIFT,  /* 206, but of another range */
	RESIZE, /* as if the file had `arg` bytes */
	LEAD,   /* 302 to another URL of ours */
	TAG,    /* an ETag, the one given */
	HANG,
};

/* The nth request of that kind ('i'tem, '/'content, 'd'ownload). */
struct fault {
	char request;
	unsigned nth;
	enum fault_kind kind;
	int status;
	const char *body, *headers;
	size_t arg;
	unsigned times; /* 0: once */
};

#define F(req, n, what, ...)                                                   \
	{                                                                      \
		.request = (req), .nth = (n), .kind = (what), ##__VA_ARGS__    \
	}
#define ITEM(rest)                                                             \
	"{\"id\":\"I\",\"file\":{},\"eTag\":\"tag\",\"size\":300000" rest "}"

struct one {
	struct download_range *r;
	uint64_t begin, off;
	bool done, wrong;
	int rc;
	unsigned pieces;
	int answer; /* of the data callback, once: 1 or -Exxx */
	unsigned pauses;
	int64_t at_ms;
};

static struct world {
	struct fake *server;
	struct http *http;
	struct graph *g;
	struct download *d;
	char base[80], url[160];
	const struct fault *faults;
	unsigned count[128];
	char log[2048];
	unsigned leaks, unauthorised;
	bool no_url; /* the item brings none: by /content */

	pthread_mutex_t lock;
	pthread_cond_t more;
	struct one ones[16];
	unsigned ndone; /* lock */
} w;

static char byte_at(uint64_t off)
{
	return (char)(off * 2654435761u >> 13);
}

static void put_log(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void put_log(const char *fmt, ...)
{
	size_t len = strlen(w.log);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(w.log + len, sizeof(w.log) - len, fmt, ap);
	va_end(ap);
}

static const struct fault *find_fault(char request)
{
	const struct fault *f = w.faults;
	unsigned nth = w.count[(unsigned char)request]++;

	for (; f && f->request; f++)
		if (f->request == request && nth >= f->nth &&
		    nth < f->nth + (f->times ? f->times : 1))
			return f;
	return NULL;
}

static void say_item(struct fake_reply *r)
{
	if (w.no_url)
		fake_json(r, 200, ITEM(""));
	else
		fake_json(r, 200,
		          ITEM(",\"@microsoft.graph.downloadUrl\":\"%s\""),
		          w.url);
}

static void say_bytes(const struct fake_request *q, struct fake_reply *r,
                      const struct fault *f)
{
	uint64_t from = 0, to = SIZE - 1, size = SIZE;

	sscanf(fake_header(q, "Range"), "bytes=%" SCNu64 "-%" SCNu64, &from,
	       &to);
	put_log("%" PRIu64 "-%" PRIu64, from, to);
	if (f && f->kind == RESIZE)
		size = f->arg;
	if (f && f->kind == SHIFT)
		from++;
	r->status = 206;
	if (f && f->kind == TAG)
		buf_addf(&r->headers, "ETag: %s\r\n", f->headers);
	if (f && f->kind == WHOLE) {
		r->status = 200;
		from = 0;
		to = size - 1;
	} else {
		buf_addf(&r->headers,
		         "Content-Range: bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64
		         "\r\n",
		         from, to, size);
	}
	if (f && f->arg && (f->kind == SHORT || f->kind == WHOLE))
		r->cut = f->arg;
	buf_reserve(&r->body, to - from + 1);
	for (uint64_t i = from; i <= to; i++)
		buf_add_char(&r->body, byte_at(i));
}

static char kind_of(const struct fake_request *q)
{
	size_t len = strlen(q->target);
	bool bearer = strcasestr(q->head, "\r\nAuthorization:") != NULL;

	if (strstr(q->target, "/dl?")) {
		w.leaks += bearer;
		return 'd';
	}
	w.unauthorised += !bearer;
	return len > 8 && !strcmp(q->target + len - 8, "/content") ? '/' : 'i';
}

static void answer(void *arg, const struct fake_request *q,
                   struct fake_reply *r)
{
	char kind = kind_of(q);
	const struct fault *f = find_fault(kind);

	(void)arg;
	put_log(" %c", kind);
	if (f && f->kind == HANG) {
		r->hang = true;
	} else if (f && f->kind == SAY) {
		fake_json(r, f->status, "%s", f->body ? f->body : "");
		buf_add_str(&r->headers, f->headers ? f->headers : "");
	} else if ((f && f->kind == LEAD) || kind == '/') {
		r->status = 302;
		buf_addf(&r->headers, "Location: %s\r\n", w.url);
	} else if (strstr(q->target, "tempauth=old")) {
		r->status = 401;
	} else if (kind == 'i') {
		say_item(r);
	} else {
		say_bytes(q, r, f);
	}
}

static void token(void *token_arg, const char *stale, graph_got_token_fn *got,
                  void *arg)
{
	(void)token_arg;
	(void)stale;
	got(arg, 0, "token");
}

static void world_start(const struct fault *faults)
{
	struct http_options options = { 0 };
	struct graph_options opt = { .base_url = w.base, .token = token };

	memset(&w, 0, sizeof(w));
	w.faults = faults;
	pthread_mutex_init(&w.lock, NULL);
	pthread_cond_init(&w.more, NULL);
	w.server = fake_start(answer, NULL, NULL);
	snprintf(w.base, sizeof(w.base), "%s/v1.0", fake_url(w.server));
	snprintf(w.url, sizeof(w.url), "%s/dl?tempauth=x", fake_url(w.server));
	CHECK_EQ(http_new(&options, &w.http), 0);
	opt.http = w.http;
	CHECK_EQ(graph_new(&opt, &w.g), 0);
}

static void world_stop(void)
{
	download_free(w.d);
	graph_free(w.g);
	http_free(w.http);
	fake_stop(w.server);
	CHECK_EQ(w.leaks, 0);
	CHECK_EQ(w.unauthorised, 0);
	pthread_cond_destroy(&w.more);
	pthread_mutex_destroy(&w.lock);
}

static void open_download(bool with_url, const char *version_id)
{
	CHECK_EQ(download_new(w.g, "I", "tag", SIZE, with_url ? w.url : NULL,
	                      version_id, &w.d),
	         0);
}

/* ---- the reader ---------------------------------------------------------- */

static int take(void *arg, uint64_t off, const void *data, size_t len)
{
	struct one *o = arg;
	const char *bytes = data;
	int rc;

	pthread_mutex_lock(&w.lock);
	rc = o->answer;
	o->answer = 0;
	o->pauses += rc == 1;
	if (rc == 0) {
		o->wrong |= off != o->off;
		for (size_t i = 0; i < len; i++)
			o->wrong |= bytes[i] != byte_at(off + i);
		o->off += len;
		o->pieces++;
	}
	pthread_cond_broadcast(&w.more);
	pthread_mutex_unlock(&w.lock);
	return rc;
}

static void done(void *arg, int rc)
{
	struct one *o = arg;

	pthread_mutex_lock(&w.lock);
	CHECK(!o->done);
	o->done = true;
	o->rc = rc;
	o->at_ms = clock_mono_ms();
	w.ndone++;
	pthread_cond_broadcast(&w.more);
	pthread_mutex_unlock(&w.lock);
}

static void start(unsigned i, uint64_t off, uint64_t len, int64_t patience_ms)
{
	struct one *o = &w.ones[i];

	o->begin = o->off = off;
	CHECK_EQ(download_start(w.d, off, len, HTTP_PRIO_USER, patience_ms,
	                        take, done, o, &o->r),
	         0);
}

static void wait_done(unsigned n)
{
	pthread_mutex_lock(&w.lock);
	while (w.ndone < n)
		pthread_cond_wait(&w.more, &w.lock);
	pthread_mutex_unlock(&w.lock);
	(void)fake_requests(w.server);
}

static void check_whole(unsigned i, uint64_t len)
{
	struct one *o = &w.ones[i];

	CHECK_EQ(o->rc, 0);
	CHECK_EQ(o->off, o->begin + len);
	CHECK(!o->wrong);
}

/* ---- one range, its faults, and what was asked --------------------------- */

static const struct {
	const char *name;
	uint64_t off, len;
	struct fault faults[4];
	const char *log;
	int rc;
	int64_t patience_ms; /* 0: a minute; -1: one try */
	bool with_url, by_content;
	const char *version;
} cases[] = {
	{ .name = "all of it", .len = SIZE, .log = " i d0-299999" },
	{ .name = "a piece", .off = 1000, .len = 5, .log = " i d1000-1004" },
	{ .name = "the URL is known",
	  .len = 5,
	  .with_url = true,
	  .log = " d0-4" },
	{ .name = "the item brings no URL",
	  .len = 5,
	  .by_content = true,
	  .log = " i / d0-4" },
	{ .name = "an old version",
	  .len = 5,
	  .version = "2.0",
	  .log = " / d0-4" },
	{ .name = "nothing", .off = SIZE, .len = 0, .log = "" },
	{ .name = "broken on the way",
	  .len = SIZE,
	  .with_url = true,
	  .faults = { F('d', 0, SHORT, .arg = 100000) },
	  .log = " d0-299999 d100000-299999" },
	{ .name = "everything instead of the range",
	  .off = 1000,
	  .len = 5,
	  .with_url = true,
	  .faults = { F('d', 0, WHOLE) },
	  .log = " d1000-1004" },
	{ .name = "everything, broken before the range",
	  .off = 200000,
	  .len = 5,
	  .with_url = true,
	  .faults = { F('d', 0, WHOLE, .arg = 100000), F('d', 1, WHOLE) },
	  .log = " d200000-200004 d200000-200004" },
	{ .name = "another range",
	  .off = 10,
	  .len = 5,
	  .with_url = true,
	  .faults = { F('d', 0, SHIFT) },
	  .log = " d10-14 d10-14" },
	{ .name = "another size",
	  .len = 5,
	  .with_url = true,
	  .faults = { F('d', 0, RESIZE, .arg = SIZE + 1) },
	  .log = " d0-4 i d0-4" },
	{ .name = "another size, everything",
	  .len = 5,
	  .with_url = true,
	  .faults = { F('d', 0, SAY, .status = 200, .body = "{\"short\":1}") },
	  .log = " d i d0-4" },
	{ .name = "another size, and another version",
	  .len = 5,
	  .with_url = true,
	  .faults = { F('d', 0, RESIZE, .arg = SIZE + 1),
	              F('i', 0, SAY, .status = 200,
	                .body = "{\"id\":\"I\",\"eTag\":\"new\",\"file\":{},"
	                        "\"size\":300001}") },
	  .log = " d0-4 i",
	  .rc = -ESTALE },
	{ .name = "refused for no reason of its own",
	  .len = 5,
	  .with_url = true,
	  .faults = { F('d', 0, SAY, .status = 412, .times = 9) },
	  .log = " d i d i d",
	  .rc = -EIO },
	{ .name = "an old URL",
	  .len = 5,
	  .with_url = true,
	  .faults = { F('d', 0, SAY, .status = 401) },
	  .log = " d i d0-4" },
	{ .name = "old URLs of all kinds",
	  .len = 5,
	  .with_url = true,
	  .faults = { F('d', 0, SAY, .status = 410),
	              F('d', 1, SAY, .status = 404) },
	  .log = " d i d i d0-4" },
	{ .name = "no URL is good",
	  .len = 5,
	  .with_url = true,
	  .faults = { F('d', 0, SAY, .status = 403, .times = 9) },
	  .log = " d i d i d",
	  .rc = -EIO },
	{ .name = "an old URL in the middle",
	  .len = SIZE,
	  .with_url = true,
	  .faults = { F('d', 0, SHORT, .arg = 65536),
	              F('d', 1, SAY, .status = 401) },
	  .log = " d0-299999 d i d65536-299999" },
	{ .name = "the URL leads on",
	  .len = 5,
	  .with_url = true,
	  .faults = { F('d', 0, LEAD) },
	  .log = " d d0-4" },
	{ .name = "the URL leads on for ever",
	  .len = 5,
	  .with_url = true,
	  .faults = { F('d', 0, LEAD, .times = 99) },
	  .log = " d d d d",
	  .rc = -EIO },
	{ .name = "the URL leads abroad in the clear",
	  .len = 5,
	  .with_url = true,
	  .faults = { F('d', 0, SAY, .status = 302,
	                .headers = "Location: http://example.com/\r\n") },
	  .log = " d",
	  .rc = -EIO },
	{ .name = "content leads abroad in the clear",
	  .len = 5,
	  .by_content = true,
	  .faults = { F('/', 0, SAY, .status = 302,
	                .headers = "Location: http://example.com/\r\n") },
	  .log = " i /",
	  .rc = -EIO },
	{ .name = "another version",
	  .len = 5,
	  .faults = { F('i', 0, SAY, .status = 200,
	                .body = "{\"id\":\"I\",\"eTag\":\"new\",\"file\":{},"
	                        "\"size\":300000}") },
	  .log = " i",
	  .rc = -ESTALE },
	{ .name = "the item has another size",
	  .len = 5,
	  .faults = { F('i', 0, SAY, .status = 200,
	                .body = "{\"id\":\"I\",\"eTag\":\"tag\",\"file\":{},"
	                        "\"size\":1}") },
	  .log = " i",
	  .rc = -ESTALE },
	{ .name = "gone",
	  .len = 5,
	  .faults = { F('i', 0, SAY, .status = 404,
	                .body = "{\"error\":{\"code\":\"itemNotFound\"}}") },
	  .log = " i",
	  .rc = -ENOENT },
	{ .name = "deleted",
	  .len = 5,
	  .faults = { F('i', 0, SAY, .status = 200,
	                .body = ITEM(",\"deleted\":{}")) },
	  .log = " i",
	  .rc = -ENOENT },
	{ .name = "malware by the item",
	  .len = 5,
	  .faults = { F('i', 0, SAY, .status = 200,
	                .body = ITEM(",\"malware\":{}")) },
	  .log = " i",
	  .rc = -EPERM },
	{ .name = "malware by the code",
	  .len = 5,
	  .with_url = true,
	  .faults = { F('d', 0, SAY, .status = 403,
	                .body = "{\"error\":{\"code\":\"malwareDetected\"}}") },
	  .log = " d",
	  .rc = -EPERM },
	{ .name = "malware by the header",
	  .len = 5,
	  .with_url = true,
	  .faults = { F('d', 0, SAY, .status = 403,
	                .headers = "X-Virus-Infected: Eicar\r\n") },
	  .log = " d",
	  .rc = -EPERM },
	{ .name = "a stale size",
	  .len = 5,
	  .with_url = true,
	  .faults = { F('d', 0, SAY, .status = 416) },
	  .log = " d i d0-4" },
	{ .name = "a hiccup",
	  .len = 5,
	  .with_url = true,
	  .faults = { F('d', 0, SAY, .status = 502) },
	  .log = " d d0-4" },
	{ .name = "throttled",
	  .len = 5,
	  .with_url = true,
	  .faults = { F('d', 0, SAY, .status = 429,
	                .headers = "Retry-After: 1\r\n") },
	  .log = " d d0-4" },
	{ .name = "no patience",
	  .len = 5,
	  .with_url = true,
	  .patience_ms = -1,
	  .faults = { F('d', 0, SAY, .status = 502) },
	  .log = " d",
	  .rc = -EIO },
	{ .name = "no patience, but an old URL",
	  .len = 5,
	  .with_url = true,
	  .patience_ms = -1,
	  .faults = { F('d', 0, SAY, .status = 401) },
	  .log = " d i d0-4" },
	{ .name = "little patience with a lost item",
	  .len = 5,
	  .patience_ms = 100,
	  .faults = { F('i', 0, SAY, .status = 503, .times = 9) },
	  .log = " i",
	  .rc = -EIO },
};

static void run_case(size_t i)
{
	int64_t patience = cases[i].patience_ms;

	check_row("%s", cases[i].name);
	world_start(cases[i].faults);
	w.no_url = cases[i].by_content;
	open_download(cases[i].with_url, cases[i].version);
	start(0, cases[i].off, cases[i].len,
	      patience < 0 ? 0
	      : patience   ? patience
	                   : 60000);
	wait_done(1);
	CHECK_STR(w.log, cases[i].log);
	CHECK_EQ(w.ones[0].rc, cases[i].rc);
	if (cases[i].rc == 0)
		check_whole(0, cases[i].len);
	world_stop();
}

static void test_cases(void)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		run_case(i);
}

/* ---- several ------------------------------------------------------------- */

static void run_eight(void)
{
	for (unsigned i = 0; i < 8; i++)
		start(i, i * 1000, 1000, 60000);
	wait_done(8);
	for (unsigned i = 0; i < 8; i++)
		check_whole(i, 1000);
	CHECK_EQ(w.count['i'], 1);
}

static void test_one_url_for_all(void)
{
	char old[200];

	world_start(NULL);
	snprintf(old, sizeof(old), "%s/dl?tempauth=old", fake_url(w.server));
	CHECK_EQ(download_new(w.g, "I", "tag", SIZE, old, NULL, &w.d), 0);
	run_eight();
	world_stop();

	world_start(NULL);
	open_download(false, NULL);
	run_eight();
	CHECK_EQ(w.count['d'], 8);
	world_stop();
}

/* A reader's patience ends while another one goes on waiting for the URL. */
/* One URL, another content of the same size behind it. */
static void test_tag_of_the_host(void)
{
	static const struct fault faults[] = {
		F('d', 0, TAG, .headers = "\"{I},1\"", .times = 2),
		F('d', 3, TAG, .headers = "\"{I},2\""),
		{ 0 }
	};

	world_start(faults);
	open_download(true, NULL);
	for (unsigned i = 0; i < 4; i++) {
		start(i, i * 1000, 1000, 60000);
		wait_done(i + 1);
		if (i < 3)
			check_whole(i, 1000); /* the third tells none */
	}
	CHECK_EQ(w.ones[3].rc, -ESTALE);
	CHECK_EQ(w.ones[3].off, 3000);
	world_stop();
}

static void test_patience_without_url(void)
{
	static const struct fault faults[] = { F('i', 0, HANG), { 0 } };

	world_start(faults);
	open_download(false, NULL);
	start(0, 0, 5, -1);
	start(1, 0, 5, 200);
	wait_done(1);
	CHECK(w.ones[1].done && !w.ones[0].done);
	CHECK_EQ(w.ones[1].rc, -ETIMEDOUT);
	world_stop();
	CHECK_EQ(w.ones[0].rc, -ECANCELED);
}

static void test_out_of_bounds(void)
{
	struct download_range *r;

	world_start(NULL);
	open_download(true, NULL);
	CHECK_EQ(download_start(w.d, SIZE + 1, 0, HTTP_PRIO_USER, 0, take, done,
	                        NULL, &r),
	         -EINVAL);
	CHECK_EQ(download_start(w.d, 1, SIZE, HTTP_PRIO_USER, 0, take, done,
	                        NULL, &r),
	         -EINVAL);
	CHECK_EQ(download_start(w.d, 1, UINT64_MAX, HTTP_PRIO_USER, 0, take,
	                        done, NULL, &r),
	         -EINVAL);
	world_stop();
}

/* ---- the owner has its say ----------------------------------------------- */

static void wait_for_pause(struct one *o)
{
	pthread_mutex_lock(&w.lock);
	while (!o->pauses)
		pthread_cond_wait(&w.more, &w.lock);
	pthread_mutex_unlock(&w.lock);
}

static void test_pause_and_resume(void)
{
	static const struct fault whole[] = { F('d', 0, WHOLE), { 0 } };

	for (unsigned i = 0; i < 2; i++) {
		world_start(i ? whole : NULL);
		open_download(true, NULL);
		w.ones[0].answer = 1;
		start(0, 5000, 200000, 60000);
		wait_for_pause(&w.ones[0]);
		CHECK(!w.ones[0].done && !w.ones[0].pieces);
		download_resume(w.ones[0].r);
		wait_done(1);
		check_whole(0, 200000);
		world_stop();
	}
}

/* Whatever the owner says ends it, even if it looks like our own words. */
static void test_owner_refuses(void)
{
	static const int rcs[] = { -EBADMSG, -ENETRESET, -ETIMEDOUT, -ESTALE,
		                   -ENOSPC };

	for (size_t i = 0; i < ARRAY_LEN(rcs); i++) {
		check_row("%d", rcs[i]);
		world_start(NULL);
		open_download(true, NULL);
		w.ones[0].answer = rcs[i];
		start(0, 0, SIZE, -1);
		wait_done(1);
		CHECK_EQ(w.ones[0].rc, rcs[i]);
		CHECK_EQ(w.count['d'], 1);
		world_stop();
	}
}

static void test_cancel(void)
{
	static const struct fault hangs[][2] = {
		{ F('i', 0, HANG) },
		{ F('d', 0, HANG) },
		{ F('d', 0, SAY, .status = 429,
		    .headers = "Retry-After: 600\r\n") },
	};

	for (size_t i = 0; i < 2 * ARRAY_LEN(hangs); i++) {
		check_row("hang %zu", i);
		world_start(hangs[i / 2]);
		open_download(i / 2 > 0, NULL);
		start(0, 0, 5, -1);
		fake_wait_requests(w.server, 1);
		if (i % 2) {
			download_cancel(w.ones[0].r);
		} else {
			download_free(w.d);
			w.d = NULL;
		}
		wait_done(1);
		CHECK_EQ(w.ones[0].rc, -ECANCELED);
		world_stop();
	}
}

static void test_cancel_while_paused(void)
{
	world_start(NULL);
	open_download(true, NULL);
	w.ones[0].answer = 1;
	start(0, 0, SIZE, -1);
	wait_for_pause(&w.ones[0]);
	download_cancel(w.ones[0].r);
	wait_done(1);
	CHECK_EQ(w.ones[0].rc, -ECANCELED);
	world_stop();
}

static void test_stop(void)
{
	static const struct fault faults[] = {
		F('d', 0, SAY, .status = 429,
		  .headers = "Retry-After: 600\r\n"),
		{ 0 },
	};

	world_start(faults);
	open_download(true, NULL);
	start(0, 0, 5, -1);
	fake_wait_requests(w.server, 1);
	graph_stop(w.g);
	wait_done(1);
	CHECK_EQ(w.ones[0].rc, -ECANCELED);
	world_stop();
}

static void test_free_at_any_time(void)
{
	for (unsigned i = 0; i < 30; i++) {
		world_start(NULL);
		open_download(i % 2, NULL);
		for (unsigned k = 0; k < 4; k++)
			start(k, 0, SIZE, 60000);
		usleep(i * 50);
		world_stop();
		CHECK_EQ(w.ndone, 4);
		for (unsigned k = 0; k < 4; k++)
			CHECK(w.ones[k].rc == 0 || w.ones[k].rc == -ECANCELED);
	}
	download_free(NULL);
}

static void test_out_of_memory(void)
{
	unsigned started = 0;

	world_start(NULL);
	for (unsigned n = 1; alloc_fail_at(n); n++) {
		struct download *d;
		struct download_range *r;
		struct one *o = &w.ones[n % 16];

		*o = (struct one){ 0 };
		if (download_new(w.g, "I", "tag", SIZE, w.url, "2.0", &d) < 0)
			continue;
		if (download_start(d, 0, 5, HTTP_PRIO_BULK, 60000, take, done,
		                   o, &r) == 0)
			wait_done(++started);
		download_free(d);
	}
	alloc_fail_off();
	CHECK(started >= 1);
	world_stop();
}

int main(void)
{
	log_set_level(LOG_LEVEL_ERROR);
	RUN(test_cases);
	RUN(test_one_url_for_all);
	RUN(test_tag_of_the_host);
	RUN(test_patience_without_url);
	RUN(test_out_of_bounds);
	RUN(test_pause_and_resume);
	RUN(test_owner_refuses);
	RUN(test_cancel);
	RUN(test_cancel_while_paused);
	RUN(test_stop);
	RUN(test_free_at_any_time);
	RUN(test_out_of_memory);
	return check_report();
}
