#include "auth/age_error.h"

#include <stddef.h>
#include <string.h>

static const struct {
	enum age_error rc;
	const char *text;
} texts[] = {
	{ AGE_BAD_HEADER, "not an age file, or its header is damaged" },
	{ AGE_BAD_ARMOR, "the armor of the age file is damaged" },
	{ AGE_NO_MATCH, "sealed for other keys" },
	{ AGE_BAD_MAC, "the header was changed after it was sealed" },
	{ AGE_BAD_CONTENT, "the content is damaged or cut short" },
	{ AGE_NEED_PASSPHRASE, "sealed with a passphrase" },
	{ AGE_BAD_PASSPHRASE, "wrong passphrase" },
	{ AGE_WORK_TOO_HIGH, "its passphrase needs more work than is allowed" },
	{ AGE_NO_MEMORY, "not enough memory" },
	{ AGE_BAD_KEY, "not an age key, or mistyped" },
	{ AGE_FOREIGN_KEY, "a kind of age key that is not supported" },
};

const char *age_strerror(int rc)
{
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if ((int)texts[i].rc == rc)
			return texts[i].text;
	}
	return strerror(-rc);
}
