/* Every kind of request x every fault of facts/graph.md 13 and 14: what comes
 * of it if it happens once, and what somebody who can't wait gets, and at what
 * cost, if it goes on.
 *
 * fault 36, 40, 41, 42, 44, 89, 93 (with tests/e2e for what people see) */
#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "net/log.h"
#include "net/upload.h"
#include "tests/unit/check.h"
#include "tests/unit/service_rig.h"

#define PATIENCE_MS 1500  /* of who can't wait */
#define LATE_MS     8000  /* he is told that long after it, at the latest */
#define AT_LAST_MS  90000 /* the others */
#define MOST        8     /* requests while he waits */
#define LONG        ((PATIENCE_MS + LATE_MS) / 500)

/* What comes of one that happens once, a letter for each group of kinds
 * (enum service_group):
 *	o	done in the end, by itself
 *	n	a success that holds nothing: whoever reads it sees to that
 *	l	handed back: what it did must be looked at
 *	x	handed back: the URL, link or session is dead
 *	e	refused
 *	w	handed back: later
 *	s	as o, after minutes: only the impatient are tried
 *	-	the service has no such answer there */
#define ROW(n, o, a, ...)                                                      \
	{                                                                      \
		.name = (n), .once = (o), .action = (a), ##__VA_ARGS__         \
	}
