#include "tests/graphd/throttle.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "tests/graphd/settings.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define GB           INT64_C(1000000000)
#define LIMITS_SHOWN 80 /* percent of the minute's units */

static const struct {
	const char *name;
	unsigned units;
} ops[THROTTLE_NOPS] = {
	[THROTTLE_FREE] = { "free", 0 },
	[THROTTLE_GET] = { "get", 1 },
	[THROTTLE_DELTA_TOKEN] = { "delta_token", 1 },
	[THROTTLE_DOWNLOAD] = { "download", 1 },
	[THROTTLE_LIST] = { "list", 2 },
	[THROTTLE_CREATE] = { "create", 2 },
	[THROTTLE_UPDATE] = { "update", 2 },
	[THROTTLE_DELETE] = { "delete", 2 },
	[THROTTLE_UPLOAD] = { "upload", 2 },
	[THROTTLE_DELTA] = { "delta", 2 },
	[THROTTLE_PERMISSIONS] = { "permissions", 5 },
};

struct config {
	bool on;
	bool retry_after;
	int64_t units_per_min;
	int64_t requests_per_5min;
	int64_t ingress_per_hour;
	int64_t egress_per_hour;
	int64_t status;
	int64_t min_retry_s;
	int64_t grace_ms;
	double scale;
	double speed;
};

static const struct config config_default = {
	.retry_after = true,
	.units_per_min = 1250,
	.requests_per_5min = 3000,
	.ingress_per_hour = 50 * GB,
	.egress_per_hour = 100 * GB,
	.status = 429,
	.min_retry_s = 1,
	.grace_ms = 1000,
	.scale = 1.0,
	.speed = 1.0,
};

enum window_kind { UNITS, REQUESTS, INGRESS, EGRESS, NWINDOWS };

static const struct {
	size_t budget; /* in struct config */
	int64_t length_ms;
} windows[NWINDOWS] = {
	[UNITS] = { offsetof(struct config, units_per_min), 60000 },
	[REQUESTS] = { offsetof(struct config, requests_per_5min), 300000 },
	[INGRESS] = { offsetof(struct config, ingress_per_hour), 3600000 },
	[EGRESS] = { offsetof(struct config, egress_per_hour), 3600000 },
};

struct throttle {
	pthread_mutex_t lock;
	struct config config;
	struct window {
		bool open;
		int64_t start_ms;
		int64_t used;
	} window[NWINDOWS];
	bool block_told; /* the client got a refusal, and knows */
	int64_t block_told_ms;
	int64_t block_until_ms;
	int64_t block_ms; /* what a call during the block adds */
	int64_t by_op[THROTTLE_NOPS];
	int64_t units, requests, refused, forbidden, blocks, in, out;
};

unsigned throttle_units(enum throttle_op op)
{
	return ops[op].units;
}

const char *throttle_name(enum throttle_op op)
{
	return ops[op].name;
}

int throttle_new(struct throttle **out_t)
{
	struct throttle *t = calloc(1, sizeof(*t));
	int rc;

	if (!t)
		return -ENOMEM;
	t->config = config_default;
	rc = -pthread_mutex_init(&t->lock, NULL);
	if (rc < 0) {
		free(t);
		return rc;
	}
	*out_t = t;
	return 0;
}

void throttle_free(struct throttle *t)
{
	if (!t)
		return;
	pthread_mutex_destroy(&t->lock);
	free(t);
}

/* ---- windows ------------------------------------------------------------ */

static int64_t window_length_ms(const struct throttle *t, enum window_kind w)
{
	int64_t ms = (int64_t)((double)windows[w].length_ms / t->config.speed);

	return ms > 0 ? ms : 1;
}

/* 0: no limit. A scaled budget is never less than 1, which would be none. */
static int64_t window_budget(const struct throttle *t, enum window_kind w)
{
	const char *at = (const char *)&t->config + windows[w].budget;
	int64_t budget = *(const int64_t *)(const void *)at;
	int64_t scaled = (int64_t)((double)budget * t->config.scale);

	return budget > 0 && scaled < 1 ? 1 : scaled;
}

