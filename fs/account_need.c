/* What must be there before somebody can sign in, or before a mount can start:
 * a client id, a sign-in, the drive the profile belongs to. */
#include "fs/account.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "auth/passphrase.h"
#include "auth/tokens.h"
#include "fs/config.h"
#include "fs/db.h"
#include "fs/session.h"
#include "fs/store.h"

/* ---- the profile --------------------------------------------------------- */

int account_profile_drive(const char *state_dir, char *out, size_t size)
{
	char path[PATH_MAX];
	struct db *db;
	int rc;

	out[0] = '\0';
	if (snprintf(path, sizeof(path), "%s/state.db", state_dir) >=
	    (int)sizeof(path))
		return -ENAMETOOLONG;
	if (access(path, F_OK) < 0)
		return errno == ENOENT ? 0 : -errno;
	rc = db_open(path, false, &db);
	if (rc < 0)
		return rc;
	rc = store_get_text(db, "drive_id", out, size);
	db_close(db);
	return rc;
}

/* ---- what has to be there first ------------------------------------------ */

/* facts/graph.md 1.1: each cloud has a portal and registrations of its own. */
static const char *portal(const struct config *cfg)
{
	const char *account = config_text(cfg, CONFIG_ACCOUNT);

	if (!strncasecmp(account, "us-", 3))
		return "https://portal.azure.us";
	if (!strncasecmp(account, "china", 5))
		return "https://portal.azure.cn";
	return "https://entra.microsoft.com";
}

/* facts/graph.md 1.9 */
static void explain_client_id(const struct config *cfg)
{
	fprintf(stderr,
	        "nmbackupfs needs a client id, the name under which Microsoft "
	        "knows it; it is free and not secret.\n"
	        "1. %s -> App registrations -> New registration; account type: "
	        "the one you will sign in with; no redirect URI.\n"
	        "2. Authentication -> Allow public client flows: Yes.\n"
	        "3. API permissions -> Microsoft Graph -> Delegated: "
	        "Files.ReadWrite and offline_access.\n"
	        "4. Overview -> Application (client) ID: put it as client_id = "
	        "... into %s.\n",
	        portal(cfg), config_path(cfg));
}

bool account_ask(const char *question, char *out, size_t size)
{
	size_t start, len;

	fputs(question, stderr);
	fflush(stderr);
	if (!fgets(out, (int)size, stdin))
		return false;
	start = strspn(out, " \t");
	len = strcspn(out + start, " \t\r\n");
	memmove(out, out + start, len);
	out[len] = '\0';
	return len > 0;
}

/* Eight, four, four, four and twelve hex digits. */
static bool is_client_id(const char *s)
{
	static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
	size_t i = 0;

	while (form[i] &&
	       (form[i] == '-' ? s[i] == '-' : isxdigit((unsigned char)s[i])))
		i++;
	return !form[i] && !s[i];
}

/* Whatever else is pasted here (the secret's value, the next command) would
 * only be refused in the browser, in other words. */
static bool ask_client_id(char *id, size_t size)
{
	if (!passphrase_can_ask())
		return false;
	for (int i = 0; i < 3 && account_ask("Client id: ", id, size); i++) {
		if (is_client_id(id))
			return true;
		fputs("That is none: it looks like "
		      "00000000-0000-0000-0000-000000000000.\n",
		      stderr);
	}
	return false;
}

int account_need_client_id(struct config *cfg, char *why, size_t why_size)
{
	char id[128];
	int rc;

	if (config_text(cfg, CONFIG_CLIENT_ID)[0])
		return 0;
	explain_client_id(cfg);
	if (!ask_client_id(id, sizeof(id))) {
		snprintf(why, why_size, "no client id");
		return -EINVAL;
	}
	rc = config_store(cfg, CONFIG_CLIENT_ID, id);
	if (rc < 0)
		snprintf(why, why_size, "can't store it in %s: %s",
		         config_path(cfg), strerror(-rc));
	return rc;
}

int account_need_sign_in(struct session *s, const char *profile_drive,
                         char *why, size_t why_size)
{
	if (tokens_signed_in(s->tokens))
		return 0;
	if (s->tokens_rc == -ENOENT && passphrase_can_ask())
		return account_sign_in(s, profile_drive, why, why_size);
	tokens_get_trouble(s->tokens, why, why_size);
	return -EACCES;
}
