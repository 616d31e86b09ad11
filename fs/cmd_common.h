/* fs/cmd_common.h -- what commands share: the error line, a progress line,
 * waiting for a flush.
 *
 * Threads: one. */
#ifndef NMB_CMD_COMMON_H
#define NMB_CMD_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/cmd_text.h"

struct cJSON;
struct running;

#define CMD_WHY_BYTES 1024

/* "nmbackupfs: ..." on standard error, made safe for a terminal. Returns
 * `status`. */
int cmd_fail(int status, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* An option without a value. `letter`: of its short form, 0: there is none. */
struct cmd_flag {
	const char *name;
	char letter;
	bool *out;
};

/* Options, at most CMD_FLAGS_MAX and then one without a name, and at most
 * `most` operands, from argv[optind] on. All *out become false, then true if
 * they are given. False: it was said what is wrong. */
#define CMD_FLAGS_MAX 8
bool cmd_parse(const char *command, int argc, char **argv, int most,
               const struct cmd_flag *flags);

/* Prints it in one line, or indented in several. False: no memory, or `o` is
 * NULL, and nothing was printed. */
bool cmd_print_json(const struct cJSON *o, bool indented);

/* That no session could be opened (fs/direct.h). The line about a missing
 * token stands alone: scripts look for it as it is. Returns the status. */
int cmd_fail_session(int rc, const char *why);

/* One line on standard error that is rewritten, if that is a terminal; else
 * nothing at all. */
struct progress {
	bool shown;
	int64_t next_ms; /* not more often than this */
};
void progress_show(struct progress *p, uint64_t done, uint64_t total,
                   const char *text);
/* Takes the line away. */
void progress_end(struct progress *p);

/* syncfs() and the control socket's `flush`: everything that is dirty now
 * (below `path`, absolute; NULL: all) is on the server and verified, or the
 * return is not EXIT_OK and it was said why. timeout_ms < 0: no limit.
 * *out_blocked: everything but what is blocked or held was sent. */
int cmd_flush_running(const struct running *r, const char *path,
                      int64_t timeout_ms, bool *out_blocked);

/* One entry of `held` in a status (fs/control_status.h), in one line. */
#define CMD_HELD_TEXT 2048
void cmd_format_held(const struct cJSON *held, char out[CMD_HELD_TEXT]);

/* One request to the control socket; *out_answer (cJSON_Delete()) is its last
 * line. As control_call(). */
int cmd_ask(const struct running *r, const char *what, const char *path,
            struct cJSON **out_answer, char *why, size_t why_size);

#endif
