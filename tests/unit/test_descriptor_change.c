/* auth/descriptor: new ones, changes to them, and the sealed form. */
#include "auth/descriptor.h"

#include <errno.h>
#include <stdlib.h>

#include <sodium.h>

#include "net/buf.h"
#include "tests/unit/alloc.h"
#include "tests/unit/check.h"

static struct age_identity *ids[DESCRIPTOR_MEMBERS + 1];

static struct descriptor *new_vault(void)
{
	struct descriptor *d;

	CHECK_EQ(descriptor_new(NAME_TEXT_CJK14, 7, "laptop", &d), 0);
	CHECK_EQ(descriptor_add(d, "laptop", DESCRIPTOR_DEVICE,
	                        &ids[0]->recipient),
	         0);
	CHECK_EQ(descriptor_add(d, "paper", DESCRIPTOR_RECOVERY,
	                        &ids[1]->recipient),
	         0);
	CHECK_EQ(descriptor_finish(d, 1000), 0);
	return d;
}

static struct descriptor *next_of(const struct descriptor *d)
{
	struct descriptor *next;

	CHECK_EQ(descriptor_next(d, "phone", &next), 0);
	CHECK_EQ(next->generation, d->generation + 1);
	CHECK_MEM(next->vault_id, d->vault_id, sizeof(d->vault_id));
	CHECK_MEM(next->name_key, d->name_key, sizeof(d->name_key));
	CHECK(!next->has_previous);
	return next;
}

static void test_new(void)
{
	struct descriptor *a = new_vault(), *b = new_vault(), *none;

	CHECK_EQ(a->generation, 1);
	CHECK_EQ(a->epoch_count, 1);
	CHECK_EQ(descriptor_active(a)->n, 1);
	CHECK(memcmp(a->vault_id, b->vault_id, sizeof(a->vault_id)) != 0);
	CHECK(memcmp(a->name_key, b->name_key, sizeof(a->name_key)) != 0);
	CHECK(memcmp(a->auth_key, b->auth_key, sizeof(a->auth_key)) != 0);
	CHECK(memcmp(a->auth_key, a->name_key, sizeof(a->auth_key)) != 0);
	CHECK_EQ(descriptor_new(NAME_TEXT_CJK14, 6, "x", &none), -EINVAL);
	CHECK_EQ(descriptor_new(NAME_TEXT_CJK14, 7, "", &none), -EINVAL);
	CHECK_EQ(descriptor_new(NAME_TEXT_CJK14, 7, "x", &none), 0);
	CHECK_EQ(descriptor_finish(none, 0), -EINVAL); /* nobody */
	descriptor_free(none);
	descriptor_free(a);
	descriptor_free(b);
}

static void test_add(void)
{
	struct descriptor *d = new_vault(), *n = next_of(d);
	char label[16];

	CHECK_EQ(descriptor_add(n, "laptop", DESCRIPTOR_DEVICE,
	                        &ids[2]->recipient),
	         -EEXIST);
	CHECK_EQ(descriptor_add(n, "phone", DESCRIPTOR_DEVICE,
	                        &ids[1]->recipient),
	         -EEXIST);
	CHECK_EQ(descriptor_add(n, "", DESCRIPTOR_DEVICE, &ids[2]->recipient),
	         -EINVAL);
	CHECK_EQ(descriptor_add(n, "a\tb", DESCRIPTOR_DEVICE,
	                        &ids[2]->recipient),
	         -EINVAL);
	for (unsigned i = 2; i < DESCRIPTOR_MEMBERS; i++) {
		snprintf(label, sizeof(label), "d%u", i);
		CHECK_EQ(descriptor_add(n, label, DESCRIPTOR_DEVICE,
		                        &ids[i]->recipient),
		         0);
	}
	CHECK_EQ(descriptor_add(n, "one more", DESCRIPTOR_DEVICE,
	                        &ids[DESCRIPTOR_MEMBERS]->recipient),
	         -ENOSPC);
	CHECK_EQ(descriptor_finish(n, 0), 0);
	CHECK_EQ(n->epoch_count, 1);
	CHECK_MEM(n->auth_key, d->auth_key, sizeof(d->auth_key));
	descriptor_free(n);
	descriptor_free(d);
}

