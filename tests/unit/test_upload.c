#include "net/upload.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/clock.h"
#include "net/log.h"
#include "net/quickxor.h"
#include "net/work.h"
#include "tests/unit/alloc.h"
#include "tests/unit/check.h"
#include "tests/unit/fake.h"

#define G       UPLOAD_GRANULE
#define TEN_MIB (32 * G)

/* ---- the service --------------------------------------------------------- */

enum fault_kind {
	SAY,    /* answer with status and body; nothing happens */
	LOST,   /* it happens, the answer is lost */
	CUT,    /* the connection breaks after `arg` bytes of the body */
	TELL,   /* it happens, but the answer is this body */
	FORGET, /* the session is gone, then as usual */
	HANG,
	CLOSE, /* as usual, and the connection is closed after it */
};

/* The nth request of that kind ('o'pen, 'p'ut, 'g'et, 'c'ommit, 'P'UT commit)
 * is treated so. */
struct fault {
	char request;
	unsigned nth;
	enum fault_kind kind;
	int status;
	const char *body;
	const char *headers;
	size_t arg;
};

#define F(req, n, what, ...)                                                   \
	{                                                                      \
		.request = (req), .nth = (n), .kind = (what), ##__VA_ARGS__    \
	}

#define NAME_TAKEN "{\"error\":{\"code\":\"nameAlreadyExists\"}}"
#define MODIFIED   "{\"error\":{\"code\":\"resourceModified\"}}"

static struct world {
	struct fake *server;
	struct http *http;
	struct graph *g;
	struct work *work;
	char base[80], url[128];
	const struct fault *faults;
	unsigned count[128]; /* requests by kind */
	char log[4096];      /* what was asked, in short */
	unsigned leaks;      /* Authorization where it must not be */
	char open_body[1024], commit_body[1024], if_match[64];

	char *content; /* what the session holds */
	uint64_t next, total;
	bool alive, defer;

	/* What the upload told us. */
	pthread_mutex_t lock;
	pthread_cond_t more;
	bool done;
	int rc;
	enum retry_verdict verdict;
	long status;
	char code[64], item_id[64];
	bool has_item;
	uint64_t end_next, noted;
	int64_t wait_ms;
	unsigned notes, reads, dones;
	int read_rc, note_rc;
	bool block_reads;   /* lock; reads wait */
	atomic_uint inside; /* callbacks of the upload that run */
	atomic_uint overlaps;
} w;

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
	unsigned nth = w.count[(unsigned char)request];

	for (; f && f->request; f++)
		if (f->request == request && f->nth == nth)
			return f;
	return NULL;
}

static void say_ranges(struct fake_reply *r, int status)
{
	if (w.next == w.total)
		fake_json(r, status, "{\"nextExpectedRanges\":[]}");
	else
		fake_json(r, status,
		          "{\"expirationDateTime\":\"2030-01-01T00:00:00Z\","
		          "\"nextExpectedRanges\":[\"%" PRIu64 "-\"]}",
		          w.next);
}

static void say_item(struct fake_reply *r, int status)
{
	uint8_t hash[QUICKXOR_SIZE];
	char text[QUICKXOR_TEXT];
	struct quickxor q;

	quickxor_init(&q);
	quickxor_update(&q, w.content, w.total);
	quickxor_final(&q, hash);
	quickxor_to_text(hash, text);
	w.alive = false;
	fake_json(r, status,
	          "{\"id\":\"NEW\",\"name\":\"n\",\"size\":%" PRIu64
	          ",\"file\":{\"hashes\":{\"quickXorHash\":\"%s\"}}}",
	          w.total, text);
}

static void do_open(const struct fake_request *q, struct fake_reply *r)
{
	snprintf(w.open_body, sizeof(w.open_body), "%s", q->body);
	snprintf(w.if_match, sizeof(w.if_match), "%.60s",
	         fake_header(q, "If-Match"));
	w.alive = true;
	w.next = 0;
	fake_json(r, 200,
	          "{\"uploadUrl\":\"%s\",\"expirationDateTime\":"
	          "\"2030-01-01T00:00:00Z\"}",
	          w.url);
}

