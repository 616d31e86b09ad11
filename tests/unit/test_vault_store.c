/* auth/vault_store against the emulator: what lies in a folder, and several
 * devices that make a vault of it; auth/vault_probe. */
#include "tests/unit/vault_rig.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "net/buf.h"
#include "net/log.h"
#include "tests/unit/check.h"

/* ---- finding ------------------------------------------------------------- */

static const struct {
	const char *what, *changes;
	enum vault_found want;
} folders[] = {
	{ "empty", NULL, VAULT_FOUND_NOTHING },
	{ "a file", "{\"op\":\"put\",\"path\":\"/backup/x\",\"text\":\"x\"}",
	  VAULT_FOUND_FILES },
	{ "a folder", "{\"op\":\"mkdir\",\"path\":\"/backup/x\"}",
	  VAULT_FOUND_FILES },
	{ "a notebook", "{\"op\":\"package\",\"path\":\"/backup/x\"}",
	  VAULT_FOUND_FILES },
	{ "our folder, empty",
	  "{\"op\":\"mkdir\",\"path\":\"/backup/.nmbackupfs\"}",
	  VAULT_FOUND_NOTHING },
	{ "a file of that name",
	  "{\"op\":\"put\",\"path\":\"/backup/.nmbackupfs\",\"text\":\"x\"}",
	  VAULT_FOUND_FILES },
	{ "in other case",
	  "{\"op\":\"mkdir\",\"path\":\"/backup/.NMBACKUPFS\"}",
	  VAULT_FOUND_FILES },
	{ "creation cut short",
	  "{\"op\":\"put\",\"path\":\"/backup/.nmbackupfs/vault-1.age\","
	  "\"text\":\"x\"}",
	  VAULT_FOUND_NOTHING },
	{ "that and files",
	  "[{\"op\":\"put\",\"path\":\"/backup/.nmbackupfs/vault-1.age\","
	  "\"text\":\"x\"},{\"op\":\"mkdir\",\"path\":\"/backup/x\"}]",
	  VAULT_FOUND_LOST },
	{ "later generations",
	  "[{\"op\":\"put\",\"path\":\"/backup/.nmbackupfs/vault-9.age\","
	  "\"text\":\"x\"},{\"op\":\"put\",\"path\":"
	  "\"/backup/.nmbackupfs/vault-10.age\",\"text\":\"x\"}]",
	  VAULT_FOUND_LOST },
	{ "no generations",
	  "[{\"op\":\"put\",\"path\":\"/backup/.nmbackupfs/vault-.age\","
	  "\"text\":\"x\"},{\"op\":\"put\",\"path\":"
	  "\"/backup/.nmbackupfs/vault-010.age\",\"text\":\"x\"}]",
	  VAULT_FOUND_NOTHING },
	{ "a folder for a descriptor",
	  "{\"op\":\"mkdir\",\"path\":\"/backup/.nmbackupfs/vault.age\"}",
	  VAULT_FOUND_NOTHING },
	{ "a vault, of whoever",
	  "{\"op\":\"put\",\"path\":\"/backup/.nmbackupfs/vault.age\","
	  "\"text\":\"x\"}",
	  VAULT_FOUND_VAULT },
	{ "with files",
	  "[{\"op\":\"put\",\"path\":\"/backup/.nmbackupfs/vault.age\","
	  "\"text\":\"x\"},{\"op\":\"mkdir\",\"path\":\"/backup/x\"}]",
	  VAULT_FOUND_VAULT },
};

static void test_find(void)
{
	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		struct vault_store *s;

		check_row("%s", folders[i].what);
		vault_rig_start(DRIVE_PERSONAL);
		if (folders[i].changes)
			vault_rig_post("change", folders[i].changes);
		s = vault_rig_store();
		CHECK_EQ(vault_rig_find(s), folders[i].want);
		CHECK_EQ(vault_rig_find(s), folders[i].want);
		if (folders[i].want == VAULT_FOUND_LOST)
			CHECK(strstr(vr.why, "vault-1"));
		vault_store_free(s);
		vault_rig_stop();
	}
}

