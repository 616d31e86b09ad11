#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/aside.h"
#include "fs/cfile.h"
#include "fs/check_internal.h"
#include "fs/cmd_text.h"
#include "fs/content_walk.h"
#include "fs/db.h"

/* ---- content files of no row --------------------------------------------- */

struct strays {
	struct check *c;
	int content_fd, quarantine_fd;
};

static int has_row(struct check *c, uint64_t cid)
{
	int64_t yes = 0;
	int rc = c->db ? db_query_int(c->db, "SELECT 1 FROM cfile WHERE cid=?",
	                              DB_ARGS(DB_INT(cid)), 0, &yes)
	               : 0;

	return rc < 0 ? rc : (int)yes;
}

/* After a run that was cut off such files are in order: of what was just
 * removed, or just made. */
static int look_at(void *arg, const char *name, enum content_kind kind,
                   uint64_t cid)
{
	struct strays *s = arg;
	struct check *c = s->c;
	bool expected = c->db && !c->clean && kind != CONTENT_FOREIGN;
	struct check_finding f = {
		.level = expected ? CHECK_NOTE : CHECK_DAMAGE,
		.kind = "stray",
		.advice =
			c->opt->repair
				? "it is moved to quarantine/"
				: "check --repair, or the next mount after an "
				  "unclean end, moves it to quarantine/",
	};
	char path[PATH_MAX];
	int rc = kind == CONTENT_FOREIGN ? 0 : has_row(c, cid);

	if (rc != 0 || kind == CONTENT_SNAP)
		return rc < 0 ? rc : 0;
	if (c->opt->repair) {
		rc = aside_quarantine(s->content_fd, name, s->quarantine_fd,
		                      "unknown");
		f.repaired = rc == 0;
	}
	snprintf(path, sizeof(path), "content/%s", name);
	f.path = path;
	check_found(c, &f, "nothing here knows what it is");
	return rc;
}

static int open_dirs(struct strays *s, bool repair)
{
	s->content_fd = openat(s->c->dirfd, "content",
	                       O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->content_fd < 0)
		return -errno;
	if (!repair)
		return 0;
	if (mkdirat(s->c->dirfd, "quarantine", 0700) < 0 && errno != EEXIST)
		return -errno;
	s->quarantine_fd = openat(s->c->dirfd, "quarantine",
	                          O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return s->quarantine_fd < 0 ? -errno : 0;
}

int check_strays(struct check *c)
{
	struct strays s = { .c = c, .content_fd = -1, .quarantine_fd = -1 };
	int rc = open_dirs(&s, c->opt->repair);

	if (rc == 0)
		rc = content_walk(s.content_fd, look_at, &s);
	if (s.content_fd >= 0)
		close(s.content_fd);
	if (s.quarantine_fd >= 0)
		close(s.quarantine_fd);
	return rc == -ENOENT ? 0 : rc;
}

/* ---- what was set aside -------------------------------------------------- */

/* All below `fd`, which it closes. */
static void add_up(int fd, unsigned depth, uint64_t *files, uint64_t *bytes)
{
	DIR *dir = fdopendir(fd);
	const struct dirent *e;
	struct stat st;

	if (!dir) {
		close(fd);
		return;
	}
	while ((e = readdir(dir))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") ||
		    fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW))
			continue;
		if (S_ISDIR(st.st_mode) && depth) {
			int sub = openat(dirfd(dir), e->d_name,
			                 O_RDONLY | O_DIRECTORY | O_CLOEXEC |
			                         O_NOFOLLOW);
			if (sub >= 0)
				add_up(sub, depth - 1, files, bytes);
		} else {
			++*files;
			*bytes += (uint64_t)st.st_size;
		}
	}
	closedir(dir);
}

#define MOST_DEPTH 512

static const char *explain(const char *name)
{
	if (strstr(name, "-state.db"))
		return "a database that was damaged; remove it when all is "
		       "well";
	if (strstr(name, "-cached"))
		return "was on the server; remove it when the mount shows the "
		       "same files";
	if (strstr(name, "-unsent"))
		return "was not on the server yet: copy what you miss into "
		       "the mount, then remove it";
	return "look at it: copy what you miss into the mount, then remove it";
}

static void tell_one(struct check *c, int dirfd, const char *name)
{
	struct check_finding f = { .level = CHECK_NOTE, .kind = "quarantine" };
	char path[PATH_MAX], size[CMD_SIZE_TEXT];
	uint64_t files = 0, bytes = 0;
	struct stat st;
	int fd;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	fd = S_ISDIR(st.st_mode)
	             ? openat(dirfd, name,
	                      O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)
	             : -1;
	if (fd >= 0)
		add_up(fd, MOST_DEPTH, &files, &bytes);
	else
		bytes = (uint64_t)st.st_size;
	cmd_format_size(bytes, size);
	snprintf(path, sizeof(path), "quarantine/%s", name);
	f.path = path;
	f.advice = explain(name);
	if (fd >= 0)
		check_found(c, &f, "set aside, %" PRIu64 " files, %s", files,
		            size);
	else
		check_found(c, &f, "set aside, %s", size);
}

static int is_name(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

int check_quarantine(struct check *c)
{
	int fd = openat(c->dirfd, "quarantine",
	                O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent **names;
	int n;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	n = scandirat(fd, ".", &names, is_name, alphasort);
	for (int i = 0; i < n; i++) {
		tell_one(c, fd, names[i]->d_name);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	close(fd);
	return n < 0 ? -ENOMEM : 0;
}