static void do_put(const struct fake_request *q, struct fake_reply *r)
{
	uint64_t from = 0, to = 0, total = 0;

	sscanf(fake_header(q, "Content-Range"),
	       "bytes %" SCNu64 "-%" SCNu64 "/%" SCNu64, &from, &to, &total);
	if (!w.alive) {
		fake_json(r, 404, "{\"error\":{\"code\":\"itemNotFound\"}}");
	} else if (total != w.total || from != w.next ||
	           to - from + 1 != q->len) {
		fake_json(
			r, 416,
			"{\"error\":{\"code\":\"invalidRange\",\"innererror\":"
			"{\"code\":\"fragmentOverlap\"}}}");
	} else if ((to + 1) % G && to + 1 != total) {
		fake_json(r, 400, "{\"error\":{\"code\":\"invalidRequest\"}}");
	} else {
		memcpy(w.content + from, q->body, q->len);
		w.next = to + 1;
		if (w.next == w.total && !w.defer)
			say_item(r, 201);
		else
			say_ranges(r, 202);
	}
}

static void do_get(struct fake_reply *r)
{
	if (w.alive)
		say_ranges(r, 200);
	else
		fake_json(r, 404, "{\"error\":{\"code\":\"itemNotFound\"}}");
}

static char kind_of(const struct fake_request *q)
{
	bool session = strstr(q->target, "/up?") != NULL;

	if (session && strcasestr(q->head, "\r\nAuthorization:"))
		w.leaks++;
	if (!strcmp(q->method, "PUT"))
		return session ? 'p' : 'P';
	if (!strcmp(q->method, "GET"))
		return 'g';
	if (!strcmp(q->method, "DELETE"))
		return 'd';
	return session ? 'c' : 'o';
}

static void log_request(char kind, const struct fake_request *q)
{
	const char *range = fake_header(q, "Content-Range");
	const char *from = strchr(range, ' ');

	if (kind == 'p' && from)
		put_log(" p%.*s", (int)strcspn(from + 1, "/"), from + 1);
	else
		put_log(" %c", kind);
}

static size_t look_at_head(void *arg, const struct fake_request *q)
{
	char kind = kind_of(q);
	const struct fault *f = find_fault(kind);

	(void)arg;
	if (!f || f->kind != CUT)
		return SIZE_MAX;
	log_request(kind, q);
	w.count[(unsigned char)kind]++;
	return f->arg;
}

static void do_request(char kind, const struct fake_request *q,
                       struct fake_reply *r)
{
	switch (kind) {
	case 'o':
		do_open(q, r);
		break;
	case 'p':
		do_put(q, r);
		break;
	case 'g':
		do_get(r);
		break;
	case 'P':
		snprintf(w.commit_body, sizeof(w.commit_body), "%s", q->body);
		say_item(r, 200);
		break;
	case 'c':
		say_item(r, 201);
		break;
	default:
		r->status = 204;
	}
}

static void answer(void *arg, const struct fake_request *q,
                   struct fake_reply *r)
{
	char kind = kind_of(q);
	const struct fault *f = find_fault(kind);

	(void)arg;
	log_request(kind, q);
	w.count[(unsigned char)kind]++;
	if (f && f->kind == FORGET)
		w.alive = false;
	if (!f || (f->kind != SAY && f->kind != HANG))
		do_request(kind, q, r);
	if (!f)
		return;
	r->hang = f->kind == HANG;
	r->close = f->kind == CLOSE;
	if (f->kind == LOST)
		r->status = 0;
	if (f->kind == SAY || f->kind == TELL) {
		buf_clear(&r->body);
		fake_json(r, f->status, "%s", f->body ? f->body : "");
		if (f->headers)
			buf_add_str(&r->headers, f->headers);
	}
}

/* ---- the owner ----------------------------------------------------------- */

static char byte_at(uint64_t off)
{
	return (char)(off * 2654435761u >> 13);
}

/* Never two callbacks of one upload at once. */
static void go_in(void)
{
	if (atomic_fetch_add(&w.inside, 1))
		atomic_fetch_add(&w.overlaps, 1);
	pthread_mutex_lock(&w.lock);
}

