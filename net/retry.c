#include "net/retry.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>

#define MAX_AFTER_MS (INT64_C(24) * 3600 * 1000)
#define MAX_BROKEN   10 /* attempts; some five minutes */

#define K(kind) (1u << RETRY_##kind)
#define READS   (K(READ) | K(PAGE))
#define GRAPH   (READS | K(WRITE) | K(CREATE))
#define REPEATS (READS | K(WRITE) | K(DOWNLOAD) | K(IDENTITY))
#define LOOKS   (K(CREATE) | K(FRAGMENT)) /* the first may have had effect */
#define ANY     (REPEATS | LOOKS)

enum pause {
	NONE,
	SOON,     /* 1 s doubling to 1 min, or Retry-After if longer */
	OFFLINE,  /* 1 s doubling to 5 min */
	THROTTLE, /* Retry-After, else 4 s doubling to 2 min */
	CAPPED,   /* 2 min doubling to 15 min, or Retry-After if longer */
	LOCKED,   /* 30 s doubling to 10 min */
	IDENTITY, /* Retry-After up to an hour, else 5 s doubling to 5 min */
	LAG,      /* 5 s */
	CERT,     /* 1 min doubling to 10 min */
	LATER,    /* 10 min: set aside */
	FULL,     /* 5 min doubling to 15 min */
};

static const struct {
	int64_t first_ms, max_ms;
} pauses[] = {
	[NONE] = { 0, 0 },
	[SOON] = { 1000, 60000 },
	[OFFLINE] = { 1000, 300000 },
	[THROTTLE] = { 4000, 120000 },
	[CAPPED] = { 120000, 900000 },
	[LOCKED] = { 30000, 600000 },
	[IDENTITY] = { 5000, 300000 },
	[LAG] = { 5000, 5000 },
	[CERT] = { 60000, 600000 },
	[LATER] = { 600000, 600000 },
	[FULL] = { 300000, 900000 },
};

enum {
	FREEZE = 1,     /* out.freeze */
	ONLY_AFTER = 2, /* counts only with a Retry-After header */
	REFRESHED = 4,  /* counts only if a refresh was tried */
};

/* The first rule that fits decides. `from` is the attempt from which on it
 * holds: the rule for later attempts stands first. */
