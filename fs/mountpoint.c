#include "fs/mountpoint.h"

#include <errno.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/log.h"

extern char **environ;

/* What a person would type; works without root. */
static int run_fusermount(const char *path, int lazy)
{
	char *argv[] = { strdup("fusermount3"), strdup(lazy ? "-uzq" : "-uq"),
		         strdup("--"), strdup(path), NULL };
	int status = 0, rc = 0;
	pid_t pid;

	if (!argv[0] || !argv[1] || !argv[2] || !argv[3])
		rc = -ENOMEM;
	if (rc == 0)
		rc = -posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);
	if (rc == 0) {
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		if (!WIFEXITED(status) || WEXITSTATUS(status))
			rc = -EBUSY;
	}
	for (int i = 0; i < 4; i++)
		free(argv[i]);
	return rc;
}

int mountpoint_detach(const char *path, int lazy)
{
	if (umount2(path, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0)
		return 0;
	if (errno == EBUSY || errno == EINVAL)
		return -errno;
	return run_fusermount(path, lazy);
}

bool mountpoint_is_dead(const char *path)
{
	struct stat st;

	return stat(path, &st) < 0 && errno == ENOTCONN;
}

int mountpoint_prepare(const char *path, char *out, size_t size, char *why,
                       size_t why_size)
{
	char full[PATH_MAX];
	struct stat st;

	if (mountpoint_is_dead(path)) {
		log_warn("mount point %s: its program has died, detached",
		         path);
		mountpoint_detach(path, 1);
	}
	if (stat(path, &st) < 0) {
		int rc = -errno;

		snprintf(why, why_size, "%s: %s%s", path, strerror(-rc),
		         rc == -ENOENT ? "; make it first: mkdir -p" : "");
		return rc;
	}
	if (!S_ISDIR(st.st_mode)) {
		snprintf(why, why_size, "%s is no directory", path);
		return -ENOTDIR;
	}
	if (!realpath(path, full) || strlen(full) >= size) {
		snprintf(why, why_size, "%s: %s", path, strerror(errno));
		return -ENAMETOOLONG;
	}
	memcpy(out, full, strlen(full) + 1);
	return 0;
}