/* The look by name comes too early, the list has it. */
static void test_find_lag(void)
{
	struct vault_store *s;

	vault_rig_start(DRIVE_BUSINESS);
	vault_rig_post("change",
	               "[{\"op\":\"put\",\"path\":\"/backup/.nmbackupfs/"
	               "vault.age\",\"text\":\"x\"},{\"op\":\"mkdir\","
	               "\"path\":\"/backup/a\"}]");
	vault_rig_post("faults",
	               "[{\"match\":{\"class\":\"item\"},\"times\":1,"
	               "\"do\":{\"status\":404,\"code\":\"itemNotFound\"}}]");
	s = vault_rig_store();
	CHECK_EQ(vault_rig_find(s), VAULT_FOUND_VAULT);
	vault_store_free(s);
	vault_rig_stop();
}

static void test_no_folder(void)
{
	enum vault_found f;
	struct vault_store *s;

	vault_rig_start(DRIVE_BUSINESS);
	vault_rig_post("change", "{\"op\":\"delete\",\"path\":\"/backup\"}");
	s = vault_rig_store();
	CHECK_EQ(vault_store_find(s, &f, vr.why), -ENOENT);
	vault_store_free(s);
	CHECK_EQ(vault_store_new(vr.drive.g, "", 0, &s), -EINVAL);
	vault_rig_stop();
}

/* ---- creating ------------------------------------------------------------ */

static void test_create_and_load(void)
{
	for (int kind = 0; kind < 3; kind++) {
		struct vault_store *s, *other;
		struct descriptor *d, *e, *rival;
		struct pin pin, again;
		unsigned before;

		check_row("kind %d", kind);
		vault_rig_start(kind);
		CHECK_EQ(vault_rig_try(vr.laptop, NULL), -ENOENT);
		s = vault_rig_make(&d, &pin);
		CHECK_EQ(vault_rig_find(s), VAULT_FOUND_VAULT);
		CHECK(vault_rig_has("vault.age") &&
		      vault_rig_has("vault-1.age"));
		before = vault_rig_items();

		other = vault_rig_store();
		CHECK_EQ(vault_rig_load(other, vr.laptop, NULL, &e, &again), 0);
		CHECK_MEM(e->hash, d->hash, sizeof(d->hash));
		CHECK_MEM(&again, &pin, sizeof(pin));
		descriptor_free(e);
		CHECK_EQ(vault_rig_load(other, vr.paper, &pin, &e, &again), 0);
		descriptor_free(e);
		CHECK_EQ(vault_rig_load(other, vr.phone, NULL, &e, &again),
		         VAULT_STORE_NOT_MEMBER);
		CHECK_EQ(vault_rig_load(other, vr.phone, &pin, &e, &again),
		         VAULT_STORE_NOT_MEMBER);

		rival = vault_rig_descriptor(vr.phone, "phone");
		CHECK_EQ(vault_store_create(other, rival, vr.why), -EEXIST);
		CHECK(vr.why[0]);
		CHECK_EQ(vault_rig_items(), before);
		descriptor_free(rival);
		descriptor_free(d);
		vault_store_free(other);
		vault_store_free(s);
		vault_rig_stop();
	}
}

/* Somebody began and never came to the end. */
static void test_create_over_remains(void)
{
	struct vault_store *s;
	struct descriptor *d;
	struct buf a = BUF_INIT, b = BUF_INIT;
	struct pin pin;

	vault_rig_start(DRIVE_PERSONAL);
	vault_rig_post("change",
	               "{\"op\":\"put\",\"path\":\"/backup/.nmbackupfs/"
	               "vault-1.age\",\"text\":\"x\"}");
	s = vault_rig_make(&d, &pin);
	vault_rig_read("vault.age", &a);
	vault_rig_read("vault-1.age", &b);
	CHECK(a.len == b.len && !memcmp(a.data, b.data, a.len));
	buf_done(&a);
	buf_done(&b);
	descriptor_free(d);
	vault_store_free(s);
	vault_rig_stop();
}

struct racer {
	struct age_identity *id;
	const char *label;
	int rc;
	char why[VAULT_STORE_WHY];
};

