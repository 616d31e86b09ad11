#include "fs/cmd_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void cmd_format_size(uint64_t bytes, char *out)
{
	static const char *const units[] = { "kB", "MB", "GB", "TB", "PB" };
	double v = (double)bytes / 1000;
	size_t u = 0;

	if (bytes < 1000) {
		snprintf(out, CMD_SIZE_TEXT, "%" PRIu64 " B", bytes);
		return;
	}
	/* 999.95 would be shown as 1000.0. */
	while (v >= 999.95 && u + 1 < sizeof(units) / sizeof(*units)) {
		v /= 1000;
		u++;
	}
	snprintf(out, CMD_SIZE_TEXT, "%.1f %s", v, units[u]);
}

int cmd_parse_time(const char *text, int64_t *out_ms)
{
	static const struct {
		const char *name;
		int64_t ms;
	} units[] = {
		{ "", 1000 },   { "ms", 1 },      { "s", 1000 },
		{ "m", 60000 }, { "h", 3600000 }, { "d", 86400000 },
	};
	long long v;
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	v = strtoll(text, &end, 10);
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		if (strcasecmp(end, units[i].name) != 0)
			continue;
		/* What fits into an int of milliseconds is enough. */
		if (errno || v > INT32_MAX / units[i].ms)
			return -EINVAL;
		*out_ms = v * units[i].ms;
		return 0;
	}
	return -EINVAL;
}

const char *cmd_state_in_words(const char *state)
{
	static const struct {
		const char *name, *words;
	} states[] = {
		{ "idle", "idle: everything is on the server" },
		{ "syncing", "syncing" },
		{ "offline", "offline: the network or the service can't be "
		             "reached; goes on by itself" },
		{ "throttled", "throttled: the service asked to wait" },
		{ "full", "OneDrive is full: new content waits, and is safe "
		          "here only" },
		{ "held", "held: all else is on the server" },
		{ "paused", "paused: nothing is sent just now" },
		{ "signed-out", "signed out: run `nmbackupfs auth`" },
	};

	for (size_t i = 0; i < sizeof(states) / sizeof(*states); i++) {
		if (!strcmp(state, states[i].name))
			return states[i].words;
	}
	return state;
}
