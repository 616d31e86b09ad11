/* fs/commands.h -- commands around the mount: status, events, flush, umount,
 * put, get, check, receipt, verify, drill, doctor, approve, undo, keystore,
 * vault, key, rescue, restore,
 * undelete, versions.
 *
 * argv[0] is the command's name; the options of the table (fs/config.h) are
 * taken out and loaded already. Each prints its own --help and returns an exit
 * status (fs/exit.h). Results go to standard output; progress and the one line
 * that says what went wrong to standard error. */
#ifndef NMB_COMMANDS_H
#define NMB_COMMANDS_H

struct config;

int cmd_status(struct config *cfg, int argc, char **argv);
int cmd_events(struct config *cfg, int argc, char **argv);
int cmd_flush(struct config *cfg, int argc, char **argv);
int cmd_approve(struct config *cfg, int argc, char **argv);
int cmd_undo(struct config *cfg, int argc, char **argv);
int cmd_umount(struct config *cfg, int argc, char **argv);
int cmd_put(struct config *cfg, int argc, char **argv);
int cmd_get(struct config *cfg, int argc, char **argv);
int cmd_keystore(struct config *cfg, int argc, char **argv);
int cmd_vault(struct config *cfg, int argc, char **argv);
int cmd_key(struct config *cfg, int argc, char **argv);
int cmd_check(struct config *cfg, int argc, char **argv);
int cmd_receipt(struct config *cfg, int argc, char **argv);
int cmd_drill(struct config *cfg, int argc, char **argv);
int cmd_doctor(struct config *cfg, int argc, char **argv);
int cmd_verify(struct config *cfg, int argc, char **argv);
int cmd_rescue(struct config *cfg, int argc, char **argv);
int cmd_restore(struct config *cfg, int argc, char **argv);
int cmd_undelete(struct config *cfg, int argc, char **argv);
int cmd_versions(struct config *cfg, int argc, char **argv);

#endif