static const struct fault {
	const char *name, *action, *once;
	int rc;     /* with e and l; 0: EIO */
	int waiter; /* with o and s, of who can't wait; 0: EIO */
	bool effect;
} faults[] = {
	/* 14 "429, 509, 503 + Retry-After"; 13 #37 */
	ROW("429", "oooooooo", "\"status\":429,\"retry_after\":1"),
	ROW("429 without a time", "oooooooo", "\"status\":429"),
	ROW("429 dressed as accessDenied", "oooooooo",
	    "\"status\":403,\"code\":\"accessDenied\",\"inner\":"
	    "\"throttledRequest\""),
	ROW("503 with a time", "oooooooo", "\"status\":503,\"retry_after\":1"),
	ROW("509", "ssssssss", "\"status\":509"),
	/* 14 "500, 502, 503, 504", "408" */
	ROW("500", "oooloool", "\"status\":500"),
	ROW("502 in HTML", "oooloool", "\"status\":502,\"body\":\"html\""),
	ROW("503", "oooloool", "\"status\":503"),
	ROW("504", "oooloool", "\"status\":504"),
	ROW("408", "oooloool", "\"status\":408"),
	/* 14 "400 invalidRequest", "400 paging/delta token" */
	ROW("400", "exeeeeeo", "\"status\":400", .rc = EINVAL),
	ROW("400 pathIsTooLong", "exeeeeeo",
	    "\"status\":400,\"code\":\"pathIsTooLong\"", .rc = ENAMETOOLONG),
	/* 14 "401 Graph", "401/403/404/410 on a download URL", "401/403/404 on
	 * an uploadUrl"; 13 #10, #36 */
	ROW("401", "ooooxxoo", "\"status\":401", .waiter = EACCES),
	ROW("401 RPS", "ooooxxoo",
	    "\"status\":401,\"body\":{\"error\":{\"code\":\"unauthenticated\","
	    "\"message\":\"Unable to initialize RPS\"}}"),
	/* 14 "402, 403 accessDenied", "403 malware" */
	ROW("402", "eeeeeeee", "\"status\":402", .rc = EACCES),
	ROW("403", "eeeexxoe", "\"status\":403", .rc = EACCES),
	ROW("403 malware", "eeeeeeee",
	    "\"status\":403,\"code\":\"malwareDetected\"", .rc = EPERM),
	/* 14 "404"; 13 #8, #9, #30 */
	ROW("404", "eoeeoxoo", "\"status\":404", .rc = ENOENT),
	/* 14 "405, 406, 411, 415, 422" */
	ROW("405", "eeeeeeeo", "\"status\":405"),
	ROW("406", "eeeeeeee", "\"status\":406"),
	ROW("411", "eeeeeeee", "\"status\":411"),
	ROW("415", "eeeeeeee", "\"status\":415"),
	ROW("422", "eeeeeeee", "\"status\":422"),
	/* 14 "409 nameAlreadyExists", "409 other", "410 delta", "412" */
	ROW("409 nameAlreadyExists", "--llllol", "\"status\":409",
	    .rc = EEXIST),
	ROW("409 conflict", "--lloool", "\"status\":409,\"code\":\"conflict\"",
	    .rc = EBUSY, .waiter = EBUSY),
	ROW("410", "xxeexxoe", "\"status\":410", .rc = ENOENT),
	ROW("412", "--llllol", "\"status\":412", .rc = ESTALE),
	/* 14 "413", "416" */
	ROW("413", "eeeeooeo", "\"status\":413", .rc = EFBIG, .waiter = EFBIG),
	ROW("416", "eeeeoooe", "\"status\":416"),
	/* 14 "423", "424", "501", "507" */
	ROW("423", "ssssssss", "\"status\":423", .waiter = EBUSY),
	ROW("424", "oooooooo", "\"status\":424"),
	ROW("501", "eeeeeeeo", "\"status\":501", .rc = ENOTSUP),
	ROW("507", "eeeeeeee", "\"status\":507", .rc = ENOSPC),
	ROW("400 quotaLimitReached", "eeeeeeeo",
	    "\"status\":400,\"code\":\"quotaLimitReached\"", .rc = ENOSPC),
	/* 14 "308 no Location, HTML, bad JSON, missing id"; 13 #38, #39 */
	ROW("308 without Location", "oooloool", "\"status\":308"),
	ROW("302 elsewhere", "nnnnllon",
	    "\"status\":302,\"headers\":{\"Location\":\"http://127.0.0.3:9/"
	    "x\"}"),
	ROW("a portal's page", "ooolnool", "\"body\":\"html\""),
	ROW("an empty body", "nnnnnool", "\"body\":\"empty\""),
	ROW("an array", "nnnnnool", "\"body\":[]"),
	ROW("half a text", "ooolnool", "\"body\":\"{\\\"id\\\":\""),
	ROW("deep nesting", "ooolnool", "\"body\":\"deep\",\"size\":100000"),
	ROW("a gigabyte", "oooloool", "\"body\":\"huge\",\"size\":1073741824"),
	ROW("a gzip bomb", "ooolnool",
	    "\"body\":\"gzip\",\"size\":10000000,\"headers\":{\"Content-"
	    "Encoding\":\"gzip\"}"),
	ROW("wrong types", "nnnnno-o",
	    "\"answer\":{\"id\":7,\"name\":[],\"value\":\"x\",\"eTag\":{},"
	    "\"uploadUrl\":7,\"nextExpectedRanges\":\"0-\",\"size\":\"y\"}",
	    .effect = true),
	ROW("members missing", "nnnnno-o",
	    "\"answer\":{\"id\":null,\"name\":null,\"value\":null,\"eTag\":"
	    "null,\"uploadUrl\":null,\"nextExpectedRanges\":null}",
	    .effect = true),
	/* 14 "network down", 13 #40: broken on the way */
	ROW("cut before", "oooloool", "\"drop\":\"before\""),
	ROW("reset before", "oooloool", "\"drop\":\"before\",\"reset\":true"),
	ROW("cut after", "ooolxool", "\"drop\":\"after\"", .effect = true),
	ROW("reset after", "ooolxool", "\"drop\":\"after\",\"reset\":true",
	    .effect = true),
	ROW("a short body", "ooolxool", "\"truncate\":3", .effect = true),
	ROW("a length too long", "ooolxool", "\"wire\":\"long_length\"",
	    .effect = true),
	ROW("a length too short", "ooolnool", "\"wire\":\"short_length\"",
	    .effect = true),
	ROW("no HTTP", "oooloool", "\"wire\":\"garbage\""),
	ROW("half a header", "oooloool", "\"wire\":\"half_header\""),
	ROW("a header without end", "oooloool", "\"wire\":\"endless_header\""),
	ROW("a line without end", "oooloool", "\"wire\":\"endless_line\""),
	ROW("a bad chunk", "oooloool", "\"wire\":\"bad_chunk\""),
	ROW("no answer", "ssssssss", "\"stall_ms\":3600000"),
	ROW("no end of the header", "ssssssss", "\"wire\":\"stall_header\""),
	ROW("no end of the body", "ssssssss",
	    "\"stall_ms\":3600000,\"stall_at\":3", .effect = true),
};

