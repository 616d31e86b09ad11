#include "fs/account.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "auth/keystore.h"
#include "auth/msal.h"
#include "auth/oauth.h"
#include "auth/tokens.h"
#include "fs/qr.h"
#include "fs/session.h"
#include "net/clock.h"
#include "net/graph.h"
#include "net/json.h"
#include "net/log.h"

#define GRAPH_PATIENCE_MS 60000
#define CACHE_MAX         (4 * 1024 * 1024)

/* ---- Ctrl-C -------------------------------------------------------------- */

static volatile sig_atomic_t interrupted;

static void on_signal(int signo)
{
	(void)signo;
	interrupted = 1;
}

static bool is_interrupted(void *arg)
{
	(void)arg;
	return interrupted;
}

struct signals {
	struct sigaction old_int, old_term;
};

static void catch_signals(struct signals *s)
{
	struct sigaction sa = { .sa_handler = on_signal };

	interrupted = 0;
	sigaction(SIGINT, &sa, &s->old_int);
	sigaction(SIGTERM, &sa, &s->old_term);
}

static void release_signals(const struct signals *s)
{
	sigaction(SIGINT, &s->old_int, NULL);
	sigaction(SIGTERM, &s->old_term, NULL);
}

/* ---- whose account is it? ------------------------------------------------ */

struct drive {
	char id[ACCOUNT_DRIVE_MAX + 1];
	char owner[128]; /* "" if the service doesn't say */
	char type[32];   /* "personal", "business", ... */
};

/* graph_token_fn for one token that isn't stored yet. */
static void give_bearer(void *bearer, const char *stale,
                        graph_got_token_fn *got, void *arg)
{
	if (stale)
		got(arg, -EACCES, NULL);
	else
		got(arg, 0, bearer);
}

static int read_drive(const cJSON *json, struct drive *out)
{
	struct graph_drive d;
	const char *owner;
	int rc;

	rc = graph_parse_drive(json, &d);
	if (rc < 0)
		return rc;
	if (!d.id || !*d.id || strlen(d.id) > ACCOUNT_DRIVE_MAX)
		return -EBADMSG;
	strcpy(out->id, d.id);
	log_sanitize(d.type ? d.type : "", out->type, sizeof(out->type));
	owner = json_str(json_obj(json_obj(json, "owner"), "user"),
	                 "displayName");
	log_sanitize(owner ? owner : "", out->owner, sizeof(out->owner));
	return 0;
}

static int get_drive(struct graph *g, struct drive *out)
{
	struct graph_prepared p = {
		.c = { .prio = HTTP_PRIO_USER,
		       .patience_ms = GRAPH_PATIENCE_MS },
	};
	struct graph_result r;
	int rc;

	rc = graph_prepare_get_drive(g, &p);
	if (rc < 0)
		return rc;
	rc = graph_wait(g, &p.c, &r);
	if (rc == 0)
		rc = read_drive(r.json, out);
	graph_result_done(&r);
	graph_prepared_done(&p);
	return rc;
}

static int look_up(struct session *s, char *bearer, struct drive *out,
                   char *why, size_t why_size)
{
	struct graph_options opt = {
		.http = s->http,
		.base_url = s->cloud.graph_url,
		.token = give_bearer,
		.token_arg = bearer,
	};
	struct graph *g;
	int rc;

	rc = graph_new(&opt, &g);
	if (rc == 0) {
		rc = get_drive(g, out);
		graph_free(g);
	}
	if (rc == -ENOENT)
		snprintf(why, why_size,
		         "this account has no OneDrive yet: open it once in a "
		         "web browser, then try again");
	else if (rc == -EACCES)
		snprintf(why, why_size,
		         "the sign-in went well, but OneDrive refuses this "
		         "account (no license, or no permission)");
	else if (rc < 0)
		snprintf(why, why_size,
		         "can't ask OneDrive whose account this is: %s",
		         strerror(-rc));
	return rc;
}

static int check_drive(const struct drive *d, const char *profile_drive,
                       char *why, size_t why_size)
{
	if (!*profile_drive || graph_same_drive(d->id, profile_drive))
		return 0;
	snprintf(why, why_size,
	         "this profile belongs to another account than %s, and its "
	         "files must not be mixed: sign in with the first account, or "
	         "use --profile NAME for this one",
	         d->owner[0] ? d->owner : "this one");
	return -EXDEV;
}

/* ---- the end of every sign-in -------------------------------------------- */

static int check_scope(const struct session *s, const struct oauth_token *t,
                       char *why, size_t why_size)
{
	if (oauth_scope_covers(t->scope, s->cloud.scope))
		return 0;
	snprintf(why, why_size,
	         "the sign-in does not allow to write files: give the app the "
	         "delegated permission Files.ReadWrite in the portal");
	return -EINVAL;
}

static void tell(const struct session *s, const struct oauth_token *t,
                 const struct drive *d)
{
	fprintf(stderr, "Signed in: %s%s%s OneDrive.\n", d->owner,
	        d->owner[0] ? ", " : "",
	        d->type[0] ? d->type : "this account's");
	fprintf(stderr, "The sign-in is kept in %s.\n",
	        keystore_where(s->keystore));
	if (keystore_note(s->keystore)[0])
		fprintf(stderr, "%s\n", keystore_note(s->keystore));
	if (!t->refresh)
		fprintf(stderr,
		        "It ends within hours: the app lacks the permission "
		        "offline_access.\n");
}

