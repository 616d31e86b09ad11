/* The token cache against a scripted sign-in service and a real keystore, on
 * a machine whose clocks the test moves. */
#include "auth/tokens.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>

#include "auth/keystore.h"
#include "auth/token_blob.h"
#include "net/clock.h"
#include "net/http.h"
#include "net/log.h"
#include "tests/unit/alloc.h"
#include "tests/unit/check.h"
#include "tests/unit/http_fixture.h"
#include "tests/unit/signin_fixture.h"

#define HOUR_S INT64_C(3600)
#define DAY_S  (24 * HOUR_S)
#define YEAR_S (365 * DAY_S)

/* ---- clocks -------------------------------------------------------------- */

static atomic_llong boot_skew_s, wall_skew_s;

/* Stands in for the C library's. */
int clock_gettime(clockid_t id, struct timespec *ts)
{
	int rc = (int)syscall(SYS_clock_gettime, id, ts);

	if (id == CLOCK_BOOTTIME)
		ts->tv_sec += atomic_load(&boot_skew_s);
	else if (id == CLOCK_REALTIME)
		ts->tv_sec += atomic_load(&wall_skew_s);
	return rc;
}

/* Time goes by, or the machine sleeps. */
static void pass_s(int64_t s)
{
	atomic_fetch_add(&boot_skew_s, s);
	atomic_fetch_add(&wall_skew_s, s);
}

/* Somebody sets the wall clock. */
static void jump_s(int64_t s)
{
	atomic_fetch_add(&wall_skew_s, s);
}

/* ---- a log that must hold no secret -------------------------------------- */

static atomic_uint log_lines, log_secrets;

static void watch_log(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	atomic_fetch_add(&log_lines, 1);
	if (strstr(line, "access-") || strstr(line, "refresh-"))
		atomic_fetch_add(&log_secrets, 1);
}

/* ---- the world ----------------------------------------------------------- */

struct world {
	char base[64], dir[96];
	struct signin *s;
	struct http *http;
	struct keystore *k;
	struct cloud cloud;
	struct tokens *t;
	char why[512];
	atomic_uint changes;
};

static void count_change(void *arg)
{
	struct world *w = arg;

	atomic_fetch_add(&w->changes, 1);
}

static struct keystore *open_keystore(struct world *w)
{
	struct keystore_options opt = { .backend = "file", .dir = w->dir };
	struct keystore *k = NULL;

	CHECK_EQ(keystore_open(&opt, &k, w->why, sizeof(w->why)), 0);
	return k;
}

static void begin(struct world *w, const char *account)
{
	*w = (struct world){ .base = "/tmp/nmb-tokens-XXXXXX" };
	CHECK(mkdtemp(w->base) != NULL);
	snprintf(w->dir, sizeof(w->dir), "%s/keys", w->base);
	w->s = signin_start();
	w->http = new_http(NULL);
	w->k = open_keystore(w);
	signin_cloud(w->s, account, &w->cloud);
}

/* "Another program" puts this into the keystore. */
static void put_blob(struct world *w, const char *access, const char *refresh,
                     int64_t left_s, const char *drive)
{
	char text[2048];
	int64_t now = clock_real_ns() / NS_PER_SEC;

	snprintf(text, sizeof(text),
	         "{\"v\":1,\"client_id\":\"app\",\"tenant\":\"%s\","
	         "\"login_url\":\"%s\",\"graph_url\":\"%s\","
	         "\"refresh_token\":\"%s\",\"access_token\":\"%s\","
	         "\"obtained_at\":%" PRId64 ",\"expires_at\":%" PRId64
	         ",\"drive_id\":\"%s\"}",
	         w->cloud.tenant, w->cloud.login_url, w->cloud.graph_url,
	         refresh, access, now - 1, now + left_s, drive);
	CHECK_EQ(keystore_put(w->k, "token", text, strlen(text)), 0);
}

static int open_tokens(struct world *w)
{
	struct tokens_options opt = {
		.http = w->http,
		.keystore = w->k,
		.cloud = &w->cloud,
		.client_id = "app",
		.changed = count_change,
		.changed_arg = w,
	};

	w->why[0] = '\0';
	return tokens_new(&opt, &w->t, w->why, sizeof(w->why));
}

/* Signed in with access-0 and refresh-0, which lives another `left_s`. */
static void begin_signed_in(struct world *w, const char *account,
                            int64_t left_s)
{
	begin(w, account);
	put_blob(w, "access-0", "refresh-0", left_s, "drive-1");
	CHECK_EQ(open_tokens(w), 0);
	CHECK(tokens_signed_in(w->t));
}

static void end(struct world *w)
{
	char cmd[128];

	tokens_free(w->t);
	keystore_close(w->k);
	http_free(w->http);
	signin_stop(w->s);
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", w->base);
	CHECK_EQ(system(cmd), 0);
}

