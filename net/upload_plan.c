#include "net/upload_internal.h"

#include <errno.h>
#include <inttypes.h>

#include <sodium.h>

#include "net/clock.h"
#include "net/log.h"

#define MAX_FRAGMENT (191 * UPLOAD_GRANULE) /* the largest below 60 MiB */

void upload_plan_end(struct upload_plan *p, int rc, enum retry_verdict verdict)
{
	p->next = PLAN_END;
	p->rc = rc;
	p->verdict = verdict;
}

static void halve(struct upload *u)
{
	u->fragment = u->fragment / 2 / UPLOAD_GRANULE * UPLOAD_GRANULE;
	if (u->fragment < UPLOAD_GRANULE)
		u->fragment = UPLOAD_GRANULE;
}

static void grow(struct upload *u)
{
	u->fragment *= 2;
	if (u->fragment > MAX_FRAGMENT)
		u->fragment = MAX_FRAGMENT;
}

/* Returns whether it is news. */
static bool note_progress(struct upload *u, uint64_t next)
{
	uint64_t before = upload_confirmed(u);

	upload_set_confirmed(u, next);
	if (next <= before)
		return next < before;
	u->attempt = 0;
	u->progress_ms = clock_mono_ms();
	return true;
}

/* The service's word on something that went wrong: facts 5.3, by net/retry. */
static struct retry_out judge(const struct upload *u, int rc,
                              const struct http_answer *a, const cJSON *json)
{
	int64_t after = retry_parse_after(http_answer_header(a, "Retry-After"),
	                                  clock_real_ns() / NS_PER_SEC);
	struct retry_in in = { .kind = RETRY_FRAGMENT,
		               .transport_rc = rc,
		               .was_sent = a->was_sent,
		               .status = a->status,
		               .code = graph_error_code(json),
		               .retry_after_ms = after < 0 ? -1 : after,
		               .attempt = u->attempt,
		               .random = randombytes_random() };

	return retry_decide(&in);
}

/* Not at once for ever, if the service stays of two minds. */
static int64_t pause_ms(const struct upload *u)
{
	if (!u->attempt)
		return 0;
	return u->attempt < 6 ? 1000 << u->attempt : 60000;
}

static void plan_look(struct upload *u, const struct retry_out *out)
{
	struct upload_plan *p = &u->plan;

	if (out->rc == -EEXIST || out->rc == -ESTALE) {
		upload_plan_end(p, out->rc, RETRY_LOOK);
		return;
	}
	if (u->state == UPLOAD_SENDING && (!p->status || p->status >= 500))
		halve(u);
	p->next = PLAN_ASK;
	if (!out->wait_ms)
		p->wait_ms = pause_ms(u);
	u->attempt++;
}

static void plan_smaller(struct upload *u)
{
	if (u->fragment == UPLOAD_GRANULE) {
		upload_plan_end(&u->plan, -EFBIG, RETRY_FAIL);
		return;
	}
	halve(u);
	u->plan.next = PLAN_SEND;
	u->plan.wait_ms = 0;
}

static void plan_trouble(struct upload *u, int rc, const struct http_answer *a,
                         const cJSON *json)
{
	struct retry_out out = judge(u, rc, a, json);
	struct upload_plan *p = &u->plan;

	/* Whoever gets bytes across has a network, if a poor one. */
	if (u->state == UPLOAD_SENDING &&
	    upload_body_taken(&u->body) > upload_confirmed(u))
		u->progress_ms = clock_mono_ms();
	p->rc = out.rc;
	p->verdict = out.verdict;
	p->wait_ms = out.freeze ? 0 : out.wait_ms;
	p->offline = out.offline;
	p->by_trouble = rc < 0;
	switch (out.verdict) {
	case RETRY_DONE: /* a success that makes no sense here */
		upload_plan_end(p, -EIO, RETRY_LOOK);
		break;
	case RETRY_WAIT:
		p->next = u->state == UPLOAD_ASKING ? PLAN_ASK : PLAN_SEND;
		u->attempt++;
		break;
	case RETRY_LOOK:
		plan_look(u, &out);
		break;
	case RETRY_SMALLER:
		plan_smaller(u);
		break;
	case RETRY_RESTART:
		upload_plan_end(p, out.rc, RETRY_RESTART);
		break;
	case RETRY_REFRESH:
	case RETRY_FAIL:
		upload_plan_end(p, out.rc, RETRY_FAIL);
		break;
	}
	log_info("upload status=%ld rc=%d code=%s next=%" PRIu64
	         " attempt=%u then=%d retry_in_ms=%" PRId64,
	         a->status, rc, *p->code ? p->code : "-", upload_confirmed(u),
	         u->attempt, p->next, p->wait_ms);
}

