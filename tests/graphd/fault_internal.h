/* tests/graphd/fault_internal.h -- shared by fault.c (rules) and
 * fault_act.c (what they do). */
#ifndef NMB_TESTS_GRAPHD_FAULT_INTERNAL_H
#define NMB_TESTS_GRAPHD_FAULT_INTERNAL_H

#include "tests/graphd/fault.h"

/* NULL, or the member that isn't right. */
const char *fault_check_action(const cJSON *action);
void fault_read_action(const cJSON *action, struct fault_hit *out);

#endif
