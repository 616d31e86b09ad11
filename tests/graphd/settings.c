#include "tests/graphd/settings.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

static int apply_number(const struct setting *s, double value, char *at)
{
	if (s->type == SETTING_DOUBLE) {
		if (!(value > 0))
			return -EINVAL;
		*(double *)(void *)at = value;
		return 0;
	}
	if (!(value >= 0 && value <= 9007199254740992.0))
		return -EINVAL;
	*(int64_t *)(void *)at = (int64_t)value;
	return 0;
}

static int apply_text(const char *value, char *at)
{
	size_t len = strlen(value);

	if (len >= SETTING_TEXT_SIZE)
		return -EINVAL;
	memcpy(at, value, len + 1);
	return 0;
}

static int apply_one(const struct setting *s, const cJSON *value, void *out)
{
	char *at = (char *)out + s->offset;

	switch (s->type) {
	case SETTING_BOOL:
		if (!cJSON_IsBool(value))
			return -EINVAL;
		*(bool *)(void *)at = cJSON_IsTrue(value);
		return 0;
	case SETTING_I64:
	case SETTING_DOUBLE:
		if (!cJSON_IsNumber(value))
			return -EINVAL;
		return apply_number(s, value->valuedouble, at);
	case SETTING_TEXT:
		if (!cJSON_IsString(value))
			return -EINVAL;
		return apply_text(value->valuestring, at);
	case SETTING_OTHER:
		return 0;
	}
	return -EINVAL;
}

static const struct setting *find(const struct setting *table, size_t n,
                                  const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(table[i].name, name) == 0)
			return &table[i];
	return NULL;
}

int settings_apply(const struct setting *table, size_t n, const cJSON *obj,
                   void *out)
{
	const struct setting *s;
	const cJSON *member;
	int rc;

	if (!cJSON_IsObject(obj))
		return -EINVAL;
	cJSON_ArrayForEach (member, obj) {
		s = find(table, n, member->string);
		rc = s ? apply_one(s, member, out) : -EINVAL;
		if (rc < 0)
			return rc;
	}
	return 0;
}
