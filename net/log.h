/* net/log.h -- one line per event, `key=value`, secrets redacted.
 *
 * A line goes to the sink when its level is at or below the log level. Before
 * that, whatever looks like a credential is replaced by "[redacted]" (bearer
 * values, age identities, refresh and access tokens, passphrases in JSON or
 * forms, queries of URLs), and control characters, escape sequences and bytes
 * that are not UTF-8 are shown as \xHH, so that a hostile name can't forge a
 * line or drive a terminal. Redaction is the second line of defence: callers
 * don't log secrets.
 * Threads: any. Level and sink are the only mutable globals here. */
#ifndef NMB_LOG_H
#define NMB_LOG_H

#include <stdbool.h>
#include <stddef.h>

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARN,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
};

/* `line` has no line feed and is valid only during the call. */
typedef void log_sink_fn(void *arg, enum log_level level, const char *line);

/* Default: LOG_LEVEL_INFO to standard error. sink NULL restores that. */
void log_set_level(enum log_level level);
void log_set_sink(log_sink_fn *sink, void *arg);
bool log_enabled(enum log_level level);

/* "error", "warn", "info", "debug"; returns 0 or -EINVAL. */
int log_parse_level(const char *name, enum log_level *out_level);

void log_write(enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)                                                         \
	do {                                                                   \
		if (log_enabled(LOG_LEVEL_DEBUG))                              \
			log_write(LOG_LEVEL_DEBUG, __VA_ARGS__);               \
	} while (0)

/* Redacts and escapes `in` into `out` (always terminated; cut to fit). */
void log_sanitize(const char *in, char *out, size_t out_size);

#endif
