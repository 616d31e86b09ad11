#include "auth/vault.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include <sodium.h>

#include "auth/age_base64.h"
#include "auth/seal_names.h"
#include "net/buf.h"

#define KEYS_MAX (DESCRIPTOR_EPOCHS + 1)

struct vault { /* in sodium_malloc() memory */
	atomic_uint refs;
	uint64_t generation;
	bool read_only, has_recovery;
	size_t header_len;
	struct age_recipient slots[DESCRIPTOR_SLOTS];
	struct bind_key bind; /* of what is sealed now */
	struct seal_names *names;

	/* To read with: the active epoch, older ones from the latest on, the
	 * recovery key. */
	size_t key_count;
	struct age_identity *ids[KEYS_MAX];
	uint32_t epochs[KEYS_MAX]; /* 0: the recovery key */
	uint8_t auth_keys[KEYS_MAX][BIND_AUTH_SIZE];
};

const char *vault_strerror(int rc)
{
	switch (rc) {
	case VAULT_UNBOUND:
		return "not made by a member of the vault (no bind stanza)";
	case VAULT_FORGED:
		return "made for another vault, or forged (bind stanza)";
	default:
		return age_strerror(rc);
	}
}

/* ---- new and free -------------------------------------------------------- */

static void free_vault(struct vault *v)
{
	for (size_t i = 0; i < v->key_count; i++)
		age_identity_free(v->ids[i]);
	seal_names_free(v->names);
	sodium_free(v);
}

static int add_key(struct vault *v, const uint8_t secret[AGE_KEY_SIZE],
                   uint32_t epoch, const uint8_t auth_key[BIND_AUTH_SIZE])
{
	int rc = age_identity_from_secret(secret, &v->ids[v->key_count]);

	if (rc < 0)
		return rc;
	v->epochs[v->key_count] = epoch;
	memcpy(v->auth_keys[v->key_count], auth_key, BIND_AUTH_SIZE);
	v->key_count++;
	return 0;
}

static int add_epoch(struct vault *v, const struct descriptor *d,
                     const struct descriptor_epoch *e)
{
	return add_key(v, e->secret, e->n, descriptor_auth_key(d, e));
}

static int add_keys(struct vault *v, const struct descriptor *d,
                    const struct age_identity *recovery)
{
	const struct descriptor_epoch *active = descriptor_active(d);
	int rc = add_epoch(v, d, active);

	for (size_t i = d->epoch_count; i-- > 0 && rc == 0;) {
		if (&d->epochs[i] != active)
			rc = add_epoch(v, d, &d->epochs[i]);
	}
	if (rc == 0 && recovery)
		rc = add_key(v, recovery->secret, 0, d->auth_key);
	return rc;
}

static void set_slots(struct vault *v, const struct descriptor *d)
{
	const struct descriptor_member *recovery = descriptor_recovery(d);

	v->slots[0] = descriptor_active(d)->recipient;
	v->has_recovery = recovery != NULL;
	if (recovery)
		v->slots[1] = recovery->recipient;
	else
		age_recipient_throwaway(&v->slots[1]);
}

int vault_new(const struct descriptor *d, const struct age_identity *recovery,
              struct vault **out_v)
{
	struct vault *v = sodium_malloc(sizeof(*v));
	int rc;

	if (!v)
		return -ENOMEM;
	memset(v, 0, sizeof(*v));
	atomic_init(&v->refs, 1);
	v->generation = d->generation;
	v->read_only = d->read_only;
	v->header_len = d->header_len;
	memcpy(v->bind.vault_id, d->vault_id, sizeof(v->bind.vault_id));
	memcpy(v->bind.auth_key, d->auth_key, sizeof(v->bind.auth_key));
	set_slots(v, d);
	rc = seal_names_new(d->name_key, d->names_text, d->pad, &v->names);
	if (rc == 0)
		rc = add_keys(v, d, recovery);
	if (rc < 0)
		free_vault(v);
	else
		*out_v = v;
	return rc;
}

struct vault *vault_ref(struct vault *v)
{
	atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed);
	return v;
}

void vault_unref(struct vault *v)
{
	if (v &&
	    atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel) == 1)
		free_vault(v);
}

/* ---- looking ------------------------------------------------------------- */

const uint8_t *vault_id(const struct vault *v)
{
	return v->bind.vault_id;
}

uint64_t vault_generation(const struct vault *v)
{
	return v->generation;
}

bool vault_is_read_only(const struct vault *v)
{
	return v->read_only;
}

size_t vault_header_len(const struct vault *v)
{
	return v->header_len;
}

const struct seal_names *vault_names(const struct vault *v)
{
	return v->names;
}

uint32_t vault_epoch(const struct vault *v)
{
	return v->epochs[0];
}

bool vault_has_recovery(const struct vault *v)
{
	return v->has_recovery;
}

void vault_path_tag(const struct vault *v, const char *path,
                    uint8_t out[BIND_TAG_SIZE])
{
	bind_path_tag(&v->bind, path, out);
}

