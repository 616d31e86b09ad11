#include "fs/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/tokens.h"
#include "fs/cmd_common.h"
#include "fs/cmd_item.h"
#include "fs/config.h"
#include "fs/direct.h"
#include "fs/exit.h"
#include "fs/interrupt.h"
#include "fs/output.h"
#include "fs/running.h"
#include "fs/session.h"
#include "net/clock.h"
#include "net/error_text.h"

#define PIECE (1u << 20)

static const char usage[] =
	"usage: nmbackupfs get ID|PATH [-o FILE]\n"
	"\n"
	"Fetches one file: by its path in the folder (read through the mount "
	"if it\n"
	"is mounted), or by the id that `put` has printed.\n"
	"\n"
	"  -o FILE         where to: FILE appears only once all has come and "
	"was\n"
	"                  checked, and replaces what is there; a directory "
	"gets\n"
	"                  the file under its own name, which must be free; - "
	"or\n"
	"                  no -o: standard output (then only exit status 0 "
	"says\n"
	"                  that all was right)\n"
	"  --profile NAME, --folder NAME\n"
	"\n"
	"Exit status: 0 done; 2 usage; 3 nobody is signed in; 4 this machine "
	"has no\n"
	"key of the vault; 1 else.\n";

struct get {
	const char *what; /* as given */
	const char *path; /* what, below the folder; NULL: it can't be one */
	const char *target;
	mode_t umask;
	bool keeps_modes; /* a file there says what its mode is */
	struct progress progress;
	char why[DIRECT_WHY];
};

