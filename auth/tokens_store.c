#include "auth/tokens_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "auth/keystore.h"
#include "auth/secret.h"
#include "net/clock.h"
#include "net/crashpoint.h"
#include "net/http.h"
#include "net/http_url.h"
#include "net/log.h"

#define BLOB_NAME "token"
#define RESAVE_MS INT64_C(60000)
#define IDLE_MS   (INT64_C(7) * 86400 * 1000) /* life is 90 days, facts 1.5 */

static int64_t real_s(void)
{
	return clock_real_ns() / NS_PER_SEC;
}

static struct tokens_hash hash_of(const void *data, size_t len)
{
	struct tokens_hash h;

	crypto_generichash(h.b, sizeof(h.b), data, len, NULL, 0);
	return h;
}

/* ---- memory -------------------------------------------------------------- */

/* Takes over `text`, also on failure. */
static struct bearer *bearer_new(char *text)
{
	struct bearer *b = malloc(sizeof(*b));

	if (!b) {
		secret_free(text);
		return NULL;
	}
	atomic_init(&b->refs, 1);
	b->text = text;
	return b;
}

/* The secrets of `b` move into `t`. */
static int take_blob(struct tokens *t, struct token_blob *b,
                     struct token_life life)
{
	struct bearer *access = NULL, *old;
	struct token_blob old_blob;

	if (b->access) {
		access = bearer_new(b->access);
		b->access = NULL;
		if (!access) {
			token_blob_done(b);
			t->seen = (struct tokens_hash){ 0 };
			return -ENOMEM;
		}
	}
	pthread_mutex_lock(&t->lock);
	old = t->access;
	old_blob = t->blob;
	/* The same token, written again by another program, stays refused. */
	if (!old || !access || strcmp(old->text, access->text))
		t->access_refused = false;
	t->blob = *b;
	t->access = access;
	t->life = life;
	if (b->drive_id[0])
		strcpy(t->drive_id, b->drive_id);
	t->standing = TOKENS_IN;
	t->trouble[0] = '\0';
	t->unsaved = false;
	t->idle_ms = life.issued_ms + IDLE_MS;
	pthread_cond_signal(&t->wake);
	pthread_mutex_unlock(&t->lock);
	bearer_unref(old);
	token_blob_done(&old_blob);
	*b = (struct token_blob){ 0 };
	return 0;
}

static void set_standing_locked(struct tokens *t, enum tokens_standing standing,
                                const char *why)
{
	t->standing = standing;
	snprintf(t->trouble, sizeof(t->trouble), "%s", why);
	t->wanted = false;
	t->unsaved = false;
	pthread_cond_signal(&t->wake);
}

void tokens_take_nothing(struct tokens *t, const char *why)
{
	struct token_blob old_blob;
	struct bearer *old;

	pthread_mutex_lock(&t->lock);
	set_standing_locked(t, TOKENS_NONE, why);
	old = t->access;
	old_blob = t->blob;
	t->access = NULL;
	t->blob = (struct token_blob){ 0 };
	pthread_mutex_unlock(&t->lock);
	bearer_unref(old);
	token_blob_done(&old_blob);
}

void tokens_refuse(struct tokens *t, const char *why)
{
	pthread_mutex_lock(&t->lock);
	set_standing_locked(t, TOKENS_REFUSED, why);
	pthread_mutex_unlock(&t->lock);
}

/* ---- reading ------------------------------------------------------------- */

static int explain(int rc, const struct tokens *t, char *why, size_t why_size)
{
	const char *where = keystore_where(t->keystore);

	switch (rc) {
	case -ENOENT:
		snprintf(why, why_size, "%s", TOKENS_NOT_SIGNED_IN);
		break;
	case -EPERM:
		snprintf(why, why_size,
		         "the sign-in (\"token\" in %s) is open to other users "
		         "and not "
		         "used: run `nmbackupfs auth` for a new one",
		         where);
		break;
	case -EFBIG:
	case -EBADMSG:
		snprintf(why, why_size,
		         "the sign-in (\"token\" in %s) is damaged: run "
		         "`nmbackupfs auth` "
		         "for a new one",
		         where);
		rc = -EBADMSG;
		break;
	case -ENOTSUP:
		snprintf(why, why_size,
		         "the sign-in (\"token\" in %s) was written by a newer "
		         "nmbackupfs",
		         where);
		break;
	default:
		snprintf(why, why_size,
		         "can't read the sign-in (\"token\" in %s): %s", where,
		         strerror(-rc));
	}
	return rc;
}

