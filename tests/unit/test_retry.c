#include "net/retry.h"

#include <errno.h>

#include "tests/unit/check.h"

/* One line per row of facts 14, 5.3 and 1.7, and per kind where kinds differ.
 * min_ms..max_ms covers the jitter. */
static const struct {
	const char *row;
	enum retry_kind kind;
	long status;
	const char *code;
	unsigned attempt;
	int64_t after_ms;
	enum retry_verdict verdict;
	int rc;
	int64_t min_ms, max_ms;
	bool freeze;
} cases[] = {
#define V(v) RETRY_##v
#define S    1000
	{ "200", V(READ), 200, "", 0, -1, V(DONE), 0, 0, 0, 0 },
	{ "201", V(CREATE), 201, "", 0, -1, V(DONE), 0, 0, 0, 0 },
	{ "202", V(FRAGMENT), 202, "", 0, -1, V(DONE), 0, 0, 0, 0 },
	{ "204", V(WRITE), 204, "", 9, -1, V(DONE), 0, 0, 0, 0 },
	{ "206", V(DOWNLOAD), 206, "", 0, -1, V(DONE), 0, 0, 0, 0 },
	{ "302", V(READ), 302, "", 0, -1, V(DONE), 0, 0, 0, 0 },
	{ "303", V(READ), 303, "", 0, -1, V(DONE), 0, 0, 0, 0 },

	/* 14, in its order */
	{ "400", V(CREATE), 400, "invalidRequest", 0, -1, V(FAIL), -EINVAL, 0,
	  0, 0 },
	{ "400", V(READ), 400, "", 0, -1, V(FAIL), -EINVAL, 0, 0, 0 },
	{ "400 long", V(CREATE), 400, "PathIsTooLong", 0, -1, V(FAIL),
	  -ENAMETOOLONG, 0, 0, 0 },
	{ "400 deep", V(WRITE), 400, "pathTooDeep", 0, -1, V(FAIL),
	  -ENAMETOOLONG, 0, 0, 0 },
	{ "400 paging", V(PAGE), 400, "invalidRequest", 0, -1, V(RESTART), -EIO,
	  0, 0, 0 },
	{ "401", V(READ), 401, "InvalidAuthenticationToken", 0, -1, V(REFRESH),
	  -EACCES, 0, 0, 0 },
	{ "401", V(CREATE), 401, "", 3, -1, V(REFRESH), -EACCES, 0, 0, 0 },
	{ "401 RPS", V(READ), 401, RETRY_CODE_RPS, 0, -1, V(WAIT), -EIO, 500,
	  1 * S, 0 },
	{ "401 RPS", V(WRITE), 401, RETRY_CODE_RPS, 6, -1, V(FAIL), -EIO,
	  300 * S, 600 * S, 0 },
	{ "401 url", V(DOWNLOAD), 401, "", 0, -1, V(RESTART), -EIO, 0, 0, 0 },
	{ "403 url", V(DOWNLOAD), 403, "accessDenied", 1, -1, V(RESTART), -EIO,
	  0, 0, 0 },
	{ "404 url", V(DOWNLOAD), 404, "", 1, -1, V(RESTART), -EIO, 0, 0, 0 },
	{ "404 url", V(DOWNLOAD), 404, "", 2, -1, V(FAIL), -EIO, 0, 0, 0 },
	{ "410 url", V(DOWNLOAD), 410, "", 0, -1, V(RESTART), -EIO, 0, 0, 0 },
	{ "410 url", V(DOWNLOAD), 410, "", 2, -1, V(FAIL), -EIO, 0, 0, 0 },
	{ "401 up", V(FRAGMENT), 401, "expiredToken", 0, -1, V(RESTART), -EIO,
	  0, 0, 0 },
	{ "403 up", V(FRAGMENT), 403, "accessDenied", 0, -1, V(RESTART), -EIO,
	  0, 0, 0 },
	{ "404 up", V(FRAGMENT), 404, "itemNotFound", 0, -1, V(LOOK), -EIO,
	  5 * S, 5 * S, 0 },
	{ "404 up", V(FRAGMENT), 404, "uploadSessionNotFound", 1, -1,
	  V(RESTART), -EIO, 0, 0, 0 },
	{ "410 up", V(FRAGMENT), 410, "", 0, -1, V(RESTART), -EIO, 0, 0, 0 },
	{ "grant", V(IDENTITY), 400, "invalid_grant", 0, -1, V(FAIL), -EACCES,
	  0, 0, 0 },
	{ "grant", V(IDENTITY), 401, "interaction_required", 0, -1, V(FAIL),
	  -EACCES, 0, 0, 0 },
	{ "402", V(READ), 402, "", 0, -1, V(FAIL), -EACCES, 0, 0, 0 },
	{ "403", V(WRITE), 403, "accessDenied", 0, -1, V(FAIL), -EACCES, 0, 0,
	  0 },
	{ "403 read-only", V(CREATE), 403, "serviceReadOnly", 0, -1, V(FAIL),
	  -EROFS, 300 * S, 600 * S, 0 },
	{ "403 malware", V(READ), 403, "malwareDetected", 0, -1, V(FAIL),
	  -EPERM, 0, 0, 0 },
	{ "403 malware", V(FRAGMENT), 403, "virusSuspicious", 0, -1, V(FAIL),
	  -EPERM, 0, 0, 0 },
	{ "403 throttle", V(READ), 403, "throttledRequest", 0, 7 * S, V(WAIT),
	  -EIO, 7 * S, 7 * S, 1 },
	{ "404", V(READ), 404, "itemNotFound", 0, -1, V(FAIL), -ENOENT, 0, 0,
	  0 },
	{ "404", V(WRITE), 404, "", 0, -1, V(FAIL), -ENOENT, 0, 0, 0 },
	{ "404", V(CREATE), 404, "", 0, -1, V(FAIL), -ENOENT, 0, 0, 0 },
	{ "404 link", V(PAGE), 404, "", 0, -1, V(WAIT), -EIO, 500, 1 * S, 0 },
	{ "404 link", V(PAGE), 404, "", 2, -1, V(RESTART), -EIO, 0, 0, 0 },
	{ "405", V(WRITE), 405, "", 0, -1, V(FAIL), -EIO, 0, 0, 0 },
	{ "406", V(READ), 406, "", 0, -1, V(FAIL), -EIO, 0, 0, 0 },
	{ "411", V(CREATE), 411, "", 0, -1, V(FAIL), -EIO, 0, 0, 0 },
	{ "415", V(CREATE), 415, "", 0, -1, V(FAIL), -EIO, 0, 0, 0 },
	{ "422", V(CREATE), 422, "", 0, -1, V(FAIL), -EIO, 0, 0, 0 },
	{ "418", V(CREATE), 418, "", 0, -1, V(FAIL), -EIO, 0, 0, 0 },
	{ "408", V(READ), 408, "", 0, -1, V(WAIT), -EIO, 500, 1 * S, 0 },
	{ "408", V(CREATE), 408, "", 2, -1, V(LOOK), -EIO, 2 * S, 4 * S, 0 },
	{ "408", V(READ), 408, "", 6, -1, V(FAIL), -EIO, 300 * S, 600 * S, 0 },
	{ "409 name", V(CREATE), 409, "NameAlreadyExists", 0, -1, V(LOOK),
	  -EEXIST, 0, 0, 0 },
	{ "409 name", V(FRAGMENT), 409, "upload_name_conflict", 0, -1, V(LOOK),
	  -EEXIST, 0, 0, 0 },
	{ "409 other", V(WRITE), 409, "conflict", 0, -1, V(LOOK), -EBUSY, 500,
	  1 * S, 0 },
	{ "409 other", V(WRITE), 409, "conflict", 4, -1, V(FAIL), -EBUSY,
	  300 * S, 600 * S, 0 },
	{ "409 tag", V(FRAGMENT), 409, "resourceModified", 0, -1, V(LOOK),
	  -ESTALE, 0, 0, 0 },
	{ "410 delta", V(PAGE), 410, "resyncRequired", 0, -1, V(RESTART), -EIO,
	  0, 0, 0 },
	{ "410 delta", V(READ), 410, "", 0, -1, V(RESTART), -EIO, 0, 0, 0 },
	{ "410", V(WRITE), 410, "", 0, -1, V(FAIL), -ENOENT, 0, 0, 0 },
	{ "412", V(WRITE), 412, "", 0, -1, V(LOOK), -ESTALE, 0, 0, 0 },
	{ "412", V(FRAGMENT), 412, "", 9, -1, V(LOOK), -ESTALE, 0, 0, 0 },
	{ "413", V(FRAGMENT), 413, "", 0, -1, V(SMALLER), -EFBIG, 0, 0, 0 },
	{ "413", V(CREATE), 413, "", 0, -1, V(FAIL), -EFBIG, 0, 0, 0 },
	{ "416 up", V(FRAGMENT), 416, "fragmentOverlap", 0, -1, V(LOOK), -EIO,
	  0, 0, 0 },
	{ "416 down", V(DOWNLOAD), 416, "", 0, -1, V(LOOK), -ESTALE, 0, 0, 0 },
	{ "416 down", V(DOWNLOAD), 416, "", 1, -1, V(FAIL), -EIO, 0, 0, 0 },
	{ "423", V(WRITE), 423, "resourceLocked", 0, -1, V(WAIT), -EBUSY,
	  15 * S, 30 * S, 0 },
	{ "423", V(FRAGMENT), 423, "", 2, -1, V(WAIT), -EBUSY, 60 * S, 120 * S,
	  0 },
	{ "423", V(WRITE), 423, "", 5, -1, V(FAIL), -EBUSY, 300 * S, 600 * S,
	  0 },
	{ "424", V(WRITE), 424, "", 0, -1, V(WAIT), -EIO, 500, 1 * S, 0 },
	{ "424", V(WRITE), 424, "", 6, -1, V(FAIL), -EIO, 300 * S, 600 * S, 0 },
	{ "429", V(READ), 429, "", 0, 120 * S, V(WAIT), -EIO, 120 * S, 120 * S,
	  1 },
	{ "429", V(CREATE), 429, "accessDenied", 0, 17 * S, V(WAIT), -EIO,
	  17 * S, 17 * S, 1 },
	{ "429 long", V(WRITE), 429, "", 0, 3360 * S, V(WAIT), -EIO, 3360 * S,
	  3360 * S, 1 },
	{ "429 bare", V(READ), 429, "", 0, -1, V(WAIT), -EIO, 2 * S, 4 * S, 1 },
	{ "429 bare", V(READ), 429, "", 30, -1, V(WAIT), -EIO, 60 * S, 120 * S,
	  1 },
	{ "429 zero", V(READ), 429, "", 0, 0, V(WAIT), -EIO, 1 * S, 1 * S, 1 },
	{ "429 up", V(FRAGMENT), 429, "", 0, 9 * S, V(LOOK), -EIO, 9 * S, 9 * S,
	  1 },
	{ "509", V(READ), 509, "", 0, -1, V(WAIT), -EIO, 60 * S, 120 * S, 1 },
	{ "509", V(READ), 509, "", 9, -1, V(WAIT), -EIO, 450 * S, 900 * S, 1 },
	{ "509 up", V(FRAGMENT), 509, "", 0, 999 * S, V(LOOK), -EIO, 999 * S,
	  999 * S, 1 },
	{ "503 after", V(CREATE), 503, "", 0, 5 * S, V(WAIT), -EIO, 5 * S,
	  5 * S, 1 },
	{ "503 after", V(FRAGMENT), 503, "", 99, 5 * S, V(LOOK), -EIO, 5 * S,
	  5 * S, 1 },
	{ "503", V(READ), 503, "", 0, -1, V(WAIT), -EIO, 500, 1 * S, 0 },
	{ "503", V(CREATE), 503, "", 1, -1, V(LOOK), -EIO, 1 * S, 2 * S, 0 },
	{ "500", V(READ), 500, "generalException", 5, -1, V(WAIT), -EIO, 16 * S,
	  32 * S, 0 },
	{ "500", V(READ), 500, "UnknownError", 6, -1, V(FAIL), -EIO, 300 * S,
	  600 * S, 0 },
	{ "500 after", V(READ), 500, "", 0, 44 * S, V(WAIT), -EIO, 44 * S,
	  44 * S, 0 },
	{ "500", V(WRITE), 500, "", 0, -1, V(WAIT), -EIO, 500, 1 * S, 0 },
	{ "502", V(CREATE), 502, "", 0, -1, V(LOOK), -EIO, 500, 1 * S, 0 },
	{ "502", V(DOWNLOAD), 502, "", 0, -1, V(WAIT), -EIO, 500, 1 * S, 0 },
	{ "504", V(FRAGMENT), 504, "", 0, -1, V(LOOK), -EIO, 500, 1 * S, 0 },
	{ "504 link", V(PAGE), 504, "", 1, -1, V(WAIT), -EIO, 1 * S, 2 * S, 0 },
	{ "504 link", V(PAGE), 504, "", 2, -1, V(RESTART), -EIO, 2 * S, 4 * S,
	  0 },
	{ "599", V(READ), 599, "", 0, -1, V(WAIT), -EIO, 500, 1 * S, 0 },
	{ "501", V(READ), 501, "notSupported", 0, -1, V(FAIL), -ENOTSUP, 0, 0,
	  0 },
	{ "507", V(CREATE), 507, "quotaLimitReached", 0, -1, V(FAIL), -ENOSPC,
	  150 * S, 300 * S, 0 },
	{ "507", V(FRAGMENT), 507, "", 4, -1, V(FAIL), -ENOSPC, 450 * S,
	  900 * S, 0 },
	{ "full 403", V(CREATE), 403, "maxItemCountExceeded", 0, -1, V(FAIL),
	  -ENOSPC, 150 * S, 300 * S, 0 },
	{ "full 400", V(CREATE), 400, "childItemCountExceeded", 0, -1, V(FAIL),
	  -ENOSPC, 150 * S, 300 * S, 0 },
	{ "308", V(READ), 308, "", 0, -1, V(WAIT), -EIO, 500, 1 * S, 0 },
	{ "308", V(CREATE), 308, "", 0, -1, V(LOOK), -EIO, 500, 1 * S, 0 },

	/* 5.3, what is not above */
	{ "416 order", V(FRAGMENT), 416, "fragmentOutOfOrder", 0, -1, V(LOOK),
	  -EIO, 0, 0, 0 },
	{ "400 order", V(FRAGMENT), 400, "fragmentOutOfOrder", 0, -1, V(LOOK),
	  -EIO, 0, 0, 0 },
	{ "400 length", V(FRAGMENT), 400, "fragmentLengthMismatch", 0, -1,
	  V(LOOK), -EIO, 0, 0, 0 },
	{ "400 overlap", V(FRAGMENT), 400, "fragmentOverlap", 0, -1, V(LOOK),
	  -EIO, 0, 0, 0 },
	{ "400 range", V(FRAGMENT), 400, "invalidRequest", 0, -1, V(FAIL),
	  -EINVAL, 0, 0, 0 },

	/* 1.7 */
	{ "id 429", V(IDENTITY), 429, "", 0, 7200 * S, V(WAIT), -EIO, 3600 * S,
	  3600 * S, 0 },
	{ "id 429", V(IDENTITY), 429, "", 0, -1, V(WAIT), -EIO, 2500, 5 * S,
	  0 },
	{ "id 503", V(IDENTITY), 503, "", 20, -1, V(WAIT), -EIO, 30 * S, 60 * S,
	  0 },
	{ "id 503", V(IDENTITY), 503, "", 0, 30 * S, V(WAIT), -EIO, 30 * S,
	  30 * S, 0 },
	{ "id 500", V(IDENTITY), 500, "", 99, -1, V(WAIT), -EIO, 30 * S, 60 * S,
	  0 },
	{ "id busy", V(IDENTITY), 400, "temporarily_unavailable", 0, -1,
	  V(WAIT), -EIO, 2500, 5 * S, 0 },
	{ "id bug", V(IDENTITY), 400, "invalid_request", 0, -1, V(FAIL),
	  -EINVAL, 0, 0, 0 },
	{ "id app", V(IDENTITY), 401, "invalid_client", 0, -1, V(FAIL), -EACCES,
	  0, 0, 0 },
#undef V
#undef S
};

