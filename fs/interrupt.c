#include "fs/interrupt.h"

#include <stdatomic.h>

static atomic_bool seen; /* lock-free: a signal handler may set it */

static int depth; /* catches without their release */

static const int signals[3] = { SIGINT, SIGTERM, SIGHUP };

static void on_signal(int signo)
{
	(void)signo;
	seen = true;
}

/* What is ignored (nohup) stays ignored. */
void interrupt_catch(struct interrupt *i)
{
	struct sigaction sa = { .sa_handler = on_signal };

	if (!depth++)
		seen = false;
	for (int k = 0; k < 3; k++) {
		sigaction(signals[k], NULL, &i->old[k]);
		if (i->old[k].sa_handler != SIG_IGN)
			sigaction(signals[k], &sa, NULL);
	}
}

void interrupt_release(const struct interrupt *i)
{
	depth--;
	for (int k = 0; k < 3; k++)
		sigaction(signals[k], &i->old[k], NULL);
}

bool interrupt_seen(void)
{
	return seen;
}
