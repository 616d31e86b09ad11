/* tests/unit/drive_rig.h -- a graph against the emulator, in this process.
 *
 * Signed in, with the drive's root known. Checks at its end that no request
 * broke a rule and no bearer went where it must not. Threads: one. */
#ifndef NMB_TESTS_DRIVE_RIG_H
#define NMB_TESTS_DRIVE_RIG_H

#include <stdint.h>

#include "net/graph.h"
#include "tests/graphd/graphd.h"

struct server;

struct drive_rig {
	struct graphd *d;
	struct server *server;
	uint16_t port;
	char content_url[64], base[64], bearer[4096];
	struct http *http;
	struct http *side; /* for what steers graphd */
	struct graph *g;
	char root[256];
};

void drive_rig_start(struct drive_rig *r, enum drive_kind kind);
/* At most that many connections to a host at a time; 0: http's own limit. */
void drive_rig_start_wide(struct drive_rig *r, enum drive_kind kind,
                          unsigned connections);
void drive_rig_stop(struct drive_rig *r);

/* POST, DELETE and GET below /graphd/ (tests/graphd/control.h). */
void drive_rig_post(struct drive_rig *r, const char *path, const char *body);
void drive_rig_delete(struct drive_rig *r, const char *path);
cJSON *drive_rig_get(struct drive_rig *r, const char *path);

/* Requests of a class so far, since the start or the last reset. */
int64_t drive_rig_count(struct drive_rig *r, const char *class);

/* Requests of all classes. */
int64_t drive_rig_count_all(struct drive_rig *r);

#endif
