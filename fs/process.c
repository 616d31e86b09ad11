#include "fs/process.h"

#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* LeakSanitizer looks into the memory of the process from another one. */
#if defined(__SANITIZE_ADDRESS__)
#define LOOKED_INTO true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LOOKED_INTO true
#endif
#endif
#ifndef LOOKED_INTO
#define LOOKED_INTO false
#endif

mode_t process_be_private(void)
{
	const struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
	if (!LOOKED_INTO)
		prctl(PR_SET_DUMPABLE, 0);
	return umask(077);
}