static bool is_loopback(const char *url)
{
	struct http_origin o;
	bool loopback;

	if (http_origin_init(&o, url) < 0)
		return false;
	loopback = o.loopback;
	http_origin_done(&o);
	return loopback;
}

/* A token goes only to the service it came from. Loopback is this machine: a
 * test server that may come back on another port. */
static bool is_same_service(const char *a, const char *b)
{
	return http_same_origin(a, b) || (is_loopback(a) && is_loopback(b));
}

static int check_blob(const struct tokens *t, const struct token_blob *b,
                      char *why, size_t why_size)
{
	if (!is_same_service(b->login_url, t->cloud.login_url) ||
	    !is_same_service(b->graph_url, t->cloud.graph_url)) {
		snprintf(why, why_size,
		         "signed in at %s, but %s is asked for now: run "
		         "`nmbackupfs auth`",
		         b->login_url, t->cloud.login_url);
		return -ENOENT;
	}
	if (t->drive_id[0] && b->drive_id[0] &&
	    !graph_same_drive(t->drive_id, b->drive_id)) {
		snprintf(why, why_size,
		         "signed in as another account than before: run "
		         "`nmbackupfs auth` and choose the first one, or use "
		         "another --profile");
		return -EACCES;
	}
	return 0;
}

static int read_blob(struct tokens *t, const void *text, size_t len, char *why,
                     size_t why_size)
{
	struct token_blob b;
	struct token_life life;
	int rc;

	rc = token_blob_parse(text, len, &b);
	if (rc < 0)
		return explain(rc, t, why, why_size);
	rc = check_blob(t, &b, why, why_size);
	if (rc < 0) {
		token_blob_done(&b);
		tokens_take_nothing(t, why);
		return rc;
	}
	life = token_life_loaded(b.obtained_s, b.expires_s, clock_mono_ms(),
	                         real_s());
	rc = take_blob(t, &b, life);
	return rc < 0 ? explain(rc, t, why, why_size) : 1;
}

int tokens_load(struct tokens *t, char *why, size_t why_size)
{
	struct tokens_hash h;
	void *text;
	size_t len;
	int rc;

	pthread_mutex_lock(&t->lock);
	t->looked_ms = clock_mono_ms();
	pthread_mutex_unlock(&t->lock);
	rc = keystore_get(t->keystore, BLOB_NAME, &text, &len);
	if (rc == -ENOENT) {
		t->seen = (struct tokens_hash){ 0 };
		explain(rc, t, why, why_size);
		tokens_take_nothing(t, why);
		return rc;
	}
	if (rc < 0)
		return explain(rc, t, why, why_size);
	h = hash_of(text, len);
	if (memcmp(&h, &t->seen, sizeof(h))) {
		t->seen = h;
		rc = read_blob(t, text, len, why, why_size);
	}
	sodium_free(text);
	return rc;
}

/* ---- writing ------------------------------------------------------------- */

/* `access` stands for b->access. */
static int put_blob(struct tokens *t, const struct token_blob *b, char *access)
{
	struct token_blob whole = *b;
	size_t len;
	char *text;
	int rc;

	whole.access = access;
	rc = token_blob_format(&whole, &text, &len);
	if (rc < 0)
		return rc;
	rc = keystore_put(t->keystore, BLOB_NAME, text, len);
	if (rc == 0)
		t->seen = hash_of(text, len);
	sodium_free(text);
	return rc;
}

