/* fs/cmd_vault.h -- between the files of the commands `vault` and `key`: the
 * arguments of a subcommand, and who runs it.
 *
 * The options of all subcommands are parsed in one place (cmd_vault_args.c), by
 * what each of them allows. */
#ifndef NMB_CMD_VAULT_H
#define NMB_CMD_VAULT_H

#include <stdbool.h>
#include <stddef.h>

struct config;

enum vault_option {
	VAULT_OPT_RECOVERY = 1 << 0,   /* --recovery-key FILE */
	VAULT_OPT_CODE = 1 << 1,       /* --code CODE */
	VAULT_OPT_YES = 1 << 2,        /* --yes */
	VAULT_OPT_PASSPHRASE = 1 << 3, /* --passphrase */
	VAULT_OPT_KEEP = 1 << 4,       /* --keep FILE */
};

struct vault_args {
	const char *recovery_key; /* NULL: not given */
	const char *code, *keep;
	const char *passphrase_from; /* always allowed beside a key's file */
	bool yes, passphrase;
	char **words;
	int count;
};

struct vault_command {
	const char *name;
	int (*run)(struct config *cfg, const struct vault_args *args);
	unsigned options; /* of enum vault_option */
	int min, max;     /* words behind the name */
	const char *usage;
};

/* argv[0] is "vault" or "key", argv[1] the name of one of `n` commands; `usage`
 * is about all of them. Returns the exit status. */
int vault_command_run(const struct vault_command *commands, size_t n,
                      const char *usage, struct config *cfg, int argc,
                      char **argv);

/* cmd_vault_change.c, cmd_vault_join.c */
int vault_run_add(struct config *cfg, const struct vault_args *args);
int vault_run_remove(struct config *cfg, const struct vault_args *args);
int vault_run_rotate(struct config *cfg, const struct vault_args *args);
int vault_run_join(struct config *cfg, const struct vault_args *args);

/* cmd_vault_accept.c, cmd_reseal.c */
int vault_run_accept(struct config *cfg, const struct vault_args *args);
int vault_run_reseal(struct config *cfg, const struct vault_args *args);

extern const char vault_usage_accept[], vault_usage_reseal[];
extern const char vault_usage_add[], vault_usage_remove[], vault_usage_rotate[],
	vault_usage_join[];

#endif