static void go_out(void)
{
	pthread_cond_broadcast(&w.more);
	atomic_fetch_sub(&w.inside, 1);
	pthread_mutex_unlock(&w.lock);
}

static int read_some(void *arg, void *buf, size_t len, uint64_t off)
{
	char *to = buf;
	int rc;

	(void)arg;
	go_in();
	w.reads++;
	pthread_cond_broadcast(&w.more);
	while (w.block_reads)
		pthread_cond_wait(&w.more, &w.lock);
	rc = w.read_rc;
	go_out();
	if (off + len > w.total)
		return -ERANGE;
	for (size_t i = 0; i < len; i++)
		to[i] = byte_at(off + i);
	return rc;
}

static int note(void *arg, const char *url, uint64_t next)
{
	int rc;

	(void)arg;
	go_in();
	CHECK_STR(url, w.url);
	w.noted = next;
	w.notes++;
	rc = w.note_rc;
	go_out();
	return rc;
}

static void done(void *arg, const struct upload_end *end)
{
	(void)arg;
	go_in();
	w.done = true;
	w.dones++;
	w.rc = end->rc;
	w.verdict = end->verdict;
	w.status = end->status;
	w.has_item = end->item != NULL;
	w.end_next = end->next;
	w.wait_ms = end->wait_ms;
	snprintf(w.code, sizeof(w.code), "%s", end->code);
	snprintf(w.item_id, sizeof(w.item_id), "%s",
	         end->item ? end->item->id : "");
	go_out();
}

static void wait_done(void)
{
	pthread_mutex_lock(&w.lock);
	while (!w.done)
		pthread_cond_wait(&w.more, &w.lock);
	pthread_mutex_unlock(&w.lock);
}

static void token(void *token_arg, const char *stale, graph_got_token_fn *got,
                  void *arg)
{
	(void)token_arg;
	(void)stale;
	got(arg, 0, "token");
}

static void world_start(uint64_t total, const struct fault *faults)
{
	struct http_options options = { 0 };
	struct graph_options opt = { .base_url = w.base, .token = token };

	memset((void *)&w, 0, sizeof(w));
	w.total = total;
	w.content = calloc(1, total);
	w.faults = faults;
	pthread_mutex_init(&w.lock, NULL);
	pthread_cond_init(&w.more, NULL);
	w.server = fake_start(answer, look_at_head, NULL);
	snprintf(w.base, sizeof(w.base), "%s/v1.0", fake_url(w.server));
	snprintf(w.url, sizeof(w.url), "%s/up?tempauth=a%%20b&guid='1'",
	         fake_url(w.server));
	CHECK_EQ(http_new(&options, &w.http), 0);
	opt.http = w.http;
	CHECK_EQ(graph_new(&opt, &w.g), 0);
	CHECK_EQ(work_new("test", 2, &w.work), 0);
}

static void world_stop(void)
{
	graph_free(w.g);
	http_free(w.http);
	work_free(w.work);
	fake_stop(w.server);
	CHECK_EQ(w.leaks, 0);
	CHECK_EQ(w.overlaps, 0);
	free(w.content);
	pthread_cond_destroy(&w.more);
	pthread_mutex_destroy(&w.lock);
}

static struct upload_spec new_spec(void)
{
	return (struct upload_spec){ .graph = w.g,
		                     .work = w.work,
		                     .parent_id = "P",
		                     .name = "n",
		                     .total = w.total,
		                     .prio = HTTP_PRIO_BULK,
		                     .read = read_some,
		                     .note = note,
		                     .done = done };
}

static void run(const struct upload_spec *spec)
{
	struct upload *u;

	CHECK_EQ(upload_start(spec, &u), 0);
	wait_done();
	upload_free(u);
	(void)fake_requests(w.server);
	CHECK_EQ(w.dones, 1);
}

static bool content_is_right(void)
{
	for (uint64_t i = 0; i < w.total; i++)
		if (w.content[i] != byte_at(i))
			return false;
	return true;
}

/* ---- one upload, its faults, and what was asked -------------------------- */

