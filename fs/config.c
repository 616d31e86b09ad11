#include "fs/config.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "fs/config_file.h"
#include "fs/hold.h"
#include "fs/paths.h"
#include "fs/readers.h"
#include "fs/timetable.h"
#include "fs/units.h"
#include "net/buf.h"
#include "net/http.h"
#include "net/log.h"

enum type {
	TEXT,
	FILE_PATH,
	NAME,
	BOOL,
	SIZE,
	RATE,
	TIME,
	URL,
	LEVEL,
	LIMITS,
	NAMES,
	METERED,
};

static const struct option {
	const char *key; /* as in the file; the others are made from it */
	enum type type;
	const char *def;
	const char *help;
} options[CONFIG_KEYS] = {
	[CONFIG_PROFILE] = { "profile", NAME, "default",
	                     "which set of sign-in, state and options" },
	[CONFIG_FILE] = { "config", FILE_PATH, "", "the file with options" },
	[CONFIG_CLIENT_ID] = { "client_id", TEXT, "",
	                       "application (client) id of your app "
	                       "registration" },
	[CONFIG_ACCOUNT] = { "account", TEXT, "personal",
	                     "personal, work, a tenant, us-gov, us-dod, "
	                     "china" },
	[CONFIG_FOLDER] = { "folder", TEXT, "nmbackupfs",
	                    "folder of the drive, made on first use" },
	[CONFIG_PLAIN] = { "plain", BOOL, "no",
	                   "ordinary files under ordinary names" },
	[CONFIG_LABEL] = { "label", TEXT, "",
	                   "this device's name among a vault's members; the "
	                   "host's if empty" },
	[CONFIG_NAME_TEXT] = { "name_text", TEXT, "cjk14",
	                       "how a new vault writes sealed names: cjk14, "
	                       "base32 (longer)" },
	[CONFIG_RECOVERY_KEY] = { "recovery_key", BOOL, "yes",
	                          "a new vault gets a recovery key" },
	[CONFIG_RECOVERY_KEY_OUT] = { "recovery_key_out", FILE_PATH, "",
	                              "a new recovery key goes into that file, "
	                              "0600, and is not shown" },
	[CONFIG_READ_ONLY] = { "read_only", BOOL, "no",
	                       "change nothing here or there" },
	[CONFIG_FOREGROUND] = { "foreground", BOOL, "no",
	                        "stay in the foreground (-f)" },
	[CONFIG_ALLOW_OTHER] = { "allow_other", BOOL, "no",
	                         "other users may use the mount" },
	[CONFIG_CACHE_SIZE] = { "cache_size", SIZE, "20G",
	                        "disk space for content; 0: no limit" },
	[CONFIG_MIN_FREE] = { "min_free", SIZE, "1G",
	                      "disk space to leave free" },
	[CONFIG_WRITE_BACK_DELAY] = { "write_back_delay", TIME, "1s",
	                              "a closed file is sent after that" },
	[CONFIG_MAX_DIRTY_AGE] = { "max_dirty_age", TIME, "5m",
	                           "a file that stays open is sent after "
	                           "that" },
	[CONFIG_POLL_INTERVAL] = { "poll_interval", TIME, "60s",
	                           "how often changes are asked for" },
	[CONFIG_RECONCILE_INTERVAL] = { "reconcile_interval", TIME, "1d",
	                                "how often all is listed anew; 0: "
	                                "never" },
	[CONFIG_DEADLINE] = { "deadline", TIME, "30s",
	                      "how long a read waits for the network" },
	[CONFIG_HOLD_AFTER] = { "hold_after", LIMITS, HOLD_DEFAULT,
	                        "more deletes, overwrites wait for "
	                        "approve; off" },
	[CONFIG_APPEND_ONLY] = { "append_only", BOOL, "no",
	                         "no deletes and overwrites: what was sent "
	                         "once stays as it is" },
	[CONFIG_DENY_READERS] = { "deny_readers", NAMES, "default",
	                          "programs for which nothing is fetched; "
	                          "off" },
	[CONFIG_BWLIMIT_UP] = { "bwlimit_up", RATE, "0",
	                        "bytes a second sent: 2M, or 08:00,512K "
	                        "23:00,off" },
	[CONFIG_BWLIMIT_DOWN] = { "bwlimit_down", RATE, "0",
	                          "bytes a second received, likewise" },
	[CONFIG_METERED] = { "metered", METERED, "ignore",
	                     "pause: nothing is sent where it costs by "
	                     "volume" },
	[CONFIG_INHIBIT_SHUTDOWN] = { "inhibit_shutdown", BOOL, "no",
	                              "a shutdown waits for uploads (logind)" },
	[CONFIG_VERSIONS_DIR] = { "versions_dir", BOOL, "yes",
	                          ".versions in the mount, by its name" },
	[CONFIG_GRAPH_URL] = { "graph_url", URL, "",
	                       "another Graph, with the /v1.0" },
	[CONFIG_LOGIN_URL] = { "login_url", URL, "",
	                       "another sign-in service" },
	[CONFIG_CA_FILE] = { "ca_file", FILE_PATH, "",
	                     "certificates to trust, PEM" },
	[CONFIG_HTTP2] = { "http2", BOOL, "no",
	                   "HTTP/2 where libcurl is sound" },
	[CONFIG_HTTP2_ANY] = { "http2_any", BOOL, "no",
	                       "HTTP/2 with any libcurl, to try it" },
	[CONFIG_KEYSTORE] = { "keystore", TEXT, "",
	                      "where secrets rest: secret-service, sealed, "
	                      "file, command" },
	[CONFIG_PASSPHRASE_COMMAND] = { "passphrase_command", TEXT, "",
	                                "prints the passphrase of \"sealed\"" },
	[CONFIG_KEY_COMMAND] = { "key_command", TEXT, "",
	                         "keeps the secrets of \"command\"" },
	[CONFIG_STATE_DIR] = { "state_dir", FILE_PATH, "",
	                       "where unsent files and the cache lie" },
	[CONFIG_LOG_LEVEL] = { "log_level", LEVEL, "info",
	                       "error, warn, info, debug" },
	[CONFIG_LOG_FILE] = { "log_file", FILE_PATH, "",
	                      "append the log to it" },
	[CONFIG_NOTIFY] = { "notify", BOOL, "no",
	                    "tell on the desktop what needs a person, by "
	                    "notify-send" },
	[CONFIG_NOTIFY_AFTER] = { "notify_after", TIME, "5m",
	                          "...and the end of a run as long as that" },
	[CONFIG_PROMETHEUS_FILE] = { "prometheus_file", FILE_PATH, "",
	                             "keep numbers in it, for node_exporter" },
};

