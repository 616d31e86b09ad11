/* tests/graphd/control_internal.h -- shared by control.c, control_set.c,
 * control_change.c, control_look.c. All but control_wait() are called with
 * graphd.lock held. */
#ifndef NMB_TESTS_GRAPHD_CONTROL_INTERNAL_H
#define NMB_TESTS_GRAPHD_CONTROL_INTERNAL_H

#include "tests/graphd/control.h"

void control_bad(struct answer *out, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* "/A/b"; NULL: not there. */
struct item *control_find(struct graphd *g, const char *path);
cJSON *control_item_json(struct graphd *g, struct item *item);

void control_set(struct graphd *g, const cJSON *body, struct answer *out);
void control_change(struct graphd *g, const cJSON *body, struct answer *out);
void control_dump(struct graphd *g, const struct request *req,
                  struct answer *out);
void control_content(struct graphd *g, const struct request *req,
                     struct answer *out);
void control_wait(struct graphd *g, const struct request *req,
                  struct answer *out);

#endif