static const struct {
	const char *name;
	uint64_t total;
	struct fault faults[4];
	const char *log;
	int rc;
	enum retry_verdict verdict;
	const char *code;
	uint64_t resume; /* the session holds that much, and its URL is given */
	bool no_item;
} cases[] = {
	{ .name = "one fragment", .total = 1000, .log = " o p0-999" },
	{ .name = "growing fragments",
	  .total = 31 * 1000 * 1000,
	  .log = " o p0-10485759 p10485760-30999999" },
	{ .name = "ends on a granule",
	  .total = 2 * TEN_MIB,
	  .log = " o p0-10485759 p10485760-20971519" },
	{ .name = "a kept connection dies",
	  .total = TEN_MIB + 5,
	  .faults = { F('p', 0, CLOSE) },
	  .log = NULL }, /* it may be noticed before or after it is used */
	{ .name = "lost answer",
	  .total = TEN_MIB + 5,
	  .faults = { F('p', 0, LOST) },
	  .log = " o p0-10485759 g p10485760-10485764" },
	{ .name = "broken body",
	  .total = TEN_MIB + 5,
	  .faults = { F('p', 0, CUT, .arg = 3000000) },
	  .log = " o p0-10485759 g p0-5242879 p5242880-10485764" },
	{ .name = "500 on a fragment",
	  .total = TEN_MIB + 5,
	  .faults = { F('p', 0, SAY, .status = 500),
	              F('g', 0, SAY, .status = 502) },
	  .log = " o p0-10485759 g g p0-5242879 p5242880-10485764" },
	{ .name = "stale offset",
	  .total = TEN_MIB + 5,
	  .faults = { F('p', 1, SAY, .status = 416,
	                .body = "{\"error\":{\"code\":\"invalidRange\"}}") },
	  .log = " o p0-10485759 p10485760-10485764 g p10485760-10485764" },
	{ .name = "too large",
	  .total = TEN_MIB + 5,
	  .faults = { F('p', 0, SAY, .status = 413),
	              F('p', 1, SAY, .status = 413) },
	  .log = " o p0-10485759 p0-5242879 p0-2621439 p2621440-7864319 "
	         "p7864320-10485764" },
	{ .name = "a list that contradicts",
	  .total = TEN_MIB + 5,
	  .faults = { F('p', 0, TELL, .status = 202,
	                .body = "{\"nextExpectedRanges\":[\"327680-\"]}") },
	  .log = " o p0-10485759 g p10485760-10485764" },
	{ .name = "no list",
	  .total = TEN_MIB + 5,
	  .faults = { F('p', 0, TELL, .status = 202, .body = "") },
	  .log = " o p0-10485759 g p10485760-10485764" },
	{ .name = "nonsense for a list",
	  .total = TEN_MIB + 5,
	  .faults = { F('p', 0, TELL, .status = 202,
	                .body = "{\"nextExpectedRanges\":[\"-5-\",7]}"),
	              F('g', 0, SAY, .status = 200,
	                .body = "{\"nextExpectedRanges\":[\"99999999999-\"]"
	                        "}") },
	  .log = " o p0-10485759 g g p10485760-10485764" },
	{ .name = "lost final answer",
	  .total = 1000,
	  .faults = { F('p', 0, LOST) },
	  .log = " o p0-999 g",
	  .rc = -EIO,
	  .verdict = RETRY_RESTART,
	  .code = "itemNotFound" },
	{ .name = "the final answer is no item",
	  .total = 1000,
	  .faults = { F('p', 0, TELL, .status = 201,
	                .body = "{\"expirationDateTime\":\"2030\"}") },
	  .log = " o p0-999",
	  .no_item = true },
	{ .name = "the final answer is empty",
	  .total = 1000,
	  .faults = { F('p', 0, TELL, .status = 200, .body = "") },
	  .log = " o p0-999",
	  .no_item = true },
	{ .name = "the end comes too soon",
	  .total = TEN_MIB + 5,
	  .faults = { F('p', 0, TELL, .status = 201,
	                .body = "{\"id\":\"X\"}") },
	  .log = " o p0-10485759",
	  .rc = -EIO,
	  .verdict = RETRY_LOOK },
	{ .name = "the end does not come",
	  .total = 1000,
	  .faults = { F('p', 0, TELL, .status = 202,
	                .body = "{\"nextExpectedRanges\":[]}") },
	  .log = " o p0-999",
	  .rc = -EIO,
	  .verdict = RETRY_LOOK },
	{ .name = "lag after opening",
	  .total = 1000,
	  .faults = { F('p', 0, SAY, .status = 404) },
	  .log = " o p0-999 g p0-999" },
	{ .name = "the session is gone",
	  .total = TEN_MIB + 5,
	  .faults = { F('p', 1, FORGET) },
	  .log = " o p0-10485759 p10485760-10485764 g",
	  .rc = -EIO,
	  .verdict = RETRY_RESTART,
	  .code = "itemNotFound" },
	{ .name = "the URL is a day old",
	  .total = TEN_MIB + 5,
	  .faults = { F('p', 1, SAY, .status = 401,
	                .body = "{\"error\":{\"code\":\"unauthenticated\","
	                        "\"innerError\":"
	                        "{\"code\":\"expiredToken\"}}}") },
	  .log = " o p0-10485759 p10485760-10485764",
	  .rc = -EIO,
	  .verdict = RETRY_RESTART,
	  .code = "expiredToken" },
	{ .name = "the name was taken meanwhile",
	  .total = 1000,
	  .faults = { F('p', 0, SAY, .status = 409, .body = NAME_TAKEN) },
	  .log = " o p0-999",
	  .rc = -EEXIST,
	  .verdict = RETRY_LOOK,
	  .code = "nameAlreadyExists" },
	{ .name = "the tag moved meanwhile",
	  .total = 1000,
	  .faults = { F('p', 0, SAY, .status = 412, .body = MODIFIED) },
	  .log = " o p0-999",
	  .rc = -ESTALE,
	  .verdict = RETRY_LOOK,
	  .code = "resourceModified" },
	{ .name = "full",
	  .total = 1000,
	  .faults = { F(
		  'p', 0, SAY, .status = 507,
		  .body = "{\"error\":{\"code\":\"quotaLimitReached\"}}") },
	  .log = " o p0-999",
	  .rc = -ENOSPC,
	  .verdict = RETRY_FAIL,
	  .code = "quotaLimitReached" },
	{ .name = "throttled",
	  .total = 1000,
	  .faults = { F('p', 0, SAY, .status = 429,
	                .headers = "Retry-After: 1\r\n") },
	  .log = " o p0-999 g p0-999" },
	{ .name = "the name is taken",
	  .total = 1000,
	  .faults = { F('o', 0, SAY, .status = 409, .body = NAME_TAKEN) },
	  .log = " o",
	  .rc = -EEXIST,
	  .verdict = RETRY_LOOK,
	  .code = "nameAlreadyExists" },
	{ .name = "a lost session costs nothing",
	  .total = 1000,
	  .faults = { F('o', 0, LOST) },
	  .log = " o o p0-999" },
	{ .name = "no URL",
	  .total = 1000,
	  .faults = { F('o', 0, SAY, .status = 200, .body = "{}") },
	  .log = " o",
	  .rc = -EIO,
	  .verdict = RETRY_WAIT },
	{ .name = "a URL that leads abroad in the clear",
	  .total = 1000,
	  .faults = { F('o', 0, SAY, .status = 200,
	                .body = "{\"uploadUrl\":\"http://example.com/up\"}") },
	  .log = " o",
	  .rc = -EIO,
	  .verdict = RETRY_WAIT },
	{ .name = "resumed",
	  .total = TEN_MIB + 5,
	  .resume = 3 * G,
	  .log = " g p983040-10485764" },
	{ .name = "resumed at an odd place",
	  .total = TEN_MIB + 5,
	  .resume = 1000,
	  .log = " g p1000-10485759 p10485760-10485764" },
	{ .name = "resumed when it was over",
	  .total = 1000,
	  .resume = 500,
	  .faults = { F('g', 0, FORGET) },
	  .log = " g",
	  .rc = -EIO,
	  .verdict = RETRY_RESTART,
	  .code = "itemNotFound" },
	{ .name = "resumed when all was there",
	  .total = 1000,
	  .resume = 1000,
	  .log = " g",
	  .rc = -EIO,
	  .verdict = RETRY_LOOK },
};

