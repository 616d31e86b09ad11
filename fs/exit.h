/* fs/exit.h -- exit statuses, the same for every command.
 *
 * Scripts rely on them: a number keeps its meaning for ever. */
#ifndef NMB_EXIT_H
#define NMB_EXIT_H

enum exit_status {
	EXIT_OK = 0,
	EXIT_FAILED = 1,      /* whatever has no number of its own */
	EXIT_USAGE = 2,       /* command line, config, no client id */
	EXIT_SIGN_IN = 3,     /* nobody is signed in, or another account is */
	EXIT_NO_MEMBER = 4,   /* this machine has no key of the vault */
	EXIT_UNFINISHED = 5,  /* not everything is on the server (yet) */
	EXIT_HELD = 6,        /* something waits for a person's decision */
	EXIT_BUSY = 7,        /* another process holds the profile or mount */
	EXIT_DAMAGED = 8,     /* local state is damaged; it was kept */
	EXIT_NO_TERMINAL = 9, /* a question had to be asked, nobody is there */
	EXIT_DIFFERENT =
		10, /* what is on the server is not what it confirmed */
	EXIT_INCOMPLETE = 11, /* restored, but for what is not kept any more, or
	                       * not with certainty */
};

#endif
