#include "auth/seal_names.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "auth/siv.h"

#define PAD_STEP   7
#define SEALED_MAX (SIV_TAG_SIZE + SEAL_NAMES_PLAIN_MAX)

struct seal_names {
	enum name_text text;
	unsigned pad;
	struct siv_keys *keys; /* sodium_malloc() */
};

/* ---- lengths ------------------------------------------------------------- */

/* M of a name and attributes. */
static size_t joined_len(size_t name_len, size_t attr_len)
{
	return name_len + (attr_len ? 1 + attr_len : 0);
}

/* T || C of an M. */
static size_t sealed_len(const struct seal_names *s, size_t m_len)
{
	size_t len = SIV_TAG_SIZE + m_len;

	return (len + s->pad - 1) / s->pad * s->pad;
}

/* The longest M whose sealed name takes no more than `units`. */
static size_t longest_joined(const struct seal_names *s, size_t units)
{
	size_t max =
		units < SEAL_NAMES_UNITS_MAX ? units : SEAL_NAMES_UNITS_MAX;
	size_t len = name_text_bytes(s->text, max) / s->pad * s->pad;

	return len > SIV_TAG_SIZE ? len - SIV_TAG_SIZE : 0;
}

size_t seal_names_units(const struct seal_names *s, size_t name_len,
                        size_t attr_len)
{
	size_t m_len = joined_len(name_len, attr_len);

	return name_text_units(s->text, sealed_len(s, m_len));
}

size_t seal_names_longest_name(const struct seal_names *s, size_t units,
                               size_t attr_len)
{
	size_t room = longest_joined(s, units);
	size_t rest = joined_len(0, attr_len);

	if (room <= rest)
		return 0;
	room -= rest;
	return room < SEAL_NAMES_NAME_MAX ? room : SEAL_NAMES_NAME_MAX;
}

size_t seal_names_longest_attr(const struct seal_names *s, size_t units,
                               size_t name_len)
{
	size_t room = longest_joined(s, units);

	return room > name_len + 1 ? room - name_len - 1 : 0;
}

/* ---- new and free -------------------------------------------------------- */

int seal_names_new(const uint8_t key[SEAL_NAMES_KEY_SIZE], enum name_text text,
                   unsigned pad, struct seal_names **out_s)
{
	struct seal_names *s;

	static_assert(SEAL_NAMES_KEY_SIZE == SIV_KEY_SIZE, "key size");
	if (pad == 0 || pad % PAD_STEP)
		return -EINVAL;
	s = malloc(sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->text = text;
	s->pad = pad;
	if (longest_joined(s, SEAL_NAMES_UNITS_MAX) == 0) {
		free(s);
		return -EINVAL;
	}
	s->keys = sodium_malloc(sizeof(*s->keys));
	if (!s->keys) {
		free(s);
		return -ENOMEM;
	}
	siv_derive_keys(key, s->keys);
	sodium_mprotect_readonly(s->keys);
	*out_s = s;
	return 0;
}

void seal_names_free(struct seal_names *s)
{
	if (!s)
		return;
	sodium_free(s->keys);
	free(s);
}

/* ---- seal ---------------------------------------------------------------- */

static bool is_name(const char *name)
{
	return name[0] && !strchr(name, '/') && strcmp(name, ".") != 0 &&
	       strcmp(name, "..") != 0;
}

int seal_names_seal(const struct seal_names *s, const char *name,
                    const char *attributes, char *out)
{
	size_t name_len = strlen(name), attr_len = strlen(attributes);
	size_t m_len = joined_len(name_len, attr_len), len;
	uint8_t padded[SEALED_MAX] = { 0 }, sealed[SEALED_MAX];

	if (!is_name(name))
		return -EINVAL;
	if (name_len > SEAL_NAMES_NAME_MAX ||
	    m_len > longest_joined(s, SEAL_NAMES_UNITS_MAX))
		return -ENAMETOOLONG;
	memcpy(padded, name, name_len);
	if (attr_len)
		memcpy(padded + name_len + 1, attributes, attr_len);
	len = sealed_len(s, m_len);
	siv_seal(s->keys, NULL, 0, padded, len - SIV_TAG_SIZE, sealed);
	name_text_encode(s->text, sealed, len, out);
	return 0;
}

/* ---- open ---------------------------------------------------------------- */

/* Takes P apart. Only what seal_names_seal() makes is taken, so that one name
 * with its attributes has one sealed form. */
static int split(const struct seal_names *s, const uint8_t *padded, size_t len,
                 struct seal_names_plain *out_plain)
{
	size_t m_len = len, name_len;

	while (m_len > 0 && !padded[m_len - 1])
		m_len--;
	if (sealed_len(s, m_len) != SIV_TAG_SIZE + len)
		return -EINVAL;
	name_len = strnlen((const char *)padded, m_len);
	if (name_len > SEAL_NAMES_NAME_MAX)
		return -EINVAL;
	memset(out_plain, 0, sizeof(*out_plain));
	memcpy(out_plain->name, padded, name_len);
	if (!is_name(out_plain->name))
		return -EINVAL;
	if (name_len == m_len)
		return 0;
	padded += name_len + 1;
	m_len -= name_len + 1;
	if (memchr(padded, '\0', m_len))
		return -EINVAL;
	memcpy(out_plain->attributes, padded, m_len);
	return 0;
}

int seal_names_open(const struct seal_names *s, const char *sealed,
                    struct seal_names_plain *out_plain)
{
	uint8_t bytes[SEALED_MAX], padded[SEALED_MAX];
	struct seal_names_plain plain;
	size_t len;
	int rc = name_text_decode(s->text, sealed, bytes, sizeof(bytes), &len);

	/* The shortest one has a name of one byte. */
	if (rc < 0 || len <= SIV_TAG_SIZE ||
	    name_text_units(s->text, len) > SEAL_NAMES_UNITS_MAX)
		return -EINVAL;
	if (siv_open(s->keys, NULL, 0, bytes, len, padded) < 0)
		return -EINVAL;
	rc = split(s, padded, len - SIV_TAG_SIZE, &plain);
	if (rc == 0)
		*out_plain = plain;
	return rc;
}