static void run_case(size_t i)
{
	struct upload_spec spec;
	bool ok = cases[i].rc == 0;

	check_row("%s", cases[i].name);
	world_start(cases[i].total, cases[i].faults);
	spec = new_spec();
	if (cases[i].resume) {
		spec.url = w.url;
		w.alive = true;
		w.next = cases[i].resume;
		for (uint64_t n = 0; n < w.next; n++)
			w.content[n] = byte_at(n);
	}
	run(&spec);
	CHECK_EQ(w.rc, cases[i].rc);
	CHECK_EQ(w.verdict, cases[i].verdict);
	CHECK_STR(w.code, cases[i].code ? cases[i].code : "");
	if (cases[i].log)
		CHECK_STR(w.log, cases[i].log);
	CHECK_EQ(w.has_item, ok && !cases[i].no_item);
	if (ok) {
		CHECK_EQ(w.end_next, w.total);
		CHECK(content_is_right());
	}
	if (w.rc == -ENOSPC)
		CHECK(w.wait_ms > 0);
	world_stop();
}

static void test_cases(void)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		run_case(i);
}

/* ---- bodies -------------------------------------------------------------- */

static void test_open_body(void)
{
	struct upload_spec spec;

	world_start(1000, NULL);
	spec = new_spec();
	spec.has_mtime = true;
	spec.mtime_ns = INT64_C(1795341312000000000);
	run(&spec);
	CHECK_STR(w.open_body,
	          "{\"item\":{\"@microsoft.graph.conflictBehavior\":\"fail\","
	          "\"name\":\"n\",\"fileSize\":1000,\"fileSystemInfo\":"
	          "{\"lastModifiedDateTime\":\"2026-11-22T09:55:12Z\"}}}");
	CHECK_STR(w.if_match, "");
	CHECK_STR(w.item_id, "NEW");
	world_stop();

	world_start(1000, NULL);
	spec = new_spec();
	spec.parent_id = spec.name = NULL;
	spec.item_id = "I";
	spec.etag = "tag";
	run(&spec);
	CHECK_STR(
		w.open_body,
		"{\"item\":{\"@microsoft.graph.conflictBehavior\":\"replace\","
		"\"fileSize\":1000}}");
	CHECK_STR(w.if_match, "\"tag\"");
	world_stop();
}

