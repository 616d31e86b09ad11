/* tests/graphd/fault_internal.h -- shared by fault.c (rules), fault_act.c
 * (what they do), fault_body.c, fault_edit.c and fault_wire.c. */
#ifndef NMB_TESTS_GRAPHD_FAULT_INTERNAL_H
#define NMB_TESTS_GRAPHD_FAULT_INTERNAL_H

#include "tests/graphd/fault.h"

/* NULL, or the member that isn't right. */
const char *fault_check_action(const cJSON *action);
void fault_read_action(const cJSON *action, struct fault_hit *out);

#define FAULT_WIRE_KINDS                                                       \
	"|garbage|half_header|stall_header|endless_header|endless_line|"       \
	"bad_chunk|endless_chunks|long_length|short_length|"

void fault_set_body(const cJSON *action, struct fault_hit *hit);

/* "answer", "items", "only" and "link" of an action; NULL: none of them. */
cJSON *fault_read_edits(const cJSON *action);
/* Changes the JSON of an answer by them. */
void fault_edit(const cJSON *edits, const struct request *req,
                struct answer *out);

#endif