static void plan_ask_again(struct upload *u)
{
	u->plan.next = PLAN_ASK;
	u->plan.rc = -EIO;
	u->plan.wait_ms = pause_ms(u);
	u->attempt++;
}

/* 202: the fragment is in, or, after the last one, all is with a commit to
 * come. What contradicts our own count is asked for again (facts 5.2). */
static void plan_accepted(struct upload *u, const cJSON *json)
{
	struct upload_plan *p = &u->plan;
	bool last = u->end == u->spec.total;
	uint64_t next;

	switch (upload_parse_ranges(json, u->spec.total, &next)) {
	case UPLOAD_MISSING_FROM:
		if (next != u->end) {
			plan_ask_again(u);
			return;
		}
		note_progress(u, next);
		grow(u);
		p->next = PLAN_NOTE;
		return;
	case UPLOAD_MISSING_NONE:
	case UPLOAD_MISSING_WHAT:
		if (last && u->spec.defer_commit) {
			upload_set_confirmed(u, u->end);
			upload_plan_end(p, 0, RETRY_DONE);
		} else if (last) {
			upload_plan_end(p, -EIO, RETRY_LOOK);
		} else {
			plan_ask_again(u);
		}
		return;
	}
}

static void plan_finished(struct upload *u, cJSON *json)
{
	struct upload_plan *p = &u->plan;

	if (u->end != u->spec.total) {
		upload_plan_end(p, -EIO, RETRY_LOOK);
		return;
	}
	upload_set_confirmed(u, u->end);
	p->json = cJSON_Duplicate(json, true);
	upload_plan_end(p, 0, RETRY_DONE);
}

void upload_plan_after_fragment(struct upload *u, const struct http_answer *a,
                                cJSON *json)
{
	int rc = upload_body_error(&u->body);

	if (rc < 0)
		upload_plan_end(&u->plan, rc,
		                rc == -ENOMEM ? RETRY_WAIT : RETRY_FAIL);
	else if (a->rc == 0 && (a->status == 200 || a->status == 201))
		plan_finished(u, json);
	else if (a->rc == 0 && a->status == 202)
		plan_accepted(u, json);
	else
		plan_trouble(u, a->rc, a, json);
}

void upload_plan_after_asking(struct upload *u, const struct http_answer *a,
                              cJSON *json)
{
	struct upload_plan *p = &u->plan;
	uint64_t next;

	if (a->rc < 0 || a->status != 200) {
		plan_trouble(u, a->rc, a, json);
		return;
	}
	switch (upload_parse_ranges(json, u->spec.total, &next)) {
	case UPLOAD_MISSING_FROM:
		p->next = note_progress(u, next) ? PLAN_NOTE : PLAN_SEND;
		break;
	case UPLOAD_MISSING_NONE:
		upload_set_confirmed(u, u->spec.total);
		upload_plan_end(p, u->spec.defer_commit ? 0 : -EIO,
		                u->spec.defer_commit ? RETRY_DONE : RETRY_LOOK);
		break;
	case UPLOAD_MISSING_WHAT:
		plan_trouble(u, -EBADMSG, a, json);
		break;
	}
}