/* What the keystore holds: `member` of the blob, copied. */
static const char *stored(struct world *w, const char *member)
{
	static char out[256];
	struct token_blob b;
	void *text;
	size_t len;

	strcpy(out, "(none)");
	if (keystore_get(w->k, "token", &text, &len) < 0)
		return out;
	if (token_blob_parse(text, len, &b) == 0) {
		snprintf(out, sizeof(out), "%s",
		         !strcmp(member, "refresh")  ? b.refresh
		         : !strcmp(member, "access") ? b.access
		         : !strcmp(member, "drive")  ? b.drive_id
		                                     : b.tenant);
		token_blob_done(&b);
	}
	sodium_free(text);
	return out;
}

/* ---- asking -------------------------------------------------------------- */

struct got {
	pthread_mutex_t lock;
	pthread_cond_t came;
	unsigned count;
	int rc;
	char bearer[64];
	struct world *w;
	char stored[64]; /* refresh token in the keystore at that moment */
};

static void got_init(struct got *g, struct world *w)
{
	*g = (struct got){ .rc = 1, .w = w };
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->came, NULL);
}

static void on_got(void *arg, int rc, const char *bearer)
{
	struct got *g = arg;

	pthread_mutex_lock(&g->lock);
	g->count++;
	g->rc = rc;
	snprintf(g->bearer, sizeof(g->bearer), "%s", bearer ? bearer : "");
	if (g->w)
		snprintf(g->stored, sizeof(g->stored), "%s",
		         stored(g->w, "refresh"));
	pthread_cond_signal(&g->came);
	pthread_mutex_unlock(&g->lock);
}

static int got_wait(struct got *g)
{
	struct timespec until;
	int rc = 0, got;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += 30;
	pthread_mutex_lock(&g->lock);
	while (!g->count && rc == 0)
		rc = pthread_cond_clockwait(&g->came, &g->lock, CLOCK_MONOTONIC,
		                            &until);
	got = g->rc;
	pthread_mutex_unlock(&g->lock);
	CHECK_EQ(rc, 0);
	return got;
}

/* The bearer, or the error as text: "-EACCES". */
static const char *ask(struct world *w, const char *stale)
{
	static char out[64];
	struct got g;
	int rc;

	got_init(&g, NULL);
	tokens_get(w->t, stale, on_got, &g);
	rc = got_wait(&g);
	if (rc == 0)
		strcpy(out, g.bearer);
	else
		snprintf(out, sizeof(out), "-%s", strerrorname_np(-rc));
	return out;
}

/* Waits for what the tokens' own thread does by itself. */
static void until(bool (*is_so)(struct world *w), struct world *w)
{
	struct timespec pause = { 0, 2000000 };

	for (int i = 0; i < 10000 && !is_so(w); i++)
		nanosleep(&pause, NULL);
	CHECK(is_so(w));
}

static bool stored_is_1(struct world *w)
{
	return !strcmp(stored(w, "refresh"), "refresh-1");
}

/* Durable comes first, so callers may see it a moment later. */
static bool given_is_1(struct world *w)
{
	return !strcmp(ask(w, NULL), "access-1");
}

static bool stored_is_2(struct world *w)
{
	return !strcmp(stored(w, "refresh"), "refresh-2");
}

static bool changed_once(struct world *w)
{
	return atomic_load(&w->changes) == 1;
}

static bool changed_twice(struct world *w)
{
	return atomic_load(&w->changes) == 2;
}

static bool is_signed_in(struct world *w)
{
	return tokens_signed_in(w->t);
}

/* ---- tests: the good days ------------------------------------------------ */

static void test_cached(void)
{
	struct world w;
	char drive[64];

	begin_signed_in(&w, NULL, HOUR_S);
	for (int i = 0; i < 10; i++)
		CHECK_STR(ask(&w, NULL), "access-0");
	CHECK_STR(ask(&w, "some-older-one"), "access-0");
	CHECK_EQ(signin_requests(w.s), 0);
	tokens_get_drive(w.t, drive, sizeof(drive));
	CHECK_STR(drive, "drive-1");
	end(&w);
}

static void *ask_thread(void *arg)
{
	struct world *w = arg;

	struct got g;

	got_init(&g, NULL);
	tokens_get(w->t, "access-0", on_got, &g);
	CHECK_EQ(got_wait(&g), 0);
	CHECK_STR(g.bearer, "access-1");
	CHECK_EQ(g.count, 1);
	return NULL;
}

/* faults 45: twenty uploads get a 401 at once. */
static void test_single_flight(void)
{
	pthread_t threads[20];
	struct world w;

	begin_signed_in(&w, NULL, HOUR_S);
	signin_hold(w.s, true);
	signin_say_token(w.s, 1, HOUR_S);
	signin_say_token(w.s, 2, HOUR_S);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, ask_thread, &w), 0);
	signin_wait_requests(w.s, 1);
	signin_hold(w.s, false);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	CHECK_EQ(signin_requests(w.s), 1);
	CHECK_STR(signin_path(w.s, 0), "/consumers/oauth2/v2.0/token");
	CHECK(strstr(signin_form(w.s, 0), "refresh_token=refresh-0") != NULL);
	CHECK(strstr(signin_form(w.s, 0), "client_id=app") != NULL);
	end(&w);
}

