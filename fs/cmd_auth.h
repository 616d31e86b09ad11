/* fs/cmd_auth.h -- the commands `auth` and `logout`.
 *
 * argv[0] is the command's name; the options of the table (fs/config.h) are
 * taken out and loaded already. Return an exit status (fs/exit.h). */
#ifndef NMB_CMD_AUTH_H
#define NMB_CMD_AUTH_H

struct config;

int cmd_auth(struct config *cfg, int argc, char **argv);
int cmd_logout(struct config *cfg, int argc, char **argv);

#endif
