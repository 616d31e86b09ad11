/* tests/graphd/settings.h -- JSON objects into structs by a table.
 *
 * The control interface changes behaviour by small JSON objects. A table says
 * which members there are and where their values go, so that a misspelt
 * member in a test is an error and not a test that proves nothing.
 * Threads: none. */
#ifndef NMB_TESTS_GRAPHD_SETTINGS_H
#define NMB_TESTS_GRAPHD_SETTINGS_H

#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>

enum setting_type {
	SETTING_BOOL,   /* bool */
	SETTING_I64,    /* int64_t, 0 or more */
	SETTING_DOUBLE, /* double, more than 0 */
	SETTING_TEXT,   /* char[SETTING_TEXT_SIZE] */
	SETTING_OTHER,  /* any type; the caller looks at it */
};

#define SETTING_TEXT_SIZE 128

struct setting {
	const char *name;
	enum setting_type type;
	size_t offset; /* offsetof() in the struct; not for OTHER */
};

/* Sets what `obj` names in *out. -EINVAL: not an object, an unknown member, a
 * wrong type or range; *out may then be half changed, so give a copy. */
int settings_apply(const struct setting *table, size_t n, const cJSON *obj,
                   void *out);

#endif