static void test_remove(void)
{
	struct descriptor *d = new_vault(), *n = next_of(d), *o;

	CHECK_EQ(descriptor_remove(n, "nobody"), -ENOENT);
	CHECK_EQ(descriptor_add(n, "phone", DESCRIPTOR_DEVICE,
	                        &ids[2]->recipient),
	         0);
	CHECK_EQ(descriptor_remove(n, "laptop"), 0);
	CHECK_EQ(descriptor_remove(n, "paper"), 0); /* twice in one change */
	CHECK_EQ(descriptor_remove(n, "phone"), -EBUSY);
	CHECK_EQ(descriptor_finish(n, 0), 0);
	CHECK(n->has_previous);
	CHECK_MEM(n->previous, d->auth_key, sizeof(d->auth_key));
	CHECK(memcmp(n->auth_key, d->auth_key, sizeof(d->auth_key)) != 0);
	CHECK_EQ(n->epoch_count, 3);
	CHECK_EQ(descriptor_active(n)->n, 3);
	CHECK_MEM(descriptor_auth_key(n, &n->epochs[0]), d->auth_key,
	          sizeof(d->auth_key));
	CHECK(!n->epochs[2].has_auth);
	CHECK_EQ(n->removed_count, 2);
	CHECK_STR(n->removed[0].label, "laptop");
	CHECK_EQ(n->removed[0].generation, 2);
	CHECK_EQ(n->member_count, 1);
	CHECK(!descriptor_recovery(n));

	o = next_of(n);
	CHECK_EQ(descriptor_finish(o, 0), 0);
	CHECK(!strstr(o->text, "previous"));
	CHECK_EQ(o->epoch_count, 3);
	CHECK_MEM(descriptor_auth_key(o, &o->epochs[0]), d->auth_key,
	          sizeof(d->auth_key));
	descriptor_free(o);
	descriptor_free(n);
	descriptor_free(d);
}

static void test_rotate(void)
{
	struct descriptor *d = new_vault(), *n;

	for (unsigned i = 2; i <= DESCRIPTOR_EPOCHS; i++) {
		n = next_of(d);
		CHECK_EQ(descriptor_rotate(n), 0);
		if (i % 64 == 0)
			CHECK_EQ(descriptor_finish(n, 0), 0);
		CHECK_MEM(n->auth_key, d->auth_key, sizeof(d->auth_key));
		CHECK_EQ(descriptor_active(n)->n, i);
		descriptor_free(d);
		d = n;
	}
	n = next_of(d);
	CHECK_EQ(descriptor_rotate(n), -ENOSPC);
	CHECK_EQ(descriptor_remove(n, "paper"), -ENOSPC);
	CHECK_EQ(n->member_count, 2);
	CHECK_EQ(descriptor_active(n)->n, DESCRIPTOR_EPOCHS);
	descriptor_free(n);
	descriptor_free(d);
}

static void test_set_recovery(void)
{
	struct descriptor *d = new_vault(), *n = next_of(d);

	CHECK_EQ(descriptor_set_recovery(n, "laptop", &ids[2]->recipient),
	         -EEXIST);
	CHECK_EQ(descriptor_set_recovery(n, "paper", &ids[1]->recipient),
	         -EEXIST);
	CHECK_EQ(descriptor_set_recovery(n, "", &ids[2]->recipient), -EINVAL);
	CHECK_EQ(n->epoch_count, 1);
	CHECK_EQ(descriptor_set_recovery(n, "paper", &ids[2]->recipient), 0);
	CHECK_EQ(descriptor_finish(n, 0), 0);
	CHECK_EQ(n->member_count, 2);
	CHECK_EQ(n->epoch_count, 2);
	CHECK(n->has_previous);
	CHECK_MEM(&descriptor_recovery(n)->recipient, &ids[2]->recipient,
	          sizeof(ids[2]->recipient));
	CHECK_MEM(&n->removed[0].recipient, &ids[1]->recipient,
	          sizeof(ids[1]->recipient));
	descriptor_free(d);

	d = n;
	n = next_of(d);
	CHECK_EQ(descriptor_remove(n, "paper"), 0);
	CHECK_EQ(descriptor_set_recovery(n, "safe", &ids[3]->recipient), 0);
	CHECK_EQ(descriptor_finish(n, 0), 0);
	CHECK_STR(descriptor_recovery(n)->label, "safe");
	CHECK_MEM(n->previous, d->auth_key, sizeof(d->auth_key));
	descriptor_free(n);
	descriptor_free(d);
}

