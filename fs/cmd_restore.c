#include "fs/cmd_restore.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/tokens.h"
#include "fs/cmd_common.h"
#include "fs/cmd_item.h"
#include "fs/commands.h"
#include "fs/config.h"
#include "fs/exit.h"
#include "fs/interrupt.h"
#include "fs/past.h"
#include "fs/past_read.h"
#include "fs/past_tree.h"
#include "fs/recycle.h"
#include "fs/session.h"
#include "fs/when.h"
#include "net/clock.h"

static const char usage[] =
	"usage: nmbackupfs restore PATH --at TIME [DEST]\n"
	"       nmbackupfs restore PATH --version ID [DEST]\n"
	"\n"
	"Brings back a file as it was, or a whole folder into DEST. PATH is a "
	"path in\n"
	"the mount, or below the backup folder, as it was called then (\"/\": "
	"all of\n"
	"it). Without DEST a file goes back to where it was; what is there "
	"stays as a\n"
	"version of it, and is replaced only with --force if it is not stored "
	"yet.\n"
	"A folder needs a DEST that is new or empty.\n"
	"\n"
	"  --at TIME       2026-11-24, \"2026-11-24 21:14\" (local), "
	"2026-11-24T21:14:02Z,\n"
	"                  3d, 2h, 30m (so long ago)\n"
	"  --version ID    one of those that `nmbackupfs versions PATH` lists\n"
	"  --force         replace what is not stored yet, or DEST\n"
	"  --leave-bin     don't take what was deleted since out of "
	"OneDrive's\n"
	"                  recycle bin, to read it and put it back (personal "
	"accounts)\n"
	"  --profile NAME, --folder NAME\n"
	"\n"
	"What was there when is known from what this machine noted of its own "
	"work,\n"
	"and from the versions the service keeps. Files that are older than "
	"those, or\n"
	"were changed by another device so that it can't be told, are named "
	"one by one.\n"
	"\n"
	"Exit status: 0 all is as it was; 11 some files are missing or not "
	"certain;\n"
	"2 usage; 3 nobody is signed in; 4 this machine has no key of the "
	"vault; 1 else.\n";

int restore_failed(const struct restoring *r)
{
	return cmd_fail(tokens_signed_in(r->direct.session->tokens)
	                        ? EXIT_FAILED
	                        : EXIT_SIGN_IN,
	                "%s", r->why[0] ? r->why : "out of memory");
}

/* ---- a tree -------------------------------------------------------------- */