static void *race(void *arg)
{
	struct racer *r = arg;
	struct descriptor *d = vault_rig_descriptor(r->id, r->label);
	struct vault_store *s = vault_rig_store();

	r->rc = vault_store_create(s, d, r->why);
	vault_store_free(s);
	descriptor_free(d);
	return NULL;
}

/* security.md note 13: exactly one wins, and what lies there is his. */
static void test_race(void)
{
	for (unsigned i = 0; i < 6; i++) {
		struct racer r[2] = { { vr.laptop, "laptop", 1, "" },
			              { vr.phone, "phone", 1, "" } };
		pthread_t threads[2];

		check_row("round %u", i);
		vault_rig_start((int)(i % 3));
		for (unsigned k = 0; k < 2; k++)
			CHECK_EQ(pthread_create(&threads[k], NULL, race, &r[k]),
			         0);
		for (unsigned k = 0; k < 2; k++)
			CHECK_EQ(pthread_join(threads[k], NULL), 0);
		CHECK_EQ((r[0].rc == 0) + (r[1].rc == 0), 1);
		for (unsigned k = 0; k < 2; k++) {
			CHECK(r[k].rc == 0 || r[k].rc == -EEXIST);
			CHECK_EQ(vault_rig_try(r[k].id, NULL),
			         r[k].rc == 0 ? 0 : VAULT_STORE_NOT_MEMBER);
		}
		vault_rig_stop();
	}
}

/* ---- the probe ----------------------------------------------------------- */

static void test_probe(void)
{
	static const struct {
		const char *what, *faults;
		int rc;
	} probes[] = {
		{ "all distinct", NULL, 0 },
		{ "one taken",
		  "[{\"match\":{\"class\":\"create\"},\"skip\":5,\"times\":1,"
		  "\"do\":{\"status\":409,\"code\":\"nameAlreadyExists\"}}]",
		  -ENOTUNIQ },
		{ "an answer lost",
		  "[{\"match\":{\"class\":\"create\"},\"skip\":5,\"times\":1,"
		  "\"do\":{\"drop\":\"after\"}}]",
		  0 },
		{ "one not listed",
		  "[{\"match\":{\"class\":\"children\"},\"times\":1,"
		  "\"do\":{\"status\":200,\"body\":{\"value\":[]}}}]",
		  -ENOTUNIQ },
		{ "refused",
		  "[{\"match\":{\"class\":\"create\"},\"skip\":3,"
		  "\"do\":{\"status\":403,\"code\":\"accessDenied\"}}]",
		  -EACCES },
	};

	for (size_t i = 0; i < ARRAY_LEN(probes); i++) {
		struct vault_store *s;

		check_row("%s", probes[i].what);
		vault_rig_start(DRIVE_BUSINESS);
		if (probes[i].faults)
			vault_rig_post("faults", probes[i].faults);
		s = vault_rig_store();
		CHECK_EQ(vault_store_probe(s, NAME_TEXT_CJK14, vr.why),
		         probes[i].rc);
		CHECK_EQ(vr.why[0] != '\0', probes[i].rc < 0);
		CHECK_EQ(vault_rig_items(), 3); /* root, folder, .nmbackupfs */
		CHECK_EQ(vault_rig_find(s), VAULT_FOUND_NOTHING);
		vault_store_free(s);
		vault_rig_stop();
	}
}

/* base32 needs none. */
static void test_no_probe(void)
{
	struct vault_store *s;
	int64_t before;

	vault_rig_start(DRIVE_PERSONAL);
	s = vault_rig_store();
	before = drive_rig_count_all(&vr.drive);
	CHECK_EQ(vault_store_probe(s, NAME_TEXT_BASE32, vr.why), 0);
	CHECK_EQ(drive_rig_count_all(&vr.drive), before);
	vault_store_free(s);
	vault_rig_stop();
}

int main(void)
{
	if (!vault_rig_init())
		return 1;
	log_set_level(LOG_LEVEL_ERROR);
	RUN(test_find);
	RUN(test_find_lag);
	RUN(test_no_folder);
	RUN(test_create_and_load);
	RUN(test_create_over_remains);
	RUN(test_race);
	RUN(test_probe);
	RUN(test_no_probe);
	vault_rig_done();
	return check_report();
}
