#include "fs/logging.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "fs/config.h"
#include "net/clock.h"
#include "net/log.h"

static void to_file(void *arg, enum log_level level, const char *line)
{
	static const char *const names[] = { "error", "warn", "info", "debug" };
	char when[CLOCK_RFC3339_SIZE];
	FILE *f = arg;

	clock_format_rfc3339(clock_real_ns(), 3, when);
	fprintf(f, "%s %s %s\n", when, names[level], line);
	fflush(f);
}

static const int priorities[] = { LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

/* The journal adds time, name and pid. */
static void to_journal(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	fprintf(stderr, "<%d>%s\n", priorities[level], line);
}

static void to_syslog(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	syslog(LOG_DAEMON | priorities[level], "%s", line);
}

static bool is_journal(int fd)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uintmax_t dev, ino;
	struct stat st;
	char end;

	return stream && sscanf(stream, "%ju:%ju%c", &dev, &ino, &end) == 2 &&
	       fstat(fd, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

const char *logging_error_mark(void)
{
	return is_journal(STDERR_FILENO) ? "<3>" : "";
}

void logging_prepare(void)
{
	if (is_journal(STDERR_FILENO))
		log_set_sink(to_journal, NULL);
}

int logging_start(const struct config *c, int background)
{
	const char *path = config_text(c, CONFIG_LOG_FILE);
	enum log_level level;
	FILE *f;
	int fd;

	if (log_parse_level(config_text(c, CONFIG_LOG_LEVEL), &level) == 0)
		log_set_level(level);
	if (!path[0]) {
		if (background)
			log_set_sink(to_syslog, NULL);
		else if (is_journal(STDERR_FILENO))
			log_set_sink(to_journal, NULL);
		return 0;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	f = fd < 0 ? NULL : fdopen(fd, "a");
	if (!f)
		return -errno;
	log_set_sink(to_file, f);
	return 0;
}
