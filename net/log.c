#include "net/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <utf8proc.h>

#define LINE_MAX_BYTES 4096

static atomic_int log_level = LOG_LEVEL_INFO;
static pthread_mutex_t sink_lock = PTHREAD_MUTEX_INITIALIZER;
static log_sink_fn *log_sink;
static void *log_sink_arg;

static const char *const level_names[] = { "error", "warn", "info", "debug" };

void log_set_level(enum log_level level)
{
	atomic_store(&log_level, (int)level);
}

bool log_enabled(enum log_level level)
{
	return (int)level <= atomic_load(&log_level);
}

void log_set_sink(log_sink_fn *sink, void *arg)
{
	pthread_mutex_lock(&sink_lock);
	log_sink = sink;
	log_sink_arg = arg;
	pthread_mutex_unlock(&sink_lock);
}

int log_parse_level(const char *name, enum log_level *out_level)
{
	for (int i = 0; i <= LOG_LEVEL_DEBUG; i++) {
		if (!strcmp(name, level_names[i])) {
			*out_level = (enum log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

/* What stands after one of these is a credential, to the end of the word. */
static const char *const secret_marks[] = {
	"Bearer ",         "access_token=",   "refresh_token=",
	"device_code=",    "client_secret=",  "tempauth=",
	"passphrase=",     "access_token\":", "refresh_token\":",
	"device_code\":",  "passphrase\":",   "AGE-SECRET-KEY-",
	"age-secret-key-",
};

static size_t mark_len(const char *s)
{
	for (size_t i = 0; i < sizeof(secret_marks) / sizeof(*secret_marks);
	     i++) {
		size_t n = strlen(secret_marks[i]);

		if (!strncmp(s, secret_marks[i], n))
			return n;
	}
	return 0;
}

static bool ends_word(char c)
{
	return !c || strchr(" \t\r\n,;&)}\"'", c);
}

static bool ends_url(char c)
{
	return !c || strchr(" \t\r\n\"'<>", c);
}

static const char *skip_secret(const char *s)
{
	while (*s == ' ' || *s == '"')
		s++;
	while (!ends_word(*s))
		s++;
	return s;
}

struct out {
	char *p;
	size_t left; /* without the terminator */
};

static void put(struct out *o, const char *s, size_t n)
{
	if (n > o->left)
		n = o->left;
	memcpy(o->p, s, n);
	o->p += n;
	o->left -= n;
}

/* Copies one character, or shows its first byte; returns bytes consumed. */
static size_t put_char(struct out *o, const char *s)
{
	utf8proc_int32_t c;
	utf8proc_ssize_t n;
	char hex[5];

	n = utf8proc_iterate((const utf8proc_uint8_t *)s, -1, &c);
	if (n > 0) {
		utf8proc_category_t cat = utf8proc_category(c);

		if (cat != UTF8PROC_CATEGORY_CC &&
		    cat != UTF8PROC_CATEGORY_CF &&
		    cat != UTF8PROC_CATEGORY_ZL &&
		    cat != UTF8PROC_CATEGORY_ZP) {
			if ((size_t)n <= o->left)
				put(o, s, (size_t)n);
			else
				o->left = 0;
			return (size_t)n;
		}
	} else {
		n = 1;
	}
	for (utf8proc_ssize_t i = 0; i < n; i++) {
		snprintf(hex, sizeof(hex), "\\x%02x", (uint8_t)s[i]);
		put(o, hex, 4);
	}
	return (size_t)n;
}

void log_sanitize(const char *in, char *out, size_t out_size)
{
	struct out o = { out, out_size - 1 };
	bool in_url = false;

	while (*in && o.left) {
		size_t n = mark_len(in);

		if (!strncmp(in, "://", 3))
			in_url = true;
		else if (ends_url(*in))
			in_url = false;
		if (n) {
			put(&o, in, n);
			put(&o, "[redacted]", 10);
			in = skip_secret(in + n);
		} else if (in_url && *in == '?') {
			put(&o, "?[redacted]", 11);
			while (!ends_url(*in))
				in++;
		} else {
			in += put_char(&o, in);
		}
	}
	*o.p = '\0';
}

void log_write(enum log_level level, const char *fmt, ...)
{
	char raw[LINE_MAX_BYTES], line[LINE_MAX_BYTES];
	va_list ap;

	if (!log_enabled(level))
		return;
	va_start(ap, fmt);
	vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	log_sanitize(raw, line, sizeof(line));
	pthread_mutex_lock(&sink_lock);
	if (log_sink)
		log_sink(log_sink_arg, level, line);
	else
		fprintf(stderr, "nmbackupfs: %s: %s\n", level_names[level],
		        line);
	pthread_mutex_unlock(&sink_lock);
}
