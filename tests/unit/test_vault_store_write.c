/* auth/vault_store against the emulator: a generation takes the place of
 * another, with several devices at it, remains, lost answers; auth/vault_mark.
 */
#include "tests/unit/vault_rig.h"

#include <errno.h>

#include "net/buf.h"
#include "net/log.h"
#include "tests/unit/check.h"

/* ---- changing ------------------------------------------------------------ */

static void test_replace(void)
{
	for (int kind = 0; kind < 3; kind++) {
		struct descriptor *d;
		struct vault_store *s;
		struct pin pin;

		check_row("kind %d", kind);
		vault_rig_start(kind);
		s = vault_rig_make(&d, &pin);
		for (unsigned i = 0; i < 4; i++) {
			vault_rig_replace(s, &d, (enum change)(i % 3));
			CHECK_EQ(vault_rig_try(vr.laptop, &pin), 0);
			CHECK_EQ(pin.generation, d->generation);
			CHECK_MEM(pin.hash, d->hash, sizeof(d->hash));
		}
		CHECK(!vault_rig_has("vault-1.age") &&
		      !vault_rig_has("vault-2.age"));
		CHECK(vault_rig_has("vault-3.age") &&
		      vault_rig_has("vault-4.age") &&
		      vault_rig_has("vault-5.age"));
		CHECK_EQ(vault_store_replace(s, d, vr.why),
		         -EINVAL); /* not next */
		descriptor_free(d);
		vault_store_free(s);
		vault_rig_stop();
	}
}

/* Two devices change it at once: the second is told, and nothing of what it
 * wrote stays. */
static void test_replace_race(void)
{
	struct descriptor *d, *mine, *theirs;
	struct vault_store *s, *other;
	struct buf a = BUF_INIT, b = BUF_INIT;
	struct pin pin, again;

	vault_rig_start(DRIVE_BUSINESS);
	s = vault_rig_make(&d, &pin);
	other = vault_rig_store();
	CHECK_EQ(vault_rig_load(other, vr.laptop, &pin, &theirs, &again), 0);
	descriptor_free(theirs);
	mine = vault_rig_next(d, CHANGE_ROTATE);
	theirs = vault_rig_next(d, CHANGE_NOTHING);
	CHECK_EQ(vault_store_replace(s, mine, vr.why), 0);
	CHECK_EQ(vault_store_replace(other, theirs, vr.why), -ESTALE);
	CHECK(strstr(vr.why, "another device"));
	descriptor_free(theirs);
	CHECK_EQ(vault_rig_load(other, vr.laptop, &pin, &theirs, &again), 0);
	CHECK_MEM(theirs->hash, mine->hash, sizeof(mine->hash));
	vault_rig_replace(other, &theirs, CHANGE_AUTH);
	vault_rig_read("vault-3.age", &a);
	vault_rig_read("vault.age", &b);
	CHECK(a.len == b.len && !memcmp(a.data, b.data, a.len));
	CHECK_EQ(vault_rig_try(vr.laptop, &again), 0);
	buf_done(&a);
	buf_done(&b);
	descriptor_free(theirs);
	descriptor_free(mine);
	descriptor_free(d);
	vault_store_free(other);
	vault_store_free(s);
	vault_rig_stop();
}

/* The number of the next one is taken by a device that died; the number of this
 * one is gone: both are put right. */
static void test_replace_over_remains(void)
{
	struct descriptor *d;
	struct vault_store *s;
	struct pin pin;

	vault_rig_start(DRIVE_MIGRATED);
	s = vault_rig_make(&d, &pin);
	vault_rig_post(
		"change",
		"[{\"op\":\"put\",\"path\":\"/backup/.nmbackupfs/vault-2.age\","
		"\"text\":\"x\"},{\"op\":\"delete\",\"path\":\"/backup/"
		".nmbackupfs/vault-1.age\"}]");
	vault_rig_replace(s, &d, CHANGE_AUTH);
	CHECK(vault_rig_has("vault-1.age"));
	vault_rig_replace(s, &d, CHANGE_AUTH);
	CHECK_EQ(vault_rig_try(vr.laptop, &pin), 0); /* through vault-2.age */
	CHECK_EQ(pin.generation, 3);
	descriptor_free(d);
	vault_store_free(s);
	vault_rig_stop();
}

