#include "fs/logging.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
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

static void to_syslog(void *arg, enum log_level level, const char *line)
{
	static const int priorities[] = { LOG_ERR, LOG_WARNING, LOG_INFO,
		                          LOG_DEBUG };

	(void)arg;
	syslog(LOG_DAEMON | priorities[level], "%s", line);
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
		return 0;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	f = fd < 0 ? NULL : fdopen(fd, "a");
	if (!f)
		return -errno;
	log_set_sink(to_file, f);
	return 0;
}
