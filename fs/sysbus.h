/* fs/sysbus.h -- what the system tells over its bus (D-Bus), if it has one:
 *
 *	logind           PrepareForSleep. A "delay" inhibitor gives us the
 *moment that it takes to end waits and to close connections. logind, if asked a
 *"block" inhibitor of shutdown while something is pending NetworkManager, if
 *asked: is the connection metered?
 *
 * One thread, asleep until the bus has something to say. Without a bus, without
 * these services, or built without GIO, nothing of it happens, and
 * fs/resume.h notices a sleep afterwards. A service that vanishes ends what it
 * began. NULL does nothing in all functions. Errors: 0 or -Exxx. */
#ifndef NMB_SYSBUS_H
#define NMB_SYSBUS_H

#include <stdbool.h>

struct sysbus;

struct sysbus_options {
	bool watch_metered;
	bool inhibit_shutdown;
	void *arg;
	/* On the thread, which waits; each end follows a begin. */
	void (*sleeps)(void *arg, bool begins);
	void (*metered)(void *arg, bool metered);
	/* Is anything on its way to the server? */
	bool (*pending)(void *arg);
};

int sysbus_new(const struct sysbus_options *opt, struct sysbus **out_s);
int sysbus_start(struct sysbus *s);

/* pending() may have another answer by now: an events_wake_fn, only queues. */
void sysbus_touch(void *sysbus);

/* No callback comes once it has returned. */
void sysbus_stop(struct sysbus *s);
void sysbus_free(struct sysbus *s);

#endif