static void test_statuses(void)
{
	static const uint32_t randoms[] = { 0, 1, UINT32_MAX / 2, UINT32_MAX };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		for (size_t j = 0; j < ARRAY_LEN(randoms); j++) {
			struct retry_in in = {
				.kind = cases[i].kind,
				.was_sent = true,
				.status = cases[i].status,
				.code = cases[i].code,
				.retry_after_ms = cases[i].after_ms,
				.attempt = cases[i].attempt,
				.random = randoms[j],
			};
			struct retry_out out = retry_decide(&in);

			check_row("%s kind=%d attempt=%u random=%u",
			          cases[i].row, cases[i].kind, cases[i].attempt,
			          randoms[j]);
			CHECK_EQ(out.verdict, cases[i].verdict);
			CHECK_EQ(out.rc, cases[i].rc);
			CHECK(out.wait_ms >= cases[i].min_ms);
			CHECK(out.wait_ms <= cases[i].max_ms);
			CHECK_EQ(out.freeze, cases[i].freeze);
			CHECK(!out.offline);
		}
	}
}

static void test_refresh_once(void)
{
	struct retry_in in = { .kind = RETRY_WRITE,
		               .status = 401,
		               .retry_after_ms = -1,
		               .refreshed = true };
	struct retry_out out = retry_decide(&in);

	CHECK_EQ(out.verdict, RETRY_FAIL);
	CHECK_EQ(out.rc, -EACCES);
}

