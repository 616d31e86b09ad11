/* LD_PRELOAD: a thread that gets SIGRTMIN stands still until the file that
 * NMB_TEST_PAUSE names is gone. */
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static const char *path;

static void stand_still(int sig)
{
	const struct timespec moment = { .tv_nsec = 10000000 };

	(void)sig;
	while (access(path, F_OK) == 0)
		nanosleep(&moment, NULL);
}

__attribute__((constructor)) static void start(void)
{
	struct sigaction sa = { .sa_handler = stand_still,
		                .sa_flags = SA_RESTART };

	path = getenv("NMB_TEST_PAUSE");
	if (path)
		sigaction(SIGRTMIN, &sa, NULL);
}