static const struct rule {
	unsigned kinds;
	unsigned short low, high; /* status */
	const char *code;         /* NULL: any */
	unsigned char from;
	enum retry_verdict verdict;
	int rc;
	enum pause pause;
	unsigned flags;
} rules[] = {
	{ ANY, 200, 299, NULL, 0, RETRY_DONE, 0, NONE, 0 },
	/* 302 of /content, 303 of a copy monitor (10.3) */
	{ ANY, 302, 304, NULL, 0, RETRY_DONE, 0, NONE, 0 },

	/* 14 "429, 509, 503 + Retry-After"; 10.1; 5.3 "429, 503"; 1.7 */
	{ K(IDENTITY), 429, 429, NULL, 0, RETRY_WAIT, -EIO, IDENTITY, 0 },
	{ K(IDENTITY), 503, 503, NULL, 0, RETRY_WAIT, -EIO, IDENTITY,
	  ONLY_AFTER },
	{ K(FRAGMENT), 429, 429, NULL, 0, RETRY_LOOK, -EIO, THROTTLE, FREEZE },
	{ K(FRAGMENT), 503, 503, NULL, 0, RETRY_LOOK, -EIO, THROTTLE,
	  FREEZE | ONLY_AFTER },
	{ K(FRAGMENT), 509, 509, NULL, 0, RETRY_LOOK, -EIO, CAPPED, FREEZE },
	{ ANY, 429, 429, NULL, 0, RETRY_WAIT, -EIO, THROTTLE, FREEZE },
	{ ANY, 503, 503, NULL, 0, RETRY_WAIT, -EIO, THROTTLE,
	  FREEZE | ONLY_AFTER },
	{ ANY, 509, 509, NULL, 0, RETRY_WAIT, -EIO, CAPPED, FREEZE },
	/* 10.1, 13 #37: in the dress of another error, on any host */
	{ K(FRAGMENT), 403, 403, "throttledRequest", 0, RETRY_LOOK, -EIO,
	  THROTTLE, FREEZE },
	{ ANY, 403, 403, "throttledRequest", 0, RETRY_WAIT, -EIO, THROTTLE,
	  FREEZE },

	/* 14 "507"; 5.3 "507"; 10.2: the counts come with 4xx too */
	{ ANY, 507, 507, NULL, 0, RETRY_FAIL, -ENOSPC, FULL, 0 },
	{ ANY, 400, 499, "quotaLimitReached", 0, RETRY_FAIL, -ENOSPC, FULL, 0 },
	{ ANY, 400, 499, "insufficientStorage", 0, RETRY_FAIL, -ENOSPC, FULL,
	  0 },
	{ ANY, 400, 499, "maxItemCountExceeded", 0, RETRY_FAIL, -ENOSPC, FULL,
	  0 },
	{ ANY, 400, 499, "maxFolderCountExceeded", 0, RETRY_FAIL, -ENOSPC, FULL,
	  0 },
	{ ANY, 400, 499, "childItemCountExceeded", 0, RETRY_FAIL, -ENOSPC, FULL,
	  0 },
	{ ANY, 400, 499, "totalAffectedItemCountExceeded", 0, RETRY_FAIL,
	  -ENOSPC, FULL, 0 },
	{ ANY, 400, 499, "maxDocumentCountExceeded", 0, RETRY_FAIL, -ENOSPC,
	  FULL, 0 },

	/* 14 "identity invalid_grant"; 1.7 */
	{ K(IDENTITY), 408, 408, NULL, 0, RETRY_WAIT, -EIO, SOON, 0 },
	{ K(IDENTITY), 400, 499, "temporarily_unavailable", 0, RETRY_WAIT, -EIO,
	  IDENTITY, 0 },
	{ K(IDENTITY), 400, 499, "server_error", 0, RETRY_WAIT, -EIO, IDENTITY,
	  0 },
	{ K(IDENTITY), 400, 499, "invalid_request", 0, RETRY_FAIL, -EINVAL,
	  NONE, 0 },
	{ K(IDENTITY), 400, 499, "invalid_scope", 0, RETRY_FAIL, -EINVAL, NONE,
	  0 },
	{ K(IDENTITY), 400, 499, NULL, 0, RETRY_FAIL, -EACCES, NONE, 0 },

	/* 14 "401/403/404/410 on a download URL" */
	{ K(DOWNLOAD), 401, 401, NULL, 2, RETRY_FAIL, -EIO, NONE, 0 },
	{ K(DOWNLOAD), 401, 401, NULL, 0, RETRY_RESTART, -EIO, NONE, 0 },
	{ K(DOWNLOAD), 403, 404, NULL, 2, RETRY_FAIL, -EIO, NONE, 0 },
	{ K(DOWNLOAD), 403, 404, NULL, 0, RETRY_RESTART, -EIO, NONE, 0 },
	{ K(DOWNLOAD), 410, 410, NULL, 2, RETRY_FAIL, -EIO, NONE, 0 },
	{ K(DOWNLOAD), 410, 410, NULL, 0, RETRY_RESTART, -EIO, NONE, 0 },
	/* 14 "416 download" */
	{ K(DOWNLOAD), 416, 416, NULL, 1, RETRY_FAIL, -EIO, NONE, 0 },
	{ K(DOWNLOAD), 416, 416, NULL, 0, RETRY_LOOK, -ESTALE, NONE, 0 },

	/* 14 "401/403/404 on an uploadUrl"; 5.3. Virus and data loss rules
	 * speak at the end of an upload (5.6); a 404 may be replication lag. */
	{ K(FRAGMENT), 401, 401, NULL, 0, RETRY_RESTART, -EIO, NONE, 0 },
	{ K(FRAGMENT), 403, 403, "malwareDetected", 0, RETRY_FAIL, -EPERM, NONE,
	  0 },
	{ K(FRAGMENT), 403, 403, "virusSuspicious", 0, RETRY_FAIL, -EPERM, NONE,
	  0 },
	{ K(FRAGMENT), 403, 403, NULL, 0, RETRY_RESTART, -EIO, NONE, 0 },
	{ K(FRAGMENT), 404, 404, NULL, 1, RETRY_RESTART, -EIO, NONE, 0 },
	{ K(FRAGMENT), 404, 404, NULL, 0, RETRY_LOOK, -EIO, LAG, 0 },
	{ K(FRAGMENT), 410, 410, NULL, 0, RETRY_RESTART, -EIO, NONE, 0 },
	/* 14 "416 upload"; 5.3 "416", "416/400" */
	{ K(FRAGMENT), 416, 416, NULL, 0, RETRY_LOOK, -EIO, NONE, 0 },
	{ K(FRAGMENT), 400, 400, "fragmentOverlap", 0, RETRY_LOOK, -EIO, NONE,
	  0 },
	{ K(FRAGMENT), 400, 400, "fragmentOutOfOrder", 0, RETRY_LOOK, -EIO,
	  NONE, 0 },
	{ K(FRAGMENT), 400, 400, "fragmentLengthMismatch", 0, RETRY_LOOK, -EIO,
	  NONE, 0 },
	/* 14 "413"; 5.3 "413" */
	{ K(FRAGMENT), 413, 413, NULL, 0, RETRY_SMALLER, -EFBIG, NONE, 0 },
	{ ANY, 413, 413, NULL, 0, RETRY_FAIL, -EFBIG, NONE, 0 },

	/* 14 "410 delta", "400 paging/delta token"; 13 #30 */
	{ READS, 410, 410, NULL, 0, RETRY_RESTART, -EIO, NONE, 0 },
	{ K(PAGE), 400, 400, NULL, 0, RETRY_RESTART, -EIO, NONE, 0 },
	{ K(PAGE), 404, 404, NULL, 2, RETRY_RESTART, -EIO, NONE, 0 },
	{ K(PAGE), 404, 404, NULL, 0, RETRY_WAIT, -EIO, SOON, 0 },
	{ K(PAGE), 504, 504, NULL, 2, RETRY_RESTART, -EIO, SOON, 0 },

	/* 14 "400 invalidRequest" */
	{ ANY, 400, 400, "pathIsTooLong", 0, RETRY_FAIL, -ENAMETOOLONG, NONE,
	  0 },
	{ ANY, 400, 400, "pathTooDeep", 0, RETRY_FAIL, -ENAMETOOLONG, NONE, 0 },
	{ ANY, 400, 400, NULL, 0, RETRY_FAIL, -EINVAL, NONE, 0 },
	/* 14 "401 Graph" */
	{ GRAPH, 401, 401, RETRY_CODE_RPS, 6, RETRY_FAIL, -EIO, LATER, 0 },
	{ GRAPH, 401, 401, RETRY_CODE_RPS, 0, RETRY_WAIT, -EIO, SOON, 0 },
	{ GRAPH, 401, 401, NULL, 0, RETRY_FAIL, -EACCES, NONE, REFRESHED },
	{ GRAPH, 401, 401, NULL, 0, RETRY_REFRESH, -EACCES, NONE, 0 },
	/* 14 "402, 403 accessDenied", "403 malware" */
	{ ANY, 403, 403, "malwareDetected", 0, RETRY_FAIL, -EPERM, NONE, 0 },
	{ ANY, 403, 403, "virusSuspicious", 0, RETRY_FAIL, -EPERM, NONE, 0 },
	{ ANY, 403, 403, "serviceReadOnly", 0, RETRY_FAIL, -EROFS, LATER, 0 },
	{ ANY, 402, 403, NULL, 0, RETRY_FAIL, -EACCES, NONE, 0 },
	/* 14 "404 itemNotFound", "404 on PATCH/upload", "404 on DELETE": the
	 * caller knows which it was */
	{ ANY, 404, 404, NULL, 0, RETRY_FAIL, -ENOENT, NONE, 0 },
	{ ANY, 410, 410, NULL, 0, RETRY_FAIL, -ENOENT, NONE, 0 },
	/* 14 "409"; 5.3 "409", "409/412" */
	{ ANY, 409, 409, "nameAlreadyExists", 0, RETRY_LOOK, -EEXIST, NONE, 0 },
	{ ANY, 409, 409, "upload_name_conflict", 0, RETRY_LOOK, -EEXIST, NONE,
	  0 },
	{ ANY, 409, 409, "similarRelationshipNameAlreadyExists", 0, RETRY_LOOK,
	  -EEXIST, NONE, 0 },
	{ ANY, 409, 409, "resourceModified", 0, RETRY_LOOK, -ESTALE, NONE, 0 },
	{ ANY, 409, 409, NULL, 4, RETRY_FAIL, -EBUSY, LATER, 0 },
	{ ANY, 409, 409, NULL, 0, RETRY_LOOK, -EBUSY, SOON, 0 },
	/* 14 "412" */
	{ ANY, 412, 412, NULL, 0, RETRY_LOOK, -ESTALE, NONE, 0 },
	/* 14 "423"; 5.3 "423" */
	{ ANY, 423, 423, NULL, 5, RETRY_FAIL, -EBUSY, LATER, 0 },
	{ ANY, 423, 423, NULL, 0, RETRY_WAIT, -EBUSY, LOCKED, 0 },
	/* 14 "424" */
	{ ANY, 424, 424, NULL, 6, RETRY_FAIL, -EIO, LATER, 0 },
	{ ANY, 424, 424, NULL, 0, RETRY_WAIT, -EIO, SOON, 0 },
	/* 14 "501" */
	{ ANY, 501, 501, NULL, 0, RETRY_FAIL, -ENOTSUP, NONE, 0 },

	/* 14 "408", "500, 502, 503, 504", "308 no Location, HTML, bad JSON";
	 * 5.3 "500, 502, 504, no answer". In the end set aside: one bad item
	 * must not keep the queue busy for ever. */
	{ ANY, 408, 408, NULL, 6, RETRY_FAIL, -EIO, LATER, 0 },
	{ REPEATS, 408, 408, NULL, 0, RETRY_WAIT, -EIO, SOON, 0 },
	{ LOOKS, 408, 408, NULL, 0, RETRY_LOOK, -EIO, SOON, 0 },
	/* 14 "405, 406, 411, 415, 422", and what nobody has seen yet */
	{ ANY, 400, 499, NULL, 0, RETRY_FAIL, -EIO, NONE, 0 },
	{ K(IDENTITY), 0, 999, NULL, 0, RETRY_WAIT, -EIO, SOON, 0 },
	{ ANY, 0, 999, NULL, 6, RETRY_FAIL, -EIO, LATER, 0 },
	{ REPEATS, 0, 999, NULL, 0, RETRY_WAIT, -EIO, SOON, 0 },
	{ LOOKS, 0, 999, NULL, 0, RETRY_LOOK, -EIO, SOON, 0 },
};

