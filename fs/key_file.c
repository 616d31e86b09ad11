#include "fs/key_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <sodium.h>

#include "auth/age.h"
#include "auth/age_armor.h"
#include "auth/keystore.h"
#include "auth/passphrase.h"
#include "fs/membership.h"
#include "fs/secret_file.h"
#include "net/buf.h"

#define TEXT_SIZE 512

/* ---- export -------------------------------------------------------------- */

/* As age-keygen writes it; `out` has TEXT_SIZE bytes of sodium_malloc(). */
static size_t format(const struct age_identity *id, char *out)
{
	char date[32] = "", recipient[AGE_RECIPIENT_TEXT];
	time_t now = time(NULL);
	size_t len;
	struct tm tm;

	if (gmtime_r(&now, &tm))
		strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", &tm);
	age_recipient_format(&id->recipient, recipient);
	len = (size_t)snprintf(out, TEXT_SIZE,
	                       "# exported: %s\n# public key: %s\n", date,
	                       recipient);
	age_identity_format(id, out + len);
	len += strlen(out + len);
	out[len++] = '\n';
	return len;
}

static int seal(const char *text, size_t len, const char *passphrase_from,
                struct buf *out, char *why, size_t why_size)
{
	char *passphrase = sodium_malloc(PASSPHRASE_MAX + 1);
	struct buf sealed = BUF_INIT;
	size_t passphrase_len = 0;
	int rc = -ENOMEM;

	if (passphrase)
		rc = passphrase_get(passphrase_from, "the exported key", true,
		                    passphrase, &passphrase_len, why, why_size);
	if (rc == 0) {
		struct age_target to = { .passphrase = passphrase };

		passphrase[passphrase_len] = '\0';
		rc = age_seal_buf(&to, text, len, &sealed);
	}
	if (rc == 0)
		rc = age_armor_buf(sealed.data, sealed.len, out);
	sodium_free(passphrase);
	buf_done(&sealed);
	return rc;
}

int key_file_export(const struct age_identity *id, const char *path,
                    bool sealed, const char *passphrase_from, char *why,
                    size_t why_size)
{
	char *text = sodium_malloc(TEXT_SIZE);
	struct buf armored = BUF_INIT;
	int rc = text ? 0 : -ENOMEM;
	size_t len = 0;

	if (rc == 0)
		len = format(id, text);
	if (rc == 0 && sealed)
		rc = seal(text, len, passphrase_from, &armored, why, why_size);
	if (rc == 0)
		rc = secret_file_write(
			path, "the key's file", sealed ? armored.data : text,
			sealed ? armored.len : len, why, why_size);
	sodium_free(text);
	buf_done(&armored);
	return rc;
}

/* ---- import -------------------------------------------------------------- */

/* 0: there is none, or it was written to `keep`; 1: it is the same. */
static int clear_way(struct keystore *k, const struct age_identity *id,
                     const char *keep, char *why, size_t why_size)
{
	struct age_identity *had = NULL;
	bool same = false;
	void *text;
	size_t len;
	int rc = keystore_get(k, MEMBERSHIP_IDENTITY, &text, &len);

	if (rc == -ENOENT)
		return 0;
	if (rc < 0) {
		snprintf(why, why_size, "%s: %s", keystore_where(k),
		         strerror(-rc));
		return rc;
	}
	/* What is no key (damaged) is kept like one. */
	if (age_identity_parse(text, len, &had) == 0)
		same = !sodium_memcmp(had->secret, id->secret,
		                      sizeof(id->secret));
	age_identity_free(had);
	rc = same;
	if (!same && keep) {
		rc = secret_file_write(keep, "the file for the old key", text,
		                       len, why, why_size);
	} else if (!same) {
		snprintf(why, why_size,
		         "this device has another key: --keep FILE writes "
		         "that one to a file first; or use another --profile");
		rc = -EEXIST;
	}
	sodium_free(text);
	return rc;
}

static int put(struct keystore *k, const struct age_identity *id)
{
	char *text = sodium_malloc(AGE_IDENTITY_TEXT);
	int rc;

	if (!text)
		return -ENOMEM;
	age_identity_format(id, text);
	rc = keystore_put(k, MEMBERSHIP_IDENTITY, text, strlen(text));
	sodium_free(text);
	return rc;
}

int key_file_import(struct keystore *k, const char *path,
                    const char *passphrase_from, const char *keep, char *why,
                    size_t why_size)
{
	struct age_identities found = { 0 };
	int rc = secret_file_identities(path, passphrase_from, &found, why,
	                                why_size);

	if (rc < 0)
		return rc;
	if (found.count != 1) {
		snprintf(why, why_size,
		         "%s holds %zu keys; one of them alone can be this "
		         "device's",
		         path, found.count);
		rc = -EINVAL;
	}
	if (rc == 0)
		rc = clear_way(k, found.ids[0], keep, why, why_size);
	if (rc == 0) {
		rc = put(k, found.ids[0]);
		if (rc < 0)
			snprintf(why, why_size,
			         "the key can't be kept (%s): %s",
			         keystore_where(k), strerror(-rc));
	}
	age_identities_done(&found);
	return rc < 0 ? rc : 0;
}
