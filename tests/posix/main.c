/* Every POSIX call on every kind of node, in a directory that is given.
 *
 *	posix [--mount] DIR [GROUP]...
 *
 * --mount: DIR is on nmbackupfs; rows that differ there by design expect what
 * the design says, and the reasons are printed. Without it DIR is a reference,
 * ext4 or tmpfs, and a row that fails there is a wrong row. The last line is
 * "N passed, N failed"; the exit status is 0 only if none failed. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/posix/harness.h"
#include "tests/posix/posix.h"

static const struct {
	const char *name;
	void (*run)(void);
} groups[] = {
	{ "rename", group_rename },   { "make", group_make },
	{ "open", group_open },       { "paths", group_paths },
	{ "times", group_times },     { "modes", group_modes },
	{ "owners", group_owners },   { "content", group_content },
	{ "extents", group_extents }, { "shared", group_shared },
	{ "dirs", group_dirs },       { "attrs", group_attrs },
};

static bool is_wanted(const char *name, char **names)
{
	if (!*names)
		return true;
	for (; *names; names++)
		if (!strcmp(*names, name))
			return true;
	return false;
}

int main(int argc, char **argv)
{
	bool mount = argc > 1 && !strcmp(argv[1], "--mount");
	char **args = argv + 1 + mount;

	if (!*args) {
		fprintf(stderr, "usage: posix [--mount] DIR [GROUP]...\n");
		return 2;
	}
	harness_init(mount);
	umask(022);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (chdir(*args) < 0) {
		perror(*args);
		return 2;
	}
	for (size_t i = 0; i < ARRAY_LEN(groups); i++)
		if (is_wanted(groups[i].name, args + 1))
			harness_group(groups[i].name, groups[i].run);
	return harness_report();
}