/* faults 46: whoever holds the new access token may rely on the new refresh
 * token being on disk. */
static void test_rotation_is_durable_first(void)
{
	struct world w;
	struct got g;

	begin_signed_in(&w, NULL, HOUR_S);
	signin_say_token(w.s, 1, HOUR_S);
	got_init(&g, &w);
	tokens_get(w.t, "access-0", on_got, &g);
	CHECK_EQ(got_wait(&g), 0);
	CHECK_STR(g.bearer, "access-1");
	CHECK_STR(g.stored, "refresh-1");
	CHECK_STR(stored(&w, "drive"), "drive-1");

	/* The next run starts from it. */
	tokens_free(w.t);
	CHECK_EQ(open_tokens(&w), 0);
	CHECK_STR(ask(&w, NULL), "access-1");
	end(&w);
}

static void test_no_new_refresh_token(void)
{
	struct world w;

	begin_signed_in(&w, NULL, HOUR_S);
	signin_say_token(w.s, -1, HOUR_S);
	CHECK_STR(ask(&w, "access-0"), "access-lone");
	CHECK_STR(stored(&w, "refresh"), "refresh-0");
	CHECK_STR(stored(&w, "access"), "access-lone");
	end(&w);
}

static void test_early_refresh(void)
{
	struct world w;

	begin_signed_in(&w, NULL, HOUR_S);
	signin_say_token(w.s, 1, HOUR_S);
	pass_s(56 * 60);
	CHECK_EQ(signin_requests(w.s), 0); /* nobody asked */
	CHECK_STR(ask(&w, NULL), "access-0");
	until(given_is_1, &w);
	CHECK_STR(stored(&w, "refresh"), "refresh-1");
	CHECK_EQ(signin_requests(w.s), 1);
	end(&w);
}

/* Refresh tokens die after 90 days without use. */
static void test_weekly_refresh_while_idle(void)
{
	struct world w;

	begin_signed_in(&w, NULL, HOUR_S);
	signin_say_token(w.s, 1, HOUR_S);
	signin_say_token(w.s, 2, HOUR_S);
	pass_s(6 * DAY_S);
	tokens_kick(w.t); /* stands for the thread's hourly look */
	pass_s(2 * DAY_S);
	tokens_kick(w.t);
	until(stored_is_1, &w);
	pass_s(8 * DAY_S);
	tokens_kick(w.t);
	until(stored_is_2, &w);
	CHECK_EQ(signin_requests(w.s), 2);
	end(&w);
}

/* ---- tests: clocks ------------------------------------------------------- */

static void test_after_a_long_sleep(void)
{
	struct world w;

	begin_signed_in(&w, NULL, HOUR_S);
	signin_say_token(w.s, 1, HOUR_S);
	pass_s(DAY_S);
	CHECK_STR(ask(&w, NULL), "access-1");
	CHECK_EQ(signin_requests(w.s), 1);
	end(&w);
}

/* faults 76, 77 */
static void test_clock_jumps(void)
{
	struct world w;

	begin_signed_in(&w, NULL, HOUR_S);
	signin_say_token(w.s, 1, HOUR_S);
	signin_say_token(w.s, 2, HOUR_S);
	jump_s(-YEAR_S);
	CHECK_STR(ask(&w, NULL), "access-0");
	CHECK_EQ(signin_requests(w.s), 0);
	jump_s(2 * YEAR_S);
	CHECK_STR(ask(&w, NULL), "access-0"); /* and one refresh beside it */
	until(given_is_1, &w);
	for (int i = 0; i < 50; i++)
		CHECK_STR(ask(&w, NULL), "access-1");
	jump_s(-YEAR_S);
	for (int i = 0; i < 50; i++)
		CHECK_STR(ask(&w, NULL), "access-1");
	CHECK_EQ(signin_requests(w.s), 1);
	end(&w);
}

/* The program starts with a clock that is wrong. */
static void test_start_with_a_wrong_clock(void)
{
	static const int64_t wrong[] = { -YEAR_S, YEAR_S };

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct world w;

		check_row("%" PRId64, wrong[i]);
		begin(&w, NULL);
		put_blob(&w, "access-0", "refresh-0", HOUR_S, "");
		jump_s(wrong[i]);
		signin_say_token(w.s, 1, HOUR_S);
		CHECK_EQ(open_tokens(&w), 0);
		CHECK_STR(ask(&w, NULL), "access-1");
		CHECK_STR(ask(&w, NULL), "access-1");
		CHECK_EQ(signin_requests(w.s), 1);
		end(&w);
		jump_s(-wrong[i]);
	}
}

