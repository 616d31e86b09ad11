#include "fs/service.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>

#include "fs/engine.h"

static void format_bytes(uint64_t bytes, char *out, size_t size)
{
	static const char *const units[] = { "B", "KB", "MB", "GB", "TB" };
	double v = (double)bytes;
	unsigned u = 0;

	while (v >= 1000 && u < 4) {
		v /= 1000;
		u++;
	}
	snprintf(out, size, "%.*f %s", u && v < 10 ? 1 : 0, v, units[u]);
}

static void describe_pending(const struct engine_status *st, char *out,
                             size_t size)
{
	char bytes[32];

	format_bytes(st->pending_bytes, bytes, sizeof(bytes));
	if (st->pending_files)
		snprintf(out, size, "%" PRIu64 " files, %s to send",
		         st->pending_files, bytes);
	else if (st->pending_nodes)
		snprintf(out, size, "%" PRIu64 " changes to send",
		         st->pending_nodes);
	else
		snprintf(out, size, "nothing to send");
}

void service_words(const struct engine_status *st, char *out, size_t size)
{
	char pending[96], stays[96] = "";

	describe_pending(st, pending, sizeof(pending));
	if (st->blocked || st->held)
		snprintf(stays, sizeof(stays),
		         "; %" PRIu64 " refused, %" PRIu64
		         " held: see nmbackupfs status",
		         st->blocked, st->held);
	if (st->state == ENGINE_SIGNED_OUT)
		snprintf(out, size, "signed out: run nmbackupfs auth; %s%s",
		         pending, stays);
	else if (st->state == ENGINE_IDLE && !st->pending_nodes)
		snprintf(out, size, "all is on the server");
	else
		snprintf(out, size, "%s: %s%s", engine_state_name(st->state),
		         pending, stays);
}
