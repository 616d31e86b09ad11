#include "auth/oauth.h"

#include <string.h>
#include <time.h>

#include "auth/oauth_answer.h"
#include "auth/oauth_post.h"
#include "net/clock.h"

#define DEVICE_GRANT   "urn:ietf:params:oauth:grant-type:device_code"
#define SLOW_DOWN_MS   5000 /* RFC 8628, 3.5 */
#define SLEEP_SLICE_MS 200

/* Who the account belongs to is only needed where personal and work accounts
 * share one endpoint (facts 1.2); client_info tells it (facts 1.6). */
static void add_client_info(struct oauth_form *f, const struct cloud *cloud)
{
	if (!strcmp(cloud->tenant, "common"))
		oauth_form_add(f, "client_info", "1");
}

enum oauth_result oauth_device_start(struct http *http,
                                     const struct cloud *cloud,
                                     const char *client_id,
                                     struct oauth_device *out,
                                     struct oauth_error *err)
{
	struct oauth_answer a;
	struct oauth_form form;
	struct oauth_post post;
	cJSON *json;

	oauth_form_init(&form);
	oauth_form_add(&form, "client_id", client_id);
	oauth_form_add(&form, "scope", cloud->scope);
	oauth_post(http, cloud, "devicecode", &form, NULL, NULL, &post, &a,
	           &json);
	oauth_judge(OAUTH_STEP_DEVICE, &a, err);
	if (err->result == OAUTH_OK)
		oauth_read_device(json, out, err);
	json_wipe(json);
	oauth_form_done(&form);
	return err->result;
}

/* One poll: as oauth_judge(). */
static enum oauth_next
poll_once(struct http *http, const struct cloud *cloud, const char *client_id,
          const struct oauth_device *d, oauth_cancel_fn *cancel,
          void *cancel_arg, struct oauth_token *out, struct oauth_error *err)
{
	struct oauth_answer a;
	struct oauth_form form;
	struct oauth_post post;
	enum oauth_next next;
	cJSON *json;

	oauth_form_init(&form);
	oauth_form_add(&form, "grant_type", DEVICE_GRANT);
	oauth_form_add(&form, "client_id", client_id);
	oauth_form_add(&form, "device_code", d->device_code);
	add_client_info(&form, cloud);
	oauth_post(http, cloud, "token", &form, cancel, cancel_arg, &post, &a,
	           &json);
	next = oauth_judge(OAUTH_STEP_POLL, &a, err);
	if (next == OAUTH_NEXT_END && err->result == OAUTH_OK)
		oauth_read_token(json, out, err);
	json_wipe(json);
	oauth_form_done(&form);
	return next;
}

/* Sleeps until `due_ms`; false: the caller has had enough. */
static bool sleep_until(int64_t due_ms, oauth_cancel_fn *cancel,
                        void *cancel_arg)
{
	for (;;) {
		int64_t left = due_ms - clock_mono_ms();
		struct timespec ts;

		if (cancel && cancel(cancel_arg))
			return false;
		if (left <= 0)
			return true;
		if (left > SLEEP_SLICE_MS)
			left = SLEEP_SLICE_MS;
		ts = clock_ns_to_timespec(left * 1000000);
		nanosleep(&ts, NULL);
	}
}

static int64_t max_i64(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

enum oauth_result
oauth_device_wait(struct http *http, const struct cloud *cloud,
                  const char *client_id, const struct oauth_device *d,
                  oauth_cancel_fn *cancel, void *cancel_arg,
                  struct oauth_token *out, struct oauth_error *err)
{
	int64_t interval_ms = d->interval_s * 1000, wait_ms = interval_ms;
	int64_t end_ms = clock_mono_ms() + d->expires_in_s * 1000;

	*err = (struct oauth_error){ .result = OAUTH_OK };
	while (clock_mono_ms() + wait_ms < end_ms) {
		enum oauth_next next;

		if (!sleep_until(clock_mono_ms() + wait_ms, cancel,
		                 cancel_arg)) {
			*err = (struct oauth_error){ .result = OAUTH_CANCELED,
				                     .why = "canceled" };
			return err->result;
		}
		next = poll_once(http, cloud, client_id, d, cancel, cancel_arg,
		                 out, err);
		if (next == OAUTH_NEXT_END)
			return err->result;
		if (next == OAUTH_NEXT_SLOWER)
			interval_ms += SLOW_DOWN_MS;
		wait_ms = max_i64(interval_ms, err->retry_after_ms);
	}
	if (err->result == OAUTH_OFFLINE)
		return err->result; /* maybe it was typed: nobody could tell */
	*err = (struct oauth_error){
		.result = OAUTH_EXPIRED,
		.why = "the code expired before somebody typed it"
	};
	return err->result;
}

enum oauth_result oauth_refresh(struct http *http, const struct cloud *cloud,
                                const char *client_id, const char *refresh,
                                oauth_cancel_fn *cancel, void *cancel_arg,
                                struct oauth_token *out,
                                struct oauth_error *err)
{
	struct oauth_answer a;
	struct oauth_form form;
	struct oauth_post post;
	cJSON *json;

	oauth_form_init(&form);
	oauth_form_add(&form, "grant_type", "refresh_token");
	oauth_form_add(&form, "client_id", client_id);
	oauth_form_add(&form, "refresh_token", refresh);
	oauth_form_add(&form, "scope", cloud->scope);
	add_client_info(&form, cloud);
	oauth_post(http, cloud, "token", &form, cancel, cancel_arg, &post, &a,
	           &json);
	oauth_judge(OAUTH_STEP_REFRESH, &a, err);
	if (err->result == OAUTH_OK)
		oauth_read_token(json, out, err);
	json_wipe(json);
	oauth_form_done(&form);
	return err->result;
}