static int finish(struct session *s, const struct oauth_token *t,
                  const struct tokens_account *account,
                  const char *profile_drive, char *why, size_t why_size)
{
	struct tokens_account whole;
	struct drive d;
	int rc;

	rc = check_scope(s, t, why, why_size);
	if (rc == 0)
		rc = look_up(s, t->access, &d, why, why_size);
	if (rc == 0)
		rc = check_drive(&d, profile_drive, why, why_size);
	if (rc < 0)
		return rc;
	whole = *account;
	whole.drive_id = d.id;
	rc = tokens_set_account(s->tokens, t, &whole);
	if (rc < 0)
		snprintf(why, why_size, "can't keep the sign-in in %s: %s",
		         keystore_where(s->keystore), strerror(-rc));
	else
		tell(s, t, &d);
	return rc;
}

static int to_errno(const struct oauth_error *err, char *why, size_t why_size)
{
	snprintf(why, why_size, "%s", err->why);
	switch (err->result) {
	case OAUTH_OK:
		return 0;
	case OAUTH_SIGN_IN:
	case OAUTH_DECLINED:
	case OAUTH_EXPIRED:
		return -EACCES;
	case OAUTH_SETUP:
		return -EINVAL;
	case OAUTH_OFFLINE:
		return -ENETUNREACH;
	case OAUTH_CANCELED:
		return -ECANCELED;
	case OAUTH_NO_MEMORY:
		return -ENOMEM;
	}
	return -EIO;
}

/* ---- device code --------------------------------------------------------- */

static int run_device_flow(struct session *s, struct oauth_token *out,
                           char *why, size_t why_size)
{
	struct oauth_device d;
	struct oauth_error err;

	oauth_device_start(s->http, &s->cloud, s->client_id, &d, &err);
	if (err.result != OAUTH_OK)
		return to_errno(&err, why, why_size);
	fprintf(stderr, "%s\n", d.message);
	qr_print(stderr, d.verification_uri);
	fflush(stderr);
	oauth_device_wait(s->http, &s->cloud, s->client_id, &d, is_interrupted,
	                  NULL, out, &err);
	oauth_device_done(&d);
	return to_errno(&err, why, why_size);
}

int account_sign_in(struct session *s, const char *profile_drive, char *why,
                    size_t why_size)
{
	struct tokens_account account = { 0 };
	struct oauth_token t = { 0 };
	struct signals old;
	int rc;

	catch_signals(&old);
	rc = run_device_flow(s, &t, why, why_size);
	release_signals(&old);
	if (rc == 0)
		rc = finish(s, &t, &account, profile_drive, why, why_size);
	oauth_token_done(&t);
	return rc;
}

/* ---- import -------------------------------------------------------------- */

/* Reads to the end of the file. The count or -Exxx. */
static ssize_t read_all(int fd, char *buf, size_t size)
{
	size_t len = 0;
	ssize_t n;

	do {
		n = read(fd, buf + len, size - len);
		if (n < 0 && errno != EINTR)
			return -errno;
		len += n > 0 ? (size_t)n : 0;
	} while (n != 0 && len < size);
	return len < size ? (ssize_t)len : -EFBIG;
}

/* The file holds secrets: no stdio buffer in between. *out_text is freed with
 * sodium_free(). */
static ssize_t read_secret_file(const char *path, char **out_text)
{
	ssize_t len;
	char *text;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	text = sodium_malloc(CACHE_MAX);
	len = text ? read_all(fd, text, CACHE_MAX) : -ENOMEM;
	close(fd);
	*out_text = text;
	return len;
}

static int read_cache(const struct session *s, const char *path,
                      struct msal_found *out, char *why, size_t why_size)
{
	char *text = NULL;
	ssize_t len;
	int rc;

	len = read_secret_file(path, &text);
	if (len < 0) {
		snprintf(why, why_size, "can't read %s: %s", path,
		         strerror((int)-len));
		rc = -EINVAL;
	} else {
		rc = msal_parse(text, (size_t)len, &s->cloud, s->client_id,
		                clock_real_ns() / NS_PER_SEC, out, why,
		                why_size);
	}
	sodium_free(text);
	return rc < 0 && rc != -ENOMEM ? -EINVAL : rc;
}

/* Proves the token, and gives one that the other program doesn't use. */
static int refresh_found(struct session *s, const struct msal_found *f,
                         struct oauth_token *out, char *why, size_t why_size)
{
	struct cloud cloud = s->cloud;
	struct oauth_error err;
	struct signals old;

	strcpy(cloud.tenant, f->tenant);
	strcpy(cloud.scope, f->scope);
	catch_signals(&old);
	oauth_refresh(s->http, &cloud, f->client_id, f->token.refresh,
	              is_interrupted, NULL, out, &err);
	release_signals(&old);
	return to_errno(&err, why, why_size);
}

int account_import(struct session *s, const char *path,
                   const char *profile_drive, char *why, size_t why_size)
{
	struct oauth_token t = { 0 };
	struct msal_found f = { 0 };
	int rc;

	rc = read_cache(s, path, &f, why, why_size);
	if (rc == 0)
		rc = refresh_found(s, &f, &t, why, why_size);
	if (rc == 0) {
		struct tokens_account account = {
			.client_id = f.client_id,
			.tenant = f.tenant,
			.scope = f.scope,
		};

		/* The old one goes on if no new one came (facts 1.5). */
		if (!t.refresh) {
			t.refresh = f.token.refresh;
			f.token.refresh = NULL;
		}
		rc = finish(s, &t, &account, profile_drive, why, why_size);
	}
	oauth_token_done(&t);
	msal_found_done(&f);
	return rc;
}