static void show(void *arg, uint64_t done, uint64_t total)
{
	struct get *g = arg;

	progress_show(&g->progress, done, total, g->what);
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* `mode`: of the file there. */
static int open_output(struct get *g, const char *name, mode_t mode,
                       struct output *out)
{
	mode_t kept = g->keeps_modes ? mode & 0777 : 0666;
	int rc = output_open(g->target, name, kept & ~g->umask, out);

	if (rc == -EEXIST)
		snprintf(g->why, sizeof(g->why),
		         "%s/%s is there already; name the file after -o to "
		         "replace it",
		         g->target, name);
	else if (rc < 0)
		snprintf(g->why, sizeof(g->why), "%s: %s", g->target,
		         error_text(rc));
	return rc;
}

static int end_output(struct get *g, struct output *out, int rc,
                      int64_t mtime_ns)
{
	int end = output_end(out, rc, mtime_ns);

	progress_end(&g->progress);
	if (end < 0 && rc == 0)
		snprintf(g->why, sizeof(g->why), "%s: %s", g->target,
		         error_text(end));
	return end;
}

/* ---- through the mount --------------------------------------------------- */

static int copy_out(struct get *g, int fd, uint64_t size, struct output *out)
{
	char *piece = malloc(PIECE);
	struct interrupt signals;
	uint64_t done = 0;
	ssize_t n = -1;
	int rc = piece ? 0 : -ENOMEM;

	interrupt_catch(&signals);
	while (rc == 0 && n != 0) {
		n = read(fd, piece, PIECE);
		if (interrupt_seen())
			rc = -EINTR;
		else if (n < 0)
			rc = -errno;
		else
			rc = output_write(out, piece, (size_t)n);
		done += n > 0 ? (uint64_t)n : 0;
		show(g, done, size);
	}
	interrupt_release(&signals);
	free(piece);
	if (rc < 0)
		snprintf(g->why, sizeof(g->why), "%s: %s", g->what,
		         rc == -EINTR ? "interrupted" : error_text(rc));
	return rc;
}

/* -ENOENT: the mount has no such file. */
static int get_mounted(struct get *g, const struct running *r)
{
	char full[PATH_MAX];
	struct output out;
	struct stat st;
	int fd, rc;

	if (snprintf(full, sizeof(full), "%s/%s", r->mountpoint, g->path) >=
	    (int)sizeof(full))
		return -ENOENT;
	fd = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	rc = fd < 0 || fstat(fd, &st) < 0 ? -errno : 0;
	if (rc == 0 && !S_ISREG(st.st_mode))
		rc = S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	if (rc < 0)
		snprintf(g->why, sizeof(g->why), "%s: %s", g->what,
		         error_text(rc));
	if (rc == 0)
		rc = open_output(g, base_name(g->path), st.st_mode, &out);
	if (rc == 0)
		rc = end_output(g, &out,
		                copy_out(g, fd, (uint64_t)st.st_size, &out),
		                clock_timespec_to_ns(st.st_mtim));
	if (fd >= 0)
		close(fd);
	return rc;
}

/* ---- from the service ---------------------------------------------------- */

static int fetch_item(struct get *g, struct direct *d,
                      const struct direct_file *f)
{
	const char *name = g->path ? base_name(g->path) : g->what;
	struct output out;
	int rc;

	if (strcmp(f->item.id, g->what) == 0) /* by id: as it is called there */
		name = base_name(f->node.name);
	rc = open_output(g, name, f->node.mode, &out);
	if (rc < 0)
		return rc;
	rc = direct_get(d, f, output_write, &out, show, g);
	return end_output(g, &out, rc, f->node.mtime);
}

static int get_entered(struct get *g, struct direct *d, bool by_path)
{
	struct direct_file *f = malloc(sizeof(*f));
	int rc = f ? cmd_find_item(d, by_path ? g->path : NULL, g->what, f)
	           : -ENOMEM;

	if (rc == 0)
		rc = fetch_item(g, d, f);
	free(f);
	if (rc == 0)
		return EXIT_OK;
	return cmd_fail(tokens_signed_in(d->session->tokens) ? EXIT_FAILED
	                                                     : EXIT_SIGN_IN,
	                "%s", g->why);
}

static int get_direct(struct get *g, struct config *cfg, bool by_path)
{
	struct direct d;
	int rc = direct_open(cfg, NULL, &d, g->why), status;

	if (rc < 0)
		return cmd_fail_session(rc, g->why);
	rc = direct_enter(&d, false);
	if (rc == -ENOENT && d.codec) { /* by id there may be something */
		by_path = false;
		rc = 0;
	}
	status = rc < 0 ? cmd_fail_session(rc, g->why)
	                : get_entered(g, &d, by_path);
	direct_close(&d);
	return status;
}

/* ---- the command --------------------------------------------------------- */

static bool parse(int argc, char **argv, struct get *g, bool *out_help)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "output", required_argument, NULL, 'o' },
		{ 0 },
	};
	int c;

	*g = (struct get){ .target = "-" };
	*out_help = false;
	optind = 0;
	while ((c = getopt_long(argc, argv, "ho:", options, NULL)) != -1) {
		if (c == 'h')
			*out_help = true;
		else if (c == 'o')
			g->target = optarg;
		else
			return false;
	}
	if (*out_help)
		return true;
	if (optind + 1 != argc || !argv[optind][0]) {
		fputs(usage, stderr);
		return false;
	}
	g->what = argv[optind];
	return true;
}

int cmd_get(struct config *cfg, int argc, char **argv)
{
	struct running r;
	struct get g;
	bool help;
	int rc = -ENOENT;

	if (!parse(argc, argv, &g, &help))
		return EXIT_USAGE;
	if (help) {
		fputs(usage, stdout);
		return EXIT_OK;
	}
	if (!strcmp(g.target, "-") && isatty(STDOUT_FILENO))
		return cmd_fail(EXIT_USAGE, "this would go to the terminal: "
		                            "say -o FILE, or -o . for a file "
		                            "of its own name");
	if (running_find(cfg, &r, g.why, sizeof(g.why)) < 0)
		r = (struct running){ 0 };
	g.umask = config_umask(cfg);
	g.keeps_modes = !config_bool(cfg, CONFIG_PLAIN);
	g.path = cmd_path_in_folder(g.what, &r);
	if (r.mounted)
		rc = get_mounted(&g, &r);
	if (!r.mounted || rc == -ENOENT)
		return get_direct(&g, cfg, !r.mounted);
	return rc < 0 ? cmd_fail(EXIT_FAILED, "%s", g.why) : EXIT_OK;
}
