/* The requests of auth/oauth against a scripted service. */
#include "auth/oauth.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>

#include "net/clock.h"
#include "net/http.h"
#include "net/log.h"
#include "tests/unit/check.h"
#include "tests/unit/http_fixture.h"
#include "tests/unit/signin_fixture.h"

/* These stand in for the C library's: who sleeps moves the machine's own time
 * (CLOCK_BOOTTIME) ahead instead, so that polling needs no real seconds. */
static atomic_llong skew_ns;

int clock_gettime(clockid_t id, struct timespec *ts)
{
	int rc = (int)syscall(SYS_clock_gettime, id, ts);

	if (id == CLOCK_BOOTTIME)
		*ts = clock_ns_to_timespec(clock_timespec_to_ns(*ts) +
		                           atomic_load(&skew_ns));
	return rc;
}

int nanosleep(const struct timespec *ts, struct timespec *left)
{
	(void)left;
	atomic_fetch_add(&skew_ns, clock_timespec_to_ns(*ts));
	return 0;
}

#define DEVICE                                                                 \
	"{\"user_code\":\"KQ7MDX3FP\",\"device_code\":\"dev+code\","           \
	"\"verification_uri\":\"https://a.example/d\",\"expires_in\":60,"      \
	"\"interval\":5,\"message\":\"Open it.\"}"
#define PENDING "{\"error\":\"authorization_pending\",\"error_codes\":[70016]}"

struct world {
	struct signin *s;
	struct http *http;
	struct cloud cloud;
};

static struct world begin(const char *account)
{
	struct world w = { .s = signin_start(), .http = new_http(NULL) };

	signin_cloud(w.s, account, &w.cloud);
	return w;
}

static void end(struct world *w)
{
	http_free(w->http);
	signin_stop(w->s);
}

static void test_device_request(void)
{
	struct world w = begin("work");
	struct oauth_device d;
	struct oauth_error err;

	signin_say(w.s, 200, NULL, DEVICE);
	CHECK_EQ(oauth_device_start(w.http, &w.cloud, "app id&", &d, &err),
	         OAUTH_OK);
	CHECK_STR(d.user_code, "KQ7MDX3FP");
	CHECK_STR(signin_path(w.s, 0), "/organizations/oauth2/v2.0/devicecode");
	CHECK_STR(
		signin_form(w.s, 0),
		"client_id=app%20id%26&scope=Files.ReadWrite%20offline_access");
	oauth_device_done(&d);

	signin_say(w.s, 400, NULL,
	           "{\"error\":\"unauthorized_client\",\"error_codes\":"
	           "[700016]}");
	CHECK_EQ(oauth_device_start(w.http, &w.cloud, "app", &d, &err),
	         OAUTH_SETUP);
	CHECK(strstr(err.why, "client id") != NULL);
	end(&w);
}

static enum oauth_result wait_for(struct world *w, oauth_cancel_fn *cancel,
                                  struct oauth_token *t,
                                  struct oauth_error *err)
{
	struct oauth_device d;
	enum oauth_result result;

	signin_say(w->s, 200, NULL, DEVICE);
	CHECK_EQ(oauth_device_start(w->http, &w->cloud, "app", &d, err),
	         OAUTH_OK);
	result = oauth_device_wait(w->http, &w->cloud, "app", &d, cancel, NULL,
	                           t, err);
	oauth_device_done(&d);
	return result;
}

static void test_poll_until_approved(void)
{
	struct world w = begin("personal");
	struct oauth_token t;
	struct oauth_error err;
	struct oauth_device d;

	signin_say(w.s, 200, NULL, DEVICE);
	CHECK_EQ(oauth_device_start(w.http, &w.cloud, "app", &d, &err),
	         OAUTH_OK);
	signin_say(w.s, 400, NULL, PENDING);
	signin_say(w.s, 503, NULL, "<html>"); /* waited out */
	signin_say(w.s, 0, NULL, "");         /* likewise */
	signin_say_token(w.s, 1, 3599);
	CHECK_EQ(oauth_device_wait(w.http, &w.cloud, "app", &d, NULL, NULL, &t,
	                           &err),
	         OAUTH_OK);
	CHECK_EQ(signin_requests(w.s), 5);
	CHECK_STR(signin_path(w.s, 1), "/consumers/oauth2/v2.0/token");
	CHECK_STR(signin_form(w.s, 1),
	          "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3A"
	          "device_code&client_id=app&device_code=dev%2Bcode");
	CHECK_STR(t.access, "access-1");
	CHECK_STR(t.refresh, "refresh-1");
	oauth_token_done(&t);
	oauth_device_done(&d);
	end(&w);
}

