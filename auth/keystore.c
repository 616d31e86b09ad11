#include "auth/keystore.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "auth/keystore_backend.h"
#include "auth/keystore_choice.h"

#define MAX_NAME 40

struct keystore {
	const struct keystore_backend *backend; /* set once, down to `dir` */
	void *self;
	char *dir;
	char note[320];
	pthread_mutex_t lock; /* one call at a time */
	bool found;           /* lock; secrets are there */
};

const char *const keystore_names[] = { "token", "identity", "pin", NULL };

/* ---- open and close ------------------------------------------------------ */

int keystore_open_in(const struct keystore_options *opt,
                     const struct keystore_choice *choice,
                     struct keystore **out_k, char *why, size_t why_size)
{
	struct keystore *k = calloc(1, sizeof(*k));
	int rc;

	if (!k)
		return -ENOMEM;
	k->backend = choice->backend;
	k->found = choice->found;
	memcpy(k->note, choice->note, sizeof(k->note));
	k->dir = strdup(opt->dir);
	rc = k->dir ? -pthread_mutex_init(&k->lock, NULL) : -ENOMEM;
	if (rc < 0)
		goto err_free;
	rc = k->backend->open(opt, &k->self, why, why_size);
	if (rc < 0)
		goto err_lock;
	*out_k = k;
	return 0;

err_lock:
	pthread_mutex_destroy(&k->lock);
err_free:
	free(k->dir);
	free(k);
	return rc;
}

int keystore_open(const struct keystore_options *opt, struct keystore **out_k,
                  char *why, size_t why_size)
{
	struct keystore_choice choice;
	int rc;

	if (sodium_init() < 0)
		return -EIO;
	if (!opt->dir || !*opt->dir)
		return -EINVAL;
	rc = keystore_choose(opt, &choice, why, why_size);
	return rc < 0 ? rc
	              : keystore_open_in(opt, &choice, out_k, why, why_size);
}

void keystore_close(struct keystore *k)
{
	if (!k)
		return;
	k->backend->close(k->self);
	pthread_mutex_destroy(&k->lock);
	free(k->dir);
	free(k);
}

const char *keystore_where(const struct keystore *k)
{
	return k->backend->where(k->self);
}

const char *keystore_note(const struct keystore *k)
{
	return k->note;
}

/* ---- blobs --------------------------------------------------------------- */

static bool is_name(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return n > 0 && n <= MAX_NAME && !name[n];
}

/* Hands out exactly what is needed: the big buffer is wiped and freed. */
static int shrink(const void *buf, size_t len, void **out_secret)
{
	void *secret = sodium_malloc(len ? len : 1);

	if (!secret)
		return -ENOMEM;
	memcpy(secret, buf, len);
	*out_secret = secret;
	return 0;
}

int keystore_get(struct keystore *k, const char *name, void **out_secret,
                 size_t *out_len)
{
	size_t len;
	void *buf;
	int rc;

	if (!is_name(name))
		return -EINVAL;
	buf = sodium_malloc(KEYSTORE_MAX_BLOB);
	if (!buf)
		return -ENOMEM;
	pthread_mutex_lock(&k->lock);
	rc = k->backend->get(k->self, name, buf, &len);
	pthread_mutex_unlock(&k->lock);
	if (rc == 0)
		rc = shrink(buf, len, out_secret);
	if (rc == 0)
		*out_len = len;
	sodium_free(buf);
	return rc;
}

/* True only if every name is known not to be there. */
static bool is_empty_locked(struct keystore *k)
{
	void *buf = sodium_malloc(KEYSTORE_MAX_BLOB);
	bool empty = buf != NULL;
	size_t len;

	for (size_t i = 0; empty && keystore_names[i]; i++)
		empty = k->backend->get(k->self, keystore_names[i], buf,
		                        &len) == -ENOENT;
	sodium_free(buf);
	return empty;
}

/* The note comes before the secret: after a crash in between somebody who was
 * never signed in is asked to sign in; the other way round a keyring that is
 * gone later would look like none. */
static int put_locked(struct keystore *k, const char *name, const void *secret,
                      size_t len)
{
	const struct keystore_options opt = { .dir = k->dir };
	bool first = !k->found && !k->backend->holds;
	int rc = 0;

	if (first)
		rc = keystore_note_backend(&opt, k->backend);
	if (rc == 0)
		rc = k->backend->put(k->self, name, secret, len);
	if (rc == 0)
		k->found = true;
	else if (first && is_empty_locked(k)) /* another program may have */
		keystore_unnote_backend(&opt, k->backend);
	return rc;
}

int keystore_put(struct keystore *k, const char *name, const void *secret,
                 size_t len)
{
	int rc;

	if (!is_name(name))
		return -EINVAL;
	if (len > KEYSTORE_MAX_BLOB)
		return -EFBIG;
	pthread_mutex_lock(&k->lock);
	rc = put_locked(k, name, secret, len);
	pthread_mutex_unlock(&k->lock);
	return rc;
}

int keystore_delete(struct keystore *k, const char *name)
{
	const struct keystore_options opt = { .dir = k->dir };
	int rc;

	if (!is_name(name))
		return -EINVAL;
	pthread_mutex_lock(&k->lock);
	rc = k->backend->del(k->self, name);
	if (rc == 0 && !k->backend->holds && is_empty_locked(k)) {
		rc = keystore_unnote_backend(&opt, k->backend);
		k->found = false;
	}
	pthread_mutex_unlock(&k->lock);
	return rc;
}
