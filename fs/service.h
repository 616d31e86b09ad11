/* fs/service.h -- a mount as a service: readiness, one line of status, signs
 * of life for whoever supervises it (fs/sdnotify.h).
 *
 * A sign of life is given only if the engine went through a turn and the FUSE
 * loop answered (fs/pulse.h) since the last one was.
 *
 * One thread, if somebody asked to be told. It wakes when something happened,
 * for the status, and for the signs of life. NULL does nothing in all
 * functions. Errors: 0 or -Exxx. */
#ifndef NMB_SERVICE_H
#define NMB_SERVICE_H

#include <stddef.h>

struct engine_status;
struct nmb;
struct service;

/* *out_s: NULL if nobody asked. */
int service_new(struct nmb *nmb, struct service **out_s);
int service_start(struct service *s);

/* The mount is usable. */
void service_ready(struct service *s);
/* The process ends soon. */
void service_stopping(struct service *s);

/* Ends the thread: before the engine goes. */
void service_stop(struct service *s);
/* After the engine and the network have stopped: they may still wake it. */
void service_free(struct service *s);

/* One line for people, without names. */
void service_words(const struct engine_status *st, char *out, size_t size);

#endif