/* Graph refuses whatever the sign-in service gives out. */
static void test_useless_tokens_are_not_asked_for_in_a_loop(void)
{
	char stale[64] = "access-0";
	struct world w;
	const char *now;

	begin_signed_in(&w, NULL, HOUR_S);
	for (int i = 1; i < 20; i++)
		signin_say_token(w.s, i, HOUR_S);
	for (int i = 0; i < 1000; i++) {
		now = ask(&w, stale);
		if (now[0] != '-')
			strcpy(stale, now);
	}
	/* Gaps of 0, 1, 2, 4 s: then askers are turned away. */
	CHECK(signin_requests(w.s) <= 5);
	CHECK_STR(ask(&w, stale), "-ENETUNREACH");
	pass_s(60);
	CHECK(strcmp(ask(&w, stale), "-ENETUNREACH") != 0);
	end(&w);
}

/* ---- tests: trouble ------------------------------------------------------ */

static void test_offline(void)
{
	struct world w;
	unsigned n;

	begin_signed_in(&w, NULL, 0);
	signin_say(w.s, 0, NULL, "");
	CHECK_STR(ask(&w, NULL), "-ENETUNREACH");
	n = signin_requests(w.s);
	for (int i = 0; i < 100; i++)
		CHECK_STR(ask(&w, NULL), "-ENETUNREACH");
	CHECK_EQ(signin_requests(w.s), n); /* not hammered */
	CHECK(tokens_signed_in(w.t));
	CHECK_STR(stored(&w, "refresh"), "refresh-0");
	CHECK_EQ(atomic_load(&w.changes), 0);

	signin_say(w.s, 503, NULL, "<html>");
	pass_s(10);
	CHECK_STR(ask(&w, NULL), "-ENETUNREACH");
	CHECK(signin_requests(w.s) > n);

	signin_say_token(w.s, 1, HOUR_S);
	CHECK_STR(ask(&w, NULL), "-ENETUNREACH");
	tokens_kick(w.t);
	CHECK_STR(ask(&w, NULL), "access-1");
	end(&w);
}

static void test_offline_while_the_token_is_good(void)
{
	struct world w;

	begin_signed_in(&w, NULL, HOUR_S);
	signin_say(w.s, 503, NULL, "");
	pass_s(56 * 60);
	CHECK_STR(ask(&w, NULL), "access-0");
	signin_wait_requests(w.s, 1);
	for (int i = 0; i < 100; i++)
		CHECK_STR(ask(&w, NULL), "access-0");
	CHECK_EQ(signin_requests(w.s), 1);
	end(&w);
}

static void test_retry_after(void)
{
	struct world w;

	begin_signed_in(&w, NULL, 0);
	signin_say(w.s, 429, "Retry-After: 300\r\n",
	           "{\"error\":\"temporarily_unavailable\"}");
	signin_say_token(w.s, 1, HOUR_S);
	CHECK_STR(ask(&w, NULL), "-ENETUNREACH");
	tokens_kick(w.t);
	pass_s(290);
	CHECK_STR(ask(&w, NULL), "-ENETUNREACH");
	CHECK_EQ(signin_requests(w.s), 1);
	pass_s(11);
	CHECK_STR(ask(&w, NULL), "access-1");
	end(&w);
}

/* faults 47 */
static void test_refused(void)
{
	char trouble[512];
	struct world w;

	begin_signed_in(&w, NULL, 0);
	signin_say(w.s, 400, NULL,
	           "{\"error\":\"invalid_grant\",\"suberror\":\"bad_token\","
	           "\"error_codes\":[700082]}");
	CHECK_STR(ask(&w, NULL), "-EACCES");
	CHECK(!tokens_signed_in(w.t));
	until(changed_once, &w);
	tokens_get_trouble(w.t, trouble, sizeof(trouble));
	CHECK(strstr(trouble, "nmbackupfs auth") != NULL);
	CHECK_STR(stored(&w, "refresh"), "refresh-0"); /* kept */
	for (int i = 0; i < 20; i++) {
		pass_s(5);
		CHECK_STR(ask(&w, NULL), "-EACCES");
	}
	CHECK_EQ(signin_requests(w.s), 1);

	/* `nmbackupfs auth` in another terminal. */
	put_blob(&w, "access-5", "refresh-5", HOUR_S, "drive-1");
	pass_s(2);
	CHECK_STR(ask(&w, NULL), "access-5");
	until(changed_twice, &w);
	tokens_get_trouble(w.t, trouble, sizeof(trouble));
	CHECK_STR(trouble, "");
	end(&w);
}

/* Nobody asks, and still the sign-in is noticed. */
static void test_sign_in_elsewhere_is_noticed(void)
{
	struct world w;

	begin(&w, NULL);
	CHECK_EQ(open_tokens(&w), -ENOENT);
	CHECK(strstr(w.why, "nmbackupfs auth") != NULL);
	CHECK_STR(ask(&w, NULL), "-EACCES");
	put_blob(&w, "access-5", "refresh-5", HOUR_S, "");
	pass_s(20);
	tokens_kick(w.t);
	until(is_signed_in, &w);
	CHECK_STR(ask(&w, NULL), "access-5");
	CHECK_EQ(signin_requests(w.s), 0);
	end(&w);
}

