#include "net/download_internal.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "net/clock.h"
#include "net/log.h"

#define MAX_TROUBLE                                                            \
	4096 /* bytes of an error body: its code is near the top               \
	      */
#define MAX_HOPS     3
#define MAX_LOOKS    2
#define MAX_STALL_MS 30000

#define TO(s) (1u << RANGE_##s)
static const unsigned moves[RANGE_ENDED + 1] = {
	[RANGE_NEW] = TO(URLLESS) | TO(WAITING) | TO(ENDED),
	[RANGE_URLLESS] = TO(WAITING) | TO(ENDED),
	[RANGE_WAITING] = TO(RECEIVING) | TO(URLLESS) | TO(ENDED),
	[RANGE_RECEIVING] = TO(WAITING) | TO(URLLESS) | TO(ENDED),
};

static void set_state(struct download_range *r, enum range_state to)
{
	assert(moves[r->state] & (1u << to));
	r->state = to;
}

/* ---- the end ------------------------------------------------------------- */

void range_unref(struct download_range *r)
{
	struct download *d = r->d;
	bool last;

	pthread_mutex_lock(&d->lock);
	last = --r->refs == 0;
	pthread_mutex_unlock(&d->lock);
	if (!last)
		return;
	buf_done(&r->trouble);
	free(r);
	download_unref(d);
}

void range_end(struct download_range *r, int rc)
{
	graph_gate_remove(r->d->g, &r->slot);
	set_state(r, RANGE_ENDED);
	LIST_REMOVE(r, link);
	r->done(r->arg, rc);
	range_unref(r);
}

void range_cancel_here(struct download_range *r)
{
	r->canceled = true;
	switch (r->state) {
	case RANGE_URLLESS:
	case RANGE_WAITING:
		range_end(r, -ECANCELED);
		break;
	case RANGE_RECEIVING:
		http_cancel(r->req);
		break;
	case RANGE_NEW: /* its first mail is opened before this one */
	case RANGE_ENDED:
		break;
	}
}

/* ---- waiting ------------------------------------------------------------- */

static int64_t patience_end_ms(const struct download_range *r)
{
	return r->patience_ms < 0 ? GRAPH_NEVER
	                          : r->progress_ms + r->patience_ms;
}

/* Whoever wants one try only may still wait for its turn. */
static void enter_gate(struct download_range *r, int64_t due_ms,
                       bool by_trouble)
{
	r->slot.due_ms = due_ms;
	r->slot.by_trouble = by_trouble;
	r->slot.until_ms = r->patience_ms ? patience_end_ms(r) : GRAPH_NEVER;
	graph_gate_enter(r->d->g, &r->slot);
}

static void wait_for_turn(struct download_range *r)
{
	set_state(r, RANGE_WAITING);
	enter_gate(r, 0, false);
}

/* Somebody else may have got one while this range was refused an older one. */
static void seek_url(struct download_range *r)
{
	if (r->d->url) {
		wait_for_turn(r);
		return;
	}
	set_state(r, RANGE_URLLESS);
	enter_gate(r, GRAPH_NEVER, false);
	download_fetch_url(r->d, r);
}

void range_url_came(struct download_range *r)
{
	graph_gate_remove(r->d->g, &r->slot);
	wait_for_turn(r);
}

static struct download_range *range_of(struct graph_slot *s)
{
	return (struct download_range *)((char *)s -
	                                 offsetof(struct download_range, slot));
}

static void slot_expired(struct graph_slot *s)
{
	struct download_range *r = range_of(s);

	if (r->d->g->stopped)
		range_end(r, -ECANCELED);
	else
		range_end(r, r->last_rc ? r->last_rc : -ETIMEDOUT);
}

/* ---- what comes ---------------------------------------------------------- */

