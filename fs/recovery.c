#include "fs/recovery.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <sodium.h>

#include "auth/passphrase.h"
#include "fs/account.h"
#include "fs/config.h"
#include "fs/qr.h"
#include "fs/secret_file.h"
#include "net/buf.h"

#define ASKED_BACK 8 /* characters of its end */
#define TRIES      3

int recovery_can_hand_over(const struct config *cfg, char *why, size_t why_size)
{
	if (config_text(cfg, CONFIG_RECOVERY_KEY_OUT)[0] ||
	    passphrase_can_ask())
		return 0;
	snprintf(why, why_size,
	         "a new vault needs a recovery key, and nobody is there to "
	         "take it: give --recovery-key-out FILE, or "
	         "--no-recovery-key");
	return -ENOTTY;
}

/* ---- into a file --------------------------------------------------------- */

static void add_page(const struct config *cfg, const char *key, struct buf *b)
{
	char date[32] = "";
	time_t now = time(NULL);
	struct tm tm;

	if (localtime_r(&now, &tm))
		strftime(date, sizeof(date), "%Y-%m-%d", &tm);
	buf_addf(b,
	         "# nmbackupfs recovery key, made %s\n"
	         "# for the OneDrive folder \"%s\"\n"
	         "#\n"
	         "# Whoever has this page and the files reads them. Keep it "
	         "where the files\n"
	         "# are not, print it, and delete this file. It brings back "
	         "everything:\n"
	         "#   nmbackupfs rescue FOLDER DEST --recovery-key "
	         "THIS-FILE\n"
	         "# and a single file without nmbackupfs:\n"
	         "#   age -d -i THIS-FILE sealed-file > plain-file\n"
	         "#\n"
	         "%s\n",
	         date, config_text(cfg, CONFIG_FOLDER), key);
	buf_add_str(b, "#\n");
	if (qr_page(key, b) == 0)
		buf_add_str(b, "#\n");
}

static int to_file(const struct config *cfg, const char *path, const char *key,
                   char *why, size_t why_size)
{
	struct buf page = BUF_INIT;
	int rc;

	add_page(cfg, key, &page);
	rc = page.failed
	             ? -ENOMEM
	             : secret_file_write(path, "the recovery key's file",
	                                 page.data, page.len, why, why_size);
	buf_wipe(&page);
	if (rc == 0)
		fprintf(stderr,
		        "The recovery key is in %s. Print it or put it into "
		        "a password manager,\nand delete the file: with it, "
		        "anybody who gets at the files can read them.\n",
		        path);
	return rc;
}

/* ---- to a person --------------------------------------------------------- */

static bool is_end_of(const char *typed, const char *key)
{
	const char *end = key + strlen(key) - ASKED_BACK;

	/* Who types all of it is right, too. */
	return !strcasecmp(typed, end) || !strcasecmp(typed, key);
}

static int to_person(const char *key, char *why, size_t why_size)
{
	char *typed = sodium_malloc(256);
	int rc = -ECANCELED;

	if (!typed)
		return -ENOMEM;
	fprintf(stderr,
	        "\nThis is the recovery key. It is shown this once:\n\n"
	        "    %s\n\n",
	        key);
	qr_print(stderr, key);
	fputs("Write it down or put it into a password manager, not onto this "
	      "machine and not\ninto OneDrive. Without it, whoever loses all "
	      "devices has lost the files; with it,\nwhoever gets at the "
	      "files can read them.\n\n",
	      stderr);
	for (int i = 0; i < TRIES && rc < 0; i++) {
		if (!account_ask("To be sure that it was noted: its last 8 "
		                 "characters: ",
		                 typed, 256))
			break;
		if (is_end_of(typed, key))
			rc = 0;
		else
			fputs("They are others.\n", stderr);
	}
	sodium_free(typed);
	if (rc < 0)
		snprintf(why, why_size,
		         "the recovery key was not typed back; nothing was "
		         "made");
	return rc;
}

int recovery_make(const struct config *cfg, struct age_recipient *out,
                  char *why, size_t why_size)
{
	const char *path = config_text(cfg, CONFIG_RECOVERY_KEY_OUT);
	struct age_identity *id = NULL;
	char *key = sodium_malloc(AGE_IDENTITY_TEXT);
	int rc = recovery_can_hand_over(cfg, why, why_size);

	if (rc == 0)
		rc = key ? age_identity_new(&id) : -ENOMEM;
	if (rc == 0) {
		age_identity_format(id, key);
		rc = path[0] ? to_file(cfg, path, key, why, why_size)
		             : to_person(key, why, why_size);
	}
	if (rc == 0)
		*out = id->recipient;
	age_identity_free(id);
	sodium_free(key);
	return rc;
}
