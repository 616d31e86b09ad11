/* auth/vault_store against the emulator: several devices, one drive, and
 * somebody who plays tricks with the stored files. */
#include "auth/vault_store.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include <sodium.h>

#include "net/buf.h"
#include "net/log.h"
#include "tests/unit/check.h"
#include "tests/unit/drive_rig.h"

#define VAULT_PATH "/backup"

static struct drive_rig rig;
static struct age_identity *laptop, *phone, *paper, *stranger;
static char folder_id[256], why[VAULT_STORE_WHY];
static struct objects calls;

static void post(const char *path, const char *body)
{
	drive_rig_post(&rig, path, body);
}

static struct vault_store *new_store(void)
{
	struct vault_store *s = NULL;

	CHECK_EQ(vault_store_new(rig.g, folder_id, 20000, &s), 0);
	return s;
}

static void start(int kind)
{
	struct object dir;

	drive_rig_start(&rig, (enum drive_kind)kind);
	calls = (struct objects){ .graph = rig.g, .patience_ms = 20000 };
	CHECK_EQ(objects_mkdir(&calls, rig.root, "backup", &dir), 0);
	strcpy(folder_id, dir.id);
}

static struct descriptor *new_vault(struct age_identity *id, const char *label)
{
	struct descriptor *d;

	CHECK_EQ(descriptor_new(NAME_TEXT_CJK14, 7, label, &d), 0);
	CHECK_EQ(descriptor_add(d, label, DESCRIPTOR_DEVICE, &id->recipient),
	         0);
	CHECK_EQ(descriptor_add(d, "paper", DESCRIPTOR_RECOVERY,
	                        &paper->recipient),
	         0);
	CHECK_EQ(descriptor_finish(d, 0), 0);
	return d;
}

static enum vault_found find(struct vault_store *s)
{
	enum vault_found f = VAULT_FOUND_LOST;

	CHECK_EQ(vault_store_find(s, &f, why), 0);
	CHECK_EQ(why[0] != '\0',
	         f == VAULT_FOUND_FILES || f == VAULT_FOUND_LOST);
	return f;
}

static int load(struct vault_store *s, struct age_identity *id,
                const struct pin *pin, struct descriptor **out_d,
                struct pin *out_pin)
{
	struct age_keys keys = { .ids = &id, .id_count = 1 };
	int rc = vault_store_load(s, &keys, pin, out_d, out_pin, why);

	if (rc < 0)
		CHECK(why[0]);
	return rc;
}

/* Loads, takes over what is to be pinned. */
static int try_load(struct age_identity *id, struct pin *pin)
{
	struct vault_store *s = new_store();
	struct descriptor *d;
	struct pin next;
	int rc = load(s, id, pin, &d, &next);

	if (rc == 0)
		descriptor_free(d);
	if (rc == 0 && pin)
		*pin = next;
	vault_store_free(s);
	return rc;
}

enum change { CHANGE_NOTHING, CHANGE_ROTATE, CHANGE_AUTH };

/* A finished next generation. */
static struct descriptor *next_of(const struct descriptor *d, enum change c)
{
	struct descriptor *next;

	CHECK_EQ(descriptor_next(d, "laptop", &next), 0);
	if (c == CHANGE_ROTATE)
		CHECK_EQ(descriptor_rotate(next), 0);
	if (c == CHANGE_AUTH) {
		CHECK_EQ(descriptor_add(next, "gone", DESCRIPTOR_DEVICE,
		                        &stranger->recipient),
		         0);
		CHECK_EQ(descriptor_remove(next, "gone"), 0);
	}
	CHECK_EQ(descriptor_finish(next, 0), 0);
	return next;
}

static void replace(struct vault_store *s, struct descriptor **d, enum change c)
{
	struct descriptor *next = next_of(*d, c);

	CHECK_EQ(vault_store_replace(s, next, why), 0);
	descriptor_free(*d);
	*d = next;
}

/* A store with a vault of the laptop, its descriptor, and what is pinned. */
static struct vault_store *make_vault(struct descriptor **out_d,
                                      struct pin *out_pin)
{
	struct vault_store *s = new_store();

