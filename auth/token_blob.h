/* auth/token_blob.h -- the keystore's blob "token": its shape and its text.
 *
 * A JSON object: {"v":1, "client_id", "tenant", "login_url", "graph_url",
 * "scope", "drive_id", "refresh_token", "access_token", "obtained_at",
 * "expires_at"}; times are seconds since 1970, unknown members are ignored,
 * missing ones are empty. Pure; threads: any. Internal to auth/. */
#ifndef NMB_TOKEN_BLOB_H
#define NMB_TOKEN_BLOB_H

#include <stddef.h>
#include <stdint.h>

struct token_blob {
	char client_id[128];
	char tenant[128];    /* segment to refresh through */
	char login_url[256]; /* where the token comes from and may go to */
	char graph_url[256];
	char scope[256];    /* to ask for when refreshing */
	char drive_id[256]; /* whose account it is; "": not known yet */
	char *refresh;      /* sodium_malloc; NULL: none */
	char *access;       /* sodium_malloc; NULL: none */
	int64_t obtained_s, expires_s; /* of `access`, wall clock */
};

void token_blob_done(struct token_blob *b);

/* 0; -EBADMSG: damaged, or holds no token; -ENOTSUP: written by a newer
 * release; -ENOMEM. */
int token_blob_parse(const void *text, size_t len, struct token_blob *out);

/* The text in sodium_malloc() memory; sodium_free() it. 0 or -ENOMEM. */
int token_blob_format(const struct token_blob *b, char **out_text,
                      size_t *out_len);

#endif
