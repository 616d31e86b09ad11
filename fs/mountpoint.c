#include "fs/mountpoint.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/log.h"

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

/* mountinfo writes blanks and the like as \ooo. */
static void unescape(char *s)
{
	char *to = s;
	unsigned c;

	while (*s) {
		if (*s == '\\' && sscanf(s, "\\%3o", &c) == 1) {
			*to++ = (char)c;
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
}

/* Of the topmost mount on that very directory: is it one of this program?
 * Asks no file system, which might be dead. */
static bool is_ours(const char *path)
{
	char line[2 * PATH_MAX], point[PATH_MAX], type[64];
	FILE *f = fopen("/proc/self/mountinfo", "re");
	bool ours = false;
	char *dash;

	while (f && fgets(line, sizeof(line), f)) {
		dash = strstr(line, " - ");
		if (!dash || sscanf(line, "%*d %*d %*s %*s %4095s", point) != 1)
			continue;
		unescape(point);
		if (!strcmp(point, path) && sscanf(dash, " - %63s", type) == 1)
			ours = !strcmp(type, "fuse.nmbackupfs");
	}
	if (f)
		fclose(f);
	return ours;
}

/* Absolute, without following what lies on the directory itself. */
static int to_absolute(const char *path, char out[PATH_MAX])
{
	char copy[PATH_MAX], parent[PATH_MAX];
	size_t len = strlen(path);
	char *slash;
	const char *base;

	while (len > 1 && path[len - 1] == '/')
		len--;
	if (len >= sizeof(copy))
		return -ENAMETOOLONG;
	memcpy(copy, path, len);
	copy[len] = '\0';
	slash = strrchr(copy, '/');
	base = slash ? slash + 1 : copy;
	if (slash)
		*slash = '\0';
	if (!realpath(!slash ? "." : *copy ? copy : "/", parent))
		return -errno;
	if (snprintf(out, PATH_MAX, "%s/%s", parent[1] ? parent : "", base) >=
	    PATH_MAX)
		return -ENAMETOOLONG;
	return 0;
}

bool mountpoint_is_dead(const char *path)
{
	struct statvfs st;

	/* Not stat(): of a mount that just died the kernel still believes the
	 * attributes it has. */
	return statvfs(path, &st) < 0 && errno == ENOTCONN;
}

/* A mistyped command ends up here too. */
static void say_no_directory(const char *path, int rc, char *why,
                             size_t why_size)
{
	if (rc == -ENOENT && !strchr(path, '/'))
		snprintf(why, why_size,
		         "there is no command and no directory \"%s\"; see "
		         "nmbackupfs --help",
		         path);
	else if (rc == -ENOENT)
		snprintf(why, why_size, "%s: %s; make it first: mkdir -p '%s'",
		         path, strerror(-rc), path);
	else
		snprintf(why, why_size, "%s: %s", path, strerror(-rc));
}

/* What was copied here while nothing was mounted is easily taken for a
 * backup. */
static void warn_if_not_empty(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *e;
	unsigned n = 0;

	if (!dir)
		return;
	while ((e = readdir(dir)))
		n += strcmp(e->d_name, ".") != 0 &&
		     strcmp(e->d_name, "..") != 0;
	closedir(dir);
	if (n)
		log_warn("mount point %s is not empty: %u names in it are "
		         "hidden, and not backed up, while it is mounted",
		         path, n);
}

int mountpoint_prepare(const char *path, char *out, size_t size, char *why,
                       size_t why_size)
{
	char full[PATH_MAX];
	struct stat st;

	if (mountpoint_is_dead(path) && to_absolute(path, full) == 0 &&
	    is_ours(full)) {
		log_warn("mount point %s: its program has died, detached",
		         path);
		mountpoint_detach(path, 1);
	}
	if (stat(path, &st) < 0) {
		int rc = -errno;

		say_no_directory(path, rc, why, why_size);
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
	if (is_ours(full)) {
		snprintf(why, why_size, "%s: nmbackupfs is mounted there",
		         full);
		return -EBUSY;
	}
	warn_if_not_empty(full);
	memcpy(out, full, strlen(full) + 1);
	return 0;
}
