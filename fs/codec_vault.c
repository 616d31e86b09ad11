#include "fs/codec_vault.h"

#include <errno.h>
#include <stdlib.h>

#include "auth/age_payload.h"
#include "fs/codec_vault_internal.h"

#define SMALL_MAX (UINT64_C(4) << 20)

struct vault *vault_codec_get(const struct codec *c)
{
	return vault_slot_get(vault_codec_of(c)->slot);
}

static uint64_t sealed_size(const struct codec *c, uint64_t plain)
{
	(void)c;
	return age_sealed_size(DESCRIPTOR_HEADER_LEN, plain);
}

static int plain_size(const struct codec *c, uint64_t sealed,
                      uint64_t *out_plain)
{
	(void)c;
	return age_plain_size(DESCRIPTOR_HEADER_LEN, sealed, out_plain) < 0
	               ? -EBADMSG
	               : 0;
}

static void done(struct codec *c)
{
	free(c->state);
}

static const struct codec_ops vault_ops = {
	.name = "vault",
	.done = done,
	.authenticates = true,
	.keeps_attributes = true,
	.small_max = SMALL_MAX,
	.header_size = DESCRIPTOR_HEADER_LEN,
	.sealed_size = sealed_size,
	.plain_size = plain_size,
	.seal_name = vault_seal_name,
	.name_units = vault_name_units,
	.open_name = vault_open_name,
	.target_in_content = vault_target_in_content,
	.reader_new = vault_reader_new,
	.reader_free = vault_reader_free,
	.reader_needs = vault_reader_needs,
	.reader_feed = vault_reader_feed,
	.reader_take = vault_reader_take,
	.reader_range = vault_reader_range,
	.reader_open = vault_reader_open,
	.reader_size = vault_reader_size,
	.reader_bond = vault_reader_bond,
	.read_header = vault_read_header,
	.writer_new = vault_writer_new,
	.writer_free = vault_writer_free,
	.writer_is_current = vault_writer_is_current,
	.writer_read = vault_writer_read,
	.writer_tags = vault_writer_tags,
	.writer_expect = vault_writer_expect,
};

int codec_vault_new(struct vault_slot *slot, uid_t uid, gid_t gid,
                    struct codec **out_c)
{
	struct codec *c = malloc(sizeof(*c));
	struct vault_codec *state = malloc(sizeof(*state));

	if (!c || !state) {
		free(c);
		free(state);
		return -ENOMEM;
	}
	*state = (struct vault_codec){ .slot = slot, .uid = uid, .gid = gid };
	c->ops = &vault_ops;
	c->state = state;
	*out_c = c;
	return 0;
}
