/* auth/vault: headers of files, sealed and opened, with every way to be
 * refused told apart. */
#include "auth/vault.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include <sodium.h>

#include "auth/age_payload.h"
#include "auth/bind.h"
#include "net/buf.h"
#include "tests/unit/alloc.h"
#include "tests/unit/check.h"

static struct age_identity *device, *paper, *stranger;

static void count_up(uint8_t *to, size_t n, uint8_t from)
{
	for (size_t i = 0; i < n; i++)
		to[i] = (uint8_t)(from + i);
}

static struct descriptor *new_descriptor(bool recovery)
{
	struct descriptor *d;

	CHECK_EQ(descriptor_new(NAME_TEXT_CJK14, 7, "laptop", &d), 0);
	CHECK_EQ(descriptor_add(d, "laptop", DESCRIPTOR_DEVICE,
	                        &device->recipient),
	         0);
	if (recovery)
		CHECK_EQ(descriptor_add(d, "paper", DESCRIPTOR_RECOVERY,
		                        &paper->recipient),
		         0);
	CHECK_EQ(descriptor_finish(d, 0), 0);
	return d;
}

static struct vault *new_vault(const struct descriptor *d)
{
	struct vault *v = NULL;

	CHECK_EQ(vault_new(d, NULL, &v), 0);
	return v;
}

/* The next generation, the old one freed. */
static struct descriptor *change(struct descriptor *d, bool with_auth)
{
	struct descriptor *next;

	CHECK_EQ(descriptor_next(d, "laptop", &next), 0);
	if (with_auth)
		CHECK_EQ(descriptor_set_recovery(next, "paper 2",
		                                 &stranger->recipient),
		         0);
	else
		CHECK_EQ(descriptor_rotate(next), 0);
	CHECK_EQ(descriptor_finish(next, 0), 0);
	descriptor_free(d);
	return next;
}

struct sealed {
	uint8_t key[AGE_FILE_KEY_SIZE], mac[AGE_MAC_SIZE];
	uint8_t header[DESCRIPTOR_HEADER_LEN];
	struct bind_fields f;
};

static struct sealed seal(const struct vault *v)
{
	struct sealed s = { .f = { .version = 7, .size = 42 } };

	randombytes_buf(s.key, sizeof(s.key));
	randombytes_buf(s.f.file_id, sizeof(s.f.file_id));
	vault_path_tag(v, "a/b", s.f.path_tag);
	CHECK_EQ(vault_seal_header(v, s.key, &s.f, s.header, s.mac), 0);
	return s;
}

static void check_opens(const struct vault *v, const struct sealed *s,
                        uint32_t epoch)
{
	struct vault_opened o;

	CHECK_EQ(vault_open_header(v, s->header, sizeof(s->header), 0, &o), 0);
	CHECK_MEM(o.file_key, s->key, sizeof(o.file_key));
	CHECK_MEM(o.mac, s->mac, sizeof(o.mac));
	CHECK_MEM(&o.bind, &s->f, sizeof(o.bind));
	CHECK_EQ(o.header_len, DESCRIPTOR_HEADER_LEN);
	CHECK_EQ(o.epoch, epoch);
	CHECK(o.bound);
}

static void test_seal_and_open(void)
{
	for (int recovery = 0; recovery < 2; recovery++) {
		struct descriptor *d = new_descriptor(recovery);
		struct vault *v = new_vault(d);
		struct sealed a = seal(v), b = seal(v);

		check_row("recovery %d", recovery);
		check_opens(v, &a, 1);
		check_opens(v, &b, 1);
		CHECK_EQ(vault_header_len(v), DESCRIPTOR_HEADER_LEN);
		CHECK_EQ(vault_generation(v), 1);
		CHECK_EQ(vault_epoch(v), 1);
		CHECK_EQ(vault_has_recovery(v), recovery);
		CHECK(!vault_is_read_only(v));
		CHECK_MEM(vault_id(v), d->vault_id, sizeof(d->vault_id));
		vault_unref(v);
		descriptor_free(d);
	}
}

