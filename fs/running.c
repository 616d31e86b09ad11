#include "fs/running.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/config.h"
#include "fs/paths.h"
#include "fs/statelock.h"

#define FS_TYPE "fuse.nmbackupfs"

/* ---- what is mounted ----------------------------------------------------- */

/* proc(5): space, tab, line feed and backslash stand as \ooo. In place. */
static void unescape(char *s)
{
	char *out = s;

	while (*s) {
		if (s[0] == '\\' && strspn(s + 1, "01234567") >= 3) {
			*out++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 +
			                (s[3] - '0'));
			s += 4;
		} else {
			*out++ = *s++;
		}
	}
	*out = '\0';
}

/* "36 35 98:0 /root /mount options [tags] - type source ...". NULL: not a
 * mount of ours. */
static char *parse_mount(char *line)
{
	char *type = strstr(line, " - "), *at = line;

	if (!type || strncmp(type + 3, FS_TYPE " ", sizeof(FS_TYPE)) != 0)
		return NULL;
	for (int i = 0; i < 4; i++) {
		at = strchr(at, ' ');
		if (!at)
			return NULL;
		at++;
	}
	at[strcspn(at, " ")] = '\0';
	unescape(at);
	return at;
}

static bool lies_in(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return !strncmp(path, dir, len) &&
	       (path[len] == '/' || !path[len] || !strcmp(dir, "/"));
}

int running_mount_of(const char *path, char *out, size_t size)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t cap = 0, best = 0;
	int rc = -ENOTTY;

	if (!f)
		return -errno;
	while (getline(&line, &cap, f) > 0) {
		char *at = parse_mount(line);

		if (!at || !lies_in(path, at) || strlen(at) < best)
			continue;
		best = strlen(at);
		if (best >= size) {
			rc = -ENAMETOOLONG;
			break;
		}
		memcpy(out, at, best + 1);
		rc = 0;
	}
	free(line);
	fclose(f);
	return rc;
}

/* ---- who runs ------------------------------------------------------------ */

static int read_state(const char *state_dir, struct running *out)
{
	char at[PATH_MAX];
	int rc;

	if (strlen(state_dir) >= sizeof(out->state_dir))
		return -ENAMETOOLONG;
	strcpy(out->state_dir, state_dir);
	rc = statelock_read(state_dir, &out->pid, out->mountpoint,
	                    sizeof(out->mountpoint));
	if (rc < 0)
		return rc;
	out->mounted = out->mountpoint[0] &&
	               running_mount_of(out->mountpoint, at, sizeof(at)) == 0 &&
	               !strcmp(at, out->mountpoint);
	return 0;
}

int running_find(const struct config *cfg, struct running *out, char *why,
                 size_t why_size)
{
	char dir[PATH_MAX];
	int rc = paths_state_dir(cfg, dir, sizeof(dir));

	*out = (struct running){ 0 };
	if (rc < 0) {
		snprintf(why, why_size, "no place for state: %s",
		         strerror(-rc));
		return rc;
	}
	rc = read_state(dir, out);
	if (rc == -ENOENT)
		snprintf(why, why_size,
		         "nothing is mounted for the profile \"%s\"",
		         config_text(cfg, CONFIG_PROFILE));
	else if (rc < 0)
		snprintf(why, why_size, "%s/lock: %s", dir, strerror(-rc));
	return rc;
}

/* Profiles lie side by side. */
static int search_beside(const char *dir, const char *mountpoint,
                         struct running *out)
{
	char base[PATH_MAX], state[PATH_MAX];
	const struct dirent *e;
	int rc = -EHOSTDOWN;
	char *slash;
	DIR *d;

	if (strlen(dir) >= sizeof(base))
		return -ENAMETOOLONG;
	strcpy(base, dir);
	slash = strrchr(base, '/');
	if (!slash)
		return rc;
	*slash = '\0';
	d = opendir(base);
	while (d && rc < 0 && (e = readdir(d))) {
		if (e->d_name[0] == '.' ||
		    snprintf(state, sizeof(state), "%s/%s", base, e->d_name) >=
		            (int)sizeof(state))
			continue;
		if (read_state(state, out) == 0 &&
		    !strcmp(out->mountpoint, mountpoint))
			rc = 0;
	}
	if (d)
		closedir(d);
	return rc;
}

static int find_holder(const struct config *cfg, const char *mountpoint,
                       struct running *out)
{
	char dir[PATH_MAX];
	int rc = paths_state_dir(cfg, dir, sizeof(dir));

	if (rc < 0)
		return rc;
	if (read_state(dir, out) == 0 && !strcmp(out->mountpoint, mountpoint))
		return 0;
	if (search_beside(dir, mountpoint, out) == 0)
		return 0;
	*out = (struct running){ 0 };
	return -EHOSTDOWN;
}

/* Nothing below the mount point itself is looked at: its directories can't be
 * links to elsewhere that matter here, and a dead mount answers nothing. */
static int make_absolute(const char *path, char *out)
{
	char copy[PATH_MAX], *slash;
	const char *dir = ".", *name = copy;
	size_t len = strlen(path);

	while (len > 1 && path[len - 1] == '/')
		len--;
	if (!len || len >= sizeof(copy))
		return len ? -ENAMETOOLONG : -ENOENT;
	memcpy(copy, path, len);
	copy[len] = '\0';
	slash = strrchr(copy, '/');
	if (slash) {
		*slash = '\0';
		name = slash + 1;
		dir = slash == copy ? "/" : copy;
	}
	if (!*name || !strcmp(name, ".") || !strcmp(name, ".."))
		return realpath(path, out) ? 0 : -errno;
	if (!realpath(dir, out))
		return -errno;
	len = strlen(out);
	if (len + strlen(name) + 2 > PATH_MAX)
		return -ENAMETOOLONG;
	snprintf(out + len, PATH_MAX - len, "%s%s",
	         out[len - 1] == '/' ? "" : "/", name);
	return 0;
}

int running_find_path(const struct config *cfg, const char *path,
                      struct running *out, char *out_path, char *why,
                      size_t why_size)
{
	char at[PATH_MAX];
	int rc = make_absolute(path, out_path);

	*out = (struct running){ 0 };
	if (rc == 0)
		rc = running_mount_of(out_path, at, sizeof(at));
	if (rc == -ENOTTY && realpath(path, out_path)) /* a link to it */
		rc = running_mount_of(out_path, at, sizeof(at));
	if (rc == -ENOTTY)
		snprintf(why, why_size, "%s is in no mount of nmbackupfs",
		         path);
	else if (rc < 0)
		snprintf(why, why_size, "%s: %s", path, strerror(-rc));
	if (rc < 0)
		return rc;
	rc = find_holder(cfg, at, out);
	if (rc < 0) {
		strcpy(out->mountpoint, at);
		snprintf(why, why_size,
		         "no process of yours serves %s; give its --profile "
		         "or --state-dir",
		         at);
	}
	return rc;
}