/* "bytes 0-99/1000", or with an asterisk for a total nobody knows. */
static int parse_content_range(const char *text, uint64_t *out_from,
                               uint64_t *out_total)
{
	uint64_t to;
	int n = 0;

	if (!text ||
	    sscanf(text, "bytes %" SCNu64 "-%" SCNu64 "/%n", out_from, &to,
	           &n) != 2 ||
	    !n)
		return -EBADMSG;
	if (!strcmp(text + n, "*")) {
		*out_total = UINT64_MAX;
		return 0;
	}
	if (!isdigit((unsigned char)text[n]))
		return -EBADMSG;
	*out_total = strtoull(text + n, NULL, 10);
	return 0;
}

static int look_at_part(struct download_range *r, const struct http_answer *a)
{
	const char *text = http_answer_header(a, "Content-Range");
	uint64_t from, total;

	if (parse_content_range(text, &from, &total) < 0 || from != r->off)
		return -EBADMSG;
	return total == UINT64_MAX || total == r->d->size ? 0 : -ESTALE;
}

/* A server may send everything instead (facts 13 #47). */
static int look_at_whole(struct download_range *r, const struct http_answer *a)
{
	const char *text = http_answer_header(a, "Content-Length");

	r->skip = r->off;
	if (text && strtoull(text, NULL, 10) != r->d->size)
		return -ESTALE;
	return 0;
}

/* A URL may give the content of the moment, not of when it was issued: two
 * contents of one size must not be mixed (facts 6). */
static int look_at_tag(struct download *d, const struct http_answer *a)
{
	const char *tag = http_answer_header(a, "ETag");

	if (!tag || strlen(tag) >= sizeof(d->host_tag))
		return 0;
	if (d->host_tag[0])
		return strcmp(tag, d->host_tag) ? -ESTALE : 0;
	memcpy(d->host_tag, tag, strlen(tag) + 1);
	return 0;
}

static int on_head(void *arg, const struct http_answer *a)
{
	struct download_range *r = arg;
	int rc = 0;

	r->status = a->status;
	r->infected = http_answer_header(a, "X-Virus-Infected") != NULL;
	if (a->status == 206)
		rc = look_at_part(r, a);
	else if (a->status == 200)
		rc = look_at_whole(r, a);
	r->doubtful = rc == -ESTALE;
	if (rc == 0 && (a->status == 200 || a->status == 206))
		rc = look_at_tag(r->d, a);
	if (rc == -ESTALE)
		r->own_rc = rc;
	return rc;
}

static int keep_trouble(struct download_range *r, const void *data, size_t len)
{
	size_t room = MAX_TROUBLE - r->trouble.len;

	buf_add(&r->trouble, data, len < room ? len : room);
	return 0;
}

/* A piece that is not taken comes again whole, so nothing is counted before
 * the owner took its part. More than was asked for ends the transfer. */
static int on_data(void *arg, const void *data, size_t len)
{
	struct download_range *r = arg;
	size_t skip = r->skip < len ? (size_t)r->skip : len;
	size_t n = len - skip;
	int rc = 0;

	if (r->status != 200 && r->status != 206)
		return keep_trouble(r, data, len);
	if (n > r->end - r->off)
		n = (size_t)(r->end - r->off);
	if (n)
		rc = r->data(r->arg, r->off, (const char *)data + skip, n);
	if (rc > 0)
		return 1;
	if (rc < 0) {
		r->own_rc = rc;
		return rc;
	}
	r->skip -= skip;
	r->off += n;
	r->moved |= n > 0;
	return skip + n < len ? -ECANCELED : 0;
}

/* ---- what to do about it ------------------------------------------------- */

/* What the owner may tell from trouble of the service. */
static bool is_network(int rc)
{
	return rc == -ENETUNREACH || rc == -ETIMEDOUT || rc == -ENETRESET ||
	       rc == -EKEYREJECTED;
}

