/* The document of a vault, as any member could seal it. What is taken can be
 * changed, and reads back. */
#include "auth/descriptor.h"

#include <errno.h>
#include <string.h>

#include <sodium.h>

#include "tests/fuzz/fuzz.h"

static struct age_recipient other;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	if (sodium_init() < 0)
		return 1;
	age_recipient_throwaway(&other);
	return 0;
}

/* Every kind of change, as far as there is room for it. */
static void change(struct descriptor *d)
{
	char label[DESCRIPTOR_LABEL_MAX + 1];
	int rc = descriptor_add(d, "another", DESCRIPTOR_DEVICE, &other);

	FUZZ_CHECK(rc == 0 || rc == -EEXIST || rc == -ENOSPC);
	rc = descriptor_rotate(d);
	FUZZ_CHECK(rc == 0 || rc == -ENOSPC);
	strcpy(label, d->members[0].label);
	rc = descriptor_remove(d, label);
	FUZZ_CHECK(rc == 0 || rc == -EBUSY || rc == -ENOSPC);
}

static void check_change(const struct descriptor *d)
{
	char why[DESCRIPTOR_WHY];
	struct descriptor *next, *back;
	int rc = descriptor_next(d, "fuzz", &next);

	if (d->read_only) {
		FUZZ_CHECK(rc == -EROFS);
		return;
	}
	FUZZ_CHECK(rc == 0);
	if (d->generation & 1)
		change(next);
	if (next->generation < (UINT64_C(1) << 53)) {
		FUZZ_CHECK(descriptor_finish(next, 0) == 0);
		FUZZ_CHECK(descriptor_parse(next->text, next->text_len, &back,
		                            why) == 0);
		FUZZ_CHECK(back->member_count == next->member_count);
		FUZZ_CHECK(!memcmp(back->hash, next->hash, sizeof(back->hash)));
		descriptor_free(back);
	}
	descriptor_free(next);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char why[DESCRIPTOR_WHY] = "";
	struct descriptor *d;
	int rc = descriptor_parse((const char *)data, size, &d, why);

	FUZZ_CHECK((rc < 0) == (why[0] != '\0'));
	if (rc < 0)
		return 0;
	FUZZ_CHECK(descriptor_active(d) && d->member_count > 0);
	check_change(d);
	descriptor_free(d);
	return 0;
}
