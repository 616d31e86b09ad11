/* fs/cmd_mount.h -- `nmbackupfs [options] MOUNTPOINT`. */
#ifndef NMB_CMD_MOUNT_H
#define NMB_CMD_MOUNT_H

struct config;

/* argv[1..]: [SOURCE] MOUNTPOINT (mount(8) gives both). Signs in first if need
 * be and somebody is there. Returns an exit status; in the background the
 * caller sees it once the mount is usable. */
int cmd_mount(struct config *cfg, int argc, char **argv);

#endif
