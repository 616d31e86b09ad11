#include "auth/keystore.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "auth/keystore_backend.h"

#define MAX_NAME 40

struct keystore {
	const struct keystore_backend *backend; /* set once, as is self */
	void *self;
	pthread_mutex_t lock; /* one call at a time */
};

/* The first one is the default. */
static const struct keystore_backend *const backends[] = { &keystore_file };

static const struct keystore_backend *find_backend(const char *name)
{
	if (!name || !*name)
		return backends[0];
	for (size_t i = 0; i < sizeof(backends) / sizeof(*backends); i++) {
		if (!strcmp(backends[i]->name, name))
			return backends[i];
	}
	return NULL;
}

int keystore_open(const struct keystore_options *opt, struct keystore **out_k,
                  char *why, size_t why_size)
{
	struct keystore *k;
	int rc;

	if (sodium_init() < 0)
		return -EIO;
	k = calloc(1, sizeof(*k));
	if (!k)
		return -ENOMEM;
	k->backend = find_backend(opt->backend);
	if (!k->backend) {
		snprintf(why, why_size, "unknown keystore \"%.40s\"",
		         opt->backend);
		rc = -EINVAL;
		goto err_free;
	}
	rc = -pthread_mutex_init(&k->lock, NULL);
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
	free(k);
	return rc;
}

void keystore_close(struct keystore *k)
{
	if (!k)
		return;
	k->backend->close(k->self);
	pthread_mutex_destroy(&k->lock);
	free(k);
}

const char *keystore_where(const struct keystore *k)
{
	return k->backend->where(k->self);
}

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

int keystore_put(struct keystore *k, const char *name, const void *secret,
                 size_t len)
{
	int rc;

	if (!is_name(name))
		return -EINVAL;
	if (len > KEYSTORE_MAX_BLOB)
		return -EFBIG;
	pthread_mutex_lock(&k->lock);
	rc = k->backend->put(k->self, name, secret, len);
	pthread_mutex_unlock(&k->lock);
	return rc;
}

int keystore_delete(struct keystore *k, const char *name)
{
	int rc;

	if (!is_name(name))
		return -EINVAL;
	pthread_mutex_lock(&k->lock);
	rc = k->backend->del(k->self, name);
	pthread_mutex_unlock(&k->lock);
	return rc;
}
