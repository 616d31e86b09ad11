/* Built without GIO: the system tells nothing. */
#include "fs/sysbus.h"

#include <stddef.h>

#include "net/log.h"

#ifndef HAVE_GIO

int sysbus_new(const struct sysbus_options *opt, struct sysbus **out_s)
{
	if (opt->watch_metered || opt->inhibit_shutdown)
		log_warn("built without GIO: metered connections are not "
		         "noticed, a shutdown is not held up");
	*out_s = NULL;
	return 0;
}

int sysbus_start(struct sysbus *s)
{
	(void)s;
	return 0;
}

void sysbus_touch(void *sysbus)
{
	(void)sysbus;
}

void sysbus_stop(struct sysbus *s)
{
	(void)s;
}

void sysbus_free(struct sysbus *s)
{
	(void)s;
}

#endif