/* Polls of a code that lives 60 s, every 5 s; slow_down adds 5 s each time. */
static void test_poll_times(void)
{
	static const struct {
		const char *what, *body;
		int status;
		unsigned min, max;
		enum oauth_result result;
	} cases[] = {
		{ "pending", PENDING, 400, 10, 11, OAUTH_EXPIRED },
		{ "slow down", "{\"error\":\"slow_down\"}", 400, 4, 4,
		  OAUTH_EXPIRED },
		{ "no service", "", 503, 10, 11, OAUTH_OFFLINE },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct world w = begin(NULL);
		struct oauth_device d;
		struct oauth_token t;
		struct oauth_error err;
		unsigned polls;

		check_row("%s", cases[i].what);
		signin_say(w.s, 200, NULL, DEVICE);
		oauth_device_start(w.http, &w.cloud, "app", &d, &err);
		signin_say(w.s, cases[i].status, NULL, cases[i].body);
		CHECK_EQ(oauth_device_wait(w.http, &w.cloud, "app", &d, NULL,
		                           NULL, &t, &err),
		         cases[i].result);
		CHECK(err.why[0] != '\0');
		polls = signin_requests(w.s) - 1;
		if (polls < cases[i].min || polls > cases[i].max)
			CHECK_EQ(polls, cases[i].min);
		oauth_device_done(&d);
		end(&w);
	}
}

static bool at_once(void *arg)
{
	(void)arg;
	return true;
}

static void test_cancel_between_polls(void)
{
	struct world w = begin(NULL);
	struct oauth_token t;
	struct oauth_error err;

	CHECK_EQ(wait_for(&w, at_once, &t, &err), OAUTH_CANCELED);
	CHECK_EQ(signin_requests(w.s), 1);
	end(&w);
}

static bool once_asked(void *arg)
{
	return signin_requests(arg) > 0;
}

static void test_cancel_in_a_request(void)
{
	struct world w = begin(NULL);
	struct oauth_token t;
	struct oauth_error err;

	signin_hold(w.s, true);
	CHECK_EQ(oauth_refresh(w.http, &w.cloud, "app", "refresh-0", once_asked,
	                       w.s, &t, &err),
	         OAUTH_CANCELED);
	end(&w);
}

static void test_refresh_request(void)
{
	struct world w = begin("common");
	struct oauth_token t;
	struct oauth_error err;

	signin_say_token(w.s, 7, 3600);
	CHECK_EQ(oauth_refresh(w.http, &w.cloud, "app", "M.C5 $", NULL, NULL,
	                       &t, &err),
	         OAUTH_OK);
	CHECK_STR(signin_path(w.s, 0), "/common/oauth2/v2.0/token");
	CHECK_STR(signin_form(w.s, 0),
	          "grant_type=refresh_token&client_id=app&refresh_token="
	          "M.C5%20%24&scope=Files.ReadWrite%20offline_access"
	          "&client_info=1");
	CHECK_STR(t.access, "access-7");
	oauth_token_done(&t);
	end(&w);
}

static void test_refresh_without_a_service(void)
{
	struct world w = begin(NULL);
	struct oauth_token t;
	struct oauth_error err;

	signin_stop(w.s);
	w.s = NULL;
	CHECK_EQ(oauth_refresh(w.http, &w.cloud, "app", "r", NULL, NULL, &t,
	                       &err),
	         OAUTH_OFFLINE);
	CHECK(strstr(err.why, "can't reach 127.0.0.1:") != NULL);
	http_free(w.http);
}

static void test_throttled(void)
{
	struct world w = begin(NULL);
	struct oauth_token t;
	struct oauth_error err;

	signin_say(w.s, 429, "Retry-After: 10\r\n",
	           "{\"error\":\"temporarily_unavailable\"}");
	CHECK_EQ(oauth_refresh(w.http, &w.cloud, "app", "r", NULL, NULL, &t,
	                       &err),
	         OAUTH_OFFLINE);
	CHECK_EQ(err.retry_after_ms, 10000);
	end(&w);
}

static void test_huge_answer(void)
{
	struct world w = begin(NULL);
	struct oauth_token t;
	struct oauth_error err;

	/* A promise of a gigabyte, and then the end. */
	signin_say(w.s, 200, "X-Fill: 1\r\nContent-Length: 1000000000\r\n", "");
	CHECK_EQ(oauth_refresh(w.http, &w.cloud, "app", "r", NULL, NULL, &t,
	                       &err),
	         OAUTH_OFFLINE);
	end(&w);
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	log_set_level(LOG_LEVEL_ERROR);
	RUN(test_device_request);
	RUN(test_poll_until_approved);
	RUN(test_poll_times);
	RUN(test_cancel_between_polls);
	RUN(test_cancel_in_a_request);
	RUN(test_refresh_request);
	RUN(test_refresh_without_a_service);
	RUN(test_throttled);
	RUN(test_huge_answer);
	return check_report();
}