/* ---- sealing a header ---------------------------------------------------- */

/* The last line is "--- ", the MAC in base64, a line feed. */
static void read_mac(const struct buf *header, uint8_t out[AGE_MAC_SIZE])
{
	size_t len = AGE_BASE64_LEN(AGE_MAC_SIZE);
	int rc = age_base64_decode_exact(header->data + header->len - 1 - len,
	                                 len, out, AGE_MAC_SIZE);

	assert(rc == 0);
}

int vault_seal_header(const struct vault *v,
                      const uint8_t file_key[AGE_FILE_KEY_SIZE],
                      const struct bind_fields *f,
                      uint8_t out[DESCRIPTOR_HEADER_LEN],
                      uint8_t out_mac[AGE_MAC_SIZE])
{
	uint8_t body[BIND_BODY_SIZE];
	struct age_stanza bind = { BIND_LINE, body, sizeof(body) };
	struct age_target to = { .recipients = v->slots,
		                 .recipient_count = DESCRIPTOR_SLOTS,
		                 .extra = &bind,
		                 .extra_count = 1 };
	struct buf header = BUF_INIT;
	int rc;

	if (v->read_only)
		return -EROFS;
	bind_seal(&v->bind, file_key, f, body);
	rc = age_header_build(file_key, &to, &header);
	if (rc == 0) {
		assert(header.len == DESCRIPTOR_HEADER_LEN);
		memcpy(out, header.data, header.len);
		if (out_mac)
			read_mac(&header, out_mac);
	}
	buf_done(&header);
	return rc;
}

/* ---- opening a header ---------------------------------------------------- */

/* What an epoch's key opens was bound with the auth key of that epoch; of what
 * the recovery key opens, only that it was one of them. */
static int open_bind(const struct vault *v, size_t which,
                     const struct age_stanza *s, struct vault_opened *o)
{
	size_t from = which, to = which + 1;

	if (v->epochs[which] == 0) {
		from = 0;
		to = v->key_count;
	}
	for (size_t i = from; i < to; i++) {
		struct bind_key k;
		int rc;

		memcpy(k.vault_id, v->bind.vault_id, sizeof(k.vault_id));
		memcpy(k.auth_key, v->auth_keys[i], sizeof(k.auth_key));
		rc = bind_open(&k, o->file_key, s->body, s->body_len, &o->bind);
		sodium_memzero(&k, sizeof(k));
		if (rc == 0)
			return 0;
	}
	return VAULT_FORGED;
}

static int check_bind(const struct vault *v, size_t which,
                      const struct age_header *h, unsigned flags,
                      struct vault_opened *o)
{
	size_t count;
	const struct age_stanza *s = age_header_find(h, BIND_STANZA, &count);

	if (count == 0)
		return flags & VAULT_ALLOW_UNBOUND ? 0 : VAULT_UNBOUND;
	if (count > 1 || strcmp(s->line, BIND_LINE) != 0)
		return VAULT_FORGED;
	o->bound = true;
	return open_bind(v, which, s, o);
}

static int open_parsed(const struct vault *v, const struct age_header *h,
                       unsigned flags, struct vault_opened *o)
{
	struct age_keys keys = { .ids = v->ids, .id_count = v->key_count };
	size_t which;
	int rc = age_header_open(h, &keys, o->file_key, &which);

	if (rc < 0)
		return rc;
	o->header_len = age_header_len(h);
	memcpy(o->mac, age_header_mac(h), AGE_MAC_SIZE);
	o->epoch = v->epochs[which];
	return check_bind(v, which, h, flags, o);
}

int vault_open_header(const struct vault *v, const void *data, size_t len,
                      unsigned flags, struct vault_opened *out)
{
	struct vault_opened o = { 0 };
	struct age_header *h;
	int rc = age_header_parse(data, len, &h);

	if (rc == 0) {
		rc = open_parsed(v, h, flags, &o);
		age_header_free(h);
	}
	if (rc < 0)
		sodium_memzero(out, sizeof(*out));
	else
		*out = o;
	sodium_memzero(&o, sizeof(o));
	return rc == AGE_NEED_PASSPHRASE ? AGE_NO_MATCH : rc;
}

/* ---- the vault of now ---------------------------------------------------- */

int vault_slot_init(struct vault_slot *s)
{
	s->v = NULL;
	return -pthread_mutex_init(&s->lock, NULL);
}

void vault_slot_done(struct vault_slot *s)
{
	vault_unref(s->v);
	s->v = NULL;
	pthread_mutex_destroy(&s->lock);
}

struct vault *vault_slot_get(struct vault_slot *s)
{
	struct vault *v;

	pthread_mutex_lock(&s->lock);
	v = s->v ? vault_ref(s->v) : NULL;
	pthread_mutex_unlock(&s->lock);
	return v;
}

void vault_slot_set(struct vault_slot *s, struct vault *v)
{
	struct vault *old;

	pthread_mutex_lock(&s->lock);
	old = s->v;
	s->v = v;
	pthread_mutex_unlock(&s->lock);
	vault_unref(old);
}