/* A restart forgets that the token was refused: policies change. */
static void test_refused_token_is_tried_after_a_restart(void)
{
	struct world w;

	begin_signed_in(&w, NULL, 0);
	signin_say(w.s, 400, NULL, "{\"error\":\"interaction_required\"}");
	CHECK_STR(ask(&w, NULL), "-EACCES");
	tokens_free(w.t);
	signin_say_token(w.s, 1, HOUR_S);
	CHECK_EQ(open_tokens(&w), 0);
	CHECK_STR(ask(&w, NULL), "access-1");
	end(&w);
}

static void test_another_program_was_quicker(void)
{
	struct world w;

	begin_signed_in(&w, NULL, 0);
	put_blob(&w, "access-5", "refresh-5", HOUR_S, "drive-1");
	CHECK_STR(ask(&w, NULL), "access-5");
	CHECK_EQ(signin_requests(w.s), 0);

	/* It rotated the token, but too long ago: refresh from the new one. */
	put_blob(&w, "access-6", "refresh-6", 0, "drive-1");
	signin_say_token(w.s, 1, HOUR_S);
	CHECK_STR(ask(&w, "access-5"), "access-1");
	CHECK(strstr(signin_form(w.s, 0), "refresh_token=refresh-6") != NULL);
	end(&w);
}

/* It wrote the blob, but the token in it is the one that Graph refused. */
static void test_another_program_has_no_better_token(void)
{
	struct world w;

	begin_signed_in(&w, NULL, HOUR_S);
	signin_say_token(w.s, 1, HOUR_S);
	put_blob(&w, "access-0", "refresh-9", 2 * HOUR_S, "drive-1");
	CHECK_STR(ask(&w, "access-0"), "access-1");
	CHECK(strstr(signin_form(w.s, 0), "refresh_token=refresh-9") != NULL);
	end(&w);
}

/* The service refuses a token that was replaced while the request was out. */
static void test_refusal_of_an_old_token(void)
{
	struct world w;
	struct got g;

	begin_signed_in(&w, NULL, 0);
	signin_hold(w.s, true);
	signin_say(w.s, 400, NULL, "{\"error\":\"invalid_grant\"}");
	got_init(&g, NULL);
	tokens_get(w.t, NULL, on_got, &g);
	signin_wait_requests(w.s, 1);
	put_blob(&w, "access-5", "refresh-5", HOUR_S, "drive-1");
	signin_hold(w.s, false);
	CHECK_EQ(got_wait(&g), 0);
	CHECK_STR(g.bearer, "access-5");
	CHECK(tokens_signed_in(w.t));
	end(&w);
}

/* `nmbackupfs logout` while a refresh is out: it stays logged out. */
static void test_logout_elsewhere(void)
{
	struct world w;
	struct got g;

	begin_signed_in(&w, NULL, 0);
	signin_hold(w.s, true);
	signin_say_token(w.s, 1, HOUR_S);
	got_init(&g, NULL);
	tokens_get(w.t, NULL, on_got, &g);
	signin_wait_requests(w.s, 1);
	CHECK_EQ(keystore_delete(w.k, "token"), 0);
	signin_hold(w.s, false);
	CHECK_EQ(got_wait(&g), -EACCES);
	CHECK_STR(stored(&w, "refresh"), "(none)");
	CHECK(!tokens_signed_in(w.t));
	end(&w);
}

/* A new sign-in here while a refresh of the old one is out. */
static void test_set_during_a_refresh(void)
{
	struct oauth_token token = { .expires_in_s = HOUR_S };
	struct world w;
	struct got g;

	begin_signed_in(&w, NULL, 0);
	token.access = strdup("access-7");
	token.refresh = strdup("refresh-7");
	signin_hold(w.s, true);
	signin_say_token(w.s, 1, HOUR_S);
	got_init(&g, NULL);
	tokens_get(w.t, NULL, on_got, &g);
	signin_wait_requests(w.s, 1);
	CHECK_EQ(tokens_set(w.t, &token), 0);
	CHECK_STR(ask(&w, NULL), "access-7");
	signin_hold(w.s, false);
	CHECK_EQ(got_wait(&g), 0);
	CHECK_STR(g.bearer, "access-7");
	CHECK_STR(stored(&w, "refresh"), "refresh-7");
	free(token.access);
	free(token.refresh);
	end(&w);
}

static void test_free_during_a_refresh(void)
{
	struct world w;
	struct got g;

	begin_signed_in(&w, NULL, 0);
	signin_hold(w.s, true);
	got_init(&g, NULL);
	tokens_get(w.t, NULL, on_got, &g);
	signin_wait_requests(w.s, 1);
	tokens_stop(w.t);
	CHECK_EQ(g.count, 1);
	CHECK_EQ(g.rc, -ECANCELED);
	CHECK_STR(ask(&w, NULL), "-ECANCELED");
	tokens_free(w.t);
	w.t = NULL;
	end(&w);
}

