/* tests/graphd/drive_json.h -- the drive, its quota, people and times as JSON.
 *
 * Source: facts/graph.md 2.3, 2.6, graph-examples/drive-*. Threads: lock. */
#ifndef NMB_TESTS_GRAPHD_DRIVE_JSON_H
#define NMB_TESTS_GRAPHD_DRIVE_JSON_H

#include "tests/graphd/graphd.h"

cJSON *drive_json(struct graphd *g);

/* An identitySet; personal drives name the application too. */
cJSON *drive_json_user(struct graphd *g, bool with_application);

/* Adds a member in the precision this drive shows. */
void drive_json_time(struct graphd *g, cJSON *obj, const char *name,
                     int64_t ns);

#endif