/* Where a value came from; the greater one wins. */
enum origin { FROM_DEFAULT, FROM_FILE, FROM_PROFILE, FROM_ENV, FROM_FLAG };

struct config {
	char *text[CONFIG_KEYS];
	uint64_t number[CONFIG_KEYS];
	enum origin origin[CONFIG_KEYS];
	struct buf fuse; /* options for libfuse */
	char path[PATH_MAX];
	mode_t umask;
};

/* ---- values -------------------------------------------------------------- */

static int parse_bool(const char *s, uint64_t *out)
{
	static const char *const yes[] = { "yes", "on", "true", "1" };
	static const char *const no[] = { "no", "off", "false", "0" };

	for (size_t i = 0; i < 4; i++) {
		if (!strcasecmp(s, yes[i]) || !strcasecmp(s, no[i])) {
			*out = !strcasecmp(s, yes[i]);
			return 0;
		}
	}
	return -EINVAL;
}

/* Part of a path: nothing that leads elsewhere. */
static int check_name(const char *s)
{
	if (!*s || *s == '.' || strlen(s) > 64)
		return -EINVAL;
	for (; *s; s++) {
		if (!isalnum((unsigned char)*s) && !strchr("._-", *s))
			return -EINVAL;
	}
	return 0;
}

static const struct {
	const char *wants;
} type_words[] = {
	[TEXT] = { "a text" },
	[FILE_PATH] = { "a path" },
	[NAME] = { "a name of letters, digits, '.', '_', '-'" },
	[BOOL] = { "yes or no" },
	[SIZE] = { "a size like 500M or 20G" },
	[RATE] = { "a rate like 500K or 2M, or a timetable like 08:00,500K "
	           "Sat-08:00,2M 23:00,off" },
	[TIME] = { "a time like 500ms, 2s, 5m or 1h" },
	[URL] = { "an https URL (http only for loopback)" },
	[LEVEL] = { "error, warn, info or debug" },
	[LIMITS] = { "off, or limits like 50, 20:50% (at least 20 items and "
	             "more than half of all) and a time, joined by '/'" },
	[NAMES] = { "names of programs, divided by blanks or commas; "
	            "\"default\" is the list that is built in, off is none" },
	[METERED] = { "pause or ignore" },
};