static void *release_later(void *arg)
{
	struct timespec pause = { 0, 2000000 };
	struct world *w = arg;
	static struct got g; /* outlives this thread's stay */

	/* Kept waiting until tokens_stop() has begun, then turned away. */
	got_init(&g, NULL);
	for (int i = 0; i < 10000 && !g.count; i++) {
		tokens_get(w->t, NULL, on_got, &g);
		nanosleep(&pause, NULL);
	}
	signin_hold(w->s, false);
	CHECK_EQ(got_wait(&g), -ECANCELED);
	return NULL;
}

/* The answer to a refresh that was out is not thrown away. */
static void test_stop_keeps_what_was_rotated(void)
{
	pthread_t thread;
	struct world w;
	struct got g;

	begin_signed_in(&w, NULL, 0);
	signin_hold(w.s, true);
	signin_say_token(w.s, 1, HOUR_S);
	got_init(&g, NULL);
	tokens_get(w.t, NULL, on_got, &g);
	signin_wait_requests(w.s, 1);
	CHECK_EQ(pthread_create(&thread, NULL, release_later, &w), 0);
	tokens_stop(w.t);
	pthread_join(thread, NULL);
	CHECK_STR(stored(&w, "refresh"), "refresh-1");
	CHECK_EQ(g.count, 1);
	end(&w);
}

/* ---- tests: the blob ----------------------------------------------------- */