#define FAULTS ARRAY_LEN(faults)

/* ---- exceptions ---------------------------------------------------------- */

static bool is_kind(const struct service_kind *k, const char *name)
{
	return !strcmp(k->name, name);
}

static bool has(const struct fault *f, const char *what)
{
	return strstr(f->action, what) != NULL;
}

/* What was done already is not there to be done again: the tag is old, the item
 * is gone. */
static char after_effect(const struct service_kind *k, char once, int *rc)
{
	if (once != 'o' || k->group != SERVICE_WRITE || is_kind(k, "session"))
		return once;
	*rc = is_kind(k, "delete") ? ENOENT : ESTALE;
	return is_kind(k, "delete") ? 'e' : 'l';
}

/* For a letter that is not about the group but about this kind. */
static char expected(const struct fault *f, const struct service_kind *k,
                     int *rc)
{
	char once = f->once[k->group];

	*rc = f->rc ? f->rc : EIO;
	if (f->effect)
		once = after_effect(k, once, rc);
	/* 204 has no body that can be wrong. */
	if (is_kind(k, "delete") && (has(f, "answer") || has(f, "truncate") ||
	                             has(f, "stall_at") || has(f, "_length")))
		return '-';
	/* What it leads to is another request. */
	if (is_kind(k, "version"))
		return f->effect || once == 'n' ? '-' : once;
	if (is_kind(k, "session") && once == 'n')
		return 'w';
	return once;
}

/* ---- cases --------------------------------------------------------------- */

static struct service_rig rig;

static void add_fault(const struct service_case *c, const struct fault *f,
                      bool for_ever)
{
	char match[700], body[2000];

	service_case_match(c, match, sizeof(match));
	snprintf(body, sizeof(body),
	         "{\"name\":\"%s\",\"match\":{%s},\"times\":%d,\"do\":{%s}}",
	         c->name, match, for_ever ? 0 : 1, f->action);
	drive_rig_post(&rig.drive, "faults", body);
}

/* By the names of the cases. */
static int64_t fired(const cJSON *rules, const struct service_case *c)
{
	const cJSON *r;

	cJSON_ArrayForEach (r, rules)
		if (!strcmp(json_str(r, "name"), c->name))
			return json_i64(r, "fired", 0);
	return -1;
}

static void check_once(const struct service_case *c, const struct fault *f)
{
	int rc;
	char want = expected(f, c->kind, &rc);
	bool silent = c->download != NULL; /* of verdicts */

	CHECK(c->ended);
	if (!c->ended)
		return;
	switch (want) {
	case 'o':
		CHECK_EQ(c->rc, 0);
		CHECK(c->has_item);
		break;
	case 'n':
		CHECK_EQ(c->rc, 0);
		CHECK(!c->has_item);
		break;
	case 'l':
		CHECK_EQ(c->rc, -rc);
		CHECK_EQ(c->verdict, RETRY_LOOK);
		break;
	case 'x':
		CHECK(c->rc < 0);
		if (!silent)
			CHECK_EQ(c->verdict, RETRY_RESTART);
		break;
	case 'e':
		CHECK_EQ(c->rc, -rc);
		if (!silent)
			CHECK_EQ(c->verdict, RETRY_FAIL);
		break;
	case 'w':
		CHECK_EQ(c->rc, -EIO);
		CHECK_EQ(c->verdict, RETRY_WAIT);
		break;
	default:
		CHECK(!"a letter of the table");
	}
}

/* He gets the table's errno, or that of the network. */
static bool is_waiters(const struct service_case *c, const struct fault *f)
{
	int waiter = f->waiter ? f->waiter : EIO;

	if (c->rc == -waiter || (c->download && c->rc == -EIO))
		return true;
	return waiter == EIO && (c->rc == -ETIMEDOUT || c->rc == -ENETUNREACH ||
	                         (c->download && c->rc == -ENETRESET));
}

/* A few bytes each time: it is never given up. */
static bool brings_some(const struct service_case *c, const struct fault *f)
{
	return c->kind->group == SERVICE_DOWNLOAD &&
	       (has(f, "truncate") || has(f, "stall_at"));
}