	*out_d = new_vault(laptop, "laptop");
	CHECK_EQ(vault_store_create(s, *out_d, why), 0);
	pin_of(*out_d, out_pin);
	return s;
}

/* ---- what lies there ----------------------------------------------------- */

static bool exists(const char *name)
{
	cJSON *json = drive_rig_get(&rig, "dump");
	const cJSON *it;
	char path[128];
	bool found = false;

	snprintf(path, sizeof(path), VAULT_PATH "%s%s", *name ? "/" : "", name);
	cJSON_ArrayForEach (it, json_arr(json, "items")) {
		const char *p = json_str(it, "path");

		found = found || (p && !strcmp(p, path));
	}
	cJSON_Delete(json);
	return found;
}

static bool has_own(const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), VAULT_STORE_FOLDER "/%s", name);
	return exists(path);
}

static unsigned items(void)
{
	cJSON *json = drive_rig_get(&rig, "dump");
	unsigned n = (unsigned)cJSON_GetArraySize(json_arr(json, "items"));

	cJSON_Delete(json);
	return n;
}

static void find_own(const char *name, struct object *out)
{
	struct object dir;

	CHECK_EQ(objects_find(&calls, folder_id, VAULT_STORE_FOLDER, &dir), 0);
	CHECK_EQ(objects_find(&calls, dir.id, name, out), 0);
}

static void read_own(const char *name, struct buf *out)
{
	struct object file;

	find_own(name, &file);
	CHECK_EQ(objects_read(&calls, &file, DESCRIPTOR_SEAL_MAX, out), 0);
}

/* What somebody with access to the drive does. */
static void put_own(const char *name, const struct buf *data)
{
	struct object file, out;

	find_own(name, &file);
	CHECK_EQ(objects_replace(&calls, &file, data->data, data->len, &out),
	         0);
}

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
		start(DRIVE_PERSONAL);
		if (folders[i].changes)
			post("change", folders[i].changes);
		s = new_store();
		CHECK_EQ(find(s), folders[i].want);
		CHECK_EQ(find(s), folders[i].want);
		if (folders[i].want == VAULT_FOUND_LOST)
			CHECK(strstr(why, "vault-1"));
		vault_store_free(s);
		drive_rig_stop(&rig);
	}
}

/* The look by name comes too early, the list has it. */
static void test_find_lag(void)
{
	struct vault_store *s;

	start(DRIVE_BUSINESS);
	post("change", "[{\"op\":\"put\",\"path\":\"/backup/.nmbackupfs/"
	               "vault.age\",\"text\":\"x\"},{\"op\":\"mkdir\","
	               "\"path\":\"/backup/a\"}]");
	post("faults", "[{\"match\":{\"class\":\"item\"},\"times\":1,"
	               "\"do\":{\"status\":404,\"code\":\"itemNotFound\"}}]");
	s = new_store();
	CHECK_EQ(find(s), VAULT_FOUND_VAULT);
	vault_store_free(s);
	drive_rig_stop(&rig);
}

static void test_no_folder(void)
{
	enum vault_found f;
	struct vault_store *s;

	start(DRIVE_BUSINESS);
	post("change", "{\"op\":\"delete\",\"path\":\"/backup\"}");
	s = new_store();
	CHECK_EQ(vault_store_find(s, &f, why), -ENOENT);
	vault_store_free(s);
	CHECK_EQ(vault_store_new(rig.g, "", 0, &s), -EINVAL);
	drive_rig_stop(&rig);
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
		start(kind);
		CHECK_EQ(try_load(laptop, NULL), -ENOENT);
		s = make_vault(&d, &pin);
		CHECK_EQ(find(s), VAULT_FOUND_VAULT);
		CHECK(has_own("vault.age") && has_own("vault-1.age"));
		before = items();

		other = new_store();
		CHECK_EQ(load(other, laptop, NULL, &e, &again), 0);
		CHECK_MEM(e->hash, d->hash, sizeof(d->hash));
		CHECK_MEM(&again, &pin, sizeof(pin));
		descriptor_free(e);
		CHECK_EQ(load(other, paper, &pin, &e, &again), 0);
		descriptor_free(e);
		CHECK_EQ(load(other, phone, NULL, &e, &again),
		         VAULT_STORE_NOT_MEMBER);
		CHECK_EQ(load(other, phone, &pin, &e, &again),
		         VAULT_STORE_NOT_MEMBER);

		rival = new_vault(phone, "phone");
		CHECK_EQ(vault_store_create(other, rival, why), -EEXIST);
		CHECK(why[0]);
		CHECK_EQ(items(), before);
		descriptor_free(rival);
		descriptor_free(d);
		vault_store_free(other);
		vault_store_free(s);
		drive_rig_stop(&rig);
	}
}

