/* Parses any attributes. What parses is formatted to the same text; what
 * doesn't leaves what an item without attributes has.
 * First byte: 0x01 a folder. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "auth/attributes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct attributes a, usual;
	char *text, out[ATTRIBUTES_MAX + 1];
	bool dir;

	if (size == 0)
		return 0;
	dir = data[0] & 1;
	text = strndup((const char *)data + 1, size - 1);
	if (!text)
		abort();
	if (attributes_parse(&a, dir, text) == 0) {
		assert(attributes_format(&a, out, sizeof(out)) == 0);
		assert(!strcmp(out, text));
	} else {
		attributes_init(&usual, dir);
		assert(a.mode == usual.mode && !a.kept[0] && !a.target);
		assert(!a.has_uid && !a.has_gid && !a.has_mtime);
	}
	free(text);
	return 0;
}