static void test_transport(void)
{
#define V(v) RETRY_##v
	static const struct {
		const char *row;
		enum retry_kind kind;
		int transport_rc;
		bool was_sent;
		long status;
		unsigned attempt;
		enum retry_verdict verdict;
		int rc;
		int64_t min_ms, max_ms;
		bool offline, freeze;
	} rows[] = {
		{ "no route", V(CREATE), -ENETUNREACH, 0, 0, 0, V(WAIT), -EIO,
		  500, 1000, 1, 0 },
		{ "no route", V(READ), -ENETUNREACH, 0, 0, 50, V(WAIT), -EIO,
		  150000, 300000, 1, 0 },
		{ "no route", V(IDENTITY), -ENETUNREACH, 0, 0, 3, V(WAIT), -EIO,
		  4000, 8000, 1, 0 },
		{ "TLS timeout", V(FRAGMENT), -ETIMEDOUT, 0, 0, 0, V(WAIT),
		  -EIO, 500, 1000, 1, 0 },
		{ "handshake", V(CREATE), -ENETRESET, 0, 0, 0, V(WAIT), -EIO,
		  500, 1000, 1, 0 },
		{ "certificate", V(READ), -EKEYREJECTED, 0, 0, 0, V(WAIT), -EIO,
		  30000, 60000, 1, 0 },
		{ "no answer", V(READ), -ENETRESET, 1, 0, 0, V(WAIT), -EIO, 500,
		  1000, 0, 0 },
		{ "no answer", V(WRITE), -ETIMEDOUT, 1, 0, 1, V(WAIT), -EIO,
		  1000, 2000, 0, 0 },
		{ "no answer", V(CREATE), -ENETRESET, 1, 0, 0, V(LOOK), -EIO,
		  500, 1000, 0, 0 },
		{ "no answer", V(FRAGMENT), -ETIMEDOUT, 1, 0, 0, V(LOOK), -EIO,
		  500, 1000, 0, 0 },
		{ "half answer", V(CREATE), -ENETRESET, 1, 201, 0, V(LOOK),
		  -EIO, 500, 1000, 0, 0 },
		{ "half answer", V(DOWNLOAD), -ENETRESET, 1, 206, 0, V(WAIT),
		  -EIO, 500, 1000, 0, 0 },
		{ "half 429", V(CREATE), -ENETRESET, 1, 429, 0, V(WAIT), -EIO,
		  2000, 4000, 0, 1 },
		{ "half 404", V(READ), -ENETRESET, 1, 404, 0, V(FAIL), -ENOENT,
		  0, 0, 0, 0 },
		{ "always broken", V(READ), -ENETRESET, 1, 0, 10, V(FAIL), -EIO,
		  300000, 600000, 0, 0 },
		{ "always broken", V(IDENTITY), -ENETRESET, 1, 0, 10, V(WAIT),
		  -EIO, 30000, 60000, 0, 0 },
		{ "HTML", V(READ), -EBADMSG, 1, 200, 0, V(WAIT), -EIO, 500,
		  1000, 0, 0 },
		{ "HTML", V(CREATE), -EBADMSG, 1, 201, 0, V(LOOK), -EIO, 500,
		  1000, 0, 0 },
		{ "HTML 403", V(CREATE), -EBADMSG, 1, 403, 0, V(FAIL), -EACCES,
		  0, 0, 0, 0 },
		{ "not HTTP", V(FRAGMENT), -EPROTO, 1, 0, 0, V(LOOK), -EIO, 500,
		  1000, 0, 0 },
		{ "huge", V(READ), -EFBIG, 1, 200, 6, V(FAIL), -EIO, 300000,
		  600000, 0, 0 },
		{ "no memory", V(CREATE), -ENOMEM, 0, 0, 0, V(LOOK), -EIO, 500,
		  1000, 0, 0 },
		{ "cancelled", V(READ), -ECANCELED, 1, 0, 0, V(FAIL),
		  -ECANCELED, 0, 0, 0, 0 },
		{ "callback", V(READ), -ENOSPC, 1, 200, 0, V(FAIL), -ENOSPC, 0,
		  0, 0, 0 },
	};
#undef V

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (uint64_t random = 0; random <= UINT32_MAX;
		     random += UINT32_MAX / 3) {
			struct retry_in in = {
				.kind = rows[i].kind,
				.transport_rc = rows[i].transport_rc,
				.was_sent = rows[i].was_sent,
				.status = rows[i].status,
				.retry_after_ms = -1,
				.attempt = rows[i].attempt,
				.random = (uint32_t)random,
			};
			struct retry_out out = retry_decide(&in);

			check_row("%s kind=%d", rows[i].row, rows[i].kind);
			CHECK_EQ(out.verdict, rows[i].verdict);
			CHECK_EQ(out.rc, rows[i].rc);
			CHECK(out.wait_ms >= rows[i].min_ms);
			CHECK(out.wait_ms <= rows[i].max_ms);
			CHECK_EQ(out.offline, rows[i].offline);
			CHECK_EQ(out.freeze, rows[i].freeze);
		}
	}
}