/* Slot 2: who has only the recovery key opens it. */
static void test_recovery_slot(void)
{
	struct descriptor *d = new_descriptor(true);
	struct vault *v = new_vault(d), *other;
	struct sealed s = seal(v);
	struct age_keys keys = { .ids = &paper, .id_count = 1 };
	struct age_header *h;
	uint8_t key[AGE_FILE_KEY_SIZE];

	CHECK_EQ(age_header_parse(s.header, sizeof(s.header), &h), 0);
	CHECK_EQ(age_header_count(h), 3);
	CHECK_EQ(age_header_open(h, &keys, key, NULL), 0);
	CHECK_MEM(key, s.key, sizeof(key));
	age_header_free(h);

	check_row("epochs lost from the descriptor, recovery key at hand");
	age_identity_free(device);
	CHECK_EQ(age_identity_new(&device), 0);
	memcpy(d->epochs[0].secret, device->secret, sizeof(device->secret));
	d->epochs[0].recipient = device->recipient;
	CHECK_EQ(vault_new(d, paper, &other), 0);
	check_opens(other, &s, 0);
	vault_unref(other);
	vault_unref(v);
	descriptor_free(d);
}

/* Files of older epochs stay readable, and stay bound, whatever changed. */
static void test_epochs(void)
{
	struct descriptor *d = new_descriptor(true);
	struct vault *v = new_vault(d);
	struct sealed s[4];

	s[0] = seal(v);
	for (unsigned i = 1; i < 4; i++) {
		vault_unref(v);
		d = change(d, i == 2);
		v = new_vault(d);
		s[i] = seal(v);
	}
	CHECK_EQ(vault_epoch(v), 4);
	for (unsigned i = 0; i < 4; i++) {
		check_row("epoch %u", i + 1);
		check_opens(v, &s[i], i + 1);
	}
	check_row("by the recovery key of their time");
	vault_unref(v);
	memset(d->epochs[1].secret, 1, AGE_KEY_SIZE);
	CHECK_EQ(vault_new(d, paper, &v), 0);
	check_opens(v, &s[1], 0);
	vault_unref(v);
	descriptor_free(d);
}

/* Who was removed knows the old epoch and the old auth key; with them nothing
 * can be bound that looks as if it was of the new epoch. */
static void test_old_auth_key_new_epoch(void)
{
	struct descriptor *d = new_descriptor(true);
	struct vault *v = new_vault(d);
	struct bind_key old = { .auth_key = { 0 } };
	uint8_t key[AGE_FILE_KEY_SIZE] = { 1 }, body[BIND_BODY_SIZE];
	struct age_stanza bind = { BIND_LINE, body, sizeof(body) };
	struct age_target to = { .recipient_count = 1,
		                 .extra = &bind,
		                 .extra_count = 1 };
	struct bind_fields f = { .version = 1 };
	struct buf header = BUF_INIT;
	struct vault_opened o;

	memcpy(old.vault_id, d->vault_id, sizeof(old.vault_id));
	memcpy(old.auth_key, d->auth_key, sizeof(old.auth_key));
	vault_unref(v);
	d = change(d, true);
	v = new_vault(d);
	bind_seal(&old, key, &f, body);
	to.recipients = &descriptor_active(d)->recipient;
	CHECK_EQ(age_header_build(key, &to, &header), 0);
	CHECK_EQ(vault_open_header(v, header.data, header.len, 0, &o),
	         VAULT_FORGED);
	buf_done(&header);
	vault_unref(v);
	descriptor_free(d);
}

/* ---- refusals ------------------------------------------------------------ */

struct forgery {
	const char *what;
	const char *line[2]; /* extra stanzas; NULL: none */
	size_t body_len;
	bool foreign_vault, for_stranger;
	unsigned flags;
	int want;
};

static const struct forgery forgeries[] = {
	{ "genuine", { BIND_LINE }, 88, false, false, 0, 0 },
	{ "made by stock age", { NULL }, 88, false, false, 0, VAULT_UNBOUND },
	{ "the same, allowed", { NULL }, 88, false, false, 1, 0 },
	{ "an unknown stanza", { "x" }, 88, false, false, 0, VAULT_UNBOUND },
	{ "of another vault", { BIND_LINE }, 88, true, false, 0, VAULT_FORGED },
	{ "the same, allowed",
	  { BIND_LINE },
	  88,
	  true,
	  false,
	  1,
	  VAULT_FORGED },
	{ "two of them",
	  { BIND_LINE, BIND_LINE },
	  88,
	  false,
	  false,
	  0,
	  VAULT_FORGED },
	{ "too short", { BIND_LINE }, 87, false, false, 0, VAULT_FORGED },
	{ "empty", { BIND_LINE }, 0, false, false, 0, VAULT_FORGED },
	{ "another release",
	  { BIND_STANZA " 2" },
	  88,
	  false,
	  false,
	  0,
	  VAULT_FORGED },
	{ "no argument", { BIND_STANZA }, 88, false, false, 0, VAULT_FORGED },
	{ "for somebody else",
	  { BIND_LINE },
	  88,
	  false,
	  true,
	  0,
	  AGE_NO_MATCH },
};

