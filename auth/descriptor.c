#include "auth/descriptor_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>
#include <utf8proc.h>

#include "auth/age.h"
#include "net/buf.h"

static_assert(DESCRIPTOR_MEMBERS <= AGE_STANZAS_MAX, "one stanza per member");

/* ---- the object ---------------------------------------------------------- */

struct descriptor *descriptor_alloc(void)
{
	struct descriptor *d = sodium_malloc(sizeof(*d));

	if (d)
		memset(d, 0, sizeof(*d));
	return d;
}

void descriptor_free(struct descriptor *d)
{
	if (!d)
		return;
	sodium_free(d->text);
	sodium_free(d);
}

void descriptor_set_text(struct descriptor *d, char *text, size_t len)
{
	sodium_free(d->text);
	d->text = text;
	d->text_len = len;
	crypto_generichash(d->hash, sizeof(d->hash), (const uint8_t *)text, len,
	                   NULL, 0);
}

bool descriptor_label_ok(const char *label)
{
	const utf8proc_uint8_t *s = (const utf8proc_uint8_t *)label;
	utf8proc_int32_t c;

	if (!*s || strlen(label) > DESCRIPTOR_LABEL_MAX)
		return false;
	while (*s) {
		utf8proc_ssize_t n = utf8proc_iterate(s, -1, &c);

		if (n <= 0 || utf8proc_category(c) == UTF8PROC_CATEGORY_CC)
			return false;
		s += n;
	}
	return true;
}

const char *descriptor_kind_name(enum descriptor_kind kind)
{
	return kind == DESCRIPTOR_RECOVERY ? "recovery" : "device";
}

/* ---- looking ------------------------------------------------------------- */

static struct descriptor_epoch *active(struct descriptor *d)
{
	for (size_t i = 0; i < d->epoch_count; i++) {
		if (d->epochs[i].active)
			return &d->epochs[i];
	}
	return NULL;
}

const struct descriptor_epoch *descriptor_active(const struct descriptor *d)
{
	for (size_t i = 0; i < d->epoch_count; i++) {
		if (d->epochs[i].active)
			return &d->epochs[i];
	}
	return NULL;
}

const struct descriptor_member *descriptor_recovery(const struct descriptor *d)
{
	for (size_t i = 0; i < d->member_count; i++) {
		if (d->members[i].kind == DESCRIPTOR_RECOVERY)
			return &d->members[i];
	}
	return NULL;
}

const struct descriptor_member *
descriptor_find_label(const struct descriptor *d, const char *label)
{
	for (size_t i = 0; i < d->member_count; i++) {
		if (!strcmp(d->members[i].label, label))
			return &d->members[i];
	}
	return NULL;
}

const struct descriptor_member *
descriptor_find_recipient(const struct descriptor *d,
                          const struct age_recipient *r)
{
	for (size_t i = 0; i < d->member_count; i++) {
		if (!memcmp(&d->members[i].recipient, r, sizeof(*r)))
			return &d->members[i];
	}
	return NULL;
}

const uint8_t *descriptor_auth_key(const struct descriptor *d,
                                   const struct descriptor_epoch *e)
{
	return e->has_auth ? e->auth_key : d->auth_key;
}

/* ---- the steps of a change ----------------------------------------------- */

int descriptor_rotate(struct descriptor *d)
{
	struct descriptor_epoch *old = active(d), *e;
	struct age_identity *id;
	uint32_t n = 0;
	int rc;

	for (size_t i = 0; i < d->epoch_count; i++)
		n = d->epochs[i].n > n ? d->epochs[i].n : n;
	if (d->epoch_count == DESCRIPTOR_EPOCHS || n == UINT32_MAX)
		return -ENOSPC;
	rc = age_identity_new(&id);
	if (rc < 0)
		return rc;
	if (old)
		old->active = false;
	e = &d->epochs[d->epoch_count++];
	e->n = n + 1;
	e->active = true;
	e->recipient = id->recipient;
	memcpy(e->secret, id->secret, sizeof(e->secret));
	age_identity_free(id);
	return 0;
}

