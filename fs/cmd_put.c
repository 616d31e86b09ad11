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

#include <cjson/cJSON.h>

#include "auth/tokens.h"
#include "auth/vault_store.h"
#include "fs/cmd_common.h"
#include "fs/cmd_copy.h"
#include "fs/config.h"
#include "fs/direct.h"
#include "fs/exit.h"
#include "fs/interrupt.h"
#include "fs/running.h"
#include "fs/session.h"
#include "net/error_text.h"
#include "net/json.h"

static const char usage[] =
	"usage: nmbackupfs put FILE... [--as NAME]\n"
	"\n"
	"Sends files into the folder, through the mount if it is mounted, and "
	"prints\n"
	"the item id of each, one a line, once the server has it and its size "
	"and\n"
	"hash are right. `nmbackupfs get ID` brings it back. A file of the "
	"same "
	"name\n"
	"that is there already gets the new content and keeps its id and "
	"versions.\n"
	"\n"
	"  --as NAME       the name of the (one) file there; may be a path, "
	"folders\n"
	"                  on the way are made\n"
	"  --profile NAME, --folder NAME\n"
	"\n"
	"Stops at the first file that fails. Exit status: 0 all sent; 2 "
	"usage;\n"
	"3 nobody is signed in; 4 this machine has no key of the vault; 5 it "
	"could not\n"
	"be sent yet, but waits in the mount; 1 else.\n";

struct put {
	char *const *files;
	int nfiles;
	const char *as;
	bool help;
	mode_t umask;
	const char *file; /* the one at hand */
	struct progress progress;
};

static void show(void *arg, uint64_t done, uint64_t total)
{
	struct put *p = arg;

	progress_show(&p->progress, done, total, p->file);
}

static const char *name_of(const struct put *p)
{
	const char *slash = strrchr(p->file, '/');

	if (p->as)
		return p->as + strspn(p->as, "/");
	return slash ? slash + 1 : p->file;
}

/* -1: it was said why. O_NONBLOCK: a pipe must not hold us up. */
static int open_file(const struct put *p, struct stat *st)
{
	int fd = open(p->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 || fstat(fd, st) < 0) {
		cmd_fail(0, "%s: %s", p->file, strerror(errno));
	} else if (!S_ISREG(st->st_mode)) {
		cmd_fail(0, "%s is no regular file", p->file);
	} else {
		return fd;
	}
	if (fd >= 0)
		close(fd);
	return -1;
}

/* ---- through the mount --------------------------------------------------- */

static bool leads_elsewhere(const char *path)
{
	for (; *path; path += strspn(path, "/")) {
		size_t len = strcspn(path, "/");

		if ((len == 1 && path[0] == '.') ||
		    (len == 2 && path[0] == '.' && path[1] == '.'))
			return true;
		path += len;
	}
	return false;
}

static int print_id(const struct running *r, const char *path)
{
	char why[CMD_WHY_BYTES];
	cJSON *answer = NULL;
	const char *id;
	int rc = cmd_ask(r, "status", path, &answer, why, sizeof(why));

	if (rc < 0)
		return cmd_fail(EXIT_FAILED, "%s: %s", path, why);
	id = json_str(answer, "id");
	if (id && *id)
		puts(id);
	rc = id && *id ? EXIT_OK
	               : cmd_fail(EXIT_FAILED, "%s: no id came", path);
	cJSON_Delete(answer);
	return rc;
}

