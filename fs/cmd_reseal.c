#include "fs/cmd_vault.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "fs/cmd_common.h"
#include "fs/config.h"
#include "fs/exit.h"
#include "fs/reseal.h"
#include "fs/running.h"
#include "fs/vault_admin.h"

const char vault_usage_reseal[] =
	"usage: nmbackupfs vault reseal [PATH]\n"
	"\n"
	"Re-encrypts the files that are not sealed with the vault's newest "
	"keys, all\n"
	"of them or those at and below PATH: fetches, opens, seals and sends "
	"them.\n"
	"After a member was removed, what was there before is out of its "
	"reach only\n"
	"then, but for versions that OneDrive keeps and what it has copied. It "
	"can be\n"
	"ended at any time: the next run goes on, and looks only at the "
	"beginning of\n"
	"files that are done. `nmbackupfs flush` first: a file with changes "
	"that wait\n"
	"here becomes two.\n"
	"\n"
	"Exit status: 0 all are sealed anew; 3 nobody is signed in; 4 this "
	"machine\n"
	"has no key of the vault; 1 else.\n";

/* Below the mount point, or relative to the folder. */
static const char *path_in_folder(const struct config *cfg, const char *what,
                                  char absolute[PATH_MAX])
{
	char why[CMD_WHY_BYTES];
	struct running r;

	if (running_find_path(cfg, what, &r, absolute, why, sizeof(why)) < 0)
		return what;
	return absolute + strlen(r.mountpoint);
}

static int report(struct vault_admin *a, const char *path, int rc,
                  const struct reseal_counts *n)
{
	char size[CMD_SIZE_TEXT];

	cmd_format_size(n->bytes, size);
	fprintf(stderr,
	        "%" PRIu64 " files (%s) were sealed anew; %" PRIu64
	        " were up to date.\n",
	        n->done, size, n->current);
	if (rc == -ENOENT)
		return cmd_fail(EXIT_FAILED,
		                "%s: no such file or folder in "
		                "the vault",
		                path);
	if (rc == -EINTR)
		return cmd_fail(EXIT_FAILED, "interrupted; run it again to go "
		                             "on");
	if (rc < 0)
		return vault_admin_fail(a, rc);
	return n->failed ? cmd_fail(EXIT_FAILED,
	                            "%" PRIu64 " could not be, see above",
	                            n->failed)
	                 : EXIT_OK;
}

int vault_run_reseal(struct config *cfg, const struct vault_args *args)
{
	char absolute[PATH_MAX];
	const char *path = "";
	struct reseal_counts n;
	struct vault_admin a;
	int rc, status;

	if (config_bool(cfg, CONFIG_APPEND_ONLY))
		return cmd_fail(EXIT_FAILED,
		                "append_only leaves what is there as it is: "
		                "give --no-append-only");
	if (args->count)
		path = path_in_folder(cfg, args->words[0], absolute);
	rc = vault_admin_open(cfg, &a);
	if (rc == 0)
		rc = vault_admin_load(&a, NULL);
	if (rc < 0) {
		status = vault_admin_fail(&a, rc);
	} else {
		rc = reseal_run(&a, path, &n);
		status = report(&a, path, rc, &n);
	}
	vault_admin_close(&a);
	return status;
}