static int64_t window_left_ms(const struct throttle *t, enum window_kind w,
                              int64_t now_ms)
{
	return t->window[w].start_ms + window_length_ms(t, w) - now_ms;
}

static void roll_windows(struct throttle *t, int64_t now_ms)
{
	for (int w = 0; w < NWINDOWS; w++) {
		struct window *win = &t->window[w];

		if (win->open && window_left_ms(t, w, now_ms) > 0)
			continue;
		*win = (struct window){ true, now_ms, 0 };
	}
}

/* How long until `more` fits the window; 0: it fits now. What is larger than
 * the whole budget fits an empty window, or it would never pass. */
static int64_t window_wait_ms(const struct throttle *t, enum window_kind w,
                              int64_t more, int64_t now_ms)
{
	int64_t budget = window_budget(t, w);
	int64_t used = t->window[w].used;

	if (budget == 0 || used == 0 || used + more <= budget)
		return 0;
	return window_left_ms(t, w, now_ms);
}

static int64_t wait_needed_ms(const struct throttle *t, int64_t units,
                              int64_t now_ms)
{
	const int64_t more[NWINDOWS] = {
		[UNITS] = units,
		[REQUESTS] = 1,
		[INGRESS] = 1,
		[EGRESS] = 1,
	};
	int64_t wait, longest = 0;

	for (int w = 0; w < NWINDOWS; w++) {
		wait = window_wait_ms(t, w, more[w], now_ms);
		if (wait > longest)
			longest = wait;
	}
	return longest;
}

/* ---- blocks -------------------------------------------------------------- */

static void begin_block(struct throttle *t, int64_t length_ms, int64_t now_ms)
{
	if (length_ms < t->config.min_retry_s * 1000)
		length_ms = t->config.min_retry_s * 1000;
	t->block_told = false;
	t->block_until_ms = now_ms + length_ms;
	t->block_ms = length_ms;
	t->blocks++;
}

static void meet_block(struct throttle *t, int64_t now_ms)
{
	if (!t->block_told || now_ms < t->block_told_ms + t->config.grace_ms)
		return;
	t->forbidden++;
	if (t->block_until_ms < now_ms + t->block_ms)
		t->block_until_ms = now_ms + t->block_ms;
}

static void refuse(struct throttle *t, int64_t now_ms,
                   struct throttle_answer *out)
{
	int64_t left_ms = t->block_until_ms - now_ms;

	if (!t->block_told)
		t->block_told_ms = now_ms;
	t->block_told = true;
	t->refused++;
	out->status = (int)t->config.status;
	if (t->config.retry_after)
		out->retry_after_s = (int)((left_ms + 999) / 1000);
}

static void tell_limits(const struct throttle *t, int64_t now_ms,
                        struct throttle_answer *out)
{
	int64_t budget = window_budget(t, UNITS);
	int64_t used = t->window[UNITS].used;

	if (!t->config.on || budget == 0 || used * 100 < budget * LIMITS_SHOWN)
		return;
	out->limits = true;
	out->limit = budget;
	out->remaining = used < budget ? budget - used : 0;
	out->reset_s = (window_left_ms(t, UNITS, now_ms) + 999) / 1000;
}

void throttle_ask(struct throttle *t, enum throttle_op op, int64_t now_ms,
                  struct throttle_answer *out)
{
	int64_t wait_ms = 0;

	*out = (struct throttle_answer){ 0 };
	pthread_mutex_lock(&t->lock);
	roll_windows(t, now_ms);
	t->requests++;
	t->by_op[op]++;
	if (now_ms < t->block_until_ms) {
		meet_block(t, now_ms);
		refuse(t, now_ms, out);
	} else if (t->config.on &&
	           (wait_ms = wait_needed_ms(t, ops[op].units, now_ms)) > 0) {
		begin_block(t, wait_ms, now_ms);
		refuse(t, now_ms, out);
	} else {
		t->units += ops[op].units;
		t->window[UNITS].used += ops[op].units;
		t->window[REQUESTS].used++;
	}
	tell_limits(t, now_ms, out);
	pthread_mutex_unlock(&t->lock);
}

