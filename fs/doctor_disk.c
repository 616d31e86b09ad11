#include "fs/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "fs/cmd_text.h"
#include "fs/config.h"
#include "fs/paths.h"
#include "fs/store.h"

/* The directory itself, or what is above it as long as it is not made. */
static bool find_there(const char *dir, char out[PATH_MAX])
{
	char *slash;

	strcpy(out, dir);
	while (access(out, F_OK) < 0) {
		slash = strrchr(out, '/');
		if (!slash || slash == out)
			break;
		*slash = '\0';
	}
	return !strcmp(out, dir);
}

static void look_mode(const struct doctor *d, const char *dir)
{
	struct stat st;

	if (stat(dir, &st) < 0 || !S_ISDIR(st.st_mode))
		doctor_say(d, DOCTOR_FAIL, "state", "set --state-dir", "%s: %s",
		           dir, strerror(errno ? errno : ENOTDIR));
	else if (doctor_judge_mode(st.st_uid == geteuid(), st.st_mode) !=
	         DOCTOR_OK)
		doctor_say(d, DOCTOR_FAIL, "state",
		           st.st_uid == geteuid()
		                   ? "run `chmod 700` on it"
		                   : "set --state-dir to one of your own",
		           "%s is %s", dir,
		           st.st_uid == geteuid() ? "open to others"
		                                  : "somebody else's");
	else if (store_is_marked(dir))
		doctor_say(d, DOCTOR_WARN, "state",
		           "`nmbackupfs check` says more; the next mount "
		           "rebuilds it from the server",
		           "%s: its database is damaged", dir);
	else
		doctor_say(d, DOCTOR_OK, "state", "", "%s", dir);
}

/* Written and durable: what every fsync() in the mount needs. */
static void look_writable(const struct doctor *d, const char *dir)
{
	char path[PATH_MAX];
	int fd, error = 0;

	if (snprintf(path, sizeof(path), "%s/doctor-XXXXXX", dir) >=
	    (int)sizeof(path))
		return;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0 || write(fd, "x", 1) != 1 || fsync(fd) < 0)
		error = errno;
	if (fd >= 0) {
		unlink(path);
		close(fd);
	}
	if (error)
		doctor_say(d, DOCTOR_FAIL, "state write",
		           "make room or repair the disk, or set --state-dir",
		           "%s: %s", dir, strerror(error));
	else
		doctor_say(d, DOCTOR_OK, "state write", "",
		           "a file can be written and synced there");
}

static void look_space(const struct doctor *d, const char *dir)
{
	uint64_t min_free = config_number(d->config, CONFIG_MIN_FREE);
	char a[CMD_SIZE_TEXT], b[CMD_SIZE_TEXT];
	struct statvfs st;
	uint64_t room;

	if (statvfs(dir, &st) < 0)
		return;
	room = (uint64_t)st.f_bavail * st.f_frsize;
	cmd_format_size(room, a);
	cmd_format_size(min_free, b);
	doctor_say(d, doctor_judge_space(room, min_free), "cache space",
	           "make room, or set --state-dir to a larger disk",
	           "%s free, of which %s are to stay so (--min-free)", a, b);
}

static void look_kind(const struct doctor *d, const char *dir)
{
	const char *name, *next;
	enum doctor_level level;
	struct statfs st;

	if (statfs(dir, &st) < 0)
		return;
	level = doctor_judge_fs((uint64_t)(uint32_t)st.f_type, &name, &next);
	doctor_say(d, level, "cache disk", next, "%s",
	           name ? name : "an ordinary file system");
}

void doctor_look_disk(const struct doctor *d)
{
	char dir[PATH_MAX], there[PATH_MAX];
	int rc = paths_state_dir(d->config, dir, sizeof(dir));

	if (rc < 0) {
		doctor_say(d, DOCTOR_FAIL, "state", "set --state-dir",
		           "no place for state: %s", strerror(-rc));
		return;
	}
	if (find_there(dir, there)) {
		look_mode(d, dir);
		look_writable(d, dir);
	} else if (access(there, W_OK | X_OK) < 0) {
		doctor_say(d, DOCTOR_FAIL, "state", "set --state-dir",
		           "%s can't be made: %s: %s", dir, there,
		           strerror(errno));
	} else {
		doctor_say(d, DOCTOR_OK, "state", "",
		           "%s: made by the first mount", dir);
	}
	look_space(d, there);
	look_kind(d, there);
}