static void test_removed_fall_out(void)
{
	struct descriptor *d = new_vault();
	struct descriptor_removed r = { .generation = 1 };

	for (unsigned i = 0; i < DESCRIPTOR_REMOVED; i++) {
		r.recipient = ids[i % 8 + 8]->recipient;
		snprintf(r.label, sizeof(r.label), "r%u", i);
		d->removed[d->removed_count++] = r;
	}
	CHECK_EQ(descriptor_remove(d, "paper"), 0);
	CHECK_EQ(d->removed_count, DESCRIPTOR_REMOVED);
	CHECK_STR(d->removed[0].label, "r1");
	CHECK_STR(d->removed[DESCRIPTOR_REMOVED - 1].label, "paper");
	CHECK_EQ(descriptor_finish(d, 0), 0);
	descriptor_free(d);
}

/* ---- sealed -------------------------------------------------------------- */

static int open_with(const struct buf *file, unsigned who,
                     struct descriptor **out_d)
{
	struct age_keys keys = { .ids = &ids[who], .id_count = 1 };
	char why[DESCRIPTOR_WHY] = "";

	return descriptor_open(file->data, file->len, &keys, out_d, why);
}

static void test_sealed(void)
{
	struct descriptor *d = new_vault(), *back;
	struct buf file = BUF_INIT;

	CHECK_EQ(descriptor_seal(d, &file), 0);
	for (unsigned who = 0; who < 2; who++) {
		CHECK_EQ(open_with(&file, who, &back), 0);
		CHECK_MEM(back->hash, d->hash, sizeof(d->hash));
		CHECK_EQ(back->written_ns, 0); /* whole seconds */
		descriptor_free(back);
	}
	CHECK_EQ(open_with(&file, 2, &back), AGE_NO_MATCH);
	file.data[file.len - 1] ^= 1;
	CHECK_EQ(open_with(&file, 0, &back), AGE_BAD_CONTENT);
	file.data[0] ^= 1;
	CHECK_EQ(open_with(&file, 0, &back), AGE_BAD_HEADER);
	buf_done(&file);
	buf_reserve(&file, DESCRIPTOR_SEAL_MAX + 1);
	memset(file.data, 0, DESCRIPTOR_SEAL_MAX + 1);
	file.len = DESCRIPTOR_SEAL_MAX + 1;
	CHECK_EQ(open_with(&file, 0, &back), -EFBIG);
	buf_done(&file);
	descriptor_free(d);
}

static void test_no_memory(void)
{
	struct descriptor *d = new_vault();
	struct buf file = BUF_INIT;
	int rc;

	for (unsigned n = 1; alloc_fail_at(n); n++) {
		rc = descriptor_seal(d, &file);
		CHECK(rc == 0 || rc == -ENOMEM);
		buf_done(&file);
	}
	alloc_fail_off();
	descriptor_free(d);
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		if (age_identity_new(&ids[i]) < 0)
			return 1;
	}
	RUN(test_new);
	RUN(test_add);
	RUN(test_remove);
	RUN(test_rotate);
	RUN(test_set_recovery);
	RUN(test_removed_fall_out);
	RUN(test_sealed);
	RUN(test_no_memory);
	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		age_identity_free(ids[i]);
	return check_report();
}
