#include "fs/doctor.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#define LINE_BYTES 2048

void doctor_say(const struct doctor *d, enum doctor_level level,
                const char *check, const char *next, const char *fmt, ...)
{
	char text[LINE_BYTES];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	d->report(d->arg, level, check, text, level == DOCTOR_OK ? "" : next);
}

/* ---- pure ---------------------------------------------------------------- */

#define CLOCK_WARN_S 60
#define CLOCK_FAIL_S 300 /* tokens and certificates take no more */

enum doctor_level doctor_judge_clock(int64_t ahead)
{
	if (ahead < -CLOCK_FAIL_S || ahead > CLOCK_FAIL_S)
		return DOCTOR_FAIL;
	return ahead < -CLOCK_WARN_S || ahead > CLOCK_WARN_S ? DOCTOR_WARN
	                                                     : DOCTOR_OK;
}

#define SPACE_FAIL (UINT64_C(64) << 20)
#define SPACE_WARN (UINT64_C(1) << 30)

enum doctor_level doctor_judge_space(uint64_t free_bytes, uint64_t min_free)
{
	uint64_t usable = free_bytes > min_free ? free_bytes - min_free : 0;

	return usable < SPACE_FAIL   ? DOCTOR_FAIL
	       : usable < SPACE_WARN ? DOCTOR_WARN
	                             : DOCTOR_OK;
}

/* linux/magic.h has not all of them. */
static const struct fs_kind {
	uint64_t magic;
	enum doctor_level level;
	const char *name, *next;
} fs_kinds[] = {
#define IN_MEMORY                                                              \
	"what is not sent yet is lost with the next reboot: set "              \
	"--state-dir to a disk"
	{ 0x01021994, DOCTOR_FAIL, "tmpfs", IN_MEMORY },
	{ 0x858458f6, DOCTOR_FAIL, "ramfs", IN_MEMORY },
#define NO_LOCKS "the database wants a disk of this machine: set --state-dir"
	{ 0x6969, DOCTOR_WARN, "NFS", NO_LOCKS },
	{ 0x517b, DOCTOR_WARN, "SMB", NO_LOCKS },
	{ 0xff534d42, DOCTOR_WARN, "CIFS", NO_LOCKS },
	{ 0xfe534d42, DOCTOR_WARN, "SMB", NO_LOCKS },
	{ 0x65735546, DOCTOR_WARN, "FUSE", NO_LOCKS },
	{ 0x01021997, DOCTOR_WARN, "9p", NO_LOCKS },
#define NO_MODES "it keeps no permissions: set --state-dir to another disk"
	{ 0x4d44, DOCTOR_FAIL, "FAT", NO_MODES },
	{ 0x2011bab0, DOCTOR_FAIL, "exFAT", NO_MODES },
#define IN_CONTAINER                                                           \
	"in a container it goes with that: set --state-dir to a "              \
	"volume"
	{ 0x794c7630, DOCTOR_WARN, "overlayfs", IN_CONTAINER },
};

enum doctor_level doctor_judge_fs(uint64_t magic, const char **out_name,
                                  const char **out_next)
{
	*out_name = NULL;
	*out_next = "";
	for (size_t i = 0; i < sizeof(fs_kinds) / sizeof(*fs_kinds); i++) {
		if (fs_kinds[i].magic != magic)
			continue;
		*out_name = fs_kinds[i].name;
		*out_next = fs_kinds[i].next;
		return fs_kinds[i].level;
	}
	return DOCTOR_OK;
}

enum doctor_level doctor_judge_mode(bool ours, unsigned mode)
{
	return ours && !(mode & 077) ? DOCTOR_OK : DOCTOR_FAIL;
}