static void test_wrong_spec(void)
{
	struct upload_spec spec;
	struct upload *u;

	world_start(1000, NULL);
	spec = new_spec();
	spec.total = 0;
	CHECK_EQ(upload_start(&spec, &u), -EINVAL);
	spec = new_spec();
	spec.url = "http://example.com/up";
	CHECK_EQ(upload_start(&spec, &u), -EINVAL);
	CHECK_EQ(w.dones, 0);
	world_stop();
}

/* ---- commit -------------------------------------------------------------- */

static void committed(void *arg, const struct graph_answer *a)
{
	struct graph_item item;

	(void)arg;
	pthread_mutex_lock(&w.lock);
	w.rc = a->rc;
	w.verdict = a->verdict;
	w.has_item = a->json && graph_parse_item(a->json, &item) == 0;
	w.done = true;
	pthread_cond_broadcast(&w.more);
	pthread_mutex_unlock(&w.lock);
}

static void test_commit(void)
{
	static const struct {
		struct fault faults[3];
		const char *log;
		int rc;
		enum retry_verdict verdict;
	} forms[] = {
		{ .log = " o p0-999 c" },
		{ .faults = { F('c', 0, SAY, .status = 405) },
		  .log = " o p0-999 c P" },
		{ .faults = { F('c', 0, LOST) },
		  .log = " o p0-999 c",
		  .rc = -EIO,
		  .verdict = RETRY_LOOK },
		{ .faults = { F('c', 0, SAY, .status = 412, .body = MODIFIED) },
		  .log = " o p0-999 c",
		  .rc = -ESTALE,
		  .verdict = RETRY_LOOK },
		{ .faults = { F('c', 0, SAY, .status = 400),
		              F('P', 0, SAY, .status = 409,
		                .body = NAME_TAKEN) },
		  .log = " o p0-999 c P",
		  .rc = -EEXIST,
		  .verdict = RETRY_LOOK },
	};

	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		struct upload_spec spec;

		check_row("form %zu", i);
		world_start(1000, forms[i].faults);
		spec = new_spec();
		spec.defer_commit = true;
		w.defer = true;
		run(&spec);
		CHECK_EQ(w.rc, 0);
		CHECK(!w.has_item);
		CHECK(strstr(w.open_body, ",\"deferCommit\":true}") != NULL);
		w.done = false;
		CHECK_EQ(upload_commit(w.g, w.url, "P", "n", true, "tag",
		                       committed, NULL),
		         0);
		wait_done();
		(void)fake_requests(w.server);
		CHECK_STR(w.log, forms[i].log);
		CHECK_EQ(w.rc, forms[i].rc);
		CHECK_EQ(w.verdict, forms[i].verdict);
		CHECK_EQ(w.has_item, forms[i].rc == 0);
		if (w.count['P'] && forms[i].rc == 0)
			CHECK(strstr(w.commit_body, w.url) != NULL);
		world_stop();
	}
}

