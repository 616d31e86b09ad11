/* Sessions, and signing in through them, against a scripted service. */
#include "fs/account.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>

#include "auth/keystore.h"
#include "auth/token_blob.h"
#include "auth/tokens.h"
#include "fs/db.h"
#include "fs/exit.h"
#include "fs/session.h"
#include "fs/store.h"
#include "net/clock.h"
#include "net/graph.h"
#include "net/log.h"
#include "tests/unit/check.h"
#include "tests/unit/signin_fixture.h"

#define DEVICE                                                                 \
	"{\"user_code\":\"KQ7MDX3FP\",\"device_code\":\"dev\","                \
	"\"verification_uri\":\"https://a.example/d\",\"expires_in\":60,"      \
	"\"interval\":1,\"message\":\"Open it and type KQ7MDX3FP.\"}"
#define DRIVE(id)                                                              \
	"{\"id\":\"" id "\",\"driveType\":\"personal\",\"owner\":{\"user\":{"  \
	"\"displayName\":\"Ann\"}}}"

/* These stand in for the C library's: sleeping takes a twentieth of the time,
 * and the machine's own clock (CLOCK_BOOTTIME) does as if it took all. */
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
	int64_t ns = clock_timespec_to_ns(*ts);
	struct timespec part = clock_ns_to_timespec(ns / 20);

	atomic_fetch_add(&skew_ns, ns - ns / 20);
	return (int)syscall(SYS_nanosleep, &part, left);
}

struct world {
	char base[64], keys[96], cache[96];
	struct signin *s;
	struct cloud cloud;
	struct session *session;
	char why[512];
	char told[4096]; /* to standard error, by the last sign-in */
};

static int open_session(struct world *w, unsigned flags)
{
	struct session_options opt = {
		.account = "personal",
		.client_id = "app",
		.login_url = w->cloud.login_url,
		.graph_url = w->cloud.graph_url,
		.keystore = "file",
		.keystore_dir = w->keys,
	};

	return session_open_options(&opt, flags, &w->session, w->why,
	                            sizeof(w->why));
}

static void begin(struct world *w)
{
	*w = (struct world){ .base = "/tmp/nmb-account-XXXXXX" };
	CHECK(mkdtemp(w->base) != NULL);
	snprintf(w->keys, sizeof(w->keys), "%s/keys", w->base);
	snprintf(w->cache, sizeof(w->cache), "%s/cache.json", w->base);
	w->s = signin_start();
	signin_cloud(w->s, NULL, &w->cloud);
	CHECK_EQ(open_session(w, SESSION_ANY), 0);
}

static void end(struct world *w)
{
	char cmd[96];

	session_close(w->session);
	signin_stop(w->s);
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", w->base);
	CHECK_EQ(system(cmd), 0);
}

static bool is_stored(struct world *w)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/token", w->keys);
	return access(path, F_OK) == 0;
}

