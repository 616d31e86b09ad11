#include "tests/graphd/collate.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <utf8proc.h>

/* facts/names.md A3: shown, or likely, to have no weight in the collations
 * of SharePoint's databases. Nobody outside the service knows the whole set. */
static const struct {
	utf8proc_int32_t first, last;
} weightless[] = {
	{ 0x02AE, 0x02AF },    /* an example of the service's makers */
	{ 0x04D2, 0x04D2 },    /* shown */
	{ 0x1200, 0x137F },    /* Ethiopic: shown */
	{ 0x1400, 0x167F },    /* Canadian Aboriginal: U+14DE shown */
	{ 0x3400, 0x4DBF },    /* CJK Extension A: U+3D08 shown */
	{ 0x10000, 0x10FFFF }, /* outside the BMP: shown */
};

static bool is_weightless(utf8proc_int32_t c)
{
	for (size_t i = 0; i < sizeof(weightless) / sizeof(*weightless); i++)
		if (c >= weightless[i].first && c <= weightless[i].last)
			return true;
	return false;
}

static int add_folded(const struct collate_rules *r, const uint8_t *folded,
                      struct buf *out_key)
{
	utf8proc_int32_t c;
	utf8proc_ssize_t n;
	int rc = 0;

	for (; *folded && rc == 0; folded += n) {
		n = utf8proc_iterate(folded, -1, &c);
		if (r->weightless && is_weightless(c))
			continue;
		if (r->personal && c == 0x00E6)
			rc = buf_add(out_key, "ae", 2);
		else
			rc = buf_add(out_key, folded, (size_t)n);
	}
	return rc;
}

int collate_key(const struct collate_rules *r, const char *name,
                struct buf *out_key)
{
	utf8proc_uint8_t *folded = NULL;
	utf8proc_ssize_t n;
	int rc;

	n = utf8proc_map((const utf8proc_uint8_t *)name, 0, &folded,
	                 UTF8PROC_NULLTERM | UTF8PROC_STABLE |
	                         UTF8PROC_DECOMPOSE | UTF8PROC_CASEFOLD);
	if (n == UTF8PROC_ERROR_NOMEM)
		return -ENOMEM;
	if (n < 0)
		return buf_add_str(out_key, name);
	rc = add_folded(r, folded, out_key);
	free(folded);
	return rc;
}

size_t collate_units(const char *s)
{
	const utf8proc_uint8_t *p = (const utf8proc_uint8_t *)s;
	utf8proc_int32_t c;
	utf8proc_ssize_t n;
	size_t units = 0;

	while (*p) {
		n = utf8proc_iterate(p, -1, &c);
		units += n > 0 && c > 0xFFFF ? 2 : 1;
		p += n > 0 ? n : 1;
	}
	return units;
}

size_t collate_strip(const char *name)
{
	size_t len = strlen(name);

	while (len > 0 && (name[len - 1] == '.' || name[len - 1] == ' '))
		len--;
	return len;
}

/* ---- what is refused --------------------------------------------------- */

static const struct collate_refusal refused_illegal = {
	"invalidPath",
	"The provided name cannot contain any illegal characters.",
};
static const struct collate_refusal refused_trailing = {
	"invalidPath",
	"The provided name has an invalid leading or trailing character.",
};
static const struct collate_refusal refused_reserved = {
	"invalidPath",
	"The provided name is reserved.",
};
static const struct collate_refusal refused_long = {
	"pathIsTooLong",
	"The path, or a name in it, is too long.",
};

static bool has_illegal(const char *name)
{
	const utf8proc_uint8_t *p = (const utf8proc_uint8_t *)name;
	utf8proc_int32_t c;
	utf8proc_ssize_t n;

	for (; *p; p += n) {
		n = utf8proc_iterate(p, -1, &c);
		if (n <= 0 || c < 0x20 || c == 0x7F)
			return true;
		if (c < 0x80 && strchr("\"*:<>?/\\|", c))
			return true;
	}
	return false;
}

static bool is_reserved(const struct collate_rules *r, const char *name)
{
	static const char *const whole[] = { ".lock", "desktop.ini", "CON",
		                             "PRN",   "AUX",         "NUL" };
	size_t stem = strlen(name);

	for (size_t i = 0; i < sizeof(whole) / sizeof(*whole); i++)
		if (strcasecmp(name, whole[i]) == 0)
			return true;
	if (r->reserved_with_extension)
		stem = strcspn(name, ".");
	for (size_t i = 2; i < sizeof(whole) / sizeof(*whole); i++)
		if (stem == 3 && strncasecmp(name, whole[i], 3) == 0)
			return true;
	return stem == 4 && name[3] >= '0' && name[3] <= '9' &&
	       (strncasecmp(name, "COM", 3) == 0 ||
	        strncasecmp(name, "LPT", 3) == 0);
}

const struct collate_refusal *collate_check_name(const struct collate_rules *r,
                                                 const char *name,
                                                 bool is_folder, bool in_root)
{
	size_t len = strlen(name);

	if (len == 0 || has_illegal(name))
		return &refused_illegal;
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return &refused_illegal;
	if (name[0] == ' ')
		return &refused_trailing;
	if (collate_strip(name) == 0 ||
	    (!r->strip_trailing && collate_strip(name) < len))
		return &refused_trailing;
	if (strncmp(name, "~$", 2) == 0 || strcasestr(name, "_vti_") ||
	    is_reserved(r, name))
		return &refused_reserved;
	if (!r->personal && is_folder && name[0] == '~')
		return &refused_reserved;
	if (!r->personal && in_root && strcasecmp(name, "forms") == 0)
		return &refused_reserved;
	if (collate_units(name) > COLLATE_NAME_MAX)
		return &refused_long;
	return NULL;
}

const struct collate_refusal *collate_check_path(const struct collate_rules *r,
                                                 const char *path)
{
	while (*path == '/')
		path++;
	if (r->prefix_units + collate_units(path) > COLLATE_PATH_MAX)
		return &refused_long;
	return NULL;
}
