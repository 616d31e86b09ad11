#include "fs/content_walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/content_internal.h"

static bool is_dots(const char *name)
{
	return !strcmp(name, ".") || !strcmp(name, "..");
}

static bool is_shard(const char *name)
{
	return strspn(name, "0123456789abcdef") == 2 && name[2] == '\0';
}

/* "XX/00f3..." or "XX/00f3....snap" in the right XX. */
static enum content_kind parse_name(const char *path, uint64_t *out_cid)
{
	char want[CONTENT_NAME_SIZE], *end;
	uint64_t cid = strtoull(strchr(path, '/') + 1, &end, 16);
	bool snap = strcmp(end, ".snap") == 0;

	*out_cid = 0;
	content_file_name(cid, snap ? ".snap" : "", want);
	if (strcmp(want, path) != 0)
		return CONTENT_FOREIGN;
	*out_cid = cid;
	return snap ? CONTENT_SNAP : CONTENT_FILE;
}

static int open_dir(int dirfd, const char *name, DIR **out)
{
	int fd = openat(dirfd, name,
	                O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	int rc;

	if (fd < 0)
		return -errno;
	*out = fdopendir(fd);
	if (*out)
		return 0;
	rc = -errno;
	close(fd);
	return rc;
}

static int walk_shard(int dirfd, const char *shard, content_walk_fn *each,
                      void *arg)
{
	const struct dirent *e;
	DIR *dir;
	int rc = open_dir(dirfd, shard, &dir);

	if (rc == -ENOTDIR || rc == -ELOOP)
		return each(arg, shard, CONTENT_FOREIGN, 0);
	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	while (rc == 0 && (e = readdir(dir))) {
		char path[2 * NAME_MAX + 2];
		enum content_kind kind;
		uint64_t cid;

		if (is_dots(e->d_name))
			continue;
		snprintf(path, sizeof(path), "%s/%s", shard, e->d_name);
		kind = parse_name(path, &cid);
		rc = each(arg, path, kind, cid);
	}
	closedir(dir);
	return rc;
}

int content_walk(int dirfd, content_walk_fn *each, void *arg)
{
	const struct dirent *e;
	DIR *dir;
	int rc = open_dir(dirfd, ".", &dir);

	if (rc < 0)
		return rc;
	while (rc == 0 && (e = readdir(dir))) {
		if (is_dots(e->d_name))
			continue;
		rc = is_shard(e->d_name)
		             ? walk_shard(dirfd, e->d_name, each, arg)
		             : each(arg, e->d_name, CONTENT_FOREIGN, 0);
	}
	closedir(dir);
	return rc;
}
