#include "tests/graphd/quirks.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

static const struct {
	const char *name;
	size_t offset;
	int64_t def[3]; /* by enum drive_kind */
} table[] = {
#define X(name, p, m, b) { #name, offsetof(struct quirks, name), { p, m, b } },
	QUIRKS(X)
#undef X
};

#define NQUIRKS (sizeof(table) / sizeof(table[0]))

static int64_t *member(struct quirks *q, size_t i)
{
	return (int64_t *)(void *)((char *)q + table[i].offset);
}

void quirks_init(struct quirks *q, enum drive_kind kind)
{
	for (size_t i = 0; i < NQUIRKS; i++)
		*member(q, i) = table[i].def[kind];
}

int quirks_set(struct quirks *q, const char *name, const cJSON *value)
{
	for (size_t i = 0; i < NQUIRKS; i++) {
		if (strcmp(table[i].name, name))
			continue;
		if (cJSON_IsBool(value))
			*member(q, i) = cJSON_IsTrue(value);
		else if (cJSON_IsNumber(value))
			*member(q, i) = (int64_t)value->valuedouble;
		else
			return -EINVAL;
		return 0;
	}
	return -ENOENT;
}

cJSON *quirks_dump(const struct quirks *q)
{
	struct quirks copy = *q;
	cJSON *json = cJSON_CreateObject();

	for (size_t i = 0; i < NQUIRKS; i++)
		cJSON_AddNumberToObject(json, table[i].name,
		                        (double)*member(&copy, i));
	return json;
}