static bool rule_fits(const struct rule *r, const struct retry_in *in,
                      long status)
{
	return (r->kinds & (1u << in->kind)) && status >= r->low &&
	       status <= r->high && in->attempt >= r->from &&
	       (!r->code || (in->code && !strcasecmp(r->code, in->code))) &&
	       (!(r->flags & ONLY_AFTER) || in->retry_after_ms >= 0) &&
	       (!(r->flags & REFRESHED) || in->refreshed);
}

/* Between half of it and all of it, so that many don't come at once. */
static int64_t back_off(enum pause pause, unsigned attempt, uint32_t random)
{
	int64_t ms = pauses[pause].first_ms;

	for (; attempt > 0 && ms < pauses[pause].max_ms; attempt--)
		ms *= 2;
	if (ms > pauses[pause].max_ms)
		ms = pauses[pause].max_ms;
	return ms - (int64_t)((uint64_t)(ms / 2) * random / UINT32_MAX);
}

static int64_t wait_time(enum pause pause, const struct retry_in *in)
{
	int64_t own = back_off(pause, in->attempt, in->random);
	int64_t after = in->retry_after_ms;

	switch (pause) {
	case THROTTLE:
		if (after < 0)
			return own;
		return after < 1000 ? 1000 : after;
	case IDENTITY:
		if (after < 0)
			return own;
		return after < 1000 ? 1000 : after > 3600000 ? 3600000 : after;
	case SOON:
	case CAPPED:
	case LOCKED:
		return after > own ? after : own;
	case LAG:
		return pauses[LAG].max_ms;
	case NONE:
	case OFFLINE:
	case CERT:
	case LATER:
	case FULL:
		break;
	}
	return own;
}