static void test_resumed_before_the_commit(void)
{
	struct upload_spec spec;

	world_start(1000, NULL);
	spec = new_spec();
	spec.defer_commit = w.defer = w.alive = true;
	spec.url = w.url;
	w.next = w.total;
	run(&spec);
	CHECK_EQ(w.rc, 0);
	CHECK_STR(w.log, " g");
	world_stop();
}

static void note_end(void *arg, const struct graph_answer *a)
{
	atomic_store((atomic_long *)arg, a->status ? a->status : -1);
}

static void test_end(void)
{
	atomic_long status = 0;

	world_start(1000, NULL);
	CHECK_EQ(upload_end(w.g, w.url, note_end, &status), 0);
	while (!atomic_load(&status))
		sched_yield();
	CHECK_EQ(atomic_load(&status), 204);
	CHECK_STR(w.log, " d");
	graph_stop(w.g);
	CHECK(upload_end(w.g, w.url, note_end, NULL) < 0);
	world_stop();
}

static void test_abandon(void)
{
	world_start(1000, NULL);
	upload_abandon(w.g, w.url);
	fake_wait_requests(w.server, 1);
	CHECK_STR(w.log, " d");
	world_stop();

	world_start(1000, NULL);
	upload_abandon_wait(w.g, w.url);
	CHECK_STR(w.log, " d"); /* by now */
	graph_stop(w.g);
	upload_abandon_wait(w.g, w.url);
	CHECK_STR(w.log, " d");
	world_stop();
}

/* ---- trouble here -------------------------------------------------------- */

static void test_owner_fails(void)
{
	struct upload_spec spec;

	world_start(1000, NULL);
	spec = new_spec();
	w.read_rc = -ENETUNREACH; /* even if it looks like the network */
	run(&spec);
	CHECK_EQ(w.rc, -ENETUNREACH);
	CHECK_EQ(w.verdict, RETRY_FAIL);
	CHECK_EQ(w.end_next, 0);
	world_stop();

	world_start(1000, NULL);
	spec = new_spec();
	w.note_rc = -EROFS;
	run(&spec);
	CHECK_EQ(w.rc, -EROFS);
	CHECK_EQ(w.verdict, RETRY_FAIL);
	CHECK_STR(w.log, " o");
	world_stop();
}

static void test_notes(void)
{
	struct upload_spec spec;

	world_start(TEN_MIB + 5, NULL);
	spec = new_spec();
	run(&spec);
	CHECK_EQ(w.notes, 2); /* the URL, the first fragment */
	CHECK_EQ(w.noted, TEN_MIB);
	world_stop();
}

/* ---- stopping ------------------------------------------------------------ */

static void wait_for_reads(unsigned n)
{
	pthread_mutex_lock(&w.lock);
	while (w.reads < n)
		pthread_cond_wait(&w.more, &w.lock);
	pthread_mutex_unlock(&w.lock);
}

static void check_canceled(void)
{
	CHECK_EQ(w.dones, 1);
	CHECK_EQ(w.rc, -ECANCELED);
	CHECK_EQ(w.verdict, RETRY_WAIT);
}

