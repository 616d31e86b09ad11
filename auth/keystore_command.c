/* The keystore backend "command": an external command keeps the blobs.
 *
 * key_command runs through `sh -c`, once for each call, with
 *
 *	NMBACKUPFS_KEY_ACTION   get, put or delete
 *	NMBACKUPFS_KEY_NAME     the blob: [a-z0-9-]{1,40}
 *	NMBACKUPFS_KEY_PROFILE  the profile: [A-Za-z0-9._-]{1,64}
 *
 * in its environment. Blobs travel as one line of base64 (RFC 4648, padded):
 * on standard input for "put", on standard output for "get"; white space in it
 * does not count. Exit status: 0 done; 66 (EX_NOINPUT) from "get" and "delete":
 * there is none of that name; anything else is a failure, and nothing is taken
 * for gone because of it. The command has a minute. No secret is ever in its
 * arguments or its environment. contrib/keystore-pass is one for pass(1). */
#include "auth/keystore_backend.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "auth/command.h"
#include "auth/keystore.h"
#include "net/log.h"

#define LIMIT_MS 60000
#define NONE     66
/* Lines of 64 and more characters are fine. */
#define TEXT_MAX (2 * KEYSTORE_MAX_BLOB)
#define VARIANT  sodium_base64_VARIANT_ORIGINAL

struct external {
	char *line, *profile;
};

static void command_close(void *self)
{
	struct external *e = self;

	free(e->line);
	free(e->profile);
	free(e);
}

static int command_open(const struct keystore_options *opt, void **out_self,
                        char *why, size_t why_size)
{
	struct external *e;

	if (!opt->key_command || !*opt->key_command) {
		snprintf(why, why_size,
		         "the secrets of this profile are kept by a command: "
		         "set key_command");
		return -EINVAL;
	}
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->line = strdup(opt->key_command);
	e->profile = strdup(opt->profile ? opt->profile : "default");
	if (!e->line || !e->profile) {
		command_close(e);
		return -ENOMEM;
	}
	*out_self = e;
	return 0;
}

/* Not the command itself: people write passwords into such lines. */
static const char *command_where(const void *self)
{
	(void)self;
	return "the place that key_command knows";
}

/* `size` 0: what it prints does not count. 0, -ENOENT (status 66), -EREMOTEIO
 * (another one), -Exxx. */
static int run(const struct external *e, const char *action, const char *name,
               const char *in, char *out, size_t size, size_t *out_len)
{
	char action_env[48], name_env[80], profile_env[128];
	const char *env[] = { action_env, name_env, profile_env, NULL };
	const struct command c = {
		.line = e->line,
		.env = env,
		.in = in,
		.in_len = in ? strlen(in) : 0,
		.limit_ms = LIMIT_MS,
	};
	int rc;

	snprintf(action_env, sizeof(action_env), "NMBACKUPFS_KEY_ACTION=%s",
	         action);
	snprintf(name_env, sizeof(name_env), "NMBACKUPFS_KEY_NAME=%s", name);
	snprintf(profile_env, sizeof(profile_env), "NMBACKUPFS_KEY_PROFILE=%s",
	         e->profile);
	rc = command_run(&c, out, size, out_len);
	if (rc == 0)
		return 0;
	if (rc == NONE)
		return -ENOENT;
	log_warn("key_command action=%s name=%s %s=%d", action, name,
	         rc > 0 ? "exit_status" : "error", rc);
	return rc > 0 || rc == -ECHILD ? -EREMOTEIO : rc;
}

static int command_get(void *self, const char *name, void *buf, size_t *out_len)
{
	char *text = sodium_malloc(TEXT_MAX);
	const char *end;
	size_t len;
	int rc;

	if (!text)
		return -ENOMEM;
	rc = run(self, "get", name, NULL, text, TEXT_MAX, &len);
	if (rc == 0 &&
	    (sodium_base642bin(buf, KEYSTORE_MAX_BLOB, text, len, " \t\r\n",
	                       out_len, &end, VARIANT) < 0 ||
	     end != text + len))
		rc = -EBADMSG;
	sodium_free(text);
	return rc;
}

static int command_put(void *self, const char *name, const void *secret,
                       size_t len)
{
	size_t size = sodium_base64_encoded_len(len, VARIANT), unused;
	char *text = sodium_malloc(size + 1);
	int rc;

	if (!text)
		return -ENOMEM;
	sodium_bin2base64(text, size, secret, len, VARIANT);
	strcpy(text + strlen(text), "\n");
	rc = run(self, "put", name, text, NULL, 0, &unused);
	sodium_free(text);
	return rc == -ENOENT ? -EREMOTEIO : rc;
}

static int command_del(void *self, const char *name)
{
	size_t unused;
	int rc = run(self, "delete", name, NULL, NULL, 0, &unused);

	return rc == -ENOENT ? 0 : rc;
}

const struct keystore_backend keystore_command = {
	.name = "command",
	.open = command_open,
	.close = command_close,
	.where = command_where,
	.get = command_get,
	.put = command_put,
	.del = command_del,
};
