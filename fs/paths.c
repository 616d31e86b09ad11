#include "fs/paths.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/config.h"

static int fits(int n, size_t size)
{
	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

/* $HOME, unless nobody set it (systemd mounts as root, mount.fuse(8) becomes
 * the user: setuid=) or mount.fuse(8) made it up: it says /root to everybody,
 * after mount(8) has removed what was there (fstab, `user`). */
static int home_dir(char *out, size_t size)
{
	const char *home = getenv("HOME");
	char buf[16384];
	struct passwd pw, *found = NULL;

	if ((!home || (geteuid() != 0 && !strcmp(home, "/root"))) &&
	    getpwuid_r(geteuid(), &pw, buf, sizeof(buf), &found) == 0 && found)
		home = pw.pw_dir;
	if (!home || home[0] != '/')
		return -ENOENT;
	return fits(snprintf(out, size, "%s", home), size);
}

/* An XDG variable that is set and absolute, else a place below the home. */
static int xdg(const char *variable, const char *below_home, char *out,
               size_t size)
{
	const char *dir = getenv(variable);
	char home[PATH_MAX];
	int rc;

	if (dir && dir[0] == '/')
		return fits(snprintf(out, size, "%s/nmbackupfs", dir), size);
	rc = home_dir(home, sizeof(home));
	if (rc < 0)
		return rc;
	return fits(snprintf(out, size, "%s/%s/nmbackupfs", home, below_home),
	            size);
}

int paths_config_dir(char *out, size_t size)
{
	return xdg("XDG_CONFIG_HOME", ".config", out, size);
}

int paths_state_dir(const struct config *c, char *out, size_t size)
{
	const char *dir = config_text(c, CONFIG_STATE_DIR);
	char base[PATH_MAX];
	int rc;

	if (dir[0])
		return fits(snprintf(out, size, "%s", dir), size);
	rc = xdg("XDG_STATE_HOME", ".local/state", base, sizeof(base));
	if (rc < 0)
		return rc;
	return fits(snprintf(out, size, "%s/%s", base,
	                     config_text(c, CONFIG_PROFILE)),
	            size);
}

int paths_make_parents(const char *dir)
{
	char path[PATH_MAX];
	size_t len = strlen(dir);

	if (len >= sizeof(path))
		return -ENAMETOOLONG;
	memcpy(path, dir, len + 1);
	for (char *p = path + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(path, 0700) < 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	return 0;
}

int paths_make_private(const char *dir, char *why, size_t why_size)
{
	struct stat st;
	int rc = paths_make_parents(dir);

	if (rc == 0 && mkdir(dir, 0700) < 0 && errno != EEXIST)
		rc = -errno;
	if (rc == 0 && lstat(dir, &st) < 0)
		rc = -errno;
	if (rc < 0) {
		snprintf(why, why_size, "%s: %s", dir, strerror(-rc));
		return rc;
	}
	if (!S_ISDIR(st.st_mode)) {
		snprintf(why, why_size, "%s is no directory", dir);
		return -ENOTDIR;
	}
	if (st.st_uid != geteuid()) {
		snprintf(why, why_size,
		         "%s belongs to another user; choose another "
		         "--state-dir",
		         dir);
		return -EPERM;
	}
	if (st.st_mode & 077) {
		snprintf(why, why_size,
		         "%s is open to other users; run: chmod 700 '%s'", dir,
		         dir);
		return -EPERM;
	}
	return 0;
}
