/* fs/cmd_text.h -- sizes and times as people write and read them.
 *
 * Pure. Threads: any. */
#ifndef NMB_CMD_TEXT_H
#define NMB_CMD_TEXT_H

#include <stdint.h>

/* "812 B", "1.4 MB", "20.0 GB" (1000). `out` takes CMD_SIZE_TEXT bytes. */
#define CMD_SIZE_TEXT 32
void cmd_format_size(uint64_t bytes, char *out);

/* "5s", "2m", "1h", "1500ms", or seconds: ms, or -EINVAL. */
int cmd_parse_time(const char *text, int64_t *out_ms);

/* A state by its name (enum engine_state), for people; others as they are. */
const char *cmd_state_in_words(const char *state);

#endif