static void forge(const struct descriptor *d, const struct forgery *c,
                  struct buf *out)
{
	uint8_t key[AGE_FILE_KEY_SIZE] = { 9 }, body[BIND_BODY_SIZE];
	struct age_stanza extra[2] = { { c->line[0], body, c->body_len },
		                       { c->line[1], body, c->body_len } };
	struct age_target to = {
		.recipients = c->for_stranger
		                      ? &stranger->recipient
		                      : &descriptor_active(d)->recipient,
		.recipient_count = 1,
		.extra = extra
	};
	struct bind_fields f = { .version = 1 };
	struct bind_key k;

	to.extra_count = (c->line[0] != NULL) + (c->line[1] != NULL);
	memcpy(k.vault_id, d->vault_id, sizeof(k.vault_id));
	memcpy(k.auth_key, d->auth_key, sizeof(k.auth_key));
	k.vault_id[0] ^= c->foreign_vault;
	bind_seal(&k, key, &f, body);
	CHECK_EQ(age_header_build(key, &to, out), 0);
}

static void test_forgeries(void)
{
	struct descriptor *d = new_descriptor(true);
	struct vault *v = new_vault(d);

	for (size_t i = 0; i < ARRAY_LEN(forgeries); i++) {
		const struct forgery *c = &forgeries[i];
		struct buf header = BUF_INIT;
		struct vault_opened o;

		check_row("%s", c->what);
		forge(d, c, &header);
		CHECK_EQ(vault_open_header(v, header.data, header.len, c->flags,
		                           &o),
		         c->want);
		if (c->want == 0)
			CHECK_EQ(o.bound, c->line[0] != NULL);
		else
			CHECK(sodium_is_zero((uint8_t *)&o, sizeof(o)));
		CHECK(strlen(vault_strerror(c->want ? c->want : -EIO)) > 5);
		buf_done(&header);
	}
	vault_unref(v);
	descriptor_free(d);
}

/* Whatever is cut or flipped: never a success, and never an error that isn't
 * one of those that are meant. */
static void test_damage(void)
{
	struct descriptor *d = new_descriptor(true);
	struct vault *v = new_vault(d);
	struct sealed s = seal(v);
	struct vault_opened o;

	for (size_t len = 0; len < sizeof(s.header); len++) {
		check_row("cut at %zu", len);
		CHECK_EQ(vault_open_header(v, s.header, len, 0, &o), -EAGAIN);
	}
	for (size_t i = 0; i < sizeof(s.header); i++) {
		int rc;

		check_row("flipped at %zu", i);
		s.header[i] ^= 1;
		rc = vault_open_header(v, s.header, sizeof(s.header), 0, &o);
		CHECK(rc == AGE_BAD_HEADER || rc == AGE_BAD_MAC ||
		      rc == AGE_NO_MATCH || rc == -EAGAIN);
		s.header[i] ^= 1;
	}
	vault_unref(v);
	descriptor_free(d);
}

/* ---- known answer -------------------------------------------------------- */

/* facts/names.md C4: one slot, the values of facts/age.md 15. */
static const char known_header[] =
	"age-encryption.org/v1\n"
	"-> X25519 eaYx7t4b+cmPEgMs3q3Q56B5OY/HhriMyEbsia+FpRo\n"
	"8UVANqZ+15ieLhAXPQi3BGtpo0Pk4oYsUUZG7a/DVDk\n"
	"-> nmbackupfs/bind 1\n"
	"cpxa5Jvep+tY9/Gr+F76GxTFRAnFjssZW2/2p8SHeQE/DfUBngERo1CIJNvfK6cp\n"
	"82Rk89Z9K70/VTMIpv2Px0obn96Tj5L2Y/X/KaGZ/DxgzMM/pqu6YA\n"
	"--- iH+iU8MNyJ8CJUp5QnxOr0uZUSzita3LWVs7n2qfD5c\n";

static void check_sum(const uint8_t *file, size_t len)
{
	uint8_t sum[crypto_hash_sha256_BYTES];
	char hex[2 * sizeof(sum) + 1];

	crypto_hash_sha256(sum, file, len);
	sodium_bin2hex(hex, sizeof(hex), sum, sizeof(sum));
	CHECK_STR(hex, "4674e11bd4069da10eacb05fcce7852586251615a20befb90b56d9b"
	               "4bb6b7911");
}