/* Older epochs keep the auth key of their time. The one that this generation
 * began with stays in `previous`, whatever comes before it is finished. */
static int rotate_with_auth(struct descriptor *d)
{
	size_t before = d->epoch_count;
	int rc = descriptor_rotate(d);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < before; i++) {
		struct descriptor_epoch *e = &d->epochs[i];

		if (e->has_auth)
			continue;
		e->has_auth = true;
		memcpy(e->auth_key, d->auth_key, sizeof(e->auth_key));
	}
	if (!d->has_previous) {
		d->has_previous = true;
		memcpy(d->previous, d->auth_key, sizeof(d->previous));
	}
	randombytes_buf(d->auth_key, sizeof(d->auth_key));
	return 0;
}

int descriptor_add(struct descriptor *d, const char *label,
                   enum descriptor_kind kind, const struct age_recipient *r)
{
	struct descriptor_member *m;

	if (!descriptor_label_ok(label))
		return -EINVAL;
	if (descriptor_find_label(d, label) || descriptor_find_recipient(d, r))
		return -EEXIST;
	if (d->member_count == DESCRIPTOR_MEMBERS)
		return -ENOSPC;
	m = &d->members[d->member_count++];
	memset(m, 0, sizeof(*m));
	strcpy(m->label, label);
	m->kind = kind;
	m->recipient = *r;
	return 0;
}

static void note_removed(struct descriptor *d,
                         const struct descriptor_member *m)
{
	struct descriptor_removed *r;

	if (d->removed_count == DESCRIPTOR_REMOVED) {
		d->removed_count--;
		memmove(d->removed, d->removed + 1,
		        d->removed_count * sizeof(d->removed[0]));
	}
	r = &d->removed[d->removed_count++];
	memset(r, 0, sizeof(*r));
	strcpy(r->label, m->label);
	r->recipient = m->recipient;
	r->generation = d->generation;
}

int descriptor_remove(struct descriptor *d, const char *label)
{
	const struct descriptor_member *m = descriptor_find_label(d, label);
	size_t i;
	int rc;

	if (!m)
		return -ENOENT;
	if (d->member_count == 1)
		return -EBUSY;
	rc = rotate_with_auth(d);
	if (rc < 0)
		return rc;
	i = (size_t)(m - d->members);
	note_removed(d, m);
	d->member_count--;
	memmove(d->members + i, d->members + i + 1,
	        (d->member_count - i) * sizeof(d->members[0]));
	return 0;
}

int descriptor_set_recovery(struct descriptor *d, const char *label,
                            const struct age_recipient *r)
{
	const struct descriptor_member *old = descriptor_recovery(d), *same;
	struct descriptor_member *m;
	int rc;

	if (!descriptor_label_ok(label))
		return -EINVAL;
	same = descriptor_find_label(d, label);
	if ((same && same != old) || descriptor_find_recipient(d, r))
		return -EEXIST;
	if (!old && d->member_count == DESCRIPTOR_MEMBERS)
		return -ENOSPC;
	rc = rotate_with_auth(d);
	if (rc < 0)
		return rc;
	if (!old)
		return descriptor_add(d, label, DESCRIPTOR_RECOVERY, r);
	note_removed(d, old);
	m = &d->members[old - d->members];
	memset(m->label, 0, sizeof(m->label));
	strcpy(m->label, label);
	m->recipient = *r;
	return 0;
}

/* ---- beginning and end --------------------------------------------------- */

int descriptor_new(enum name_text text, unsigned pad, const char *written_by,
                   struct descriptor **out_d)
{
	struct seal_names *names;
	struct descriptor *d;
	int rc;

	if (!descriptor_label_ok(written_by))
		return -EINVAL;
	d = descriptor_alloc();
	if (!d)
		return -ENOMEM;
	d->version = DESCRIPTOR_VERSION;
	d->generation = 1;
	strcpy(d->written_by, written_by);
	d->slots = DESCRIPTOR_SLOTS;
	d->header_len = DESCRIPTOR_HEADER_LEN;
	d->names_text = text;
	d->pad = pad;
	randombytes_buf(d->vault_id, sizeof(d->vault_id));
	randombytes_buf(d->name_key, sizeof(d->name_key));
	randombytes_buf(d->auth_key, sizeof(d->auth_key));
	rc = seal_names_new(d->name_key, text, pad, &names);
	if (rc == 0) {
		seal_names_free(names);
		rc = descriptor_rotate(d);
	}
	if (rc < 0)
		descriptor_free(d);
	else
		*out_d = d;
	return rc;
}

