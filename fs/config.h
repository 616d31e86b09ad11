/* fs/config.h -- options: one table, three places.
 *
 * Every option is a flag `--write-back-delay 2s`, an environment variable
 * NMBACKUPFS_WRITE_BACK_DELAY and a key write_back_delay of the INI file
 * $XDG_CONFIG_HOME/nmbackupfs/config. Flags win over the environment, that
 * over the section [profile], that over what stands before the first section,
 * that over the default. `-o name=value,...` says the same as flags, so that
 * it works from fstab; what the table does not know is kept for libfuse.
 *
 * Limits (--hold-after): fs/hold.h. Sizes: bytes, or with K, M, G, T (1024).
 * Rates: sizes a second, or a timetable (fs/timetable.h; config_number() is 0
 * then). Times: seconds, or with ms, s, m, h, d. Booleans:
 * --name, --no-name; yes/no, on/off, true/false, 1/0. Threads: set up by one
 * thread, then only read. Errors: -EINVAL with one line for people in `why`,
 * -ENOMEM, -Exxx of the file. */
#ifndef NMB_CONFIG_H
#define NMB_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

struct config;

enum config_key {
	CONFIG_PROFILE,
	CONFIG_FILE,
	CONFIG_CLIENT_ID,
	CONFIG_ACCOUNT,
	CONFIG_FOLDER,
	CONFIG_PLAIN,
	CONFIG_LABEL,
	CONFIG_NAME_TEXT,
	CONFIG_RECOVERY_KEY,
	CONFIG_RECOVERY_KEY_OUT,
	CONFIG_READ_ONLY,
	CONFIG_FOREGROUND,
	CONFIG_ALLOW_OTHER,
	CONFIG_CACHE_SIZE,
	CONFIG_MIN_FREE,
	CONFIG_WRITE_BACK_DELAY,
	CONFIG_MAX_DIRTY_AGE,
	CONFIG_POLL_INTERVAL,
	CONFIG_RECONCILE_INTERVAL,
	CONFIG_DEADLINE,
	CONFIG_HOLD_AFTER,
	CONFIG_APPEND_ONLY,
	CONFIG_DENY_READERS,
	CONFIG_BWLIMIT_UP,
	CONFIG_BWLIMIT_DOWN,
	CONFIG_METERED,
	CONFIG_INHIBIT_SHUTDOWN,
	CONFIG_VERSIONS_DIR,
	CONFIG_GRAPH_URL,
	CONFIG_LOGIN_URL,
	CONFIG_CA_FILE,
	CONFIG_HTTP2,
	CONFIG_HTTP2_ANY,
	CONFIG_KEYSTORE,
	CONFIG_PASSPHRASE_COMMAND,
	CONFIG_KEY_COMMAND,
	CONFIG_STATE_DIR,
	CONFIG_LOG_LEVEL,
	CONFIG_LOG_FILE,
	CONFIG_NOTIFY,
	CONFIG_NOTIFY_AFTER,
	CONFIG_PROMETHEUS_FILE,
	CONFIG_KEYS
};

int config_new(struct config **out_c);
void config_free(struct config *c);

/* Takes options out of argv[1..]; what is left (command, paths, options that
 * the table does not know) moves up, *argc counts it. From the first word on
 * that is a command, -f, -o, --recovery-key and "--" are left in place too,
 * they are the command's; before, they are the mount's. -h and --help are left
 * as well.
 * `is_command` may be NULL. */
typedef bool config_command_fn(const char *word);
int config_take_args(struct config *c, int *argc, char **argv,
                     config_command_fn *is_command, char *why, size_t why_size);

/* Reads environment and file, settles what wins. Once, after the arguments. A
 * file that is not there is fine unless --config names it. */
int config_load(struct config *c, char *why, size_t why_size);

/* "" if unset. */
const char *config_text(const struct config *c, enum config_key key);
bool config_bool(const struct config *c, enum config_key key);
/* Sizes and rates in bytes, times in ms. */
uint64_t config_number(const struct config *c, enum config_key key);

/* Comma separated -o options for libfuse; "" if none. */
const char *config_fuse_options(const struct config *c);

/* The user's own, for files made for the user; 077 until it is set. */
mode_t config_umask(const struct config *c);
void config_set_umask(struct config *c, mode_t mask);

/* The INI file, whether it is there or not. */
const char *config_path(const struct config *c);

/* Writes the option into the file, into [profile] unless that is "default"
 * (then before the first section), leaving all else as it is; and sets it here.
 * Durable (write, fsync, rename). */
int config_store(struct config *c, enum config_key key, const char *value);

/* It was given on the command line. */
bool config_is_flag(const struct config *c, enum config_key key);

/* One entry for each option: flag, value, default, meaning. */
void config_print_help(FILE *f);

#endif