static void test_known_answer(void)
{
	struct descriptor *d = new_descriptor(false);
	uint8_t key[AGE_FILE_KEY_SIZE], payload[AGE_PAYLOAD_KEY];
	uint8_t file[344], plain[3];
	struct age_identity *id;
	struct vault_opened o;
	struct vault *v;

	count_up(d->epochs[0].secret, AGE_KEY_SIZE, 0x20);
	CHECK_EQ(age_identity_from_secret(d->epochs[0].secret, &id), 0);
	d->epochs[0].recipient = id->recipient;
	age_identity_free(id);
	count_up(d->auth_key, sizeof(d->auth_key), 0x60);
	count_up(d->vault_id, sizeof(d->vault_id), 0xc0);
	v = new_vault(d);

	count_up(key, sizeof(key), 0);
	CHECK_EQ(strlen(known_header), 309);
	memcpy(file, known_header, 309);
	count_up(file + 309, AGE_NONCE_SIZE, 0xa0);
	age_payload_key(key, file + 309, payload);
	age_chunk_seal(payload, 0, true, "abc", 3, file + 325);
	check_sum(file, sizeof(file));

	CHECK_EQ(vault_open_header(v, file, sizeof(file), 0, &o), 0);
	CHECK_MEM(o.file_key, key, sizeof(key));
	CHECK_EQ(o.header_len, 309);
	CHECK_EQ(o.bind.version, 1);
	CHECK_EQ(o.bind.size, 3);
	CHECK_EQ(o.bind.sealed_ns, 1700000000123456789);
	CHECK_EQ(age_chunk_open(payload, 0, true, file + 325, 19, plain), 0);
	CHECK_MEM(plain, "abc", 3);
	vault_unref(v);
	descriptor_free(d);
}

/* ---- the rest ------------------------------------------------------------ */

static void test_read_only(void)
{
	struct descriptor *d = new_descriptor(true);
	struct vault *v = new_vault(d), *newer;
	struct sealed s = seal(v);

	d->read_only = true;
	newer = new_vault(d);
	CHECK(vault_is_read_only(newer));
	check_opens(newer, &s, 1);
	CHECK_EQ(vault_seal_header(newer, s.key, &s.f, s.header, NULL), -EROFS);
	vault_unref(newer);
	vault_unref(v);
	descriptor_free(d);
}

static struct vault_slot slot;

static void *work(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < 20; i++) {
		struct vault *v = vault_slot_get(&slot);
		struct sealed s = seal(v);

		check_opens(v, &s, vault_epoch(v));
		vault_unref(v);
	}
	return NULL;
}

static void test_threads(void)
{
	struct descriptor *d = new_descriptor(true);
	pthread_t threads[4];

	CHECK_EQ(vault_slot_init(&slot), 0);
	CHECK(!vault_slot_get(&slot));
	vault_slot_set(&slot, new_vault(d));
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, work, NULL), 0);
	for (unsigned i = 0; i < 5; i++) {
		d = change(d, i & 1);
		vault_slot_set(&slot, new_vault(d));
		age_identity_free(stranger); /* the next recovery key */
		CHECK_EQ(age_identity_new(&stranger), 0);
	}
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	vault_slot_done(&slot);
	descriptor_free(d);
}

static void test_no_memory(void)
{
	struct descriptor *d = new_descriptor(true);
	struct vault *v = new_vault(d), *other;
	struct sealed s = seal(v);
	struct vault_opened o;
	int rc;

	for (unsigned n = 1; alloc_fail_at(n); n++) {
		rc = vault_new(d, NULL, &other);
		CHECK(rc == 0 || rc == -ENOMEM);
		if (rc == 0)
			vault_unref(other);
		rc = vault_seal_header(v, s.key, &s.f, s.header, NULL);
		CHECK(rc == 0 || rc == -ENOMEM);
		rc = vault_open_header(v, s.header, sizeof(s.header), 0, &o);
		CHECK(rc == 0 || rc == -ENOMEM);
	}
	alloc_fail_off();
	vault_unref(v);
	descriptor_free(d);
}

int main(void)
{
	if (sodium_init() < 0 || age_identity_new(&device) < 0 ||
	    age_identity_new(&paper) < 0 || age_identity_new(&stranger) < 0)
		return 1;
	RUN(test_seal_and_open);
	RUN(test_recovery_slot);
	RUN(test_epochs);
	RUN(test_old_auth_key_new_epoch);
	RUN(test_forgeries);
	RUN(test_damage);
	RUN(test_known_answer);
	RUN(test_read_only);
	RUN(test_threads);
	RUN(test_no_memory);
	age_identity_free(device);
	age_identity_free(paper);
	age_identity_free(stranger);
	return check_report();
}
