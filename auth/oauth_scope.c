/* Scopes as the service spells them. */
#include "auth/oauth.h"

#include <string.h>

/* "https://graph.microsoft.com/Files.ReadWrite" -> "Files.ReadWrite" */
static const char *short_name(const char *scope, size_t *len)
{
	size_t start = 0;

	for (size_t i = 0; i < *len; i++) {
		if (scope[i] == '/')
			start = i + 1;
	}
	*len -= start;
	return scope + start;
}

static bool next_scope(const char **list, const char **out, size_t *out_len)
{
	*list += strspn(*list, " ");
	*out = *list;
	*out_len = strcspn(*list, " ");
	*list += *out_len;
	*out = short_name(*out, out_len);
	return *out_len > 0;
}

static bool is_scope(const char *a, size_t a_len, const char *b)
{
	return a_len == strlen(b) && !strncasecmp(a, b, a_len);
}

static bool has(const char *granted, const char *wanted, size_t wanted_len)
{
	const char *have;
	size_t len;

	while (next_scope(&granted, &have, &len)) {
		if (len == wanted_len && !strncasecmp(have, wanted, len))
			return true;
	}
	return false;
}

bool oauth_scope_has(const char *granted, const char *name)
{
	return has(granted, name, strlen(name));
}

static bool grants(const char *granted, const char *wanted, size_t wanted_len)
{
	return has(granted, wanted, wanted_len) ||
	       (is_scope(wanted, wanted_len, "Files.ReadWrite") &&
	        oauth_scope_has(granted, "Files.ReadWrite.All"));
}

bool oauth_scope_covers(const char *granted, const char *wanted)
{
	const char *want;
	size_t len;

	if (!*granted)
		return true;
	while (next_scope(&wanted, &want, &len)) {
		if (!is_scope(want, len, "offline_access") &&
		    !grants(granted, want, len))
			return false;
	}
	return true;
}
