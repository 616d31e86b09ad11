#include "tests/graphd/uploads.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/graphd/exchange.h"
#include "tests/graphd/must.h"

/* The next number, also after those of an earlier run. */
static int new_file(struct graphd *g)
{
	int fd;

	do {
		char *path =
			must_printf("%s/%08u", g->opt.uploads, ++g->nuploads);

		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		free(path);
	} while (fd < 0 && errno == EEXIST);
	if (fd < 0)
		must_die(-errno, g->opt.uploads);
	return fd;
}

int uploads_begin(const struct exchange *x)
{
	enum route_class class = x->req.route.class;
	const char *length = request_header(&x->req, "Content-Length");
	const char *range = request_header(&x->req, "Content-Range");
	struct buf b = BUF_INIT;
	int fd;

	if (!x->g->opt.uploads ||
	    (class != CLASS_put && class != CLASS_fragment))
		return -1;
	fd = new_file(x->g);
	buf_addf(&b, "%s %s\n%s\n%s\n\n", x->method, x->target,
	         length ? length : "0", range ? range : "");
	must_text(&b);
	uploads_add(fd, b.data, b.len);
	buf_done(&b);
	return fd;
}

void uploads_add(int fd, const void *data, size_t len)
{
	if (fd >= 0 && write(fd, data, len) != (ssize_t)len)
		must_die(-errno, "a kept upload");
}