/* Runs one of the two sign-ins with standard error caught in w->told. */
static int catch (struct world *w, const char *cache, const char *profile_drive)
{
	int old = dup(2), fd, rc;
	ssize_t n;

	fd = open(w->base, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	dup2(fd, 2);
	w->why[0] = '\0';
	rc = cache ? account_import(w->session, cache, profile_drive, w->why,
	                            sizeof(w->why))
	           : account_sign_in(w->session, profile_drive, w->why,
	                             sizeof(w->why));
	dup2(old, 2);
	close(old);
	n = pread(fd, w->told, sizeof(w->told) - 1, 0);
	w->told[n > 0 ? n : 0] = '\0';
	close(fd);
	CHECK(!strstr(w->told, "access-") && !strstr(w->told, "refresh-"));
	CHECK(!strstr(w->why, "access-") && !strstr(w->why, "refresh-"));
	CHECK_EQ(rc < 0, w->why[0] != '\0');
	return rc;
}

/* ---- sessions ------------------------------------------------------------ */

static void test_session_needs_a_sign_in(void)
{
	struct session *unused = NULL;
	struct world w;

	begin(&w);
	CHECK_EQ(w.session->tokens_rc, -ENOENT);
	session_close(w.session);
	w.session = unused;
	CHECK_EQ(open_session(&w, SESSION_SIGNED_IN), -EACCES);
	CHECK(strstr(w.why, "nmbackupfs auth") != NULL);
	CHECK_EQ(session_exit_status(-EACCES), EXIT_SIGN_IN);
	end(&w);
}

static void test_session_with_a_wrong_config(void)
{
	static const struct {
		struct session_options opt;
		int rc;
		const char *says;
	} cases[] = {
		{ { .account = "friend", .keystore_dir = "/x" },
		  -EINVAL,
		  "friend" },
		{ { .login_url = "http://example.com", .keystore_dir = "/x" },
		  -EINVAL,
		  "login_url" },
		{ { .ca_file = "/nowhere.pem", .keystore_dir = "/x" },
		  -EINVAL,
		  "/nowhere.pem" },
		{ { .keystore = "tape", .keystore_dir = "/x" },
		  -EINVAL,
		  "tape" },
		{ { .keystore_dir = "/dev/null/x" }, -ENOTDIR, "/dev/null/x" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct session *s;
		char why[256] = "";

		check_row("%s", cases[i].says);
		CHECK_EQ(session_open_options(&cases[i].opt, SESSION_ANY, &s,
		                              why, sizeof(why)),
		         cases[i].rc);
		CHECK(strstr(why, cases[i].says) != NULL);
	}
}

static void no_done(void *arg, const struct graph_answer *a)
{
	*(int *)arg = a->rc;
}

/* A request waits for a token that doesn't come. */
static void test_session_closes_in_a_refresh(void)
{
	struct oauth_token token = { .refresh = strdup("refresh-0") };
	int rc = 1;
	struct graph_prepared p = {
		.c = { .done = no_done, .arg = &rc, .patience_ms = -1 },
	};
	struct world w;

	begin(&w);
	CHECK_EQ(tokens_set(w.session->tokens, &token), 0);
	signin_hold(w.s, true);
	CHECK_EQ(graph_prepare_get_drive(w.session->graph, &p), 0);
	CHECK_EQ(graph_start(w.session->graph, &p.c), 0);
	signin_wait_requests(w.s, 1);
	session_close(w.session);
	w.session = NULL;
	CHECK_EQ(rc, -ECANCELED);
	graph_prepared_done(&p);
	free(token.refresh);
	end(&w);
}

/* ---- device code --------------------------------------------------------- */

static void test_sign_in(void)
{
	struct world w;
	char drive[64];

	begin(&w);
	signin_say(w.s, 200, NULL, DEVICE);
	signin_say_token(w.s, 1, 3600);
	signin_say_drive(w.s, 200, DRIVE("0aff"));
	CHECK_EQ(catch (&w, NULL, ""), 0);
	CHECK(strstr(w.told, "Open it and type KQ7MDX3FP.\n") != NULL);
	CHECK(strstr(w.told, "Signed in: Ann, personal OneDrive.") != NULL);
	CHECK(strstr(w.told, w.keys) != NULL);
	CHECK(!strchr(w.told, '\033')); /* no terminal, no QR code */
	CHECK(tokens_signed_in(w.session->tokens));
	tokens_get_drive(w.session->tokens, drive, sizeof(drive));
	CHECK_STR(drive, "0aff");

	/* Another run of the program is signed in. */
	session_close(w.session);
	CHECK_EQ(open_session(&w, SESSION_SIGNED_IN), 0);
	end(&w);
}

static void test_sign_in_refused(void)
{
	static const struct {
		const char *body;
		int rc, status;
		const char *says;
	} cases[] = {
		{ "{\"error\":\"authorization_declined\"}", -EACCES,
		  EXIT_SIGN_IN, "declined" },
		{ "{\"error\":\"expired_token\"}", -EACCES, EXIT_SIGN_IN,
		  "expired" },
		{ "{\"error\":\"invalid_client\",\"error_codes\":[7000218]}",
		  -EINVAL, EXIT_USAGE, "public client" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct world w;
		int rc;

		check_row("%s", cases[i].says);
		begin(&w);
		signin_say(w.s, 200, NULL, DEVICE);
		signin_say(w.s, 400, NULL, cases[i].body);
		rc = catch (&w, NULL, "");
		CHECK_EQ(rc, cases[i].rc);
		CHECK_EQ(session_exit_status(rc), cases[i].status);
		CHECK(strstr(w.why, cases[i].says) != NULL);
		CHECK(!is_stored(&w));
		end(&w);
	}
}

static void *interrupt(void *arg)
{
	signin_wait_requests(arg, 1);
	kill(getpid(), SIGINT);
	return NULL;
}

static void test_interrupt(void)
{
	struct world w;
	pthread_t thread;

	begin(&w);
	signin_say(w.s, 200, NULL, DEVICE);
	signin_say(w.s, 400, NULL, "{\"error\":\"authorization_pending\"}");
	CHECK_EQ(pthread_create(&thread, NULL, interrupt, w.s), 0);
	CHECK_EQ(catch (&w, NULL, ""), -ECANCELED);
	pthread_join(thread, NULL);
	CHECK(!is_stored(&w));
	end(&w);
}

/* faults 50; and personal ids are compared as they are meant. */
static void test_whose_account(void)
{
	static const struct {
		const char *profile, *drive;
		int status;
		int rc;
		const char *says;
	} cases[] = {
		{ "", DRIVE("0AFF"), 200, 0, "" },
		{ "0aff", DRIVE("0AFF"), 200, 0, "" },
		{ "aff", DRIVE("0AFF"), 200, 0, "" },
		{ "b!x", DRIVE("0AFF"), 200, -EXDEV,
		  "another account than Ann" },
		{ "", "{}", 200, -EBADMSG, "whose account" },
		{ "", "{\"error\":{\"code\":\"itemNotFound\"}}", 404, -ENOENT,
		  "no OneDrive yet" },
		{ "", "{\"error\":{\"code\":\"accessDenied\"}}", 403, -EACCES,
		  "refuses this account" },
		{ "", "{\"error\":{\"code\":\"unauthenticated\"}}", 401,
		  -EACCES, "refuses this account" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct world w;

		check_row("%s %d %s", cases[i].profile, cases[i].status,
		          cases[i].drive);
		begin(&w);
		signin_say(w.s, 200, NULL, DEVICE);
		signin_say_token(w.s, 1, 3600);
		signin_say_drive(w.s, cases[i].status, cases[i].drive);
		CHECK_EQ(catch (&w, NULL, cases[i].profile), cases[i].rc);
		CHECK(strstr(w.why, cases[i].says) != NULL);
		CHECK_EQ(is_stored(&w), cases[i].rc == 0);
		CHECK_EQ(tokens_signed_in(w.session->tokens), cases[i].rc == 0);
		end(&w);
	}
}

static void test_without_the_permission(void)
{
	struct world w;

	begin(&w);
	signin_say(w.s, 200, NULL, DEVICE);
	signin_say(w.s, 200, NULL,
	           "{\"access_token\":\"access-1\",\"scope\":\"User.Read\"}");
	CHECK_EQ(catch (&w, NULL, ""), -EINVAL);
	CHECK(strstr(w.why, "Files.ReadWrite") != NULL);
	CHECK_EQ(signin_gets(w.s), 0);
	CHECK(!is_stored(&w));
	end(&w);
}

/* ---- import -------------------------------------------------------------- */

static void write_cache(struct world *w, const char *text)
{
	FILE *f = fopen(w->cache, "w");

	if (!f)
		abort();
	CHECK(fputs(text, f) >= 0);
	fclose(f);
}

#define CACHE                                                                  \
	"{\"RefreshToken\":{\"k\":{\"secret\":\"refresh-0\","                  \
	"\"home_account_id\":\"u." CLOUD_MSA_TENANT "\",\"environment\":"      \
	"\"127.0.0.1\",\"client_id\":\"theirs\",\"target\":"                   \
	"\"Files.ReadWrite\",\"last_modification_time\":\"1\"}}}"

static void test_import(void)
{
	struct world w;

	begin(&w);
	write_cache(&w, CACHE);
	signin_say_token(w.s, 1, 3600);
	signin_say_drive(w.s, 200, DRIVE("0aff"));
	CHECK_EQ(catch (&w, w.cache, ""), 0);
	CHECK(strstr(signin_form(w.s, 0), "client_id=theirs&") != NULL);
	CHECK(strstr(signin_form(w.s, 0), "refresh_token=refresh-0") != NULL);
	CHECK(strstr(w.told, "Signed in: Ann") != NULL);
	CHECK(is_stored(&w));
	end(&w);
}

static void test_import_refused(void)
{
	struct world w;

	begin(&w);
	CHECK_EQ(catch (&w, "/nowhere", ""), -EINVAL);
	CHECK(strstr(w.why, "can't read /nowhere") != NULL);
	write_cache(&w, "\x01\x02");
	CHECK_EQ(catch (&w, w.cache, ""), -EINVAL);
	CHECK(strstr(w.why, "MSAL") != NULL);
	write_cache(&w, "{}");
	CHECK_EQ(catch (&w, w.cache, ""), -EINVAL);
	CHECK_EQ(catch (&w, w.base, ""), -EINVAL); /* a directory */
	CHECK_EQ(signin_requests(w.s), 0);

	write_cache(&w, CACHE);
	signin_say(w.s, 400, NULL, "{\"error\":\"invalid_grant\"}");
	CHECK_EQ(catch (&w, w.cache, ""), -EACCES);
	signin_say_token(w.s, 1, 3600);
	signin_say_drive(w.s, 200, DRIVE("0aff"));
	CHECK_EQ(catch (&w, w.cache, "0bff"), -EXDEV);
	CHECK(!is_stored(&w));
	end(&w);
}

/* ---- profiles ------------------------------------------------------------ */

static void test_profile_drive(void)
{
	char drive[64], path[128];
	struct store_found found;
	struct store *store;
	struct world w;
	struct db *db;

	begin(&w);
	CHECK_EQ(account_profile_drive(w.base, drive, sizeof(drive)), 0);
	CHECK_STR(drive, "");
	CHECK_EQ(store_open(w.base, &store, &found), 0);
	CHECK_EQ(account_profile_drive(w.base, drive, sizeof(drive)), 0);
	CHECK_STR(drive, "");
	CHECK_EQ(store_begin(store, &db), 0);
	CHECK_EQ(store_set_text(db, "drive_id", "0aff"), 0);
	CHECK_EQ(store_commit(store), 0);
	CHECK_EQ(account_profile_drive(w.base, drive, sizeof(drive)), 0);
	CHECK_STR(drive, "0aff"); /* while a mount runs */
	store_close(store, true);
	CHECK_EQ(account_profile_drive(w.base, drive, sizeof(drive)), 0);
	CHECK_STR(drive, "0aff");
	snprintf(path, sizeof(path), "%s/state.db", w.base);
	CHECK_EQ(truncate(path, 100), 0);
	CHECK_EQ(account_profile_drive(w.base, drive, sizeof(drive)), -EUCLEAN);
	end(&w);
}

static void no_log(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	(void)line;
}

int main(void)
{
	log_set_sink(no_log, NULL);
	RUN(test_session_needs_a_sign_in);
	RUN(test_session_with_a_wrong_config);
	RUN(test_session_closes_in_a_refresh);
	RUN(test_sign_in);
	RUN(test_sign_in_refused);
	RUN(test_interrupt);
	RUN(test_whose_account);
	RUN(test_without_the_permission);
	RUN(test_import);
	RUN(test_import_refused);
	RUN(test_profile_drive);
	return check_report();
}