static void check_often(const struct service_case *c, const struct fault *f)
{
	int rc;
	char once = expected(f, c->kind, &rc);

	if (c->uploads || brings_some(c, f))
		return;
	CHECK(c->ended);
	if (!c->ended)
		return;
	CHECK(c->took_ms < PATIENCE_MS + LATE_MS);
	if (c->kind->group == SERVICE_BATCH && once == 'o')
		CHECK(c->rc == 0 || is_waiters(c, f)); /* one by one, then */
	else if (f->effect && once != 'n' && once != 'o')
		CHECK(c->rc < 0); /* what it would have been told got lost */
	else if (once == 'e')
		CHECK_EQ(c->rc, -rc);
	else if (once == 'o' || once == 's')
		CHECK(is_waiters(c, f));
	else if (once == 'n')
		CHECK(!c->has_item);
	else
		CHECK(c->rc < 0);
}

/* Under a sanitizer, which makes a thousand threads slow, every fifth. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define EVERY 5
#else
#define EVERY 1
#endif

struct run {
	struct service_case c;
	const struct fault *fault;
};

static unsigned make_all(struct run *runs, bool for_ever, unsigned *out_waited)
{
	static unsigned nr;
	unsigned n = 0, tried = 0;

	*out_waited = 0;
	for (unsigned i = 0; i < service_nkinds * FAULTS; i++) {
		const struct service_kind *k =
			&service_kinds[i % service_nkinds];
		const struct fault *f = &faults[i / service_nkinds];
		int rc;
		char once = expected(f, k, &rc);

		if (once == '-' || (once == 's' && !for_ever) ||
		    tried++ % EVERY)
			continue;
		runs[n].fault = f;
		service_case_make(&rig, ++nr, k, &runs[n].c);
		runs[n].c.patience_ms = for_ever ? PATIENCE_MS : -1;
		runs[n].c.counts = !for_ever || !runs[n].c.uploads;
		*out_waited += runs[n].c.counts;
		add_fault(&runs[n].c, f, for_ever);
		n++;
	}
	return n;
}

/* Goes on until the test ends it, about once a second. */
static bool is_long(const struct service_case *c, const struct fault *f)
{
	return c->uploads || brings_some(c, f);
}

static void check_all(struct run *runs, unsigned n, bool for_ever)
{
	cJSON *rules = drive_rig_get(&rig.drive, "faults");

	pthread_mutex_lock(&rig.lock);
	for (unsigned i = 0; i < n; i++) {
		const struct service_case *c = &runs[i].c;
		int64_t times = fired(rules, c);

		check_row("%s: %s, %s", c->kind->name, runs[i].fault->name,
		          for_ever ? "for ever" : "once");
		CHECK(times >= 1);
		CHECK(times <= MOST + (is_long(c, runs[i].fault) ? LONG : 0));
		if (for_ever)
			check_often(c, runs[i].fault);
		else
			check_once(c, runs[i].fault);
	}
	pthread_mutex_unlock(&rig.lock);
	cJSON_Delete(rules);
}

static void run_all(bool for_ever)
{
	struct run *runs = calloc(service_nkinds * FAULTS, sizeof(*runs));
	unsigned n, waited;

	service_rig_start(&rig, DRIVE_PERSONAL);
	n = make_all(runs, for_ever, &waited);
	for (unsigned i = 0; i < n; i++)
		service_case_start(&runs[i].c);
	service_wait(&rig, waited,
	             for_ever ? PATIENCE_MS + LATE_MS : AT_LAST_MS);
	check_all(runs, n, for_ever);
	for (unsigned i = 0; i < n; i++)
		service_case_done(&runs[i].c);
	service_rig_stop(&rig);
	free(runs);
	printf("%u cases %s\n", n, for_ever ? "for ever" : "once");
}

static void test_once(void)
{
	run_all(false);
}

static void test_for_ever(void)
{
	run_all(true);
}

int main(void)
{
	struct rlimit files = { 8192, 8192 };

	setrlimit(RLIMIT_NOFILE, &files);
	log_set_level(LOG_LEVEL_ERROR);
	RUN(test_once);
	RUN(test_for_ever);
	return check_report();
}
