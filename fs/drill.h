/* fs/drill.h -- when files were last brought back to see whether it works, and
 * how that ended: `drill` in the state directory, durable, replaced as a whole.
 *
 * Not in the database, which belongs to the running mount. Threads: any.
 * Errors: 0 or -Exxx. */
#ifndef NMB_DRILL_H
#define NMB_DRILL_H

#include <stdint.h>

struct cJSON;

enum drill_outcome {
	DRILL_PASSED,     /* each file came back as it was sent */
	DRILL_FAILED,     /* one did not */
	DRILL_INCOMPLETE, /* it was broken off: network, signal, disk */
};

struct drill_record {
	int64_t time; /* ns since 1970, when it ended */
	enum drill_outcome outcome;
	uint64_t files, bytes; /* brought back */
	uint64_t failed;       /* of them */
	int64_t last_passed;   /* the last one that did; 0: none has */
};

/* -ENOENT: there was none, or what is there is no record. */
int drill_read(const char *state_dir, struct drill_record *out);

/* Takes last_passed over from the record before. */
int drill_write(const char *state_dir, struct drill_record *r);

/* "passed", "failed", "incomplete": for scripts, they stay. */
const char *drill_outcome_name(enum drill_outcome o);

/* {"time", "outcome", "files", "bytes", "failed", "last_passed"}, times as
 * RFC 3339; null if there was none. NULL: no memory. */
struct cJSON *drill_json(const char *state_dir);

#endif
