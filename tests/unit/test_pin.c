/* auth/pin: what a device takes for the next descriptor, each refusal its own
 * row; enrolment codes; the blob. */
#include "auth/pin.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <sodium.h>

#include "auth/keystore.h"
#include "tests/unit/check.h"

static struct age_identity *device, *paper;

/* Seen last: vault 1, auth key 2, generation 5, hash 3. */
static struct descriptor *seen(void)
{
	struct descriptor *d;

	CHECK_EQ(descriptor_new(NAME_TEXT_CJK14, 7, "laptop", &d), 0);
	memset(d->vault_id, 1, sizeof(d->vault_id));
	memset(d->auth_key, 2, sizeof(d->auth_key));
	memset(d->hash, 3, sizeof(d->hash));
	d->generation = 5;
	return d;
}

static void test_check(void)
{
	static const struct {
		const char *what;
		uint8_t vault, auth, previous; /* 0: none */
		uint64_t generation;
		uint8_t hash;
		enum pin_verdict want;
		int rc;
	} cases[] = {
		{ "the same", 1, 2, 0, 5, 3, PIN_SAME, 0 },
		{ "the next", 1, 2, 0, 6, 4, PIN_NEWER, 0 },
		{ "much later", 1, 2, 0, 600, 4, PIN_NEWER, 0 },
		{ "later, with what is older", 1, 2, 9, 6, 4, PIN_NEWER, 0 },
		{ "the key moved", 1, 9, 2, 6, 4, PIN_MOVED, 0 },
		{ "and later", 1, 9, 2, 8, 4, PIN_MOVED, 0 },
		{ "moved twice", 1, 8, 9, 7, 4, PIN_FORGED, -EKEYREJECTED },
		{ "moved, not said", 1, 9, 0, 6, 4, PIN_FORGED, -EKEYREJECTED },
		{ "forged, same number", 1, 9, 0, 5, 3, PIN_FORGED,
		  -EKEYREJECTED },
		{ "forged and older", 1, 9, 0, 1, 3, PIN_FORGED,
		  -EKEYREJECTED },
		{ "older", 1, 2, 0, 4, 4, PIN_ROLLED_BACK, -ESTALE },
		{ "older, same hash", 1, 2, 0, 4, 3, PIN_ROLLED_BACK, -ESTALE },
		{ "moved, but older", 1, 9, 2, 4, 4, PIN_ROLLED_BACK, -ESTALE },
		{ "other document", 1, 2, 0, 5, 4, PIN_DIFFERS, -EUCLEAN },
		{ "moved, same number", 1, 9, 2, 5, 4, PIN_DIFFERS, -EUCLEAN },
		{ "another vault", 7, 2, 0, 6, 4, PIN_OTHER_VAULT, -EXDEV },
	};
	struct descriptor *d = seen();
	struct pin p, next, want;

	pin_of(d, &p);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		check_row("%s", cases[i].what);
		memset(d->vault_id, cases[i].vault, sizeof(d->vault_id));
		memset(d->auth_key, cases[i].auth, sizeof(d->auth_key));
		d->has_previous = cases[i].previous;
		memset(d->previous, cases[i].previous, sizeof(d->previous));
		memset(d->hash, cases[i].hash, sizeof(d->hash));
		d->generation = cases[i].generation;
		CHECK_EQ(pin_check(&p, d, &next), cases[i].want);
		CHECK_EQ(pin_check(&p, d, NULL), cases[i].want);
		CHECK_EQ(pin_verdict_rc(cases[i].want), cases[i].rc);
		CHECK_EQ(pin_verdict_text(cases[i].want)[0] != '\0',
		         cases[i].rc != 0);
		pin_of(d, &want);
		CHECK_MEM(&next, cases[i].rc ? &p : &want, sizeof(next));
		if (cases[i].rc == 0)
			CHECK_EQ(pin_check(&next, d, NULL), PIN_SAME);
	}
	descriptor_free(d);
}

/* As a real removal makes it: the next generation moves the pin, the one after
 * it is out of reach without that. */
static void test_real_changes(void)
{
	struct descriptor *d[4];
	struct pin p, next;

	CHECK_EQ(descriptor_new(NAME_TEXT_CJK14, 7, "laptop", &d[0]), 0);
	CHECK_EQ(descriptor_add(d[0], "laptop", DESCRIPTOR_DEVICE,
	                        &device->recipient),
	         0);
	CHECK_EQ(descriptor_add(d[0], "paper", DESCRIPTOR_RECOVERY,
	                        &paper->recipient),
	         0);
	CHECK_EQ(descriptor_finish(d[0], 0), 0);
	for (unsigned i = 1; i < 4; i++) {
		CHECK_EQ(descriptor_next(d[i - 1], "laptop", &d[i]), 0);
		if (i == 2)
			CHECK_EQ(descriptor_remove(d[i], "paper"), 0);
		CHECK_EQ(descriptor_finish(d[i], 0), 0);
	}
	pin_of(d[0], &p);
	CHECK_EQ(pin_check(&p, d[1], NULL), PIN_NEWER);
	CHECK_EQ(pin_check(&p, d[2], &next), PIN_MOVED);
	CHECK_EQ(pin_check(&p, d[3], NULL), PIN_FORGED);
	CHECK_EQ(pin_check(&next, d[3], NULL), PIN_NEWER);
	CHECK_EQ(pin_check(&next, d[1], NULL), PIN_FORGED);
	for (unsigned i = 0; i < 4; i++)
		descriptor_free(d[i]);
}