/* Somebody began and never came to the end. */
static void test_create_over_remains(void)
{
	struct vault_store *s;
	struct descriptor *d;
	struct buf a = BUF_INIT, b = BUF_INIT;
	struct pin pin;

	start(DRIVE_PERSONAL);
	post("change", "{\"op\":\"put\",\"path\":\"/backup/.nmbackupfs/"
	               "vault-1.age\",\"text\":\"x\"}");
	s = make_vault(&d, &pin);
	read_own("vault.age", &a);
	read_own("vault-1.age", &b);
	CHECK(a.len == b.len && !memcmp(a.data, b.data, a.len));
	buf_done(&a);
	buf_done(&b);
	descriptor_free(d);
	vault_store_free(s);
	drive_rig_stop(&rig);
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
	struct descriptor *d = new_vault(r->id, r->label);
	struct vault_store *s = new_store();

	r->rc = vault_store_create(s, d, r->why);
	vault_store_free(s);
	descriptor_free(d);
	return NULL;
}

/* security.md note 13: exactly one wins, and what lies there is his. */
static void test_race(void)
{
	for (unsigned i = 0; i < 6; i++) {
		struct racer r[2] = { { laptop, "laptop", 1, "" },
			              { phone, "phone", 1, "" } };
		pthread_t threads[2];

		check_row("round %u", i);
		start((int)(i % 3));
		for (unsigned k = 0; k < 2; k++)
			CHECK_EQ(pthread_create(&threads[k], NULL, race, &r[k]),
			         0);
		for (unsigned k = 0; k < 2; k++)
			CHECK_EQ(pthread_join(threads[k], NULL), 0);
		CHECK_EQ((r[0].rc == 0) + (r[1].rc == 0), 1);
		for (unsigned k = 0; k < 2; k++) {
			CHECK(r[k].rc == 0 || r[k].rc == -EEXIST);
			CHECK_EQ(try_load(r[k].id, NULL),
			         r[k].rc == 0 ? 0 : VAULT_STORE_NOT_MEMBER);
		}
		drive_rig_stop(&rig);
	}
}

/* ---- changing ------------------------------------------------------------ */

