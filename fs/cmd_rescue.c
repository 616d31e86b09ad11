#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/vault_store.h"
#include "fs/cmd_common.h"
#include "fs/commands.h"
#include "fs/config.h"
#include "fs/exit.h"
#include "fs/rescue.h"
#include "fs/secret_file.h"
#include "fs/session.h"

static const char usage[] =
	"usage: nmbackupfs rescue ID-OR-FOLDER DEST --recovery-key FILE\n"
	"\n"
	"Restores a vault, or a folder or file of it, into the directory "
	"DEST,\n"
	"with the sign-in and the recovery key alone: nothing else need be "
	"left "
	"of\n"
	"the machine that made it. What is in DEST is never overwritten; what "
	"is\n"
	"there already and is the same is not fetched again, so a rescue that "
	"was\n"
	"cut short goes on when it is run again.\n"
	"\n"
	"  ID-OR-FOLDER            where the vault is on the drive: "
	"\"nmbackupfs\",\n"
	"                          \"nmbackupfs/photos/2024\"; or an item's "
	"id\n"
	"  --recovery-key FILE     the recovery key, as it was handed out; - "
	"is\n"
	"                          standard input. A member's exported key "
	"does, too\n"
	"  --passphrase-from CMD   what prints the passphrase of that file, "
	"if\n"
	"                          it is sealed; else it is asked for\n"
	"  --content-only          don't look for the vault's descriptor: "
	"names\n"
	"                          stay sealed, content comes\n"
	"\n"
	"Exit status: 0 all is there; 1 not all of it, standard error says "
	"what\n"
	"isn't; 2 usage; 3 nobody is signed in; 4 the key is not one of the "
	"vault.\n";

struct args {
	const char *what, *dest, *key, *passphrase_from;
	bool content_only, help;
};

static bool parse(int argc, char **argv, struct args *out)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "recovery-key", required_argument, NULL, 'k' },
		{ "passphrase-from", required_argument, NULL, 'p' },
		{ "content-only", no_argument, NULL, 'c' },
		{ 0 },
	};
	int c;

	*out = (struct args){ 0 };
	optind = 0; /* glibc: starts anew */
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'h')
			out->help = true;
		else if (c == 'k')
			out->key = optarg;
		else if (c == 'p')
			out->passphrase_from = optarg;
		else if (c == 'c')
			out->content_only = true;
		else
			return false;
	}
	if (out->help)
		return true;
	if (argc - optind != 2 || !out->key || !argv[optind][0]) {
		fputs(usage, stderr);
		return false;
	}
	out->what = argv[optind];
	out->dest = argv[optind + 1];
	return true;
}

/* Our own umask is stricter than the user's. */
static int open_dest(const struct config *cfg, const char *path)
{
	bool made = mkdir(path, 0700) == 0;
	int fd;

	if (!made && errno != EEXIST)
		return -errno;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && made)
		fchmod(fd, 0777 & ~config_umask(cfg));
	return fd < 0 ? -errno : fd;
}

static void warn_content_only(void)
{
	fputs("The vault's descriptor (.nmbackupfs/vault.age) is not there or "
	      "can't be used. The\ncontent of files opens all the same; lost "
	      "are their names (they stay sealed), modes,\nowners, exact times "
	      "and links, and whether a file was put there by a member can't "
	      "be\ntold. Look into OneDrive's recycle bin for the folder "
	      ".nmbackupfs.\n",
	      stderr);
}

static int report(const struct args *a, const struct rescue_counts *n)
{
	char size[CMD_SIZE_TEXT];

	cmd_format_size(n->bytes, size);
	fprintf(stderr,
	        "%" PRIu64 " files (%s) and %" PRIu64 " folders are in %s",
	        n->files, size, n->folders, a->dest);
	if (n->already)
		fprintf(stderr, "; %" PRIu64 " files were there already",
		        n->already);
	fputs(".\n", stderr);
	if (n->failed)
		cmd_fail(0, "%" PRIu64 " could not be restored, see above",
		         n->failed);
	if (n->interrupted)
		cmd_fail(0, "interrupted; run it again to go on");
	return n->failed || n->interrupted || n->stopped ? EXIT_FAILED
	                                                 : EXIT_OK;
}

static int fail_find(int rc, const char *why)
{
	return cmd_fail(rc == VAULT_STORE_NOT_MEMBER ? EXIT_NO_MEMBER
	                : rc == -EACCES              ? EXIT_SIGN_IN
	                                             : EXIT_FAILED,
	                "%s", why[0] ? why : vault_strerror(rc));
}

static int rescue(const struct config *cfg, const struct args *a,
                  struct rescue_source *s)
{
	struct rescue_counts n = { 0 };
	int rc = rescue_find(s, a->what), dest;

	if (rc < 0)
		return fail_find(rc, s->direct->why);
	if (s->content_only)
		warn_content_only();
	dest = open_dest(cfg, a->dest);
	if (dest < 0)
		return cmd_fail(EXIT_USAGE, "%s: %s", a->dest, strerror(-dest));
	rc = rescue_run(s, dest, &n);
	close(dest);
	if (rc < 0)
		return cmd_fail(EXIT_FAILED, "%s: %s", a->dest,
		                rc == -EINVAL ? "that item is not of the vault"
		                              : strerror(-rc));
	rc = report(a, &n);
	/* Names are missing, and nobody asked for that. */
	return s->content_only && !a->content_only ? EXIT_FAILED : rc;
}

int cmd_rescue(struct config *cfg, int argc, char **argv)
{
	struct age_identities keys = { 0 };
	struct rescue_source *s;
	char why[DIRECT_WHY] = "";
	struct direct d;
	struct args a;
	int rc, status;

	if (!parse(argc, argv, &a))
		return EXIT_USAGE;
	if (a.help) {
		fputs(usage, stdout);
		return EXIT_OK;
	}
	rc = secret_file_identities(a.key, a.passphrase_from, &keys, why,
	                            sizeof(why));
	if (rc < 0)
		return cmd_fail(rc == -EINVAL ? EXIT_USAGE
		                              : session_exit_status(rc),
		                "%s", why[0] ? why : strerror(-rc));
	rc = direct_open(cfg, NULL, &d, why);
	if (rc < 0) {
		age_identities_done(&keys);
		return cmd_fail_session(rc, why);
	}
	s = calloc(1, sizeof(*s));
	if (s) {
		s->direct = &d;
		s->keys = (struct age_keys){ .ids = keys.ids,
			                     .id_count = keys.count };
		s->content_only = a.content_only;
		status = rescue(cfg, &a, s);
		rescue_source_done(s);
		free(s);
	} else {
		status = cmd_fail(EXIT_FAILED, "out of memory");
	}
	direct_close(&d);
	age_identities_done(&keys);
	return status;
}