/* The formula, once more in one piece. */
static void test_formula(void)
{
	static const char context[] = "nmbackupfs/v1/pin";
	uint8_t all[17 + 16 + 32], want[PIN_SIZE];
	struct descriptor *d = seen();
	struct pin p;

	memcpy(all, context, 17);
	memset(all + 17, 1, 16);
	memset(all + 33, 2, 32);
	crypto_generichash(want, sizeof(want), all, sizeof(all), NULL, 0);
	pin_of(d, &p);
	CHECK_MEM(p.pin, want, sizeof(want));
	descriptor_free(d);
}

/* ---- codes --------------------------------------------------------------- */

static void count_up(struct pin *p)
{
	for (size_t i = 0; i < sizeof(p->vault_id); i++)
		p->vault_id[i] = (uint8_t)i;
	for (size_t i = 0; i < sizeof(p->pin); i++)
		p->pin[i] = (uint8_t)(i + 16);
}

static void test_code(void)
{
	/* Of bytes 00 .. 2f; frozen with the first release. */
	static const char want[] =
		"vault1qqqsyqcyq5rqwzqfpg9scrgwpugpzysnzs23v9ccrydp"
		"k8qarc0jqgfzyvjz2f389q5j52ev95hz72tdzrh";
	struct pin p = { .generation = 9 }, back;
	char code[PIN_CODE_SIZE], spaced[256], upper[PIN_CODE_SIZE];
	size_t n = 0;

	count_up(&p);
	pin_format_code(&p, code);
	CHECK_EQ(strlen(code), 89);
	CHECK_STR(code, want);
	CHECK_EQ(pin_parse_code(code, &back), 0);
	CHECK_MEM(back.vault_id, p.vault_id, sizeof(p.vault_id));
	CHECK_MEM(back.pin, p.pin, sizeof(p.pin));
	CHECK_EQ(back.generation, 0);

	for (size_t i = 0; code[i]; i++) {
		upper[i] = code[i] >= 'a' ? (char)(code[i] - 32) : code[i];
		upper[i + 1] = '\0';
		if (i % 5 == 0)
			spaced[n++] = " -\n\t\r"[i / 5 % 5];
		spaced[n++] = i % 2 ? code[i] : upper[i];
		spaced[n] = '\0';
	}
	CHECK_EQ(pin_parse_code(upper, &back), 0);
	CHECK_EQ(pin_parse_code(spaced, &back), 0);
	CHECK_MEM(back.pin, p.pin, sizeof(p.pin));
}

static void test_bad_codes(void)
{
	static const char *const bad[] = {
		"",
		"vault1",
		" - ",
		"AGE-SECRET-KEY-1YQSJYGEYY5NZW2PF9G4JCTFW9UCRZV3NXS6NVDEC8YARK0"
		"PA8CLSWXGG7Q",
		"age1xkq8943ktzqdrth2x2ddlyfp8qu9rmfp528rka0fvhgd9ngkvf2qu2sny"
		"f",
	};
	char code[PIN_CODE_SIZE], longer[PIN_CODE_SIZE + 1];
	struct pin p = { 0 }, back;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		check_row("%s", bad[i]);
		CHECK_EQ(pin_parse_code(bad[i], &back), -EINVAL);
	}
	count_up(&p);
	pin_format_code(&p, code);
	for (size_t i = 0; code[i]; i++) {
		char was = code[i];

		check_row("mistyped at %zu", i);
		code[i] = was == 'q' ? 'p' : 'q';
		CHECK_EQ(pin_parse_code(code, &back), -EINVAL);
		code[i] = was;
	}
	check_row("one too many");
	strcpy(longer, code);
	strcat(longer, "q");
	CHECK_EQ(pin_parse_code(longer, &back), -EINVAL);
	check_row("one too few");
	code[PIN_CODE_SIZE - 2] = '\0';
	CHECK_EQ(pin_parse_code(code, &back), -EINVAL);
}

/* ---- the blob ------------------------------------------------------------ */

static void test_blob(void)
{
	static const struct {
		const char *text;
		int rc;
	} cases[] = {
		{ "", -EBADMSG },
		{ "{}", -EBADMSG },
		{ "{\"v\":2}", -ENOTSUP },
		{ "{\"v\":1,\"generation\":1}", -EBADMSG },
	};
	char dir[] = "/tmp/test_pin.XXXXXX", why[256], cmd[128];
	struct keystore_options opt = { .backend = "file", .dir = dir };
	struct pin p = { .generation = 1234567890123 }, back;
	struct keystore *k;

	CHECK(mkdtemp(dir));
	CHECK_EQ(keystore_open(&opt, &k, why, sizeof(why)), 0);
	CHECK_EQ(pin_load(k, &back), -ENOENT);
	count_up(&p);
	CHECK_EQ(pin_save(k, &p), 0);
	CHECK_EQ(pin_load(k, &back), 0);
	CHECK_MEM(&back, &p, sizeof(p));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		check_row("%s", cases[i].text);
		CHECK_EQ(keystore_put(k, "pin", cases[i].text,
		                      strlen(cases[i].text)),
		         0);
		CHECK_EQ(pin_load(k, &back), cases[i].rc);
	}
	CHECK_EQ(keystore_delete(k, "pin"), 0);
	keystore_close(k);
	snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
	CHECK_EQ(system(cmd), 0);
}

int main(void)
{
	if (sodium_init() < 0 || age_identity_new(&device) < 0 ||
	    age_identity_new(&paper) < 0)
		return 1;
	RUN(test_check);
	RUN(test_real_changes);
	RUN(test_formula);
	RUN(test_code);
	RUN(test_bad_codes);
	RUN(test_blob);
	age_identity_free(device);
	age_identity_free(paper);
	return check_report();
}