static void give_up_or_wait(struct download_range *r, int rc,
                            const struct retry_out *out)
{
	struct graph *g = r->d->g;
	int64_t due = out->wait_ms ? clock_mono_ms() + out->wait_ms : 0;

	if (out->freeze)
		due = 0; /* the gate holds all of them */
	r->last_rc = is_network(rc) ? rc : out->rc;
	if (r->patience_ms == 0 ||
	    graph_gate_earliest_ms(g, true, due) > patience_end_ms(r)) {
		range_end(r, r->last_rc);
		return;
	}
	log_info("download status=%ld rc=%d off=%" PRIu64
	         " attempt=%u retry_in_ms=%" PRId64,
	         r->status, r->last_rc, r->off, r->attempt, out->wait_ms);
	r->attempt++;
	/* Where another URL led to may never have been there. */
	if (rc < 0 && r->d->led && !r->moved)
		download_drop_url(r->d, r->url_seq);
	set_state(r, RANGE_WAITING);
	enter_gate(r, due, rc < 0);
}

static void new_url(struct download_range *r, const struct retry_out *out)
{
	log_info("download status=%ld off=%" PRIu64 " then=new_url", r->status,
	         r->off);
	r->last_rc = out->rc;
	r->attempt++;
	download_drop_url(r->d, r->url_seq);
	seek_url(r);
}

static bool is_malware(const struct download_range *r, const char *code)
{
	return r->status == 403 &&
	       (r->infected || !strcmp(code, "malwareDetected") ||
	        !strcmp(code, "virusSuspicious"));
}

/* A pre-authenticated URL may lead on; never with anything of ours. */
static bool follow(struct download_range *r, const struct http_answer *a)
{
	const char *location = http_answer_header(a, "Location");

	if (a->rc < 0 || a->status < 301 || a->status > 308 ||
	    a->status == 304 || !location || r->hops >= MAX_HOPS ||
	    !http_url_allowed(location))
		return false;
	r->hops++;
	if (r->url_seq == r->d->url_seq) {
		if (!download_replace_url(r->d, location))
			return false;
		r->d->led = true;
	}
	wait_for_turn(r);
	return true;
}

static struct retry_out judge(const struct download_range *r, int rc,
                              const struct http_answer *a, const char *code)
{
	int64_t after = retry_parse_after(http_answer_header(a, "Retry-After"),
	                                  clock_real_ns() / NS_PER_SEC);
	struct retry_in in = { .kind = RETRY_DOWNLOAD,
		               .transport_rc = rc,
		               .was_sent = a->was_sent,
		               .status = a->status,
		               .code = code,
		               .retry_after_ms = after < 0 ? -1 : after,
		               .attempt = r->attempt,
		               .random = randombytes_random() };

	return retry_decide(&in);
}

static void act_on(struct download_range *r, int rc,
                   const struct http_answer *a, const char *code)
{
	struct retry_out out = judge(r, rc, a, code);

	switch (out.verdict) {
	case RETRY_WAIT:
		give_up_or_wait(r, rc, &out);
		break;
	case RETRY_LOOK: /* 416: the item tells whether it is another one */
		if (r->attempt >= MAX_LOOKS) {
			range_end(r, out.rc == -EBUSY ? -EBUSY : -EIO);
			break;
		}
		new_url(r, &out);
		break;
	case RETRY_RESTART:
		new_url(r, &out);
		break;
	case RETRY_DONE: /* a success that makes no sense here */
		range_end(r, -EIO);
		break;
	case RETRY_REFRESH:
	case RETRY_SMALLER:
	case RETRY_FAIL:
		range_end(r, out.rc);
		break;
	}
}

/* Something of another size: either the item is another version by now, which
 * asking for its URL shows, or that was not its content at all. */
static void doubt(struct download_range *r, const struct http_answer *a)
{
	struct retry_out out = judge(r, -EBADMSG, a, "");

	download_drop_url(r->d, r->url_seq);
	if (r->attempt == 0)
		new_url(r, &out);
	else
		act_on(r, -EBADMSG, a, "");
}

static void note_progress(struct download_range *r)
{
	if (!r->moved)
		return;
	r->attempt = 0;
	r->hops = 0;
	r->progress_ms = clock_mono_ms();
}