static int check_value(enum type type, const char *value, uint64_t *out)
{
	struct hold_limits limits;
	struct timetable table;
	enum log_level level;
	int rc;

	switch (type) {
	case TEXT:
	case FILE_PATH:
		return 0;
	case NAME:
		return check_name(value);
	case BOOL:
		return parse_bool(value, out);
	case SIZE:
		return units_parse_size(value, out);
	case RATE:
		rc = timetable_parse(value, &table);
		*out = rc < 0 ? 0 : table.always;
		return rc;
	case TIME:
		return units_parse_time(value, out);
	case URL:
		return !*value || http_url_allowed(value) ? 0 : -EINVAL;
	case LEVEL:
		return log_parse_level(value, &level);
	case LIMITS:
		return hold_parse(value, &limits);
	case NAMES:
		return readers_check(value);
	case METERED:
		*out = !strcmp(value, "pause");
		return *out || !strcmp(value, "ignore") ? 0 : -EINVAL;
	}
	return -EINVAL;
}

static int set(struct config *c, enum config_key key, const char *value,
               enum origin from, const char *where, char *why, size_t size)
{
	uint64_t number = 0;
	char *copy;

	if (from < c->origin[key])
		return 0;
	if (check_value(options[key].type, value, &number) < 0) {
		snprintf(why, size, "%s: \"%s\" should be %s", where, value,
		         type_words[options[key].type].wants);
		return -EINVAL;
	}
	copy = strdup(value);
	if (!copy) {
		snprintf(why, size, "out of memory");
		return -ENOMEM;
	}
	free(c->text[key]);
	c->text[key] = copy;
	c->number[key] = number;
	c->origin[key] = from;
	return 0;
}

/* ---- life ---------------------------------------------------------------- */

int config_new(struct config **out_c)
{
	struct config *c = calloc(1, sizeof(*c));
	char why[256];
	int rc = c ? 0 : -ENOMEM;

	if (c) {
		buf_init(&c->fuse);
		c->umask = 077;
	}
	for (int k = 0; k < CONFIG_KEYS && rc == 0; k++)
		rc = set(c, (enum config_key)k, options[k].def, FROM_DEFAULT,
		         options[k].key, why, sizeof(why));
	if (rc < 0) {
		config_free(c);
		return rc;
	}
	*out_c = c;
	return 0;
}

void config_free(struct config *c)
{
	if (!c)
		return;
	for (int k = 0; k < CONFIG_KEYS; k++)
		free(c->text[k]);
	buf_done(&c->fuse);
	free(c);
}

const char *config_text(const struct config *c, enum config_key key)
{
	return c->text[key];
}

bool config_bool(const struct config *c, enum config_key key)
{
	return c->number[key];
}

uint64_t config_number(const struct config *c, enum config_key key)
{
	return c->number[key];
}

const char *config_fuse_options(const struct config *c)
{
	return c->fuse.data ? c->fuse.data : "";
}

mode_t config_umask(const struct config *c)
{
	return c->umask;
}

void config_set_umask(struct config *c, mode_t mask)
{
	c->umask = mask;
}

const char *config_path(const struct config *c)
{
	return c->path;
}

/* ---- flags --------------------------------------------------------------- */

/* `name` with '-' or '_', `len` bytes of it. */
static int find_key(const char *name, size_t len)
{
	for (int k = 0; k < CONFIG_KEYS; k++) {
		const char *key = options[k].key;
		size_t i = 0;

		while (i < len && key[i] &&
		       (name[i] == key[i] || (name[i] == '-' && key[i] == '_')))
			i++;
		if (i == len && !key[i])
			return k;
	}
	return -1;
}

