#include "fs/config_file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/paths.h"
#include "net/buf.h"

#define LINE_BYTES 4096

enum line_kind { LINE_EMPTY, LINE_SECTION, LINE_ENTRY, LINE_BAD };

struct line {
	enum line_kind kind;
	char *key, *value; /* of a section: its name is `key` */
};

static char *trim(char *s)
{
	char *end;

	while (isspace((unsigned char)*s))
		s++;
	end = s + strlen(s);
	while (end > s && isspace((unsigned char)end[-1]))
		end--;
	*end = '\0';
	return s;
}

/* Cuts `text` into pieces that point into it. */
static struct line parse_line(char *text)
{
	struct line l = { .kind = LINE_BAD };
	char *s = trim(text), *eq;

	if (!*s || *s == '#' || *s == ';') {
		l.kind = LINE_EMPTY;
	} else if (*s == '[') {
		size_t len = strlen(s);

		if (s[len - 1] == ']') {
			s[len - 1] = '\0';
			l.kind = LINE_SECTION;
			l.key = trim(s + 1);
		}
	} else if ((eq = strchr(s, '='))) {
		*eq = '\0';
		l.kind = LINE_ENTRY;
		l.key = trim(s);
		l.value = trim(eq + 1);
	}
	return l;
}

/* 1: a line, 0: the end, -EINVAL: longer than we take. */
static int next_line(FILE *f, char text[LINE_BYTES])
{
	size_t len;

	if (!fgets(text, LINE_BYTES, f))
		return ferror(f) ? -EIO : 0;
	len = strlen(text);
	return len == LINE_BYTES - 1 && text[len - 1] != '\n' ? -EINVAL : 1;
}

int config_file_read(const char *path, config_entry_fn *each, void *arg,
                     char *why, size_t why_size)
{
	char text[LINE_BYTES], section[LINE_BYTES] = "";
	FILE *f = fopen(path, "re");
	unsigned number = 0;
	int rc = 0;

	if (!f) {
		rc = -errno;
		snprintf(why, why_size, "%s: %s", path, strerror(-rc));
		return rc;
	}
	while (rc == 0 && (rc = next_line(f, text)) != 0) {
		struct line l = parse_line(text);

		number++;
		if (rc == -EIO)
			break;
		if (rc < 0 || l.kind == LINE_BAD) {
			snprintf(why, why_size,
			         "%s:%u: should be `key = value` or "
			         "`[section]`",
			         path, number);
			rc = -EINVAL;
			break;
		}
		rc = 0;
		if (l.kind == LINE_SECTION)
			snprintf(section, sizeof(section), "%s", l.key);
		else if (l.kind == LINE_ENTRY)
			rc = each(arg, section, l.key, l.value, number);
	}
	fclose(f);
	return rc;
}

/* ---- writing ------------------------------------------------------------- */

struct edit {
	struct buf out;
	const char *section, *key, *value;
	bool inside; /* the section we are in is the one */
	bool done;
};

static void put_entry(struct edit *e)
{
	buf_addf(&e->out, "%s = %s\n", e->key, e->value);
	e->done = true;
}

static void edit_line(struct edit *e, const char *text)
{
	char copy[LINE_BYTES];
	struct line l;

	snprintf(copy, sizeof(copy), "%s", text);
	l = parse_line(copy);
	if (l.kind == LINE_SECTION) {
		if (e->inside && !e->done)
			put_entry(e);
		e->inside = !strcmp(l.key, e->section);
	}
	if (l.kind == LINE_ENTRY && e->inside && !strcmp(l.key, e->key)) {
		if (!e->done)
			put_entry(e);
		return;
	}
	buf_add_str(&e->out, text);
	if (*text && text[strlen(text) - 1] != '\n')
		buf_add_char(&e->out, '\n');
}

static int sync_directory_of(const char *path)
{
	char dir[PATH_MAX], *slash;
	int fd, rc;

	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (slash)
		slash[slash == dir] = '\0';
	fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	rc = fsync(fd) < 0 ? -errno : 0;
	close(fd);
	return rc;
}

static int write_durably(const char *path, const struct buf *b)
{
	char tmp[PATH_MAX];
	int fd, rc = 0;

	if (snprintf(tmp, sizeof(tmp), "%s.new", path) >= (int)sizeof(tmp))
		return -ENAMETOOLONG;
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (write(fd, b->data, b->len) != (ssize_t)b->len || fsync(fd) < 0)
		rc = -EIO;
	close(fd);
	if (rc == 0 && rename(tmp, path) < 0)
		rc = -errno;
	if (rc < 0)
		unlink(tmp);
	return rc < 0 ? rc : sync_directory_of(path);
}

int config_file_write(const char *path, const char *section, const char *key,
                      const char *value)
{
	struct edit e = { .out = BUF_INIT,
		          .section = section,
		          .key = key,
		          .value = value,
		          .inside = !*section };
	char text[LINE_BYTES];
	FILE *f;
	int rc = 0;

	if (strchr(value, '\n'))
		return -EINVAL; /* would be an entry of its own */
	f = fopen(path, "re");
	if (!f && errno != ENOENT)
		return -errno;
	while (f && (rc = next_line(f, text)) == 1)
		edit_line(&e, text);
	if (f)
		fclose(f);
	if (rc < 0) {
		buf_done(&e.out);
		return rc;
	}
	if (!e.done && !e.inside)
		buf_addf(&e.out, "[%s]\n", section);
	if (!e.done)
		put_entry(&e);
	rc = e.out.failed ? -ENOMEM : paths_make_parents(path);
	if (rc == 0)
		rc = write_durably(path, &e.out);
	buf_done(&e.out);
	return rc;
}