static void note_unsaved(struct tokens *t, int rc)
{
	if (rc < 0)
		log_warn("tokens event=not-saved keystore=\"%s\" error=\"%s\" "
		         "retry_in_ms=%" PRId64 " kept=in-memory",
		         keystore_where(t->keystore), strerror(-rc), RESAVE_MS);
	pthread_mutex_lock(&t->lock);
	t->unsaved = rc < 0;
	t->save_ms = clock_mono_ms() + RESAVE_MS;
	pthread_mutex_unlock(&t->lock);
}

int tokens_store(struct tokens *t, struct token_blob *b, bool must_save)
{
	struct token_life life;
	int rc, saved;

	CRASH_POINT("tokens-came");
	life = token_life_fresh(b->access ? b->expires_s - b->obtained_s : 0,
	                        clock_mono_ms(), real_s());
	saved = put_blob(t, b, b->access);
	CRASH_POINT("tokens-stored");
	if (saved < 0 && must_save) {
		token_blob_done(b);
		return saved;
	}
	rc = take_blob(t, b, life);
	note_unsaved(t, saved);
	return rc;
}

int tokens_save(struct tokens *t)
{
	int rc;

	rc = put_blob(t, &t->blob, t->access ? t->access->text : NULL);
	note_unsaved(t, rc);
	return rc;
}

int tokens_erase(struct tokens *t)
{
	int rc = keystore_delete(t->keystore, BLOB_NAME);

	if (rc < 0)
		return rc;
	t->seen = (struct tokens_hash){ 0 };
	tokens_take_nothing(t, TOKENS_NOT_SIGNED_IN);
	return 0;
}

/* ---- a token as a blob --------------------------------------------------- */

/* The first of the three that is set ("" if none is), of which `a` may be NULL;
 * false: too long. */
static bool copy_first(const char *a, const char *b, const char *c, char *out,
                       size_t size)
{
	const char *s = a && *a ? a : *b ? b : c;

	if (strlen(s) >= size)
		return false;
	strcpy(out, s);
	return true;
}

static int describe(const struct tokens *t, const struct tokens_account *a,
                    struct token_blob *b)
{
	if (!copy_first(a->client_id, t->client_id, t->blob.client_id,
	                b->client_id, sizeof(b->client_id)) ||
	    !copy_first(a->tenant, t->cloud.tenant, "", b->tenant,
	                sizeof(b->tenant)) ||
	    !copy_first(a->scope, t->cloud.scope, "", b->scope,
	                sizeof(b->scope)) ||
	    !copy_first(a->drive_id, "", "", b->drive_id, sizeof(b->drive_id)))
		return -EINVAL;
	strcpy(b->login_url, t->cloud.login_url);
	strcpy(b->graph_url, t->cloud.graph_url);
	return b->client_id[0] ? 0 : -EINVAL;
}

static int copy_secrets(const struct oauth_token *token,
                        const char *old_refresh, struct token_blob *b)
{
	const char *refresh = token->refresh ? token->refresh : old_refresh;

	if (refresh && !(b->refresh = secret_strdup(refresh)))
		return -ENOMEM;
	if (token->access && !(b->access = secret_strdup(token->access)))
		return -ENOMEM;
	return 0;
}

int tokens_make_blob(const struct tokens *t,
                     const struct tokens_account *account,
                     const struct oauth_token *token, const char *old_refresh,
                     struct token_blob *out)
{
	static const struct tokens_account as_configured = { 0 };
	struct token_blob b = { 0 };
	int rc;

	rc = describe(t, account ? account : &as_configured, &b);
	if (rc == 0)
		rc = copy_secrets(token, old_refresh, &b);
	if (rc < 0) {
		token_blob_done(&b);
		return rc;
	}
	/* A personal account's token from /common is refused at its first
	 * refresh there (one report, facts 1.2). */
	if (!strcmp(b.tenant, "common") &&
	    !strcasecmp(token->tenant, CLOUD_MSA_TENANT))
		strcpy(b.tenant, "consumers");
	b.obtained_s = real_s();
	b.expires_s = b.obtained_s + token->expires_in_s;
	*out = b;
	return 0;
}