static int take_mount_option(struct config *c, const char *opt, size_t len,
                             char *why, size_t size)
{
	const char *eq = memchr(opt, '=', len);
	size_t name_len = eq ? (size_t)(eq - opt) : len;
	int key = find_key(opt, name_len), rc;
	char *value;

	if (name_len == 2 && !memcmp(opt, "ro", 2) && !eq)
		key = CONFIG_READ_ONLY;
	if (key < 0 || (!eq && options[key].type != BOOL)) {
		/* mount(8) passes these on; they mean nothing to us. */
		if (c->fuse.len)
			buf_add_char(&c->fuse, ',');
		return buf_add(&c->fuse, opt, len);
	}
	value = eq ? strndup(eq + 1, len - name_len - 1) : strdup("yes");
	if (!value)
		return -ENOMEM;
	rc = set(c, (enum config_key)key, value, FROM_FLAG, options[key].key,
	         why, size);
	free(value);
	return rc;
}

static int take_mount_options(struct config *c, const char *list, char *why,
                              size_t size)
{
	int rc = 0;

	while (*list && rc == 0) {
		size_t len = strcspn(list, ",");

		if (len)
			rc = take_mount_option(c, list, len, why, size);
		list += len + (list[len] == ',');
	}
	return rc;
}

/* Takes argv[i] if it is ours; *out_used: how many words. 0: it isn't. */
static int take_flag(struct config *c, int argc, char **argv, int i,
                     int *out_used, char *why, size_t size)
{
	const char *name = argv[i] + 2, *eq = strchr(name, '='), *value;
	size_t len = eq ? (size_t)(eq - name) : strlen(name);
	bool no = !strncmp(name, "no-", 3);
	int key = find_key(name, len);

	*out_used = 0;
	if (key < 0 && no) {
		key = find_key(name + 3, len - 3);
		if (key < 0 || options[key].type != BOOL || eq)
			return 0;
		*out_used = 1;
		return set(c, (enum config_key)key, "no", FROM_FLAG, argv[i],
		           why, size);
	}
	if (key < 0)
		return 0;
	*out_used = 1;
	if (eq) {
		value = eq + 1;
	} else if (options[key].type == BOOL) {
		value = "yes";
	} else if (i + 1 < argc) {
		value = argv[i + 1];
		*out_used = 2;
	} else {
		snprintf(why, size, "%s needs a value: %s", argv[i],
		         type_words[options[key].type].wants);
		return -EINVAL;
	}
	return set(c, (enum config_key)key, value, FROM_FLAG, argv[i], why,
	           size);
}

static int take_short(struct config *c, int argc, char **argv, int i,
                      int *out_used, char *why, size_t size)
{
	*out_used = 0;
	if (!strcmp(argv[i], "-f")) {
		*out_used = 1;
		return set(c, CONFIG_FOREGROUND, "yes", FROM_FLAG, "-f", why,
		           size);
	}
	if (strncmp(argv[i], "-o", 2) != 0)
		return 0;
	*out_used = argv[i][2] ? 1 : 2;
	if (!argv[i][2] && i + 1 >= argc) {
		snprintf(why, size, "-o needs options: name=value,...");
		return -EINVAL;
	}
	return take_mount_options(c, argv[i][2] ? argv[i] + 2 : argv[i + 1],
	                          why, size);
}

/* Commands have a --recovery-key FILE of their own. */
static bool is_for_command(const char *a)
{
	static const char name[] = "--recovery-key";

	return !strncmp(a, name, sizeof(name) - 1) &&
	       (!a[sizeof(name) - 1] || a[sizeof(name) - 1] == '=');
}

int config_take_args(struct config *c, int *argc, char **argv,
                     config_command_fn *is_command, char *why, size_t why_size)
{
	int out = 1, used, rc = 0;
	bool command = false;

	for (int i = 1; i < *argc && rc == 0; i += used) {
		const char *a = argv[i];

		used = 0;
		if (!strcmp(a, "--")) {
			for (i += !command; i < *argc; i++)
				argv[out++] = argv[i];
			break;
		}
		if (!strncmp(a, "--", 2) && !(command && is_for_command(a)))
			rc = take_flag(c, *argc, argv, i, &used, why, why_size);
		else if (a[0] == '-' && a[1] && !command)
			rc = take_short(c, *argc, argv, i, &used, why,
			                why_size);
		if (rc < 0 || used)
			continue;
		if (a[0] != '-' && !command && out == 1 && is_command)
			command = is_command(a);
		argv[out++] = argv[i];
		used = 1;
	}
	if (rc == 0) {
		*argc = out;
		argv[out] = NULL;
	}
	if (c->fuse.failed)
		rc = -ENOMEM;
	return rc;
}

