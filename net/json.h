/* net/json.h -- cJSON with the checks that answers from a network need.
 *
 * Every getter takes NULL for `obj` and tells "missing" and "of another type"
 * alike by its default, so that a chain of getters needs no tests between.
 * Strings are borrowed from the document.
 * Threads: none; a document belongs to one thread at a time. */
#ifndef NMB_JSON_H
#define NMB_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>

/* Parses exactly `len` bytes. A byte order mark is skipped. An escaped NUL
 * (\u0000), which cJSON would take for the end of a string, becomes U+FFFD.
 * Nesting deeper than cJSON's limit, anything after the document and an empty
 * text are errors. Returns NULL if it isn't JSON or memory ran out. The caller
 * frees with cJSON_Delete(). */
cJSON *json_parse(const char *text, size_t len);

/* As cJSON_Delete(), after overwriting every string: for documents that hold
 * tokens. (json_parse() leaves no copy of the text behind.) NULL is fine. */
void json_wipe(cJSON *doc);

/* The member of that exact name; the first one where a name comes twice. */
const cJSON *json_get(const cJSON *obj, const char *name);

/* NULL, 0 or `def` unless the member is there and of the type. */
const char *json_str(const cJSON *obj, const char *name);
const cJSON *json_obj(const cJSON *obj, const char *name);
const cJSON *json_arr(const cJSON *obj, const char *name);
bool json_bool(const cJSON *obj, const char *name, bool def);

/* Numbers and decimal strings (services send both, facts 1.3, 2.6). Fractions
 * are cut, NaN and what does not fit 2^53 give `def`. */
int64_t json_i64(const cJSON *obj, const char *name, int64_t def);

/* RFC 3339 of ns since 1970; null if 0. */
void json_add_time(cJSON *obj, const char *name, int64_t ns);

#endif
