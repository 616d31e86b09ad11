/* tests/graphd/collate.h -- which names the service refuses, and which ones
 * it holds equal.
 *
 * Pure functions; nothing is kept. Threads: any. Names are UTF-8; lengths are
 * in UTF-16 code units, which is what the service counts.
 * Source: facts/graph.md 3.2 and 11.1; facts/names.md A3. */
#ifndef NMB_TESTS_GRAPHD_COLLATE_H
#define NMB_TESTS_GRAPHD_COLLATE_H

#include <stdbool.h>
#include <stddef.h>

#include "net/buf.h"

#define COLLATE_NAME_MAX 255 /* units */
#define COLLATE_PATH_MAX 400 /* units, with the service's own prefix */

struct collate_rules {
	bool personal;
	/* Characters without a sort weight count for nothing: all outside the
	 * BMP, CJK Extension A, Ethiopic, Canadian Aboriginal, and so on. */
	bool weightless;
	/* CON.txt is refused like CON (observed by one client only). */
	bool reserved_with_extension;
	/* Trailing dots and spaces are not refused: collate_strip() first. */
	bool strip_trailing;
	size_t prefix_units; /* what the service puts before a path */
};

/* Adds the fold key of a name: two names are equal for the service if and
 * only if the keys are equal byte for byte. Case, canonical equivalence, on
 * personal drives U+00E6 = ae. Bytes that aren't UTF-8 stand for themselves.
 * 0 or -ENOMEM. */
int collate_key(const struct collate_rules *r, const char *name,
                struct buf *out_key);

/* Why a name can't be. All are status 400, code "invalidRequest". */
struct collate_refusal {
	const char *inner; /* innerError.code: "invalidPath", "pathIsTooLong" */
	const char *message;
};

/* NULL if the name may be. `in_root`: directly below the drive's root. */
const struct collate_refusal *collate_check_name(const struct collate_rules *r,
                                                 const char *name,
                                                 bool is_folder, bool in_root);

/* NULL if the path may be. `path`: decoded, from the root of the drive, with
 * or without a leading slash. Only the length is looked at. */
const struct collate_refusal *collate_check_path(const struct collate_rules *r,
                                                 const char *path);

/* Length in UTF-16 units; bytes that aren't UTF-8 count one each. */
size_t collate_units(const char *s);

/* Length in bytes of `name` without trailing dots and spaces. */
size_t collate_strip(const char *name);

#endif