static void test_replace(void)
{
	for (int kind = 0; kind < 3; kind++) {
		struct descriptor *d;
		struct vault_store *s;
		struct pin pin;

		check_row("kind %d", kind);
		start(kind);
		s = make_vault(&d, &pin);
		for (unsigned i = 0; i < 4; i++) {
			replace(s, &d, (enum change)(i % 3));
			CHECK_EQ(try_load(laptop, &pin), 0);
			CHECK_EQ(pin.generation, d->generation);
			CHECK_MEM(pin.hash, d->hash, sizeof(d->hash));
		}
		CHECK(!has_own("vault-1.age") && !has_own("vault-2.age"));
		CHECK(has_own("vault-3.age") && has_own("vault-4.age") &&
		      has_own("vault-5.age"));
		CHECK_EQ(vault_store_replace(s, d, why),
		         -EINVAL); /* not next */
		descriptor_free(d);
		vault_store_free(s);
		drive_rig_stop(&rig);
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

	start(DRIVE_BUSINESS);
	s = make_vault(&d, &pin);
	other = new_store();
	CHECK_EQ(load(other, laptop, &pin, &theirs, &again), 0);
	descriptor_free(theirs);
	mine = next_of(d, CHANGE_ROTATE);
	theirs = next_of(d, CHANGE_NOTHING);
	CHECK_EQ(vault_store_replace(s, mine, why), 0);
	CHECK_EQ(vault_store_replace(other, theirs, why), -ESTALE);
	CHECK(strstr(why, "another device"));
	descriptor_free(theirs);
	CHECK_EQ(load(other, laptop, &pin, &theirs, &again), 0);
	CHECK_MEM(theirs->hash, mine->hash, sizeof(mine->hash));
	replace(other, &theirs, CHANGE_AUTH);
	read_own("vault-3.age", &a);
	read_own("vault.age", &b);
	CHECK(a.len == b.len && !memcmp(a.data, b.data, a.len));
	CHECK_EQ(try_load(laptop, &again), 0);
	buf_done(&a);
	buf_done(&b);
	descriptor_free(theirs);
	descriptor_free(mine);
	descriptor_free(d);
	vault_store_free(other);
	vault_store_free(s);
	drive_rig_stop(&rig);
}

/* The number of the next one is taken by a device that died; the number of this
 * one is gone: both are put right. */
static void test_replace_over_remains(void)
{
	struct descriptor *d;
	struct vault_store *s;
	struct pin pin;

	start(DRIVE_MIGRATED);
	s = make_vault(&d, &pin);
	post("change",
	     "[{\"op\":\"put\",\"path\":\"/backup/.nmbackupfs/vault-2.age\","
	     "\"text\":\"x\"},{\"op\":\"delete\",\"path\":\"/backup/"
	     ".nmbackupfs/vault-1.age\"}]");
	replace(s, &d, CHANGE_AUTH);
	CHECK(has_own("vault-1.age"));
	replace(s, &d, CHANGE_AUTH);
	CHECK_EQ(try_load(laptop, &pin), 0); /* through vault-2.age */
	CHECK_EQ(pin.generation, 3);
	descriptor_free(d);
	vault_store_free(s);
	drive_rig_stop(&rig);
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
		start(DRIVE_BUSINESS);
		s = make_vault(&d, &pin);
		post("faults", faults[i]);
		replace(s, &d, CHANGE_AUTH);
		CHECK_EQ(try_load(laptop, &pin), 0);
		CHECK_EQ(pin.generation, 2);
		descriptor_free(d);
		vault_store_free(s);
		drive_rig_stop(&rig);
	}
}

/* ---- what the pin is for ------------------------------------------------- */

static void test_rollback(void)
{
	struct buf old = BUF_INIT;
	struct descriptor *d;
	struct vault_store *s;
	struct pin first, pin;

	start(DRIVE_BUSINESS);
	s = make_vault(&d, &pin);
	first = pin;
	read_own("vault.age", &old);
	replace(s, &d, CHANGE_ROTATE);
	CHECK_EQ(try_load(laptop, &pin), 0);
	put_own("vault.age", &old);
	CHECK_EQ(try_load(laptop, &pin), -ESTALE);
	CHECK_EQ(pin.generation, 2);           /* unharmed */
	CHECK_EQ(try_load(laptop, &first), 0); /* never saw the other one */
	buf_done(&old);
	descriptor_free(d);
	vault_store_free(s);
	drive_rig_stop(&rig);
}

/* By who knows the recipients, the vault id and the format, and nothing else.
 */