static struct retry_out by_status(const struct retry_in *in, long status)
{
	const struct rule *r = rules;

	if (status < 0 || status > 999)
		status = 0;
	while (!rule_fits(r, in, status)) /* the last ones fit all */
		r++;
	return (struct retry_out){
		.verdict = r->verdict,
		.rc = r->rc,
		.wait_ms = wait_time(r->pause, in),
		.freeze = r->flags & FREEZE,
	};
}

/* 14 "network down, DNS, connect refused, TLS timeout", "TLS certificate
 * wrong". Nothing reached the service, so anything may be sent again, for as
 * long as it takes. */
static struct retry_out offline(const struct retry_in *in, enum pause pause)
{
	return (struct retry_out){
		.verdict = RETRY_WAIT,
		.rc = -EIO,
		.wait_ms = wait_time(pause, in),
		.offline = true,
	};
}

/* Sent, but no whole answer: 14 "500, ...", 5.3 "no answer". Mostly the
 * network's doing; at times something on the way chokes on just this one. */
static struct retry_out broken(const struct retry_in *in)
{
	bool look = LOOKS & (1u << in->kind);

	if (in->attempt >= MAX_BROKEN && in->kind != RETRY_IDENTITY)
		return (struct retry_out){
			.verdict = RETRY_FAIL,
			.rc = -EIO,
			.wait_ms = wait_time(LATER, in),
		};
	return (struct retry_out){
		.verdict = look ? RETRY_LOOK : RETRY_WAIT,
		.rc = -EIO,
		.wait_ms = wait_time(SOON, in),
	};
}

