/* net/crashpoint.h -- named places at which a test lets the program die.
 *
 * Nothing in a normal build. In one made with `make CRASH=1` each place is
 * known by its name, and passing it may end the process as kill -9 does
 * (tests/crash/points.c says how that is asked for).
 *
 * A place stands where something has just become durable or is about to:
 * between it and the next line is what a crash must not tear apart.
 *
 * Threads: any. Never in a signal handler. */
#ifndef NMB_CRASHPOINT_H
#define NMB_CRASHPOINT_H

#ifdef NMB_CRASH
#define CRASH_NAME_SIZE 32

void crash_pass(const char *name);

/* All names lie side by side, so that they can be listed. */
#define CRASH_POINT(what)                                                      \
	do {                                                                   \
		static const char crash_here[CRASH_NAME_SIZE]                  \
			__attribute__((used, aligned(CRASH_NAME_SIZE),         \
		                       section("crash_points"))) = what;       \
		crash_pass(crash_here);                                        \
	} while (0)
#else
#define CRASH_POINT(what) ((void)0)
#endif

#endif
