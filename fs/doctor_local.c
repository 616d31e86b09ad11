#include "fs/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <curl/curl.h>
#include <sodium.h>

#include <fuse_lowlevel.h>

#include "fs/config.h"
#include "fs/db.h"

/* ---- config -------------------------------------------------------------- */

static void look_config(const struct doctor *d)
{
	if (config_text(d->config, CONFIG_CLIENT_ID)[0])
		doctor_say(d, DOCTOR_OK, "config", "",
		           "profile \"%s\", folder \"%s\", %s",
		           config_text(d->config, CONFIG_PROFILE),
		           config_text(d->config, CONFIG_FOLDER),
		           config_bool(d->config, CONFIG_PLAIN) ? "plain"
		                                                : "a vault");
	else
		doctor_say(d, DOCTOR_FAIL, "config",
		           "run `nmbackupfs auth`: it says how to get one",
		           "there is no client id");
}

/* ---- FUSE ---------------------------------------------------------------- */

static void look_device(const struct doctor *d)
{
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	int error = errno;

	if (fd >= 0) {
		close(fd);
		doctor_say(d, DOCTOR_OK, "fuse", "", "/dev/fuse can be opened");
		return;
	}
	doctor_say(d, DOCTOR_FAIL, "fuse",
	           error == ENOENT || error == ENODEV || error == ENXIO
	                   ? "run `sudo modprobe fuse`; for a container say "
	                     "--device /dev/fuse"
	                   : "its mode should be 0666; a container needs "
	                     "--device /dev/fuse --cap-add SYS_ADMIN",
	           "/dev/fuse: %s", strerror(error));
}

/* As execvp(3) would find it. */
static bool find_program(const char *name, char out[PATH_MAX])
{
	const char *path = getenv("PATH");
	char copy[PATH_MAX * 4], *save = NULL;

	if (!path || strlen(path) >= sizeof(copy))
		path = "/usr/bin:/bin";
	strcpy(copy, path);
	for (char *dir = strtok_r(copy, ":", &save); dir;
	     dir = strtok_r(NULL, ":", &save)) {
		if (snprintf(out, PATH_MAX, "%s/%s", dir, name) < PATH_MAX &&
		    access(out, X_OK) == 0)
			return true;
	}
	return false;
}

static void look_helper(const struct doctor *d)
{
	bool root = geteuid() == 0;
	char path[PATH_MAX];
	struct stat st;

	if (!find_program("fusermount3", path))
		doctor_say(d, root ? DOCTOR_WARN : DOCTOR_FAIL, "fusermount3",
		           "install the package fuse3",
		           "fusermount3 is not in PATH");
	else if (!root && (stat(path, &st) < 0 || st.st_uid != 0 ||
	                   !(st.st_mode & S_ISUID)))
		doctor_say(d, DOCTOR_WARN, "fusermount3",
		           "if mounting fails: reinstall the package fuse3, or "
		           "`sudo chmod u+s` that file",
		           "%s is not setuid root", path);
	else
		doctor_say(d, DOCTOR_OK, "fusermount3", "", "%s", path);
}

/* A line of its own, "user_allow_other", in /etc/fuse.conf. */
static bool is_allowed_to_others(void)
{
	FILE *f = fopen("/etc/fuse.conf", "re");
	char line[256];
	bool found = false;

	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, " \t\r\n")] = '\0';
		found |= !strcmp(line, "user_allow_other");
	}
	if (f)
		fclose(f);
	return found;
}

static void look_allow_other(const struct doctor *d)
{
	bool asked = config_bool(d->config, CONFIG_ALLOW_OTHER);

	if (!asked)
		doctor_say(d, DOCTOR_OK, "allow_other", "",
		           "not asked for: user_allow_other in /etc/fuse.conf "
		           "is not needed");
	else if (geteuid() == 0 || is_allowed_to_others())
		doctor_say(d, DOCTOR_OK, "allow_other", "", "allowed");
	else
		doctor_say(d, DOCTOR_FAIL, "allow_other",
		           "write the line user_allow_other into "
		           "/etc/fuse.conf, or leave out --allow-other",
		           "the config asks for --allow-other, which this "
		           "machine does not allow");
}

/* ---- libraries ----------------------------------------------------------- */

static void get_sqlite(char *out, size_t size)
{
	struct sqlite3_stmt *q = NULL;
	struct db *db;

	snprintf(out, size, "?");
	if (db_open(":memory:", true, &db) < 0)
		return;
	if (db_query(db, "SELECT sqlite_version()", DB_NONE, &q) == 0 &&
	    db_next(db, q) == 1)
		db_col_text(q, 0, out, size);
	db_finish(q);
	db_close(db);
}

/* Another one than it was built with, and older? */
static const char *find_old(void)
{
	const curl_version_info_data *c = curl_version_info(CURLVERSION_NOW);

	if (fuse_version() < FUSE_VERSION)
		return "libfuse";
	if (c->version_num < LIBCURL_VERSION_NUM)
		return "libcurl";
	if (sodium_library_version_major() < SODIUM_LIBRARY_VERSION_MAJOR)
		return "libsodium";
	return NULL;
}

static void look_libraries(const struct doctor *d)
{
	const curl_version_info_data *c = curl_version_info(CURLVERSION_NOW);
	const char *old = find_old();
	char sqlite[32];

	get_sqlite(sqlite, sizeof(sqlite));
	if (!c->ssl_version || !c->ssl_version[0])
		doctor_say(d, DOCTOR_FAIL, "libraries",
		           "install a libcurl with TLS",
		           "libcurl %s has no TLS", c->version);
	else
		doctor_say(d, old ? DOCTOR_WARN : DOCTOR_OK, "libraries",
		           "install the version that it was built with",
		           "libfuse %s, libcurl %s (%s), SQLite %s, libsodium "
		           "%s%s%s%s",
		           fuse_pkgversion(), c->version, c->ssl_version,
		           sqlite, sodium_version_string(), old ? "; " : "",
		           old ? old : "",
		           old ? " is older than at the build" : "");
}

void doctor_look_local(const struct doctor *d)
{
	look_config(d);
	look_device(d);
	look_helper(d);
	look_allow_other(d);
	look_libraries(d);
}
