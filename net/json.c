#include "net/json.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "net/clock.h"

#define MAX_EXACT 9007199254740992.0 /* 2^53 */

/* Replaces \u0000 by \ufffd; an even number of backslashes before it means
 * that it is no escape. */
static void defuse_nul(char *text, size_t len)
{
	for (size_t i = 0; i + 5 < len; i++) {
		if (text[i] != '\\')
			continue;
		if (!memcmp(text + i, "\\u0000", 6))
			memcpy(text + i, "\\ufffd", 6);
		i++; /* the escaped character is not a backslash of its own */
	}
}

cJSON *json_parse(const char *text, size_t len)
{
	const char *end;
	cJSON *doc;
	char *copy;

	if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) {
		text += 3;
		len -= 3;
	}
	copy = malloc(len + 1);
	if (!copy)
		return NULL;
	memcpy(copy, text, len);
	copy[len] = '\0';
	defuse_nul(copy, len);
	doc = cJSON_ParseWithLengthOpts(copy, len + 1, &end, 1);
	sodium_memzero(copy, len); /* it may hold a token */
	free(copy);
	return doc;
}

static void wipe_strings(cJSON *node)
{
	for (; node; node = node->next) {
		if (node->valuestring && !(node->type & cJSON_IsReference))
			sodium_memzero(node->valuestring,
			               strlen(node->valuestring));
		if (!(node->type & cJSON_IsReference))
			wipe_strings(node->child);
	}
}

void json_wipe(cJSON *doc)
{
	wipe_strings(doc);
	cJSON_Delete(doc);
}

const cJSON *json_get(const cJSON *obj, const char *name)
{
	return cJSON_IsObject(obj) ? cJSON_GetObjectItemCaseSensitive(obj, name)
	                           : NULL;
}

const char *json_str(const cJSON *obj, const char *name)
{
	return cJSON_GetStringValue(json_get(obj, name));
}

const cJSON *json_obj(const cJSON *obj, const char *name)
{
	const cJSON *v = json_get(obj, name);

	return cJSON_IsObject(v) ? v : NULL;
}

const cJSON *json_arr(const cJSON *obj, const char *name)
{
	const cJSON *v = json_get(obj, name);

	return cJSON_IsArray(v) ? v : NULL;
}

bool json_bool(const cJSON *obj, const char *name, bool def)
{
	const cJSON *v = json_get(obj, name);

	return cJSON_IsBool(v) ? cJSON_IsTrue(v) : def;
}

static int64_t parse_decimal(const char *s, int64_t def)
{
	long long v;
	char *end;

	errno = 0;
	v = strtoll(s, &end, 10);
	return *s && !*end && !errno ? v : def;
}

int64_t json_i64(const cJSON *obj, const char *name, int64_t def)
{
	const cJSON *v = json_get(obj, name);

	if (cJSON_IsString(v))
		return parse_decimal(v->valuestring, def);
	if (!cJSON_IsNumber(v) || isnan(v->valuedouble) ||
	    fabs(v->valuedouble) > MAX_EXACT)
		return def;
	return (int64_t)v->valuedouble;
}

void json_add_time(cJSON *obj, const char *name, int64_t ns)
{
	char text[CLOCK_RFC3339_SIZE];

	if (!ns) {
		cJSON_AddNullToObject(obj, name);
		return;
	}
	clock_format_rfc3339(ns, 0, text);
	cJSON_AddStringToObject(obj, name, text);
}
