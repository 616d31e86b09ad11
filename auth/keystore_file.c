/* The keystore backend "file": DIR/NAME, mode 0600, one file per blob. */
#include "auth/keystore_backend.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/keyfile.h"
#include "auth/keystore.h"

struct keyfiles {
	int dir_fd;
	char *where;
};

static int file_open(const struct keystore_options *opt, void **out_self,
                     char *why, size_t why_size)
{
	struct keyfiles *k = calloc(1, sizeof(*k));

	if (!k)
		return -ENOMEM;
	if (asprintf(&k->where, "file %s", opt->dir) < 0) {
		free(k);
		return -ENOMEM;
	}
	k->dir_fd = keydir_open(opt->dir, why, why_size);
	if (k->dir_fd < 0) {
		int rc = k->dir_fd;

		free(k->where);
		free(k);
		return rc;
	}
	*out_self = k;
	return 0;
}

static void file_close(void *self)
{
	struct keyfiles *k = self;

	close(k->dir_fd);
	free(k->where);
	free(k);
}

static const char *file_where(const void *self)
{
	const struct keyfiles *k = self;

	return k->where;
}

/* Names with a dot are not ours: other backends and temporary files. */
static bool file_holds(const struct keystore_options *opt)
{
	DIR *dir = opendir(opt->dir);
	const struct dirent *e;
	bool found = false;

	while (dir && !found && (e = readdir(dir)))
		found = !strchr(e->d_name, '.');
	if (dir)
		closedir(dir);
	return found;
}

static int file_get(void *self, const char *name, void *buf, size_t *out_len)
{
	const struct keyfiles *k = self;

	return keyfile_read(k->dir_fd, name, buf, KEYSTORE_MAX_BLOB, out_len);
}

static int file_put(void *self, const char *name, const void *secret,
                    size_t len)
{
	const struct keyfiles *k = self;
	int lock = keydir_lock(k->dir_fd), rc;

	if (lock < 0)
		return lock;
	rc = keyfile_write(k->dir_fd, name, secret, len);
	close(lock);
	return rc;
}

static int file_del(void *self, const char *name)
{
	const struct keyfiles *k = self;
	int lock = keydir_lock(k->dir_fd), rc;

	if (lock < 0)
		return lock;
	rc = keyfile_remove(k->dir_fd, name);
	close(lock);
	return rc;
}

const struct keystore_backend keystore_file = {
	.name = "file",
	.open = file_open,
	.close = file_close,
	.where = file_where,
	.holds = file_holds,
	.get = file_get,
	.put = file_put,
	.del = file_del,
};
