/* Moves a profile's secrets from one place to another: the old place is noted
 * (which place counts is not to be guessed while there are two), all is copied
 * and read back, the new place is noted, the old one emptied. Whenever it is
 * cut short, the place that is noted has all of them. */
#include "auth/keystore.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "auth/keystore_backend.h"
#include "auth/keystore_choice.h"

static int check_copy(struct keystore *to, const char *name, const void *secret,
                      size_t len)
{
	size_t copy_len;
	void *copy;
	int rc = keystore_get(to, name, &copy, &copy_len);

	if (rc < 0)
		return rc == -ENOENT ? -EIO : rc;
	if (copy_len != len || sodium_memcmp(copy, secret, len) != 0)
		rc = -EIO;
	sodium_free(copy);
	return rc;
}

static int copy_all(struct keystore *from, struct keystore *to, char *why,
                    size_t why_size)
{
	for (size_t i = 0; keystore_names[i]; i++) {
		const char *name = keystore_names[i];
		void *secret;
		size_t len;
		int rc = keystore_get(from, name, &secret, &len);

		if (rc == -ENOENT)
			continue;
		if (rc < 0) {
			snprintf(why, why_size, "can't read \"%s\" in %s: %s",
			         name, keystore_where(from), strerror(-rc));
			return rc;
		}
		rc = keystore_put(to, name, secret, len);
		if (rc == 0)
			rc = check_copy(to, name, secret, len);
		sodium_free(secret);
		if (rc < 0) {
			snprintf(why, why_size, "can't keep \"%s\" in %s: %s",
			         name, keystore_where(to), strerror(-rc));
			return rc;
		}
	}
	return 0;
}

static int delete_all(struct keystore *k, char *why, size_t why_size)
{
	for (size_t i = 0; keystore_names[i]; i++) {
		int rc = keystore_delete(k, keystore_names[i]);

		if (rc == 0)
			continue;
		snprintf(why, why_size,
		         "the secrets were copied, but can't be deleted in %s: "
		         "%s",
		         keystore_where(k), strerror(-rc));
		return rc;
	}
	return 0;
}

static int note(const struct keystore_options *opt,
                const struct keystore_backend *b, char *why, size_t why_size)
{
	int rc = keystore_note_backend(opt, b);

	if (rc < 0)
		snprintf(why, why_size, "%s: %s", opt->dir, strerror(-rc));
	return rc;
}

static int move(const struct keystore_options *opt,
                const struct keystore_choice *source,
                const struct keystore_choice *target, char *why,
                size_t why_size)
{
	struct keystore *from = NULL, *to = NULL;
	int rc;

	rc = keystore_open_in(opt, source, &from, why, why_size);
	if (rc == 0)
		rc = keystore_open_in(opt, target, &to, why, why_size);
	if (rc == 0)
		rc = note(opt, source->backend, why, why_size);
	if (rc == 0)
		rc = copy_all(from, to, why, why_size);
	if (rc == 0)
		rc = note(opt, target->backend, why, why_size);
	if (rc == 0)
		rc = delete_all(from, why, why_size);
	if (rc == 0 && target->backend->holds)
		rc = keystore_unnote_backend(opt, target->backend);
	keystore_close(to);
	keystore_close(from);
	return rc;
}

int keystore_move(const struct keystore_options *opt, char *why,
                  size_t why_size)
{
	/* "Found" keeps the copying from noting anything before its end. */
	struct keystore_choice source = { .found = true };
	struct keystore_choice target = { .found = true };
	int rc;

	if (sodium_init() < 0)
		return -EIO;
	target.backend =
		keystore_backend_named(opt->backend ? opt->backend : "");
	if (!target.backend) {
		snprintf(why, why_size, "unknown keystore \"%.40s\"",
		         opt->backend ? opt->backend : "");
		return -EINVAL;
	}
	rc = keystore_find(opt, &source.backend, why, why_size);
	if (rc < 0)
		return rc;
	if (!source.backend) {
		snprintf(why, why_size, "this profile has no secrets yet");
		return -ENOENT;
	}
	if (source.backend == target.backend)
		return 0;
	return move(opt, &source, &target, why, why_size);
}