int descriptor_next(const struct descriptor *d, const char *written_by,
                    struct descriptor **out_d)
{
	struct descriptor *next;
	char *text;

	if (d->read_only)
		return -EROFS;
	if (!descriptor_label_ok(written_by))
		return -EINVAL;
	next = descriptor_alloc();
	text = sodium_malloc(d->text_len + 1);
	if (!next || !text) {
		sodium_free(next);
		sodium_free(text);
		return -ENOMEM;
	}
	*next = *d;
	next->text = NULL;
	memcpy(text, d->text, d->text_len + 1);
	descriptor_set_text(next, text, d->text_len);
	next->generation++;
	next->has_previous = false;
	sodium_memzero(next->previous, sizeof(next->previous));
	memset(next->written_by, 0, sizeof(next->written_by));
	strcpy(next->written_by, written_by);
	*out_d = next;
	return 0;
}

/* What was written must read as what was meant: it takes the place of the only
 * copy of the keys. */
static bool reads_back(const struct descriptor *d, const char *text, size_t len)
{
	char why[DESCRIPTOR_WHY];
	struct descriptor *r;
	bool same;

	if (descriptor_parse(text, len, &r, why) < 0)
		return false;
	same = r->generation == d->generation &&
	       r->epoch_count == d->epoch_count &&
	       r->member_count == d->member_count &&
	       r->removed_count == d->removed_count &&
	       r->has_previous == d->has_previous && r->pad == d->pad &&
	       !memcmp(r->vault_id, d->vault_id, sizeof(r->vault_id)) &&
	       !sodium_memcmp(r->auth_key, d->auth_key, sizeof(r->auth_key)) &&
	       !sodium_memcmp(r->name_key, d->name_key, sizeof(r->name_key)) &&
	       !memcmp(&descriptor_active(r)->recipient,
	               &descriptor_active(d)->recipient,
	               sizeof(struct age_recipient));
	descriptor_free(r);
	return same;
}

int descriptor_finish(struct descriptor *d, int64_t now_ns)
{
	size_t len;
	char *text;
	int rc;

	if (d->member_count == 0)
		return -EINVAL;
	d->written_ns = now_ns;
	rc = descriptor_format(d, &text, &len);
	if (rc < 0)
		return rc;
	if (!reads_back(d, text, len)) {
		sodium_free(text);
		return -EINVAL;
	}
	descriptor_set_text(d, text, len);
	return 0;
}

/* ---- sealed -------------------------------------------------------------- */

int descriptor_seal(const struct descriptor *d, struct buf *out)
{
	struct age_recipient to[DESCRIPTOR_MEMBERS];
	struct age_target target = { .recipients = to,
		                     .recipient_count = d->member_count };

	for (size_t i = 0; i < d->member_count; i++)
		to[i] = d->members[i].recipient;
	return age_seal_buf(&target, d->text, d->text_len, out);
}

int descriptor_open(const void *file, size_t len, const struct age_keys *keys,
                    struct descriptor **out_d, char why[DESCRIPTOR_WHY])
{
	size_t plain_len;
	void *plain;
	int rc;

	if (len > DESCRIPTOR_SEAL_MAX) {
		snprintf(why, DESCRIPTOR_WHY, "vault.age is too long");
		return -EFBIG;
	}
	rc = age_open_buf(keys, file, len, &plain, &plain_len, NULL);
	if (rc < 0) {
		snprintf(why, DESCRIPTOR_WHY, "vault.age: %s",
		         age_strerror(rc));
		return rc;
	}
	rc = descriptor_parse(plain, plain_len, out_d, why);
	sodium_free(plain);
	return rc;
}