/* ---- environment and file ------------------------------------------------ */

/* Of these an empty value is one, too. */
static bool is_text(enum type type)
{
	return type == TEXT || type == FILE_PATH;
}

static int load_env(struct config *c, char *why, size_t size)
{
	char name[64];
	int rc = 0;

	for (int k = 0; k < CONFIG_KEYS && rc == 0; k++) {
		const char *value;

		snprintf(name, sizeof(name), "NMBACKUPFS_%s", options[k].key);
		for (char *p = name; *p; p++)
			*p = (char)toupper((unsigned char)*p);
		value = getenv(name);
		if (value && (*value || is_text(options[k].type)))
			rc = set(c, (enum config_key)k, value, FROM_ENV, name,
			         why, size);
	}
	return rc;
}

struct loading {
	struct config *c;
	char *why;
	size_t size;
};

static int load_entry(void *arg, const char *section, const char *key,
                      const char *value, unsigned line)
{
	struct loading *l = arg;
	char where[PATH_MAX + 64];
	int k = find_key(key, strlen(key));

	if (*section && strcmp(section, l->c->text[CONFIG_PROFILE]) != 0)
		return 0;
	snprintf(where, sizeof(where), "%s:%u: %s", l->c->path, line, key);
	if (k < 0 || k == CONFIG_PROFILE || k == CONFIG_FILE) {
		snprintf(l->why, l->size, "%s: no such option; see --help",
		         where);
		return -EINVAL;
	}
	return set(l->c, (enum config_key)k, value,
	           *section ? FROM_PROFILE : FROM_FILE, where, l->why, l->size);
}

int config_load(struct config *c, char *why, size_t why_size)
{
	struct loading l = { c, why, why_size };
	char dir[PATH_MAX - 16];
	bool named;
	int rc = load_env(c, why, why_size);

	if (rc < 0)
		return rc;
	named = c->text[CONFIG_FILE][0];
	if (named) {
		snprintf(c->path, sizeof(c->path), "%s", c->text[CONFIG_FILE]);
	} else {
		rc = paths_config_dir(dir, sizeof(dir));
		if (rc < 0) {
			snprintf(why, why_size,
			         "no home directory: set HOME or "
			         "XDG_CONFIG_HOME");
			return rc;
		}
		snprintf(c->path, sizeof(c->path), "%s/config", dir);
	}
	rc = config_file_read(c->path, load_entry, &l, why, why_size);
	if (rc == -ENOENT && !named)
		rc = 0;
	if (rc == 0)
		why[0] = '\0';
	return rc;
}

int config_store(struct config *c, enum config_key key, const char *value)
{
	const char *profile = c->text[CONFIG_PROFILE];
	char why[256];
	uint64_t number;
	int rc = check_value(options[key].type, value, &number);

	if (rc == 0)
		rc = config_file_write(
			c->path, strcmp(profile, "default") ? profile : "",
			options[key].key, value);
	return rc < 0 ? rc
	              : set(c, key, value, c->origin[key], options[key].key,
	                    why, sizeof(why));
}

bool config_is_flag(const struct config *c, enum config_key key)
{
	return c->origin[key] == FROM_FLAG;
}

/* ---- help ---------------------------------------------------------------- */

void config_print_help(FILE *f)
{
	static const char *const values[] = {
		[TEXT] = " TEXT",   [FILE_PATH] = " FILE",
		[NAME] = " NAME",   [BOOL] = "",
		[SIZE] = " SIZE",   [RATE] = " RATE",
		[TIME] = " TIME",   [URL] = " URL",
		[LEVEL] = " LEVEL", [LIMITS] = " LIMITS",
		[NAMES] = " NAMES", [METERED] = " pause|ignore",
	};

	for (int k = 0; k < CONFIG_KEYS; k++) {
		char flag[64];

		snprintf(flag, sizeof(flag), "--%s%s", options[k].key,
		         values[options[k].type]);
		for (char *p = flag; *p; p++)
			*p = *p == '_' ? '-' : *p;
		fprintf(f, "  %-28s %s", flag, options[k].help);
		if (*options[k].def && strcmp(options[k].def, "no") != 0)
			fprintf(f, " [%s]", options[k].def);
		putc('\n', f);
	}
}