static int put_mounted(struct put *p, const struct running *r)
{
	char target[PATH_MAX];
	struct interrupt signals;
	struct stat st;
	bool blocked;
	int fd, rc;

	if (!*name_of(p) || leads_elsewhere(name_of(p)))
		return cmd_fail(EXIT_USAGE, "\"%s\" is no name", name_of(p));
	if (snprintf(target, sizeof(target), "%s/%s", r->mountpoint,
	             name_of(p)) >= (int)sizeof(target))
		return cmd_fail(EXIT_FAILED, "%s: name too long", name_of(p));
	fd = open_file(p, &st);
	if (fd < 0)
		return EXIT_FAILED;
	interrupt_catch(&signals);
	rc = cmd_copy_in(fd, &(struct cmd_copy){
				     .target = target,
				     .top = strlen(r->mountpoint) + 1,
				     .size = (uint64_t)st.st_size,
				     .mode = st.st_mode & 0777 & ~p->umask,
				     .mtime = st.st_mtim,
				     .mask = p->umask,
				     .progress = show,
				     .arg = p,
			     });
	interrupt_release(&signals);
	close(fd);
	progress_end(&p->progress);
	if (rc < 0)
		return cmd_fail(EXIT_FAILED, "%s: %s", target,
		                rc == -EINTR ? "interrupted" : error_text(rc));
	rc = cmd_flush_running(r, target, -1, &blocked);
	return rc == EXIT_OK ? print_id(r, target) : rc;
}

static int put_all_mounted(struct put *p, const struct running *r)
{
	int status = EXIT_OK;

	for (int i = 0; i < p->nfiles && status == EXIT_OK; i++) {
		p->file = p->files[i];
		status = put_mounted(p, r);
		fflush(stdout);
	}
	return status;
}

/* ---- without ------------------------------------------------------------- */

static int put_direct(struct put *p, struct direct *d)
{
	struct item *it = calloc(1, sizeof(*it));
	struct direct_place at;
	struct stat st;
	int fd = it ? open_file(p, &st) : -1;
	int rc, status;

	if (fd < 0) {
		free(it);
		return EXIT_FAILED;
	}
	rc = direct_find(d, name_of(p), true, &at);
	if (rc == 0)
		rc = direct_put(d, &at, fd, p->umask, show, p, it);
	close(fd);
	progress_end(&p->progress);
	if (rc == 0)
		puts(it->id);
	free(it);
	if (rc == 0)
		return EXIT_OK;
	status = rc == VAULT_STORE_NOT_MEMBER           ? EXIT_NO_MEMBER
	         : tokens_signed_in(d->session->tokens) ? EXIT_FAILED
	                                                : EXIT_SIGN_IN;
	return cmd_fail(status, "%s: %s", p->file, d->why);
}

static int put_all_direct(struct put *p, struct config *cfg)
{
	char why[DIRECT_WHY] = "";
	struct direct d;
	int rc = direct_open(cfg, NULL, &d, why), status = EXIT_OK;

	if (rc < 0)
		return cmd_fail_session(rc, why);
	rc = direct_enter(&d, true);
	if (rc < 0)
		status = cmd_fail_session(rc, why);
	for (int i = 0; i < p->nfiles && status == EXIT_OK; i++) {
		p->file = p->files[i];
		status = put_direct(p, &d);
		fflush(stdout);
	}
	direct_close(&d);
	return status;
}

/* ---- the command --------------------------------------------------------- */

static bool parse(int argc, char **argv, struct put *p)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "as", required_argument, NULL, 'a' },
		{ 0 },
	};
	int c;

	*p = (struct put){ 0 };
	optind = 0;
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'h')
			p->help = true;
		else if (c == 'a')
			p->as = optarg;
		else
			return false;
	}
	p->files = argv + optind;
	p->nfiles = argc - optind;
	if (p->help)
		return true;
	if (!p->nfiles) {
		fputs(usage, stderr);
		return false;
	}
	if (p->as && p->nfiles > 1)
		cmd_fail(0, "--as is for one file");
	return !p->as || p->nfiles == 1;
}

int cmd_put(struct config *cfg, int argc, char **argv)
{
	char why[CMD_WHY_BYTES];
	struct running r;
	struct put p;

	if (!parse(argc, argv, &p))
		return EXIT_USAGE;
	if (p.help) {
		fputs(usage, stdout);
		return EXIT_OK;
	}
	p.umask = config_umask(cfg);
	if (config_bool(cfg, CONFIG_READ_ONLY))
		return cmd_fail(EXIT_USAGE, "read_only is set");
	if (running_find(cfg, &r, why, sizeof(why)) == 0 && r.mounted)
		return put_all_mounted(&p, &r);
	return put_all_direct(&p, cfg);
}
