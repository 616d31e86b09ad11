#include "fs/cmd_vault.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "fs/cmd_common.h"
#include "fs/exit.h"

/* Names of options as bits, and two beside them. */
#define OPT_HELP 'h'
#define OPT_FROM 'p'

static const struct option options[] = {
	{ "help", no_argument, NULL, OPT_HELP },
	{ "passphrase-from", required_argument, NULL, OPT_FROM },
	{ "recovery-key", required_argument, NULL, VAULT_OPT_RECOVERY },
	{ "code", required_argument, NULL, VAULT_OPT_CODE },
	{ "yes", no_argument, NULL, VAULT_OPT_YES },
	{ "passphrase", no_argument, NULL, VAULT_OPT_PASSPHRASE },
	{ "keep", required_argument, NULL, VAULT_OPT_KEEP },
	{ 0 },
};

static bool take_option(const struct vault_command *c, int opt,
                        struct vault_args *out, bool *out_help)
{
	if (opt != OPT_HELP && opt != OPT_FROM &&
	    (opt == '?' || !(c->options & (unsigned)opt)))
		return false;
	switch (opt) {
	case OPT_HELP:
		*out_help = true;
		break;
	case OPT_FROM:
		out->passphrase_from = optarg;
		break;
	case VAULT_OPT_RECOVERY:
		out->recovery_key = optarg;
		break;
	case VAULT_OPT_CODE:
		out->code = optarg;
		break;
	case VAULT_OPT_YES:
		out->yes = true;
		break;
	case VAULT_OPT_KEEP:
		out->keep = optarg;
		break;
	case VAULT_OPT_PASSPHRASE:
		out->passphrase = true;
		break;
	}
	return true;
}

/* getopt moves the words to the end, over both argv[0]s that stay. */
static int run_one(const struct vault_command *c, struct config *cfg, int argc,
                   char **argv)
{
	struct vault_args args = { 0 };
	bool help = false;
	int opt;

	optind = 0; /* glibc: starts anew */
	while ((opt = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (take_option(c, opt, &args, &help))
			continue;
		if (opt != '?')
			fprintf(stderr, "%s has no such option\n", c->name);
		fputs(c->usage, stderr);
		return EXIT_USAGE;
	}
	if (help) {
		fputs(c->usage, stdout);
		return EXIT_OK;
	}
	args.words = argv + optind;
	args.count = argc - optind;
	if (args.count < c->min || args.count > c->max) {
		fputs(c->usage, stderr);
		return EXIT_USAGE;
	}
	return c->run(cfg, &args);
}

int vault_command_run(const struct vault_command *commands, size_t n,
                      const char *usage, struct config *cfg, int argc,
                      char **argv)
{
	if (argc > 1 &&
	    (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		fputs(usage, stdout);
		return EXIT_OK;
	}
	for (size_t i = 0; argc > 1 && i < n; i++) {
		if (!strcmp(argv[1], commands[i].name))
			return run_one(&commands[i], cfg, argc - 1, argv + 1);
	}
	if (argc > 1)
		return cmd_fail(EXIT_USAGE,
		                "%s: there is no %s; see "
		                "nmbackupfs %s --help",
		                argv[0], argv[1], argv[0]);
	fputs(usage, stderr);
	return EXIT_USAGE;
}