static void test_cancel_while_it_hangs(void)
{
	static const struct fault hangs[][2] = {
		{ F('o', 0, HANG) },
		{ F('p', 0, HANG) },
		{ F('p', 0, SAY, .status = 429,
		    .headers = "Retry-After: 600\r\n") },
	};

	for (size_t i = 0; i < ARRAY_LEN(hangs); i++) {
		struct upload_spec spec;
		struct upload *u;

		check_row("hang %zu", i);
		world_start(1000, hangs[i]);
		spec = new_spec();
		CHECK_EQ(upload_start(&spec, &u), 0);
		fake_wait_requests(w.server, i ? 2 : 1);
		upload_cancel(u);
		upload_cancel(u);
		wait_done();
		upload_free(u);
		check_canceled();
		world_stop();
	}
}

/* The worker sits in `read`: the end waits for it, whoever asks for it. */
static void test_cancel_while_reading(void)
{
	for (unsigned how = 0; how < 3; how++) {
		struct upload_spec spec;
		struct upload *u;

		check_row("how %u", how);
		world_start(TEN_MIB, NULL);
		spec = new_spec();
		w.block_reads = true;
		CHECK_EQ(upload_start(&spec, &u), 0);
		wait_for_reads(1);
		if (how == 0)
			upload_cancel(u);
		if (how == 1)
			upload_release(u);
		if (how == 2)
			graph_stop(w.g);
		pthread_mutex_lock(&w.lock);
		CHECK(!w.done);
		w.block_reads = false;
		pthread_cond_broadcast(&w.more);
		pthread_mutex_unlock(&w.lock);
		if (how != 1)
			upload_free(u);
		wait_done();
		if (how < 2)
			check_canceled();
		world_stop();
	}
}

static struct upload *to_release;

static void done_and_release(void *arg, const struct upload_end *end)
{
	upload_release(to_release);
	done(arg, end);
}

static void test_release_from_done(void)
{
	struct upload_spec spec;

	world_start(1000, NULL);
	spec = new_spec();
	spec.done = done_and_release;
	CHECK_EQ(upload_start(&spec, &to_release), 0);
	wait_done();
	CHECK_EQ(w.rc, 0);
	world_stop();
}

static void test_free_at_any_time(void)
{
	for (unsigned i = 0; i < 40; i++) {
		struct upload_spec spec;
		struct upload *u;

		world_start(2 * G, NULL);
		spec = new_spec();
		CHECK_EQ(upload_start(&spec, &u), 0);
		usleep(i * 100);
		upload_free(u);
		CHECK_EQ(w.dones, 1);
		CHECK(w.rc == 0 || w.rc == -ECANCELED);
		world_stop();
	}
	upload_free(NULL);
}

static void test_sent_counts(void)
{
	struct upload_spec spec;
	struct upload *u;

	world_start(TEN_MIB, NULL);
	spec = new_spec();
	CHECK_EQ(upload_start(&spec, &u), 0);
	CHECK(upload_sent(u) <= w.total);
	wait_done();
	CHECK_EQ(upload_sent(u), w.total);
	upload_free(u);
	world_stop();
}

static void test_out_of_memory(void)
{
	world_start(1000, NULL);
	for (unsigned n = 1; alloc_fail_at(n); n++) {
		struct upload_spec spec = new_spec();
		struct upload *u;

		w.done = false;
		spec.etag = spec.item_id = "I";
		if (upload_start(&spec, &u) == 0) {
			wait_done();
			upload_free(u);
		}
	}
	alloc_fail_off();
	CHECK(w.dones >= 1);
	world_stop();
}

int main(void)
{
	log_set_level(LOG_LEVEL_ERROR);
	RUN(test_cases);
	RUN(test_open_body);
	RUN(test_wrong_spec);
	RUN(test_commit);
	RUN(test_resumed_before_the_commit);
	RUN(test_end);
	RUN(test_abandon);
	RUN(test_owner_fails);
	RUN(test_notes);
	RUN(test_cancel_while_it_hangs);
	RUN(test_cancel_while_reading);
	RUN(test_release_from_done);
	RUN(test_free_at_any_time);
	RUN(test_sent_counts);
	RUN(test_out_of_memory);
	return check_report();
}