void throttle_bytes(struct throttle *t, int64_t in, int64_t out, int64_t now_ms)
{
	pthread_mutex_lock(&t->lock);
	roll_windows(t, now_ms);
	t->in += in;
	t->out += out;
	t->window[INGRESS].used += in;
	t->window[EGRESS].used += out;
	pthread_mutex_unlock(&t->lock);
}

/* ---- control ------------------------------------------------------------- */

struct change {
	struct config config;
	int64_t block_s;
};

#define AT(member) offsetof(struct change, config.member)
static const struct setting settings[] = {
	{ "on", SETTING_BOOL, AT(on) },
	{ "units_per_min", SETTING_I64, AT(units_per_min) },
	{ "requests_per_5min", SETTING_I64, AT(requests_per_5min) },
	{ "ingress_per_hour", SETTING_I64, AT(ingress_per_hour) },
	{ "egress_per_hour", SETTING_I64, AT(egress_per_hour) },
	{ "scale", SETTING_DOUBLE, AT(scale) },
	{ "speed", SETTING_DOUBLE, AT(speed) },
	{ "status", SETTING_I64, AT(status) },
	{ "retry_after", SETTING_BOOL, AT(retry_after) },
	{ "min_retry_s", SETTING_I64, AT(min_retry_s) },
	{ "grace_ms", SETTING_I64, AT(grace_ms) },
	{ "block_s", SETTING_I64, offsetof(struct change, block_s) },
};

int throttle_set(struct throttle *t, const cJSON *obj, int64_t now_ms)
{
	struct change change = { 0 };
	int rc;

	pthread_mutex_lock(&t->lock);
	change.config = t->config;
	rc = settings_apply(settings, ARRAY_LEN(settings), obj, &change);
	if (rc == 0 &&
	    (change.config.status < 400 || change.config.status > 599))
		rc = -EINVAL;
	if (rc == 0) {
		t->config = change.config;
		if (change.block_s > 0)
			begin_block(t, change.block_s * 1000, now_ms);
	}
	pthread_mutex_unlock(&t->lock);
	return rc;
}

static bool add_by_op(const struct throttle *t, cJSON *obj)
{
	cJSON *by_op = cJSON_AddObjectToObject(obj, "by_op");

	for (int op = 0; by_op && op < THROTTLE_NOPS; op++)
		if (!cJSON_AddNumberToObject(by_op, ops[op].name,
		                             (double)t->by_op[op]))
			return false;
	return by_op != NULL;
}

cJSON *throttle_stats(struct throttle *t, int64_t now_ms)
{
	cJSON *obj = cJSON_CreateObject();
	bool ok = obj != NULL;

	pthread_mutex_lock(&t->lock);
	const struct {
		const char *name;
		int64_t value;
	} rows[] = {
		{ "requests", t->requests },
		{ "units", t->units },
		{ "refused", t->refused },
		{ "forbidden", t->forbidden },
		{ "blocks", t->blocks },
		{ "bytes_in", t->in },
		{ "bytes_out", t->out },
		{ "blocked_for_ms",
		  t->block_until_ms > now_ms ? t->block_until_ms - now_ms : 0 },
	};

	for (size_t i = 0; ok && i < ARRAY_LEN(rows); i++)
		ok = cJSON_AddNumberToObject(obj, rows[i].name,
		                             (double)rows[i].value);
	ok = ok && add_by_op(t, obj);
	pthread_mutex_unlock(&t->lock);
	if (ok)
		return obj;
	cJSON_Delete(obj);
	return NULL;
}
