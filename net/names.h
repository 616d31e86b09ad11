/* net/names.h -- names a POSIX user typed <-> names OneDrive can hold, and
 * which names the service holds equal. For plain folders; a vault seals its
 * names (auth/names).
 *
 * Protocol: facts/graph.md 11.1 (what is refused), 11.2 (rclone's mapping,
 * byte for byte the same so that both see the same names), 3.2 (collation).
 * Threads: any. Text is bytes; `remote` is UTF-8. */
#ifndef NMB_NAMES_H
#define NMB_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Plain to remote. 0, or -ENAMETOOLONG (more than 255 UTF-16 units there, or
 * `size` bytes here; 1,024 always fit what the service takes). */
int names_to_remote(const char *plain, char *out, size_t size);

/* The next part of a path "a/b", as it is and as names_to_remote() has it;
 * *path moves behind it. 1; 0: there is none; -EINVAL: "." or "..";
 * -ENAMETOOLONG (255 bytes of the plain one). */
int names_next_plain(const char **path, char *out, size_t size);
int names_next_part(const char **path, char *out, size_t size);

/* Remote to plain. 0; -EINVAL if the result could not be a name here ("",
 * ".", "..", holds '/' or NUL, more than 255 bytes, or isn't what
 * names_to_remote() maps back to `remote`): show it under an alias. */
int names_from_remote(const char *remote, char *out, size_t size);

/* Whether the service would refuse that remote name by itself (reserved
 * names, "_vti_", leading "~$"...): 0 or -EINVAL with one line in *out_why
 * (static). `business`: the stricter rules; `folder`: of a folder name. */
int names_check(const char *remote, bool business, bool folder,
                const char **out_why);

/* The key under which the service holds names equal: full case folding,
 * canonical equivalence, and the ligature rule (ae). malloc'ed, NULL: no
 * memory. Not UTF-8: the bytes themselves. */
char *names_fold(const char *name);

/* UTF-16 code units of a UTF-8 string, as path limits are counted. */
size_t names_utf16_len(const char *s);

/* A readable local alias for a remote name that has no plain form: at most
 * 255 bytes, unique by `id` ("name (item 8 hex).ext"). */
void names_alias(const char *remote, const char *id, char *out, size_t size);

#endif