static void test_forged(void)
{
	struct buf forged = BUF_INIT;
	struct descriptor *d, *f;
	struct vault_store *s;
	struct pin pin;

	start(DRIVE_BUSINESS);
	s = make_vault(&d, &pin);
	f = new_vault(laptop, "laptop");
	memcpy(f->vault_id, d->vault_id, sizeof(f->vault_id));
	f->generation = 2;
	CHECK_EQ(descriptor_finish(f, 0), 0);
	CHECK_EQ(descriptor_seal(f, &forged), 0);
	put_own("vault.age", &forged);
	CHECK_EQ(try_load(laptop, &pin), -EKEYREJECTED);
	check_row("the same number");
	f->generation = 1;
	buf_done(&forged);
	CHECK_EQ(descriptor_finish(f, 0), 0);
	CHECK_EQ(descriptor_seal(f, &forged), 0);
	put_own("vault.age", &forged);
	CHECK_EQ(try_load(laptop, &pin), -EKEYREJECTED);
	check_row("another vault");
	descriptor_free(f);
	buf_done(&forged);
	f = new_vault(laptop, "laptop");
	CHECK_EQ(descriptor_seal(f, &forged), 0);
	put_own("vault.age", &forged);
	CHECK_EQ(try_load(laptop, &pin), -EXDEV);
	CHECK_EQ(try_load(laptop, NULL), 0); /* on trust */
	buf_done(&forged);
	descriptor_free(f);
	descriptor_free(d);
	vault_store_free(s);
	drive_rig_stop(&rig);
}

/* A device that was away while members were removed. */
static void test_away(void)
{
	struct pin old, pin, code;
	char text[PIN_CODE_SIZE];
	struct descriptor *d;
	struct vault_store *s;

	start(DRIVE_BUSINESS);
	s = make_vault(&d, &pin);
	old = pin;
	replace(s, &d, CHANGE_AUTH);
	replace(s, &d, CHANGE_AUTH);
	pin = old;
	check_row("two changes behind");
	CHECK_EQ(try_load(laptop, &pin), 0);
	CHECK_EQ(pin.generation, 3);
	replace(s, &d, CHANGE_AUTH);
	pin = old;
	check_row("three changes behind");
	CHECK_EQ(try_load(laptop, &pin), 0);
	CHECK_EQ(pin.generation, 4);
	replace(s, &d, CHANGE_NOTHING);
	pin = old;
	check_row("the first change is not kept any more");
	CHECK_EQ(try_load(laptop, &pin), -EKEYREJECTED);
	check_row("enrolled anew");
	pin_of(d, &pin);
	pin_format_code(&pin, text);
	CHECK_EQ(pin_parse_code(text, &code), 0);
	CHECK_EQ(try_load(laptop, &code), 0);
	CHECK_EQ(code.generation, 5);
	descriptor_free(d);
	vault_store_free(s);
	drive_rig_stop(&rig);
}

/* A forged generation in between changes nothing. */
static void test_away_forged(void)
{
	struct buf junk = BUF_INIT, swap = BUF_INIT;
	struct descriptor *d;
	struct vault_store *s;
	struct pin old, pin;

	start(DRIVE_BUSINESS);
	s = make_vault(&d, &pin);
	old = pin;
	replace(s, &d, CHANGE_AUTH);
	replace(s, &d, CHANGE_AUTH);
	read_own("vault-3.age", &swap);
	buf_add_str(&junk, "age-encryption.org/v1\n");
	check_row("junk");
	put_own("vault-2.age", &junk);
	pin = old;
	CHECK_EQ(try_load(laptop, &pin), -EKEYREJECTED);
	check_row("another generation under the number");
	put_own("vault-2.age", &swap);
	CHECK_EQ(try_load(laptop, &pin), -EKEYREJECTED);
	CHECK_MEM(&pin, &old, sizeof(pin));
	buf_done(&junk);
	buf_done(&swap);
	descriptor_free(d);
	vault_store_free(s);
	drive_rig_stop(&rig);
}

