#include "auth/secret.h"

#include <string.h>

#include <sodium.h>

char *secret_strdup(const char *s)
{
	size_t size = strlen(s) + 1;
	char *copy = sodium_malloc(size);

	if (copy)
		memcpy(copy, s, size);
	return copy;
}

void secret_free(char *secret)
{
	sodium_free(secret);
}

bool secret_is_token(const char *s)
{
	size_t n = 0;

	for (; s && s[n]; n++) {
		if (s[n] < 0x21 || s[n] > 0x7e)
			return false;
	}
	return n > 0 && n < SECRET_MAX_TOKEN;
}