/* Answers that never come. */
static void test_replace_faults(void)
{
	static const char *const faults[] = {
		"[{\"match\":{\"class\":\"put\"},\"skip\":2,\"times\":1,"
		"\"do\":{\"drop\":\"after\"}}]",
		"[{\"match\":{\"class\":\"put\"},\"times\":3,"
		"\"do\":{\"drop\":\"after\"}}]",
		"[{\"match\":{\"class\":\"put\"},\"skip\":2,\"times\":1,"
		"\"do\":{\"bump_tag\":true}}]",
		"[{\"match\":{\"class\":\"put\"},\"do\":{\"hash\":\"none\"}}]",
	};

	for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
		struct descriptor *d;
		struct vault_store *s;
		struct pin pin;

		check_row("%s", faults[i]);
		vault_rig_start(DRIVE_BUSINESS);
		s = vault_rig_make(&d, &pin);
		vault_rig_post("faults", faults[i]);
		vault_rig_replace(s, &d, CHANGE_AUTH);
		CHECK_EQ(vault_rig_try(vr.laptop, &pin), 0);
		CHECK_EQ(pin.generation, 2);
		descriptor_free(d);
		vault_store_free(s);
		vault_rig_stop();
	}
}

/* ---- the mark ------------------------------------------------------------ */

static void test_mark(void)
{
	for (int kind = 0; kind < 3; kind++) {
		struct descriptor *d;
		struct vault_store *s;
		struct vault_mark m;
		struct pin pin;

		check_row("kind %d", kind);
		vault_rig_start(kind);
		s = vault_rig_store();
		CHECK_EQ(vault_store_get_mark(s, &m), -ENOENT);
		vault_store_free(s);
		s = vault_rig_make(&d, &pin);
		CHECK_EQ(vault_store_get_mark(s, &m), 0);
		CHECK_EQ(vault_mark_look(vr.drive.g, &m, 1000),
		         VAULT_MARK_SAME);
		vault_rig_post("change", "{\"op\":\"touch\",\"path\":\"/backup/"
		                         ".nmbackupfs/vault.age\"}");
		CHECK_EQ(vault_mark_look(vr.drive.g, &m, 1000),
		         VAULT_MARK_SAME);
		vault_rig_replace(s, &d, CHANGE_NOTHING);
		CHECK_EQ(vault_mark_look(vr.drive.g, &m, 1000),
		         VAULT_MARK_CHANGED);
		CHECK_EQ(vault_store_get_mark(s, &m), 0);
		CHECK_EQ(vault_mark_look(vr.drive.g, &m, 1000),
		         VAULT_MARK_SAME);
		vault_rig_post("faults", "[{\"match\":{\"class\":\"item\"},"
		                         "\"do\":{\"status\":500}}]");
		CHECK_EQ(vault_mark_look(vr.drive.g, &m, 0),
		         VAULT_MARK_UNKNOWN);
		vault_rig_post("reset", "{}");
		vault_rig_post("change",
		               "{\"op\":\"delete\",\"path\":\"/backup/"
		               ".nmbackupfs/vault.age\"}");
		CHECK_EQ(vault_mark_look(vr.drive.g, &m, 1000),
		         VAULT_MARK_CHANGED);
		descriptor_free(d);
		vault_store_free(s);
		vault_rig_stop();
	}
}

static void test_mark_of_items(void)
{
	struct vault_mark m = { .file = { .id = "1",
		                          .name = "vault.age",
		                          .etag = "a",
		                          .is_file = true,
		                          .has_hash = true,
		                          .size = 9 } };
	struct graph_item same = { .id = "1",
		                   .name = "vault.age",
		                   .etag = "a",
		                   .kind = GRAPH_FILE,
		                   .has_hash = true,
		                   .size = 9 };
	struct graph_item it = same;

	CHECK(!vault_mark_is_touched(&m, &it));
	it.id = "2";
	it.etag = "b";
	CHECK(!vault_mark_is_touched(&m, &it));
	it = same;
	it.size = 10;
	it.etag = "b";
	CHECK(vault_mark_is_touched(&m, &it));
	it.size = 9;
	it.has_hash = false;
	CHECK(vault_mark_is_touched(&m, &it));
	it.has_hash = true;
	it.hash[0] = 1;
	CHECK(vault_mark_is_touched(&m, &it));
	it.hash[0] = 0;
	CHECK(!vault_mark_is_touched(&m, &it));
	CHECK_STR(m.file.etag, "b");
	it.name = "vault2.age";
	CHECK(vault_mark_is_touched(&m, &it));
	it = (struct graph_item){ .id = "1", .deleted = true };
	CHECK(vault_mark_is_touched(&m, &it));
}

int main(void)
{
	if (!vault_rig_init())
		return 1;
	log_set_level(LOG_LEVEL_ERROR);
	RUN(test_replace);
	RUN(test_replace_race);
	RUN(test_replace_over_remains);
	RUN(test_replace_faults);
	RUN(test_mark);
	RUN(test_mark_of_items);
	vault_rig_done();
	return check_report();
}
