#include "tests/graphd/gate.h"

#include <stdlib.h>
#include <string.h>

#include "net/clock.h"
#include "tests/graphd/fault.h"
#include "tests/graphd/login.h"
#include "tests/graphd/stats.h"
#include "tests/graphd/throttle.h"

static void refuse_bearer(struct answer *out, const char *why)
{
	answer_error(out, 401, "InvalidAuthenticationToken", NULL,
	             "The access token is missing or not good.");
	answer_header(out, "WWW-Authenticate",
	              "Bearer realm=\"\", error=\"invalid_token\", "
	              "error_description=\"%s\"",
	              why);
}

static bool writes(enum route_class class)
{
	static const enum route_class all[] = {
		CLASS_create,
		CLASS_multipart,
		CLASS_patch,
		CLASS_delete,
		CLASS_put,
		CLASS_permanent_delete,
		CLASS_commit_put,
		CLASS_session,
		CLASS_copy,
		CLASS_restore,
		CLASS_version_restore,
		CLASS_version_delete,
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		if (all[i] == class)
			return true;
	}
	return false;
}

static bool may_write(const struct request *req, struct answer *out)
{
	if (!req->read_only || !writes(req->route.class))
		return true;
	answer_error(out, 403, "accessDenied", NULL,
	             "The token allows reading only.");
	return false;
}

static bool check_bearer(struct graphd *g, struct request *req,
                         struct answer *out)
{
	const char *auth = request_header(req, "Authorization");
	struct login_who who = { 0 };

	switch (login_check_who(g->login, auth, req->now_ns / 1000000, &who)) {
	case LOGIN_BEARER_OK:
		req->read_only = who.read_only;
		req->app_folder = who.app_folder;
		req->stranger = who.account != 0;
		return may_write(req, out);
	case LOGIN_BEARER_MISSING:
		refuse_bearer(out, "missing");
		return false;
	case LOGIN_BEARER_UNKNOWN:
		refuse_bearer(out, "unknown");
		return false;
	case LOGIN_BEARER_EXPIRED:
	case LOGIN_BEARER_REVOKED:
		break;
	}
	/* One client retries only when it reads this word (15). */
	refuse_bearer(out, "expired_token");
	return false;
}

/* No bearer on pre-authenticated URLs (5.1, 6). Real clients send one at
 * times, and live: quirk `tolerant`. */
static bool check_leak(struct graphd *g, const struct request *req,
                       struct answer *out)
{
	if (!request_header(req, "Authorization"))
		return true;
	stats_leak(g->stats, route_class_name(req->route.class));
	if (g->quirks.tolerant)
		return true;
	answer_error(out, 401, "unauthenticated", NULL,
	             "No bearer belongs here.");
	return false;
}

/* ---- budget
 * --------------------------------------------------------------------- */

static enum throttle_op op_of(const struct request *req)
{
	static const enum throttle_op ops[CLASS_COUNT] = {
#define X(name, op) [CLASS_##name] = THROTTLE_##op,
		ROUTE_CLASSES(X)
#undef X
	};

	if (req->route.class == CLASS_delta &&
	    (req->route.arg || query_get(&req->query, "token")))
		return THROTTLE_DELTA_TOKEN;
	return ops[req->route.class];
}

static bool check_budget(struct graphd *g, const struct request *req,
                         struct answer *out)
{
	struct throttle_answer t;

	throttle_ask(g->throttle, op_of(req), clock_mono_ms(), &t);
	if (t.status) {
		answer_error(out, t.status, "activityLimitReached",
		             "throttledRequest", "Too many requests.");
		if (t.retry_after_s)
			answer_header(out, "Retry-After", "%d",
			              t.retry_after_s);
	}
	if (t.limits) {
		answer_header(out, "RateLimit-Limit", "%lld",
		              (long long)t.limit);
		answer_header(out, "RateLimit-Remaining", "%lld",
		              (long long)t.remaining);
		answer_header(out, "RateLimit-Reset", "%lld",
		              (long long)t.reset_s);
	}
	return !t.status;
}

/* All of the account stops for a Retry-After (10.1). */
static void check_freeze(struct graphd *g, const struct request *req)
{
	int64_t now = clock_mono_ms();

	if (now > g->freeze_from_ms + g->quirks.freeze_grace_ms &&
	    now < g->freeze_until_ms - 10)
		stats_forbid(g->stats,
		             "10.1: no calls before a Retry-After has passed",
		             "%s, %lld ms early",
		             route_class_name(req->route.class),
		             (long long)(g->freeze_until_ms - now));
}

void gate_note_answer(struct graphd *g, const struct answer *out)
{
	const char *after = answer_get_header(out, "Retry-After");
	int64_t now = clock_mono_ms(), until;

	if (!after || (out->status != 429 && out->status != 503))
		return;
	until = now + (int64_t)(strtod(after, NULL) * 1000);
	if (until > g->freeze_until_ms) {
		if (now >= g->freeze_until_ms)
			g->freeze_from_ms = now;
		g->freeze_until_ms = until;
	}
}

bool gate_enter(struct graphd *g, struct request *req, struct answer *out)
{
	check_freeze(g, req);
	if (req->route.place == PLACE_GRAPH) {
		if (!check_bearer(g, req, out))
			return false;
	} else if (!check_leak(g, req, out)) {
		return false;
	}
	return check_budget(g, req, out);
}

void gate_run_part(struct graphd *g, struct request *req, struct answer *out)
{
	struct fault_hit hit;

	fault_match(g, req, &hit);
	fault_prepare(g, req, &hit);
	if (req->whole)
		fault_move_out(&hit, req->whole);
	if (!fault_replaces(&hit) && hit.drop != DROP_BEFORE &&
	    check_budget(g, req, out) && may_write(req, out))
		graphd_handle(g, req, out);
	fault_apply(&hit, req, out);
	fault_hit_done(&hit);
}