/* A directory that is new or empty. -1: it was said why. */
static int open_dest(const struct restoring *r)
{
	bool made = mkdir(r->dest, 0700) == 0, empty = true;
	const struct dirent *e;
	int fd = made || errno == EEXIST
	                 ? open(r->dest, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
	                 : -1;
	DIR *d = fd < 0 ? NULL : fdopendir(dup(fd));

	if (!d) {
		cmd_fail(0, "%s: %s", r->dest, strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	while ((e = readdir(d))) {
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			empty = false;
	}
	closedir(d);
	if (!empty) {
		cmd_fail(0,
		         "%s is not empty: a folder is restored into a new "
		         "or empty directory",
		         r->dest);
		close(fd);
		return -1;
	}
	if (made) /* our own umask is stricter than the user's */
		fchmod(fd, 0777 & ~r->umask);
	return fd;
}

static int report(struct restoring *r, const struct past_counts *n)
{
	char size[CMD_SIZE_TEXT], when[WHEN_TEXT];

	cmd_format_size(n->bytes, size);
	when_format_local(r->at, when);
	fprintf(stderr,
	        "%" PRIu64 " files (%s) and %" PRIu64
	        " folders as of %s are in %s.\n",
	        n->files, size, n->folders, when, r->dest);
	if (n->unsure)
		cmd_fail(0,
		         "%" PRIu64 " of the files are maybe not what they "
		         "were, see above",
		         n->unsure);
	if (n->missing)
		cmd_fail(0,
		         "%" PRIu64 " files can't be had any more as they "
		         "were, see above",
		         n->missing);
	if (n->in_bin && !r->direct.personal) {
		recycle_say_browser(&r->direct);
		cmd_fail(0,
		         "%" PRIu64 " of these were deleted. %s; then run this "
		         "again",
		         n->in_bin, r->why);
	} else if (n->in_bin) {
		cmd_fail(0,
		         "%" PRIu64 " of these may be in the recycle bin: "
		         "`nmbackupfs undelete` brings them back",
		         n->in_bin);
	}
	if (n->failed)
		cmd_fail(0, "%" PRIu64 " could not be restored, see above",
		         n->failed);
	if (n->interrupted)
		cmd_fail(0, "interrupted");
	if (n->failed || n->interrupted)
		return EXIT_FAILED;
	return n->missing || n->unsure ? EXIT_INCOMPLETE : EXIT_OK;
}

static int restore_tree(struct restoring *r, struct past *p,
                        const struct past_deletes *deletes)
{
	struct past_tree t = { .direct = &r->direct,
		               .past = p,
		               .deletes = deletes,
		               .at = r->at,
		               .path = r->path,
		               .leave_bin = r->leave_bin };
	struct past_counts n;
	int rc;

	if (!r->dest)
		return cmd_fail(EXIT_USAGE,
		                "%s is a folder: say where to, a new or empty "
		                "directory",
		                r->what);
	rc = past_see_all(&r->direct, p);
	if (rc < 0)
		return restore_failed(r);
	t.dest = open_dest(r);
	if (t.dest < 0)
		return EXIT_USAGE;
	rc = past_tree_restore(&t, &n);
	close(t.dest);
	if (rc == -ENOENT)
		return cmd_fail(EXIT_FAILED,
		                "%s: nothing of that name was there then",
		                r->what);
	if (rc < 0)
		return cmd_fail(EXIT_FAILED, "%s: %s", r->dest, strerror(-rc));
	return report(r, &n);
}

/* ---- what is it? --------------------------------------------------------- */

struct search {
	const char *path;
	char id[NODE_ID_MAX + 1];
	bool found, folder;
};

static int match(void *arg, const struct past_item *it)
{
	struct search *s = arg;
	size_t len = strlen(s->path);

	if (it->doubts & PAST_BACK)
		return 0;
	if (!strcmp(it->path, s->path)) {
		s->found = true;
		s->folder = S_ISDIR(it->mode);
		snprintf(s->id, sizeof(s->id), "%s", it->id);
	} else if (!strncmp(it->path, s->path, len) && it->path[len] == '/') {
		s->found = s->folder = true;
	}
	return 0;
}

/* By the ledger; what it does not know, by what has that path now. */
static int restore_as_of(struct restoring *r, struct past *p,
                         const struct past_deletes *deletes)
{
	struct search s = { .path = r->path };
	struct direct_file *f;
	struct direct_place at;
	int rc;

	if (!r->path[0])
		return restore_tree(r, p, deletes);
	rc = past_each(p, match, &s);
	if (rc == 0 && s.found)
		return s.folder ? restore_tree(r, p, deletes)
		                : restore_file(r, p, deletes, s.id);
	f = rc < 0 ? NULL : malloc(sizeof(*f));
	rc = f ? direct_find(&r->direct, r->path, false, &at) : -ENOMEM;
	if (rc == 0)
		rc = direct_look(&r->direct, &at, f);
	if (rc == 0 && f->item.kind == ITEM_FOLDER) {
		free(f);
		return restore_tree(r, p, deletes);
	}
	if (rc == 0)
		rc = past_see_one(p, f, r->path);
	if (rc == 0)
		snprintf(s.id, sizeof(s.id), "%s", f->item.id);
	free(f);
	if (rc == -ENOENT)
		return cmd_fail(EXIT_FAILED,
		                "%s: nothing of that name is there now, and "
		                "this machine noted nothing of it for that "
		                "time",
		                r->what);
	return rc < 0 ? restore_failed(r) : restore_file(r, p, deletes, s.id);
}

static int restore_entered(struct restoring *r)
{
	struct past_deletes deletes;
	struct interrupt signals;
	struct past *p;
	int rc, status;

	interrupt_catch(&signals);
	if (r->version) {
		status = restore_version(r);
	} else {
		rc = past_read_ledger(&r->direct, r->at, &p, &deletes);
		if (rc < 0) {
			status = restore_failed(r);
		} else {
			status = restore_as_of(r, p, &deletes);
			past_free(p);
			past_deletes_done(&deletes);
		}
	}
	interrupt_release(&signals);
	return status;
}

/* ---- the command --------------------------------------------------------- */

static bool parse(int argc, char **argv, struct restoring *r, bool *out_help)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "at", required_argument, NULL, 'a' },
		{ "version", required_argument, NULL, 'v' },
		{ "force", no_argument, NULL, 'f' },
		{ "leave-bin", no_argument, NULL, 'b' },
		{ 0 },
	};
	const char *at = NULL;
	int c, rc;

	*out_help = false;
	optind = 0;
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'h')
			*out_help = true;
		else if (c == 'a')
			at = optarg;
		else if (c == 'v')
			r->version = optarg;
		else if (c == 'f')
			r->force = true;
		else if (c == 'b')
			r->leave_bin = true;
		else
			return false;
	}
	if (*out_help)
		return true;
	if (argc - optind < 1 || argc - optind > 2 || !argv[optind][0] ||
	    !at == !r->version) {
		fputs(usage, stderr);
		return false;
	}
	r->what = argv[optind];
	r->dest = argv[optind + 1];
	rc = at ? when_parse(at, clock_real_ns(), &r->at) : 0;
	if (rc < 0)
		cmd_fail(0, "--at %s: %s", at,
		         rc == -ERANGE ? "there is no such time in the past"
		                       : "no time I understand; see "
		                         "`nmbackupfs restore --help`");
	return rc == 0;
}

