#include "fs/control.h"
#include "fs/control_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fs/lock.h"
#include "net/buf.h"
#include "net/clock.h"
#include "net/json.h"

int control_address(const char *state_dir, struct sockaddr_un *out,
                    int *out_dir)
{
	int fd = open(state_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	memset(out, 0, sizeof(*out));
	out->sun_family = AF_UNIX;
	snprintf(out->sun_path, sizeof(out->sun_path),
	         "/proc/self/fd/%d/control", fd);
	*out_dir = fd;
	return 0;
}

static int64_t left_ms(int64_t until)
{
	int64_t left = until < 0 ? -1 : until - clock_mono_ms();

	return until >= 0 && left < 0 ? 0 : left;
}

int control_connect(const char *state_dir)
{
	struct sockaddr_un addr;
	int dir, fd, rc = control_address(state_dir, &addr, &dir);

	if (rc < 0)
		return rc;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		rc = -errno;
		if (fd >= 0)
			close(fd);
		fd = rc;
	}
	close(dir);
	return fd;
}

int control_send(int fd, const cJSON *request)
{
	char *text = cJSON_PrintUnformatted(request);
	struct buf b = BUF_INIT;
	size_t done = 0;
	int rc = 0;

	if (!text)
		return -ENOMEM;
	buf_add_str(&b, text);
	buf_add_char(&b, '\n');
	cJSON_free(text);
	if (b.failed)
		rc = -ENOMEM;
	while (rc == 0 && done < b.len) {
		ssize_t n = send(fd, b.data + done, b.len - done, MSG_NOSIGNAL);

		if (n < 0)
			rc = -errno;
		else
			done += (size_t)n;
	}
	buf_done(&b);
	return rc;
}

/* 1: that was the last line; its outcome in *out_rc. */
static int take_answer(const char *text, size_t len, control_line_fn *line,
                       void *arg, int *out_rc, char *why, unsigned size)
{
	cJSON *o = json_parse(text, len);
	bool last = json_get(o, "ok") != NULL;

	if (o && line)
		line(arg, o);
	*out_rc = o ? 0 : -EPROTO;
	if (last && !json_bool(o, "ok", false)) {
		const char *error = json_str(o, "error");

		*out_rc = -(int)json_i64(o, "errno", EIO);
		snprintf(why, size, "%s", error ? error : "failed");
	}
	cJSON_Delete(o);
	return last || *out_rc < 0;
}

static int read_answers(int fd, int64_t until, control_line_fn *line, void *arg,
                        char *why, unsigned size)
{
	struct buf in = BUF_INIT;
	int rc = 0;
	bool last = false;

	while (!last && rc == 0) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		char data[4096], *end;
		ssize_t n;

		if (poll(&p, 1, (int)left_ms(until)) == 0) {
			rc = -ETIMEDOUT;
			break;
		}
		n = read(fd, data, sizeof(data));
		if (n <= 0) {
			rc = n < 0 && errno != EINTR ? -errno : -EPIPE;
			break;
		}
		buf_add(&in, data, (size_t)n);
		while (!last && in.len &&
		       (end = memchr(in.data, '\n', in.len))) {
			size_t len = (size_t)(end - in.data);

			last = take_answer(in.data, len, line, arg, &rc, why,
			                   size);
			buf_drop(&in, len + 1);
		}
	}
	buf_done(&in);
	return rc;
}

int control_call(const char *state_dir, const cJSON *request, int timeout_ms,
                 control_line_fn *line, void *arg, char *why, unsigned size)
{
	int64_t until = timeout_ms < 0 ? -1 : clock_mono_ms() + timeout_ms;
	int fd = control_connect(state_dir), rc;

	why[0] = '\0';
	if (fd < 0)
		return fd;
	rc = control_send(fd, request);
	if (rc == 0)
		rc = read_answers(fd, until, line, arg, why, size);
	close(fd);
	if (rc < 0 && !why[0])
		snprintf(why, size, "the running mount: %s", strerror(-rc));
	return rc;
}