static void test_damaged(void)
{
	struct buf good = BUF_INIT;
	struct descriptor *d;
	struct vault_store *s;
	struct pin pin;

	start(DRIVE_PERSONAL);
	s = make_vault(&d, &pin);
	read_own("vault.age", &good);
	for (unsigned i = 0; i < 4; i++) {
		struct buf bad = BUF_INIT;

		check_row("%u", i);
		buf_add(&bad, good.data, i == 3 ? 100 : good.len - (i == 2));
		if (i < 2)
			bad.data[i == 0 ? 3 : good.len - 5] ^= 1;
		put_own("vault.age", &bad);
		CHECK_EQ(try_load(laptop, &pin), -EBADMSG);
		CHECK(strstr(why, "vault.age"));
		buf_done(&bad);
	}
	put_own("vault.age", &good);
	CHECK_EQ(try_load(laptop, &pin), 0);
	check_row("too long");
	post("change", "{\"op\":\"put\",\"path\":\"/backup/.nmbackupfs/"
	               "vault.age\",\"size\":2000000}");
	CHECK_EQ(try_load(laptop, &pin), -EBADMSG);
	buf_done(&good);
	descriptor_free(d);
	vault_store_free(s);
	drive_rig_stop(&rig);
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
		start(kind);
		s = new_store();
		CHECK_EQ(vault_store_get_mark(s, &m), -ENOENT);
		vault_store_free(s);
		s = make_vault(&d, &pin);
		CHECK_EQ(vault_store_get_mark(s, &m), 0);
		CHECK_EQ(vault_mark_look(rig.g, &m, 1000), VAULT_MARK_SAME);
		post("change", "{\"op\":\"touch\",\"path\":\"/backup/"
		               ".nmbackupfs/vault.age\"}");
		CHECK_EQ(vault_mark_look(rig.g, &m, 1000), VAULT_MARK_SAME);
		replace(s, &d, CHANGE_NOTHING);
		CHECK_EQ(vault_mark_look(rig.g, &m, 1000), VAULT_MARK_CHANGED);
		CHECK_EQ(vault_store_get_mark(s, &m), 0);
		CHECK_EQ(vault_mark_look(rig.g, &m, 1000), VAULT_MARK_SAME);
		post("faults", "[{\"match\":{\"class\":\"item\"},"
		               "\"do\":{\"status\":500}}]");
		CHECK_EQ(vault_mark_look(rig.g, &m, 0), VAULT_MARK_UNKNOWN);
		post("reset", "{}");
		post("change", "{\"op\":\"delete\",\"path\":\"/backup/"
		               ".nmbackupfs/vault.age\"}");
		CHECK_EQ(vault_mark_look(rig.g, &m, 1000), VAULT_MARK_CHANGED);
		descriptor_free(d);
		vault_store_free(s);
		drive_rig_stop(&rig);
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
		start(DRIVE_BUSINESS);
		if (probes[i].faults)
			post("faults", probes[i].faults);
		s = new_store();
		CHECK_EQ(vault_store_probe(s, NAME_TEXT_CJK14, why),
		         probes[i].rc);
		CHECK_EQ(why[0] != '\0', probes[i].rc < 0);
		CHECK_EQ(items(), 3); /* root, folder, .nmbackupfs */
		CHECK_EQ(find(s), VAULT_FOUND_NOTHING);
		vault_store_free(s);
		drive_rig_stop(&rig);
	}
}

/* base32 needs none. */
static void test_no_probe(void)
{
	struct vault_store *s;
	int64_t before;

	start(DRIVE_PERSONAL);
	s = new_store();
	before = drive_rig_count_all(&rig);
	CHECK_EQ(vault_store_probe(s, NAME_TEXT_BASE32, why), 0);
	CHECK_EQ(drive_rig_count_all(&rig), before);
	vault_store_free(s);
	drive_rig_stop(&rig);
}

int main(void)
{
	if (sodium_init() < 0 || age_identity_new(&laptop) < 0 ||
	    age_identity_new(&phone) < 0 || age_identity_new(&paper) < 0 ||
	    age_identity_new(&stranger) < 0)
		return 1;
	log_set_level(LOG_LEVEL_ERROR);
	RUN(test_find);
	RUN(test_find_lag);
	RUN(test_no_folder);
	RUN(test_create_and_load);
	RUN(test_create_over_remains);
	RUN(test_race);
	RUN(test_replace);
	RUN(test_replace_race);
	RUN(test_replace_over_remains);
	RUN(test_replace_faults);
	RUN(test_rollback);
	RUN(test_forged);
	RUN(test_away);
	RUN(test_away_forged);
	RUN(test_damaged);
	RUN(test_mark);
	RUN(test_mark_of_items);
	RUN(test_probe);
	RUN(test_no_probe);
	age_identity_free(laptop);
	age_identity_free(phone);
	age_identity_free(paper);
	age_identity_free(stranger);
	return check_report();
}
