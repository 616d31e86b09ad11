#include "tests/graphd/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "tests/graphd/exchange.h"
#include "tests/graphd/must.h"

int tap_open(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	return fd < 0 ? -errno : fd;
}

static void add_line(struct buf *b, const char *what, const char *value)
{
	if (value)
		buf_addf(b, "%s: %s\n", what, value);
}

void tap_note(int fd, const struct exchange *x)
{
	struct buf b = BUF_INIT;

	if (fd < 0 || x->req.route.place == PLACE_CONTROL)
		return;
	add_line(&b, x->method, x->target);
	add_line(&b, "Authorization", request_header(&x->req, "Authorization"));
	if (x->body.len)
		add_line(&b, "body", x->body.data);
	add_line(&b, "Location", answer_get_header(&x->out, "Location"));
	if (x->out.fd < 0 && x->out.body.len)
		add_line(&b, "answer", x->out.body.data);
	must_text(&b);
	if (write(fd, b.data, b.len) != (ssize_t)b.len)
		must_die(-errno, "the tap");
	buf_done(&b);
}