/* fault 49 */
static void test_blobs_not_to_be_used(void)
{
	static const struct {
		const char *what, *text;
		mode_t mode;
		int rc;
		const char *says;
	} cases[] = {
		{ "damaged", "{\"v\":1,\"client_", 0600, -EBADMSG, "damaged" },
		{ "empty", "", 0600, -EBADMSG, "damaged" },
		{ "newer", "{\"v\":9}", 0600, -ENOTSUP, "newer" },
		{ "world-readable", "{\"v\":1}", 0644, -EPERM,
		  "open to other users" },
		{ "elsewhere",
		  "{\"v\":1,\"client_id\":\"app\",\"tenant\":\"consumers\","
		  "\"login_url\":\"https://login.microsoftonline.com\","
		  "\"graph_url\":\"https://graph.microsoft.com/v1.0\","
		  "\"refresh_token\":\"refresh-0\"}",
		  0600, -ENOENT, "signed in at https://login.microsoft" },
		{ "half elsewhere",
		  "{\"v\":1,\"client_id\":\"app\",\"tenant\":\"consumers\","
		  "\"login_url\":\"http://127.0.0.1:1\","
		  "\"graph_url\":\"https://graph.microsoft.com/v1.0\","
		  "\"refresh_token\":\"refresh-0\"}",
		  0600, -ENOENT, "signed in at" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char path[128], trouble[512];
		struct stat st;
		struct world w;

		check_row("%s", cases[i].what);
		begin(&w, NULL);
		CHECK_EQ(keystore_put(w.k, "token", cases[i].text,
		                      strlen(cases[i].text)),
		         0);
		snprintf(path, sizeof(path), "%s/token", w.dir);
		CHECK_EQ(chmod(path, cases[i].mode), 0);
		CHECK_EQ(open_tokens(&w), cases[i].rc);
		CHECK(strstr(w.why, cases[i].says) != NULL);
		CHECK(!strstr(w.why, "refresh-"));
		CHECK_STR(ask(&w, NULL), "-EACCES");
		tokens_get_trouble(w.t, trouble, sizeof(trouble));
		CHECK_STR(trouble, w.why);
		CHECK_EQ(signin_requests(w.s), 0);
		CHECK_EQ(stat(path, &st), 0); /* untouched */
		CHECK_EQ(st.st_size, strlen(cases[i].text));
		CHECK_EQ(st.st_mode & 0777, cases[i].mode);
		end(&w);
	}
}

/* On this machine a test server may come back on another port. */
static void test_loopback_port_may_change(void)
{
	struct signin *other = signin_start();
	struct world w;

	begin(&w, NULL);
	put_blob(&w, "access-0", "refresh-0", 0, "");
	signin_cloud(other, NULL, &w.cloud);
	signin_say_token(other, 1, HOUR_S);
	CHECK_EQ(open_tokens(&w), 0);
	CHECK_STR(ask(&w, NULL), "access-1");
	CHECK_EQ(signin_requests(other), 1);
	end(&w);
	signin_stop(other);
}

/* faults 50 */
static void test_another_account(void)
{
	char trouble[512], drive[64];
	struct world w;

	begin_signed_in(&w, NULL, 0);
	put_blob(&w, "access-5", "refresh-5", HOUR_S, "drive-2");
	CHECK_STR(ask(&w, NULL), "-EACCES");
	CHECK(!tokens_signed_in(w.t));
	tokens_get_trouble(w.t, trouble, sizeof(trouble));
	CHECK(strstr(trouble, "another account") != NULL);
	tokens_get_drive(w.t, drive, sizeof(drive));
	CHECK_STR(drive, "drive-1");
	CHECK_EQ(tokens_set_drive(w.t, "drive-2"), -EXDEV);
	CHECK_STR(stored(&w, "refresh"), "refresh-5");

	put_blob(&w, "access-6", "refresh-6", HOUR_S, "drive-1");
	pass_s(2);
	CHECK_STR(ask(&w, NULL), "access-6");
	end(&w);
}

static void test_drive_is_remembered(void)
{
	struct world w;
	char drive[64];

	begin(&w, NULL);
	put_blob(&w, "access-0", "refresh-0", HOUR_S, "");
	CHECK_EQ(open_tokens(&w), 0);
	CHECK_EQ(tokens_set_drive(w.t, "drive-1"), 0);
	CHECK_EQ(tokens_set_drive(w.t, "drive-1"), 0);
	CHECK_EQ(tokens_set_drive(w.t, "drive-2"), -EXDEV);
	CHECK_STR(stored(&w, "drive"), "drive-1");
	CHECK_STR(stored(&w, "access"), "access-0");
	tokens_get_drive(w.t, drive, sizeof(drive));
	CHECK_STR(drive, "drive-1");
	end(&w);
}

static void test_set_and_forget(void)
{
	struct oauth_token token = { .expires_in_s = HOUR_S };
	struct tokens_account account = { .client_id = "imported",
		                          .tenant = "contoso.example",
		                          .drive_id = "drive-9" };
	struct world w;
	char drive[64];

	begin(&w, NULL);
	token.access = strdup("access-7");
	token.refresh = strdup("refresh-7");
	CHECK_EQ(open_tokens(&w), -ENOENT);
	CHECK_EQ(tokens_set_account(w.t, &token, &account), 0);
	CHECK_EQ(atomic_load(&w.changes), 1);
	CHECK_STR(ask(&w, NULL), "access-7");
	CHECK_STR(stored(&w, "refresh"), "refresh-7");
	tokens_get_drive(w.t, drive, sizeof(drive));
	CHECK_STR(drive, "drive-9");

	/* The imported client and tenant go on. */
	signin_say_token(w.s, 8, HOUR_S);
	CHECK_STR(ask(&w, "access-7"), "access-8");
	CHECK_STR(signin_path(w.s, 0), "/contoso.example/oauth2/v2.0/token");
	CHECK(strstr(signin_form(w.s, 0), "client_id=imported&") != NULL);
	CHECK_STR(stored(&w, "drive"), "drive-9");

	CHECK_EQ(tokens_forget(w.t), 0);
	CHECK_EQ(tokens_forget(w.t), 0);
	CHECK_EQ(atomic_load(&w.changes), 2);
	CHECK_STR(stored(&w, "refresh"), "(none)");
	CHECK_STR(ask(&w, NULL), "-EACCES");
	free(token.access);
	free(token.refresh);
	end(&w);
}

/* Only a refresh token, as an import has it. */
static void test_set_without_access_token(void)
{
	struct oauth_token token = { 0 };
	struct world w;

	begin(&w, NULL);
	token.refresh = strdup("refresh-7");
	CHECK_EQ(open_tokens(&w), -ENOENT);
	CHECK_EQ(tokens_set(w.t, &token), 0);
	signin_say_token(w.s, 8, HOUR_S);
	CHECK_STR(ask(&w, NULL), "access-8");
	free(token.refresh);
	end(&w);
}

/* A sign-in without offline_access ends with its access token, not before. */
static void test_without_refresh_token(void)
{
	struct oauth_token token = { .expires_in_s = HOUR_S };
	struct world w;

	begin(&w, NULL);
	token.access = strdup("access-7");
	CHECK_EQ(open_tokens(&w), -ENOENT);
	CHECK_EQ(tokens_set(w.t, &token), 0);
	pass_s(58 * 60);
	CHECK_STR(ask(&w, NULL), "access-7");
	CHECK(tokens_signed_in(w.t));
	pass_s(3 * 60);
	CHECK_STR(ask(&w, NULL), "-EACCES");
	CHECK(!tokens_signed_in(w.t));
	CHECK_EQ(signin_requests(w.s), 0);
	free(token.access);
	end(&w);
}

/* A disk that can't be written: work goes on, the write is tried again. */
static void test_keystore_fails(void)
{
	char away[128];
	struct world w;

	begin_signed_in(&w, NULL, 0);
	signin_say_token(w.s, 1, HOUR_S);
	signin_hold(w.s, true);
	signin_say_token(w.s, 2, HOUR_S);
	snprintf(away, sizeof(away), "%s/.new", w.dir);
	CHECK_EQ(mkdir(away, 0700), 0); /* put fails with -EISDIR */
	signin_hold(w.s, false);
	CHECK_STR(ask(&w, NULL), "access-1");
	CHECK_STR(stored(&w, "refresh"), "refresh-0");
	CHECK_EQ(rmdir(away), 0);
	pass_s(61);
	tokens_kick(w.t);
	until(stored_is_1, &w);
	CHECK_EQ(signin_requests(w.s), 1);
	end(&w);
}

/* A sign-in that can't be kept is no sign-in. */
static void test_set_must_be_durable(void)
{
	struct oauth_token token = { .expires_in_s = HOUR_S };
	char away[128];
	struct world w;

	begin_signed_in(&w, NULL, HOUR_S);
	token.access = strdup("access-7");
	token.refresh = strdup("refresh-7");
	snprintf(away, sizeof(away), "%s/.new", w.dir);
	CHECK_EQ(mkdir(away, 0700), 0);
	CHECK_EQ(tokens_set(w.t, &token), -EISDIR);
	CHECK_STR(ask(&w, NULL), "access-0");
	CHECK_STR(stored(&w, "refresh"), "refresh-0");
	free(token.access);
	free(token.refresh);
	end(&w);
}

/* facts 1.2: personal accounts that came through /common go on through
 * /consumers. client_info is {"uid":"x","utid":"9188040d-..."}. */
static void test_personal_account_through_common(void)
{
	struct world w;

	begin_signed_in(&w, "common", 0);
	signin_say(w.s, 200, NULL,
	           "{\"access_token\":\"access-1\",\"refresh_token\":"
	           "\"refresh-1\",\"expires_in\":3600,\"client_info\":"
	           "\"eyJ1aWQiOiJ4IiwidXRpZCI6IjkxODgwNDBkLTZjNjctNGM1Yi1iMTEy"
	           "LTM2YTMwNGI2NmRhZCJ9\"}");
	signin_say_token(w.s, 2, HOUR_S);
	CHECK_STR(ask(&w, NULL), "access-1");
	CHECK_STR(signin_path(w.s, 0), "/common/oauth2/v2.0/token");
	CHECK(strstr(signin_form(w.s, 0), "client_info=1") != NULL);
	CHECK_STR(stored(&w, "tenant"), "consumers");
	CHECK_STR(ask(&w, "access-1"), "access-2");
	CHECK_STR(signin_path(w.s, 1), "/consumers/oauth2/v2.0/token");
	CHECK(!strstr(signin_form(w.s, 1), "client_info"));
	end(&w);
}

static void test_no_memory(void)
{
	struct world w;

	begin(&w, NULL);
	put_blob(&w, "access-0", "refresh-0", HOUR_S, "drive-1");
	for (unsigned n = 1; alloc_fail_at(n); n++) {
		int rc = open_tokens(&w);

		check_row("allocation %u", n);
		CHECK(rc == 0 || rc == -ENOMEM || rc == -EBADMSG);
		if (rc == 0) {
			struct got g;

			got_init(&g, NULL);
			tokens_get(w.t, NULL, on_got, &g);
			CHECK_EQ(got_wait(&g), 0);
		}
		tokens_free(w.t);
		w.t = NULL;
	}
	alloc_fail_off();
	end(&w);
}

static void test_log_holds_no_secret(void)
{
	CHECK(atomic_load(&log_lines) > 10);
	CHECK_EQ(atomic_load(&log_secrets), 0);
}

int main(void)
{
	log_set_level(LOG_LEVEL_DEBUG);
	log_set_sink(watch_log, NULL);
	RUN(test_cached);
	RUN(test_single_flight);
	RUN(test_rotation_is_durable_first);
	RUN(test_no_new_refresh_token);
	RUN(test_early_refresh);
	RUN(test_weekly_refresh_while_idle);
	RUN(test_after_a_long_sleep);
	RUN(test_clock_jumps);
	RUN(test_start_with_a_wrong_clock);
	RUN(test_useless_tokens_are_not_asked_for_in_a_loop);
	RUN(test_offline);
	RUN(test_offline_while_the_token_is_good);
	RUN(test_retry_after);
	RUN(test_refused);
	RUN(test_sign_in_elsewhere_is_noticed);
	RUN(test_refused_token_is_tried_after_a_restart);
	RUN(test_another_program_was_quicker);
	RUN(test_another_program_has_no_better_token);
	RUN(test_refusal_of_an_old_token);
	RUN(test_logout_elsewhere);
	RUN(test_set_during_a_refresh);
	RUN(test_free_during_a_refresh);
	RUN(test_stop_keeps_what_was_rotated);
	RUN(test_blobs_not_to_be_used);
	RUN(test_loopback_port_may_change);
	RUN(test_another_account);
	RUN(test_drive_is_remembered);
	RUN(test_set_and_forget);
	RUN(test_set_without_access_token);
	RUN(test_without_refresh_token);
	RUN(test_keystore_fails);
	RUN(test_set_must_be_durable);
	RUN(test_personal_account_through_common);
	RUN(test_no_memory);
	RUN(test_log_holds_no_secret);
	return check_report();
}