static void decide(struct download_range *r, const struct http_answer *a,
                   const char *code)
{
	bool content = r->status == 200 || r->status == 206;
	int rc = a->rc;

	note_progress(r);
	if (r->off == r->end)
		range_end(r, 0);
	else if (r->canceled)
		range_end(r, -ECANCELED);
	else if (r->doubtful)
		doubt(r, a);
	else if (r->own_rc)
		range_end(r, r->own_rc);
	else if (is_malware(r, code))
		range_end(r, -EPERM);
	else if (!follow(r, a))
		act_on(r, content && rc == 0 ? -ENETRESET : rc, a, code);
}

static void on_done(void *arg, const struct http_answer *a)
{
	struct download_range *r = arg;
	struct graph *g = r->d->g;
	struct graph_outcome o = graph_http_outcome(a);
	cJSON *json = NULL;

	graph_ref(g);
	pthread_mutex_lock(&r->d->lock);
	r->req = NULL;
	pthread_mutex_unlock(&r->d->lock);
	if (r->trouble.len)
		json = json_parse(r->trouble.data, r->trouble.len);
	graph_outcome_code(&o, graph_error_code(json));
	graph_gate_leave(g, &r->slot, &o);
	decide(r, a, graph_error_code(json));
	cJSON_Delete(json);
	graph_gate_pump(g);
	graph_unref(g);
}

/* ---- its turn ------------------------------------------------------------ */

static int stall_ms(const struct download_range *r)
{
	if (r->patience_ms <= 0 || r->patience_ms > MAX_STALL_MS)
		return MAX_STALL_MS;
	return r->patience_ms < 1000 ? 1000 : (int)r->patience_ms;
}

static int start_receiving(struct download_range *r)
{
	struct download *d = r->d;
	char range[64];
	const char *const headers[] = { range, NULL };
	struct http_spec spec = { .method = "GET",
		                  .url = d->url,
		                  .secret_url = true,
		                  .headers = headers,
		                  .prio = r->prio,
		                  .head = on_head,
		                  .data = on_data,
		                  .done = on_done,
		                  .arg = r,
		                  .stall_ms = stall_ms(r) };
	struct http_request *req;
	int rc;

	snprintf(range, sizeof(range), "Range: bytes=%" PRIu64 "-%" PRIu64,
	         r->off, r->end - 1);
	r->url_seq = d->url_seq;
	r->status = 0;
	r->skip = 0;
	r->moved = r->infected = r->doubtful = false;
	r->own_rc = 0;
	buf_done(&r->trouble);
	rc = http_start(d->g->http, &spec, &req);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&d->lock);
	r->req = req;
	pthread_mutex_unlock(&d->lock);
	return 0;
}

static void slot_granted(struct graph_slot *s)
{
	struct download_range *r = range_of(s);
	struct graph *g = r->d->g;
	struct graph_outcome o = graph_no_outcome();
	int rc = 0;

	graph_gate_begin(g, s, s->units);
	if (r->d->url) {
		set_state(r, RANGE_RECEIVING);
		rc = start_receiving(r);
		if (rc == 0)
			return;
	}
	graph_gate_leave(g, s, &o);
	if (rc < 0)
		range_end(r, rc);
	else
		seek_url(r);
}

/* What comes down ahead of a reader yields to what one waits for. */
static const enum pace_class classes[] = {
	[HTTP_PRIO_USER] = PACE_USER,
	[HTTP_PRIO_META] = PACE_META,
	[HTTP_PRIO_BULK] = PACE_READ_AHEAD,
};

void range_begin(struct graph_mail *m)
{
	struct download_range *r =
		(struct download_range *)((char *)m -
	                                  offsetof(struct download_range,
	                                           begin_mail));

	LIST_INSERT_HEAD(&r->d->ranges, r, link);
	r->progress_ms = clock_mono_ms();
	r->slot.class = classes[r->prio];
	r->slot.units = 1;
	r->slot.content = true;
	r->slot.granted = slot_granted;
	r->slot.expired = slot_expired;
	if (r->off == r->end)
		range_end(r, 0);
	else
		seek_url(r);
}
