#include "fs/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utf8proc.h>

#include "net/buf.h"
#include "net/clock.h"
#include "net/fdio.h"

/* ---- the format ---------------------------------------------------------- */

/* Backslash, quote and line feed are escaped, all else is UTF-8 as it is; what
 * is none, or can't be seen, is not worth a broken file. */
static void add_label(struct buf *b, const char *name, const char *value)
{
	utf8proc_ssize_t n;

	buf_addf(b, "%s=\"", name);
	for (; *value; value += n > 0 ? n : 1) {
		utf8proc_int32_t c;

		n = utf8proc_iterate((const utf8proc_uint8_t *)value, -1, &c);
		if (*value == '\n')
			buf_add_str(b, "\\n");
		else if (n <= 0 || (unsigned char)*value < 0x20)
			buf_add_char(b, '?');
		else if (*value == '\\' || *value == '"')
			buf_addf(b, "\\%c", *value);
		else
			buf_add(b, value, (size_t)n);
	}
	buf_add_char(b, '"');
}

static void begin(struct buf *b, const char *name, const char *type,
                  const char *help)
{
	buf_addf(b, "# HELP nmbackupfs_%s %s\n# TYPE nmbackupfs_%s %s\n", name,
	         help, name, type);
}

static void add_name(struct buf *b, const struct metrics *m, const char *name)
{
	buf_addf(b, "nmbackupfs_%s{", name);
	add_label(b, "profile", m->profile);
}

static void add_one(struct buf *b, const struct metrics *m, const char *name,
                    const char *type, const char *help, uint64_t value)
{
	begin(b, name, type, help);
	add_name(b, m, name);
	buf_addf(b, "} %" PRIu64 "\n", value);
}

static void gauge(struct buf *b, const struct metrics *m, const char *name,
                  const char *help, uint64_t value)
{
	add_one(b, m, name, "gauge", help, value);
}

static void counter(struct buf *b, const struct metrics *m, const char *name,
                    const char *help, uint64_t value)
{
	add_one(b, m, name, "counter", help, value);
}

/* ---- what there is ------------------------------------------------------- */

static void add_info(struct buf *b, const struct metrics *m)
{
	begin(b, "info", "gauge", "What runs; always 1.");
	add_name(b, m, "info");
	buf_add_char(b, ',');
	add_label(b, "mountpoint", m->mountpoint);
	buf_add_char(b, ',');
	add_label(b, "version", m->version);
	buf_add_str(b, "} 1\n");
}

static void add_state(struct buf *b, const struct metrics *m)
{
	begin(b, "state", "gauge", "1 for the state the mount is in.");
	for (int s = ENGINE_IDLE; s <= ENGINE_PAUSED; s++) {
		add_name(b, m, "state");
		buf_add_char(b, ',');
		add_label(b, "state", engine_state_name((enum engine_state)s));
		buf_addf(b, "} %d\n",
		         m->up && m->status.state == (enum engine_state)s);
	}
}

static void add_queue(struct buf *b, const struct metrics *m)
{
	const struct engine_status *s = &m->status;

	gauge(b, m, "pending_changes", "Changes not on the server yet.",
	      s->pending_nodes);
	gauge(b, m, "pending_files", "Files whose content waits to be sent.",
	      s->pending_files);
	gauge(b, m, "pending_bytes", "Size of these.", s->pending_bytes);
	gauge(b, m, "uploads", "Transfers under way.", s->uploading);
	gauge(b, m, "blocked", "Changes that a person must look at.",
	      s->blocked);
	gauge(b, m, "held", "Changes here that wait for approve or undo.",
	      s->held);
	gauge(b, m, "held_incoming", "1 if deletes by others do.", s->held_in);
}

static void add_totals(struct buf *b, const struct metrics *m)
{
	counter(b, m, "uploaded_files_total", "Files sent and verified.",
	        m->status.uploaded_files);
	counter(b, m, "uploaded_bytes_total", "Size of these.",
	        m->status.uploaded_bytes);
	counter(b, m, "failures_total", "Attempts that are repeated later.",
	        m->failures);
	counter(b, m, "refusals_total", "Attempts that a person must look at.",
	        m->refusals);
	counter(b, m, "conflicts_total", "Names given to a second version.",
	        m->conflicts);
	counter(b, m, "requests_total", "Requests to the service.",
	        m->requests);
	counter(b, m, "sent_bytes_total", "Bodies of requests.", m->sent_bytes);
	counter(b, m, "received_bytes_total", "Bodies of answers.",
	        m->received_bytes);
}

static void add_places(struct buf *b, const struct metrics *m)
{
	const struct engine_status *s = &m->status;

	gauge(b, m, "cache_bytes", "Content kept on this machine.",
	      m->cached_bytes);
	gauge(b, m, "cache_limit_bytes", "Its limit; 0: none.",
	      m->cache_limit_bytes);
	if (s->quota_total >= 0)
		gauge(b, m, "quota_bytes", "Size of the OneDrive.",
		      (uint64_t)s->quota_total);
	if (s->quota_used >= 0)
		gauge(b, m, "quota_used_bytes", "Used of it.",
		      (uint64_t)s->quota_used);
	if (s->quota_remaining >= 0)
		gauge(b, m, "quota_free_bytes", "Free in it.",
		      (uint64_t)s->quota_remaining);
}

static uint64_t seconds(int64_t ns)
{
	return ns > 0 ? (uint64_t)(ns / NS_PER_SEC) : 0;
}

void metrics_format(const struct metrics *m, struct buf *out)
{
	add_info(out, m);
	gauge(out, m, "up", "1 while the process runs.", m->up);
	add_state(out, m);
	add_queue(out, m);
	add_totals(out, m);
	add_places(out, m);
	gauge(out, m, "last_sync_timestamp_seconds",
	      "When the drive's changes were taken over last; 0: never.",
	      seconds(m->status.last_sync_ns));
	gauge(out, m, "start_timestamp_seconds", "When the process started.",
	      seconds(m->started_ns));
}

/* ---- the file ------------------------------------------------------------ */

static int write_new(const char *path, const struct buf *text, mode_t mode)
{
	int fd, rc;

	/* What lies there is of a run that died, or a trap. */
	if (unlink(path) < 0 && errno != ENOENT)
		return -errno;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY,
	          0600);
	if (fd < 0)
		return -errno;
	rc = fdio_write_all(fd, text->data, text->len);
	if (rc == 0 && fchmod(fd, mode) < 0)
		rc = -errno;
	if (close(fd) < 0 && rc == 0)
		rc = -errno;
	return rc;
}

int metrics_write(const char *path, const struct buf *text, mode_t mode)
{
	char beside[PATH_MAX];
	int rc;

	if (text->failed)
		return -ENOMEM;
	if (snprintf(beside, sizeof(beside), "%s.new", path) >=
	    (int)sizeof(beside))
		return -ENAMETOOLONG;
	rc = write_new(beside, text, mode);
	if (rc == 0 && rename(beside, path) < 0)
		rc = -errno;
	if (rc < 0)
		unlink(beside);
	return rc;
}