/* Whatever comes in, something sensible comes out. */
static void test_everything_has_a_rule(void)
{
	static const int rcs[] = {
		0,       -ENETUNREACH, -ETIMEDOUT,   -ENETRESET,
		-EPROTO, -EBADMSG,     -EKEYREJECTED
	};

	for (int kind = RETRY_READ; kind <= RETRY_PAGE; kind++) {
		for (long status = -1; status <= 1001; status++) {
			for (size_t i = 0; i < ARRAY_LEN(rcs); i++) {
				struct retry_in in = {
					.kind = (enum retry_kind)kind,
					.transport_rc = rcs[i],
					.status = status,
					.was_sent = true,
					.retry_after_ms = -1,
				};
				struct retry_out out = retry_decide(&in);

				check_row("kind=%d status=%ld rc=%d", kind,
				          status, rcs[i]);
				CHECK((out.verdict == RETRY_DONE) ==
				      (out.rc == 0));
				CHECK(out.verdict != RETRY_DONE || !rcs[i]);
				CHECK(out.verdict != RETRY_WAIT ||
				      out.wait_ms > 0);
				CHECK(!out.freeze || out.wait_ms > 0);
			}
		}
	}
}

static void test_parse_after(void)
{
	static const struct {
		const char *header;
		int64_t ms;
	} rows[] = {
		{ "120", 120000 },
		{ "0", 0 },
		{ "2.128", 2128 },
		{ "2.5", 2500 },
		{ "0.0001", 0 },
		{ "  7 ", 7000 },
		{ "3360", 3360000 },
		{ "86400", 86400000 },
		{ "86401", 86400000 },
		{ "99999999999999999999999999", 86400000 },
		{ "Sun, 22 Nov 2026 10:01:10 GMT", 3000 },
		{ "Sunday, 22-Nov-26 10:02:07 GMT", 60000 },
		{ "Sun Nov 22 10:01:08 2026", 1000 },
		{ "Sun, 22 Nov 2026 10:01:07 GMT", 0 },
		{ "Sun, 22 Nov 2020 10:01:07 GMT", 0 },
		{ "Sun, 22 Nov 2037 10:01:07 GMT", 86400000 },
		{ "", -EINVAL },
		{ NULL, -EINVAL },
		{ "-1", -EINVAL },
		{ "+1", -EINVAL },
		{ "5 apples", -EINVAL },
		{ "5.", -EINVAL },
		{ ".5", -EINVAL },
		{ "1.2.3", -EINVAL },
		{ "1e3", -EINVAL },
		{ "soon", -EINVAL },
		{ "later: today", -EINVAL },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		check_row("%s", rows[i].header ? rows[i].header : "NULL");
		CHECK_EQ(retry_parse_after(rows[i].header, 1795341667),
		         rows[i].ms);
	}
}

int main(void)
{
	RUN(test_statuses);
	RUN(test_refresh_once);
	RUN(test_transport);
	RUN(test_everything_has_a_rule);
	RUN(test_parse_after);
	return check_report();
}
