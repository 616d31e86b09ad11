/* fs/verdict.h -- what a status means for a script: all is on the server, or
 * why not.
 *
 * Pure. `status` is what the control socket answers (fs/control_status.h), of
 * the mount or of one node. Threads: any. */
#ifndef NMB_VERDICT_H
#define NMB_VERDICT_H

#include <stddef.h>

struct cJSON;

/* An enum exit_status, the first that fits:
 *
 *	EXIT_SIGN_IN     nobody is signed in, whether or not something waits
 *	EXIT_HELD        a person is needed: something is held or blocked, or
 *	                 OneDrive is full and something waits for room
 *	EXIT_UNFINISHED  something is not on the server yet; it goes on by
 *itself EXIT_OK          everything that was closed here is there, verified
 *
 * Of a node it is never EXIT_SIGN_IN: its status does not say.
 * `why` gets one line for people ("" with EXIT_OK). */
int verdict_of_mount(const struct cJSON *status, char *why, size_t size);
int verdict_of_node(const struct cJSON *status, char *why, size_t size);

#endif
