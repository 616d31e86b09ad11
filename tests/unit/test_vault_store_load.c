/* auth/vault_store against the emulator: somebody puts back, forges or damages
 * what is stored, and devices come back after a long time. */
#include "tests/unit/vault_rig.h"

#include <errno.h>

#include "net/buf.h"
#include "net/log.h"
#include "tests/unit/check.h"

/* ---- what the pin is for ------------------------------------------------- */

static void test_rollback(void)
{
	struct buf old = BUF_INIT;
	struct descriptor *d;
	struct vault_store *s;
	struct pin first, pin;

	vault_rig_start(DRIVE_BUSINESS);
	s = vault_rig_make(&d, &pin);
	first = pin;
	vault_rig_read("vault.age", &old);
	vault_rig_replace(s, &d, CHANGE_ROTATE);
	CHECK_EQ(vault_rig_try(vr.laptop, &pin), 0);
	vault_rig_put("vault.age", &old);
	CHECK_EQ(vault_rig_try(vr.laptop, &pin), -ESTALE);
	CHECK_EQ(pin.generation, 2); /* unharmed */
	CHECK_EQ(vault_rig_try(vr.laptop, &first),
	         0); /* never saw the other one */
	buf_done(&old);
	descriptor_free(d);
	vault_store_free(s);
	vault_rig_stop();
}

/* By who knows the recipients, the vault id and the format, and nothing else.
 */
static void test_forged(void)
{
	struct buf forged = BUF_INIT;
	struct descriptor *d, *f;
	struct vault_store *s;
	struct pin pin;

	vault_rig_start(DRIVE_BUSINESS);
	s = vault_rig_make(&d, &pin);
	f = vault_rig_descriptor(vr.laptop, "laptop");
	memcpy(f->vault_id, d->vault_id, sizeof(f->vault_id));
	f->generation = 2;
	CHECK_EQ(descriptor_finish(f, 0), 0);
	CHECK_EQ(descriptor_seal(f, &forged), 0);
	vault_rig_put("vault.age", &forged);
	CHECK_EQ(vault_rig_try(vr.laptop, &pin), -EKEYREJECTED);
	check_row("the same number");
	f->generation = 1;
	buf_done(&forged);
	CHECK_EQ(descriptor_finish(f, 0), 0);
	CHECK_EQ(descriptor_seal(f, &forged), 0);
	vault_rig_put("vault.age", &forged);
	CHECK_EQ(vault_rig_try(vr.laptop, &pin), -EKEYREJECTED);
	check_row("another vault");
	descriptor_free(f);
	buf_done(&forged);
	f = vault_rig_descriptor(vr.laptop, "laptop");
	CHECK_EQ(descriptor_seal(f, &forged), 0);
	vault_rig_put("vault.age", &forged);
	CHECK_EQ(vault_rig_try(vr.laptop, &pin), -EXDEV);
	CHECK_EQ(vault_rig_try(vr.laptop, NULL), 0); /* on trust */
	buf_done(&forged);
	descriptor_free(f);
	descriptor_free(d);
	vault_store_free(s);
	vault_rig_stop();
}

/* A device that was away while members were removed. */
static void test_away(void)
{
	struct pin old, pin, code;
	char text[PIN_CODE_SIZE];
	struct descriptor *d;
	struct vault_store *s;

	vault_rig_start(DRIVE_BUSINESS);
	s = vault_rig_make(&d, &pin);
	old = pin;
	vault_rig_replace(s, &d, CHANGE_AUTH);
	vault_rig_replace(s, &d, CHANGE_AUTH);
	pin = old;
	check_row("two changes behind");
	CHECK_EQ(vault_rig_try(vr.laptop, &pin), 0);
	CHECK_EQ(pin.generation, 3);
	vault_rig_replace(s, &d, CHANGE_AUTH);
	pin = old;
	check_row("three changes behind");
	CHECK_EQ(vault_rig_try(vr.laptop, &pin), 0);
	CHECK_EQ(pin.generation, 4);
	vault_rig_replace(s, &d, CHANGE_NOTHING);
	pin = old;
	check_row("the first change is not kept any more");
	CHECK_EQ(vault_rig_try(vr.laptop, &pin), -EKEYREJECTED);
	check_row("enrolled anew");
	pin_of(d, &pin);
	pin_format_code(&pin, text);
	CHECK_EQ(pin_parse_code(text, &code), 0);
	CHECK_EQ(vault_rig_try(vr.laptop, &code), 0);
	CHECK_EQ(code.generation, 5);
	descriptor_free(d);
	vault_store_free(s);
	vault_rig_stop();
}

/* A forged generation in between changes nothing. */
static void test_away_forged(void)
{
	struct buf junk = BUF_INIT, swap = BUF_INIT;
	struct descriptor *d;
	struct vault_store *s;
	struct pin old, pin;

	vault_rig_start(DRIVE_BUSINESS);
	s = vault_rig_make(&d, &pin);
	old = pin;
	vault_rig_replace(s, &d, CHANGE_AUTH);
	vault_rig_replace(s, &d, CHANGE_AUTH);
	vault_rig_read("vault-3.age", &swap);
	buf_add_str(&junk, "age-encryption.org/v1\n");
	check_row("junk");
	vault_rig_put("vault-2.age", &junk);
	pin = old;
	CHECK_EQ(vault_rig_try(vr.laptop, &pin), -EKEYREJECTED);
	check_row("another generation under the number");
	vault_rig_put("vault-2.age", &swap);
	CHECK_EQ(vault_rig_try(vr.laptop, &pin), -EKEYREJECTED);
	CHECK_MEM(&pin, &old, sizeof(pin));
	buf_done(&junk);
	buf_done(&swap);
	descriptor_free(d);
	vault_store_free(s);
	vault_rig_stop();
}

static void test_damaged(void)
{
	struct buf good = BUF_INIT;
	struct descriptor *d;
	struct vault_store *s;
	struct pin pin;

	vault_rig_start(DRIVE_PERSONAL);
	s = vault_rig_make(&d, &pin);
	vault_rig_read("vault.age", &good);
	for (unsigned i = 0; i < 4; i++) {
		struct buf bad = BUF_INIT;

		check_row("%u", i);
		buf_add(&bad, good.data, i == 3 ? 100 : good.len - (i == 2));
		if (i < 2)
			bad.data[i == 0 ? 3 : good.len - 5] ^= 1;
		vault_rig_put("vault.age", &bad);
		CHECK_EQ(vault_rig_try(vr.laptop, &pin), -EBADMSG);
		CHECK(strstr(vr.why, "vault.age"));
		buf_done(&bad);
	}
	vault_rig_put("vault.age", &good);
	CHECK_EQ(vault_rig_try(vr.laptop, &pin), 0);
	check_row("too long");
	vault_rig_post("change",
	               "{\"op\":\"put\",\"path\":\"/backup/.nmbackupfs/"
	               "vault.age\",\"size\":2000000}");
	CHECK_EQ(vault_rig_try(vr.laptop, &pin), -EBADMSG);
	buf_done(&good);
	descriptor_free(d);
	vault_store_free(s);
	vault_rig_stop();
}

int main(void)
{
	if (!vault_rig_init())
		return 1;
	log_set_level(LOG_LEVEL_ERROR);
	RUN(test_rollback);
	RUN(test_forged);
	RUN(test_away);
	RUN(test_away_forged);
	RUN(test_damaged);
	vault_rig_done();
	return check_report();
}