static bool take_path(struct restoring *r)
{
	const char *path = cmd_path_in_folder(r->what, &r->running);
	size_t len = strlen(path);

	while (len && path[len - 1] == '/')
		len--;
	if (len == 1 && path[0] == '.')
		len = 0;
	if (len >= sizeof(r->path))
		return false;
	memcpy(r->path, path, len);
	r->path[len] = '\0';
	return true;
}

static int run(struct restoring *r, struct config *cfg)
{
	int rc, status;

	if (running_find(cfg, &r->running, r->why, sizeof(r->why)) < 0)
		r->running = (struct running){ 0 };
	r->why[0] = '\0';
	if (!take_path(r))
		return cmd_fail(EXIT_USAGE, "PATH is too long");
	r->config = cfg;
	r->umask = config_umask(cfg);
	if (config_bool(cfg, CONFIG_READ_ONLY)) {
		r->leave_bin = true;
		if (!r->dest)
			return cmd_fail(EXIT_USAGE,
			                "read_only is set: say where to");
	}
	rc = direct_open(cfg, NULL, &r->direct, r->why);
	if (rc < 0)
		return cmd_fail_session(rc, r->why);
	rc = direct_enter(&r->direct, false);
	status = rc < 0 ? cmd_fail_session(rc, r->why) : restore_entered(r);
	direct_close(&r->direct);
	return status;
}

int cmd_restore(struct config *cfg, int argc, char **argv)
{
	struct restoring *r = calloc(1, sizeof(*r));
	bool help;
	int status = EXIT_USAGE;

	if (!r)
		return cmd_fail(EXIT_FAILED, "out of memory");
	if (parse(argc, argv, r, &help)) {
		if (help) {
			fputs(usage, stdout);
			status = EXIT_OK;
		} else {
			status = run(r, cfg);
		}
	}
	free(r);
	return status;
}
