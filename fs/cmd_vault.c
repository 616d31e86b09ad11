#include "fs/cmd_vault.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <sodium.h>

#include "auth/descriptor.h"
#include "auth/vault.h"
#include "fs/cmd_common.h"
#include "fs/commands.h"
#include "fs/exit.h"
#include "fs/vault_admin.h"
#include "fs/vault_setup.h"
#include "net/log.h"

static const char usage[] =
	"usage: nmbackupfs vault COMMAND [OPTION]...\n"
	"\n"
	"  info                         the vault, as it is now\n"
	"  members                      who can read it\n"
	"  add RECIPIENT --label NAME   lets another device in\n"
	"  remove LABEL                 shuts a device out from now on\n"
	"  join --code CODE             this device, let in by another one\n"
	"  join --recovery-key FILE     this device, with the recovery key\n"
	"  rotate                       a new key for files from now on\n"
	"  reseal [PATH]                re-encrypts files of older keys\n"
	"  accept PATH                  takes a file's version that was put "
	"back\n"
	"\n"
	"Each has its own --help. --profile, --folder and the other options "
	"of\n"
	"nmbackupfs say which vault is meant.\n";

static const char usage_info[] =
	"usage: nmbackupfs vault info\n"
	"\n"
	"Prints what is known of the vault. Without a network: as it was seen\n"
	"last.\n"
	"\n"
	"Exit status: 0 done; 3 nobody is signed in; 4 this machine has no "
	"key\n"
	"of the vault; 1 else.\n";

static const char usage_members[] =
	"usage: nmbackupfs vault members\n"
	"\n"
	"Prints one line per member: its label, what it is, and its public\n"
	"key. \"*\" marks this device.\n"
	"\n"
	"Exit status: 0 done; 3 nobody is signed in; 4 this machine has no "
	"key\n"
	"of the vault; 1 else.\n";

/* ---- looking ------------------------------------------------------------- */

/* The newest descriptor, or without a network the one seen last. */
static int look(struct config *cfg, struct vault_admin *a)
{
	char why[MEMBERSHIP_WHY];
	int rc = vault_admin_open(cfg, a);

	if (rc < 0)
		return rc;
	rc = vault_admin_load(a, NULL);
	if (rc != -EIO && rc != -ENETUNREACH && rc != -ETIMEDOUT &&
	    rc != -EAGAIN)
		return rc; /* the drive has answered */
	memcpy(why, a->why, sizeof(why));
	if (membership_load(&a->m, why) < 0)
		return rc;
	fprintf(stderr, "As it was seen last; %s.\n", a->why);
	a->d = a->m.descriptor;
	return 0;
}

static int show(struct config *cfg, void (*print)(const struct vault_admin *a))
{
	struct vault_admin a;
	int rc = look(cfg, &a), status = EXIT_OK;

	if (rc < 0)
		status = vault_admin_fail(&a, rc);
	else
		print(&a);
	vault_admin_close(&a);
	return status;
}

static void print_time(int64_t ns)
{
	time_t t = (time_t)(ns / 1000000000);
	char text[40] = "?";
	struct tm tm;

	if (gmtime_r(&t, &tm))
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	fputs(text, stdout);
}

/* Labels come from other devices. */
static void print_label(const char *label)
{
	char safe[DESCRIPTOR_LABEL_MAX * 4 + 1];

	log_sanitize(label, safe, sizeof(safe));
	fputs(safe, stdout);
}

static void print_info(const struct vault_admin *a)
{
	const struct descriptor *d = a->d;
	const struct descriptor_member *me =
		a->m.id ? descriptor_find_recipient(d, &a->m.id->recipient)
			: NULL;
	char id[BIND_VAULT_SIZE * 2 + 1];
	size_t devices = 0;

	for (size_t i = 0; i < d->member_count; i++)
		devices += d->members[i].kind == DESCRIPTOR_DEVICE;
	sodium_bin2hex(id, sizeof(id), d->vault_id, sizeof(d->vault_id));
	printf("vault         %s\n", id);
	printf("generation    %" PRIu64 "\n", d->generation);
	fputs("written       ", stdout);
	print_time(d->written_ns);
	fputs(" by ", stdout);
	print_label(d->written_by);
	printf("\nmembers       %zu (%zu devices)\n", d->member_count, devices);
	printf("recovery key  %s\n", descriptor_recovery(d) ? "yes" : "none");
	printf("epochs        %zu (number %" PRIu32 " in use)\n",
	       d->epoch_count, descriptor_active(d)->n);
	printf("name text     %s\n", name_text_label(d->names_text));
	fputs("this device   ", stdout);
	print_label(me ? me->label : "no member");
	putchar('\n');
	if (d->read_only)
		puts("A newer release changed it: this one only reads.");
}

static int run_info(struct config *cfg, const struct vault_args *args)
{
	(void)args;
	return show(cfg, print_info);
}

static void print_members(const struct vault_admin *a)
{
	char key[AGE_RECIPIENT_TEXT];

	for (size_t i = 0; i < a->d->member_count; i++) {
		const struct descriptor_member *m = &a->d->members[i];
		bool me = a->m.id && !memcmp(&m->recipient, &a->m.id->recipient,
		                             sizeof(m->recipient));

		age_recipient_format(&m->recipient, key);
		printf("%c %-8s  %s  ", me ? '*' : ' ',
		       m->kind == DESCRIPTOR_RECOVERY ? "recovery" : "device",
		       key);
		print_label(m->label);
		putchar('\n');
	}
}

static int run_members(struct config *cfg, const struct vault_args *args)
{
	(void)args;
	return show(cfg, print_members);
}

/* ---- the command --------------------------------------------------------- */

int cmd_vault(struct config *cfg, int argc, char **argv)
{
	static const struct vault_command commands[] = {
		{ "info", run_info, 0, 0, 0, usage_info },
		{ "members", run_members, 0, 0, 0, usage_members },
		{ "add", vault_run_add, VAULT_OPT_RECOVERY, 1, 1,
		  vault_usage_add },
		{ "remove", vault_run_remove,
		  VAULT_OPT_RECOVERY | VAULT_OPT_YES, 1, 1,
		  vault_usage_remove },
		{ "join", vault_run_join, VAULT_OPT_RECOVERY | VAULT_OPT_CODE,
		  0, 0, vault_usage_join },
		{ "accept", vault_run_accept, 0, 1, 1, vault_usage_accept },
		{ "reseal", vault_run_reseal, 0, 0, 1, vault_usage_reseal },
		{ "rotate", vault_run_rotate, VAULT_OPT_RECOVERY, 0, 0,
		  vault_usage_rotate },
	};

	return vault_command_run(commands, sizeof(commands) / sizeof(*commands),
	                         usage, cfg, argc, argv);
}
