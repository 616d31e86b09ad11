#include "auth/token_blob.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <sodium.h>

#include "auth/keystore.h"
#include "auth/secret.h"
#include "net/json.h"

#define VERSION 1

void token_blob_done(struct token_blob *b)
{
	secret_free(b->refresh);
	secret_free(b->access);
	*b = (struct token_blob){ 0 };
}

/* ---- reading ------------------------------------------------------------- */

/* False if it is too long to be ours. */
static bool take_text(const cJSON *json, const char *name, char *out,
                      size_t size)
{
	const char *s = json_str(json, name);

	if (s && strlen(s) >= size)
		return false;
	strcpy(out, s ? s : "");
	return true;
}

static int take_token(const cJSON *json, const char *name, char **out)
{
	const char *s = json_str(json, name);

	if (!s)
		return 0;
	if (!secret_is_token(s))
		return -EBADMSG;
	*out = secret_strdup(s);
	return *out ? 0 : -ENOMEM;
}

static int take_all(const cJSON *json, struct token_blob *b)
{
	int64_t version = json_i64(json, "v", 0);
	int rc;

	if (version > VERSION)
		return -ENOTSUP;
	if (version < VERSION ||
	    !take_text(json, "client_id", b->client_id, sizeof(b->client_id)) ||
	    !take_text(json, "tenant", b->tenant, sizeof(b->tenant)) ||
	    !take_text(json, "login_url", b->login_url, sizeof(b->login_url)) ||
	    !take_text(json, "graph_url", b->graph_url, sizeof(b->graph_url)) ||
	    !take_text(json, "scope", b->scope, sizeof(b->scope)) ||
	    !take_text(json, "drive_id", b->drive_id, sizeof(b->drive_id)))
		return -EBADMSG;
	if (!b->client_id[0] || !b->tenant[0])
		return -EBADMSG;
	rc = take_token(json, "refresh_token", &b->refresh);
	if (rc == 0)
		rc = take_token(json, "access_token", &b->access);
	if (rc == 0 && !b->refresh && !b->access)
		rc = -EBADMSG;
	b->obtained_s = json_i64(json, "obtained_at", 0);
	b->expires_s = json_i64(json, "expires_at", 0);
	return rc;
}

int token_blob_parse(const void *text, size_t len, struct token_blob *out)
{
	struct token_blob b = { 0 };
	cJSON *json;
	int rc;

	json = json_parse(text, len);
	if (!json)
		return -EBADMSG;
	rc = take_all(json, &b);
	json_wipe(json);
	if (rc < 0)
		token_blob_done(&b);
	else
		*out = b;
	return rc;
}

/* ---- writing ------------------------------------------------------------- */

/* By reference: the tree holds no copy of a secret. */
static bool add_text(cJSON *json, const char *name, const char *s)
{
	cJSON *ref;

	if (!s || !*s)
		return true;
	ref = cJSON_CreateStringReference(s);
	if (ref && cJSON_AddItemToObject(json, name, ref))
		return true;
	cJSON_Delete(ref);
	return false;
}

static bool add_all(cJSON *json, const struct token_blob *b)
{
	return cJSON_AddNumberToObject(json, "v", VERSION) &&
	       add_text(json, "client_id", b->client_id) &&
	       add_text(json, "tenant", b->tenant) &&
	       add_text(json, "login_url", b->login_url) &&
	       add_text(json, "graph_url", b->graph_url) &&
	       add_text(json, "scope", b->scope) &&
	       add_text(json, "drive_id", b->drive_id) &&
	       add_text(json, "refresh_token", b->refresh) &&
	       add_text(json, "access_token", b->access) &&
	       cJSON_AddNumberToObject(json, "obtained_at",
	                               (double)b->obtained_s) &&
	       cJSON_AddNumberToObject(json, "expires_at",
	                               (double)b->expires_s);
}

int token_blob_format(const struct token_blob *b, char **out_text,
                      size_t *out_len)
{
	char *text = sodium_malloc(KEYSTORE_MAX_BLOB);
	cJSON *json = cJSON_CreateObject();
	int rc = -ENOMEM;

	if (text && json && add_all(json, b) &&
	    cJSON_PrintPreallocated(json, text, KEYSTORE_MAX_BLOB, true)) {
		*out_text = text;
		*out_len = strlen(text);
		text = NULL;
		rc = 0;
	}
	cJSON_Delete(json);
	sodium_free(text);
	return rc;
}
