#include "net/names.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <sodium.h>
#include <utf8proc.h>

#include "net/buf.h"

#define MAX_UNITS 255
#define MAX_ALIAS 255 /* bytes */
#define MAX_EXT   16  /* bytes, dot included: longer ones are no extension */

/* ---- what the service refuses (facts 11.1) ------------------------------- */

static const char *const reserved[] = {
	".lock", "CON",  "PRN",  "AUX",  "NUL",         "COM0", "COM1",
	"COM2",  "COM3", "COM4", "COM5", "COM6",        "COM7", "COM8",
	"COM9",  "LPT0", "LPT1", "LPT2", "LPT3",        "LPT4", "LPT5",
	"LPT6",  "LPT7", "LPT8", "LPT9", "desktop.ini",
};

static bool is_reserved(const char *name)
{
	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
		if (!strcasecmp(name, reserved[i]))
			return true;
	return false;
}

static bool has_forbidden_character(const char *name)
{
	for (; *name; name++) {
		unsigned char c = (unsigned char)*name;

		if (c < 0x20 || c == 0x7f || strchr("\"*:<>?/\\|", c))
			return true;
	}
	return false;
}

static const char *why_refused(const char *name, bool business, bool folder)
{
	size_t len = strlen(name);

	if (!len)
		return "the name is empty";
	if (!strcmp(name, ".") || !strcmp(name, ".."))
		return "the name is a dot directory";
	if (names_utf16_len(name) > MAX_UNITS)
		return "the name is longer than 255 characters";
	if (has_forbidden_character(name))
		return "the name holds a character that OneDrive refuses";
	if (name[0] == ' ' || name[len - 1] == ' ' || name[len - 1] == '.')
		return "the name begins or ends with a space, or ends with a "
		       "dot";
	if (is_reserved(name))
		return "OneDrive keeps this name for itself";
	if (strstr(name, "_vti_"))
		return "OneDrive refuses names with \"_vti_\"";
	if (!strncmp(name, "~$", 2))
		return "OneDrive refuses names that begin with \"~$\"";
	if (business && folder && name[0] == '~')
		return "OneDrive refuses folders that begin with \"~\"";
	return NULL;
}

int names_check(const char *remote, bool business, bool folder,
                const char **out_why)
{
	const char *why = why_refused(remote, business, folder);

	if (!why)
		return 0;
	*out_why = why;
	return -EINVAL;
}

/* ---- what the service holds equal (facts 3.2) ---------------------------- */

static char *map(const char *s, utf8proc_option_t options)
{
	utf8proc_uint8_t *out;

	if (utf8proc_map((const utf8proc_uint8_t *)s, 0, &out,
	                 options | UTF8PROC_NULLTERM | UTF8PROC_STABLE) < 0)
		return NULL;
	return (char *)out;
}

static bool is_utf8(const char *s)
{
	const utf8proc_uint8_t *at = (const utf8proc_uint8_t *)s;
	utf8proc_ssize_t len;
	utf8proc_int32_t rune;

	for (; *at; at += len) {
		len = utf8proc_iterate(at, -1, &rune);
		if (len <= 0)
			return false;
	}
	return true;
}

/* Both are two bytes long. */
static void split_ligatures(char *s)
{
	while ((s = strstr(s, "\u00e6")))
		memcpy(s, "ae", 2);
}

/* Canonical caseless matching (Unicode 3.13, D145): decomposed before and
 * after folding, since folding alone leaves canonical twins apart. */
char *names_fold(const char *name)
{
	char *decomposed, *folded, *result;

	if (!is_utf8(name))
		return strdup(name);
	decomposed = map(name, UTF8PROC_DECOMPOSE);
	if (!decomposed)
		return NULL;
	folded = map(decomposed, UTF8PROC_DECOMPOSE | UTF8PROC_CASEFOLD);
	free(decomposed);
	if (!folded)
		return NULL;
	result = map(folded, UTF8PROC_DECOMPOSE);
	free(folded);
	if (result)
		split_ligatures(result);
	return result;
}

/* ---- aliases ------------------------------------------------------------- */

/* Where the extension starts, or the end of the name. */
static size_t find_ext(const char *name, size_t len)
{
	const char *dot = strrchr(name, '.');

	if (!dot || dot == name || len - (size_t)(dot - name) > MAX_EXT)
		return len;
	return (size_t)(dot - name);
}

/* What a name here may hold, and what a terminal and other programs take. */
static void put_clean(struct buf *b, const char *s, size_t len, size_t room)
{
	const utf8proc_uint8_t *at = (const utf8proc_uint8_t *)s;

	while (len) {
		utf8proc_int32_t rune;
		utf8proc_ssize_t n =
			utf8proc_iterate(at, (utf8proc_ssize_t)len, &rune);
		bool ok = n > 0 && rune >= 0x20 && rune != 0x7f && rune != '/';
		size_t take = n > 0 ? (size_t)n : 1;

		if (take > room)
			return;
		buf_add(b, ok ? (const char *)at : "_", ok ? take : 1);
		room -= ok ? take : 1;
		at += take;
		len -= take;
	}
}

void names_alias(const char *remote, const char *id, char *out, size_t size)
{
	size_t len = strlen(remote), stem = find_ext(remote, len), tail;
	uint8_t hash[crypto_generichash_BYTES];
	char mark[sizeof(" (item 01234567)")];
	struct buf b = BUF_INIT;

	crypto_generichash(hash, sizeof(hash), (const uint8_t *)id, strlen(id),
	                   NULL, 0);
	snprintf(mark, sizeof(mark), "%s(item %02x%02x%02x%02x)",
	         stem ? " " : "", hash[0], hash[1], hash[2], hash[3]);
	tail = strlen(mark) + len - stem;
	put_clean(&b, remote, stem, MAX_ALIAS - tail);
	buf_add_str(&b, mark);
	put_clean(&b, remote + stem, len - stem, MAX_EXT);
	/* No memory: the mark alone is still a name, and unique. */
	snprintf(out, size, "%s", b.failed ? mark + (stem > 0) : b.data);
	buf_done(&b);
}
