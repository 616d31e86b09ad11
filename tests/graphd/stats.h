/* tests/graphd/stats.h -- what clients did: counters, and the requests that
 * break a rule of facts/graph.md.
 *
 * Threads: the caller holds graphd.lock. */
#ifndef NMB_TESTS_GRAPHD_STATS_H
#define NMB_TESTS_GRAPHD_STATS_H

#include <stdbool.h>
#include <stdint.h>

#include <cjson/cJSON.h>

#include "tests/graphd/route.h"

struct stats;

struct stats *stats_new(void);
void stats_free(struct stats *s);
void stats_reset(struct stats *s);

/* A request came in, got its answer (status 0: it was cut off), sends a piece
 * of its body, and is over. All count before they are sent, so that whoever has
 * an answer finds it counted. */
void stats_begin(struct stats *s, enum route_class class);
void stats_answer(struct stats *s, enum route_class class, int status,
                  uint64_t in_bytes);
void stats_out(struct stats *s, enum route_class class, uint64_t bytes);
void stats_end(struct stats *s, enum route_class class);
/* A part of a batch. */
void stats_part(struct stats *s, enum route_class class, int status);
void stats_connection(struct stats *s, int more);
uint64_t stats_count(const struct stats *s, enum route_class class);
uint64_t stats_done(const struct stats *s, enum route_class class);

/* True if nothing is under way; since when (monotonic). */
bool stats_is_idle(const struct stats *s, int64_t *out_since_ms);

/* An Authorization header where none belongs. */
void stats_leak(struct stats *s, const char *where);

/* `rule`: what was broken, one literal text per rule. */
void stats_forbid(struct stats *s, const char *rule, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

cJSON *stats_dump(const struct stats *s);

#endif