struct retry_out retry_decide(const struct retry_in *in)
{
	int rc = in->transport_rc;

	switch (-rc) {
	case 0:
		return by_status(in, in->status);
	case ENETUNREACH:
		return offline(in, OFFLINE);
	case EKEYREJECTED:
		return offline(in, CERT);
	case ETIMEDOUT:
	case ENETRESET:
	case ENOMEM:
		if (in->status >= 400)
			return by_status(in, in->status);
		if (!in->was_sent && rc != -ENOMEM)
			return offline(in, OFFLINE);
		return broken(in);
	case EPROTO:
	case EFBIG:
	case EBADMSG:
		return by_status(in, in->status >= 400 ? in->status : 502);
	default: /* what a callback of the caller returned */
		return (struct retry_out){ .verdict = RETRY_FAIL, .rc = rc };
	}
}

/* ---- Retry-After ------------------------------------------------------- */

static int64_t parse_seconds(const char *s)
{
	int64_t ms = 0, unit = 100;

	for (; isdigit((unsigned char)*s); s++) {
		if (ms < MAX_AFTER_MS)
			ms = ms * 10 + (*s - '0') * 1000;
	}
	if (*s == '.') {
		if (!isdigit((unsigned char)*++s))
			return -EINVAL;
		for (; isdigit((unsigned char)*s); s++, unit /= 10)
			ms += (*s - '0') * unit;
	}
	s += strspn(s, " \t");
	if (*s)
		return -EINVAL;
	return ms < MAX_AFTER_MS ? ms : MAX_AFTER_MS;
}

/* All three forms of RFC 9110 5.6.7 begin with the day of the week. */
static int64_t parse_date(const char *s, int64_t now_real_s)
{
	int64_t t;

	if (!isalpha((unsigned char)*s) || !strchr(s, ':'))
		return -EINVAL;
	t = curl_getdate(s, NULL);
	if (t < 0)
		return -EINVAL;
	if (t <= now_real_s)
		return 0;
	if (t - now_real_s >= MAX_AFTER_MS / 1000)
		return MAX_AFTER_MS;
	return (t - now_real_s) * 1000;
}

int64_t retry_parse_after(const char *header, int64_t now_real_s)
{
	if (!header)
		return -EINVAL;
	header += strspn(header, " \t");
	if (isdigit((unsigned char)*header))
		return parse_seconds(header);
	return parse_date(header, now_real_s);
}
