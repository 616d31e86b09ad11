#include "auth/descriptor_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "net/clock.h"
#include "net/json.h"

/* The document was sealed by somebody who knew a recipient, which is to say
 * anybody: it may be as large and as crooked as the limits let it be. */

#define MAX_DEPTH      16
#define MAX_VALUES     65536
#define MAX_PROPERTIES 64 /* of an object that is looked into */
#define MAX_NAME_PAD   112

struct parse {
	struct descriptor *d;
	char *why;
};

static int fail(struct parse *p, int rc, const char *what)
{
	snprintf(p->why, DESCRIPTOR_WHY, "the vault's descriptor %s%s",
	         rc == -ENOTSUP ? "needs a newer release: "
	                        : "makes no sense: ",
	         what);
	return rc;
}

/* ---- before it is parsed ------------------------------------------------- */

static bool is_within_limits(const char *text, size_t len)
{
	unsigned depth = 0, values = 1;
	bool in_string = false;

	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (in_string) {
			if (c == '\\')
				i++;
			in_string = c != '"';
		} else if (c == '"') {
			in_string = true;
		} else if (c == '{' || c == '[') {
			if (++depth > MAX_DEPTH || ++values > MAX_VALUES)
				return false;
		} else if (c == '}' || c == ']') {
			depth -= depth > 0;
		} else if (c == ',' && ++values > MAX_VALUES) {
			return false;
		}
	}
	return true;
}

/* ---- values -------------------------------------------------------------- */

/* An object in which no name comes twice: two readers could take different
 * ones. */
static bool is_plain_object(const cJSON *obj)
{
	unsigned n = 0;

	if (!cJSON_IsObject(obj))
		return false;
	for (const cJSON *a = obj->child; a; a = a->next) {
		if (++n > MAX_PROPERTIES)
			return false;
		for (const cJSON *b = obj->child; b != a; b = b->next) {
			if (!strcmp(a->string, b->string))
				return false;
		}
	}
	return true;
}

static bool take_number(const cJSON *obj, const char *name, uint64_t min,
                        uint64_t max, uint64_t *out)
{
	const cJSON *v = json_get(obj, name);
	uint64_t n;

	if (!cJSON_IsNumber(v) || !(v->valuedouble >= 0) ||
	    v->valuedouble > DESCRIPTOR_NUMBER_MAX)
		return false;
	n = (uint64_t)v->valuedouble;
	if ((double)n != v->valuedouble || n < min || n > max)
		return false;
	*out = n;
	return true;
}

static bool take_hex(const cJSON *obj, const char *name, uint8_t *out,
                     size_t size)
{
	const char *s = json_str(obj, name);
	size_t n;

	return s && strlen(s) == 2 * size &&
	       sodium_hex2bin(out, size, s, 2 * size, NULL, &n, NULL) == 0 &&
	       n == size;
}

static bool is_str(const cJSON *obj, const char *name, const char *want)
{
	const char *s = json_str(obj, name);

	return s && !strcmp(s, want);
}

static bool take_label(const cJSON *obj, const char *name,
                       char out[DESCRIPTOR_LABEL_MAX + 1])
{
	const char *s = json_str(obj, name);

	if (!s || !descriptor_label_ok(s))
		return false;
	strcpy(out, s);
	return true;
}

/* 0, -EBADMSG, -ENOTSUP. */
static int take_recipient(const cJSON *obj, struct age_recipient *out)
{
	const char *s = json_str(obj, "recipient");
	int rc = s ? age_recipient_parse(s, strlen(s), out) : -EBADMSG;

	return rc == AGE_FOREIGN_KEY ? -ENOTSUP : rc < 0 ? -EBADMSG : 0;
}

/* ---- the parts ----------------------------------------------------------- */

static int take_head(struct parse *p, const cJSON *doc)
{
	struct descriptor *d = p->d;
	const char *written = json_str(doc, "written");
	uint64_t version;

	if (!is_plain_object(doc) || !is_str(doc, "format", DESCRIPTOR_FORMAT))
		return fail(p, -EBADMSG, "it is another kind of document");
	if (!take_number(doc, "version", 1, UINT32_MAX, &version))
		return fail(p, -EBADMSG, "\"version\"");
	d->version = (unsigned)version;
	d->read_only = version > DESCRIPTOR_VERSION;
	if (!take_hex(doc, "vault_id", d->vault_id, sizeof(d->vault_id)))
		return fail(p, -EBADMSG, "\"vault_id\"");
	if (!take_number(doc, "generation", 1, UINT64_MAX, &d->generation))
		return fail(p, -EBADMSG, "\"generation\"");
	if (!written || clock_parse_rfc3339(written, &d->written_ns) < 0)
		return fail(p, -EBADMSG, "\"written\"");
	if (!take_label(doc, "written_by", d->written_by))
		return fail(p, -EBADMSG, "\"written_by\"");
	return 0;
}

static int take_content(struct parse *p, const cJSON *doc)
{
	const cJSON *o = json_obj(doc, "content");
	uint64_t slots, header_len, bind;

	if (!is_plain_object(o) ||
	    !take_number(o, "slots", 1, AGE_STANZAS_MAX, &slots) ||
	    !take_number(o, "header_len", 1, AGE_HEADER_MAX, &header_len) ||
	    !take_number(o, "bind", 0, UINT32_MAX, &bind))
		return fail(p, -EBADMSG, "\"content\"");
	if (!is_str(o, "cipher", DESCRIPTOR_CIPHER) || bind != DESCRIPTOR_BIND)
		return fail(p, -ENOTSUP, "the content's cipher");
	/* Of a newer release they are only needed to tell sizes. */
	if (!p->d->read_only &&
	    (slots != DESCRIPTOR_SLOTS || header_len != DESCRIPTOR_HEADER_LEN))
		return fail(p, -ENOTSUP, "another length of headers");
	p->d->slots = (size_t)slots;
	p->d->header_len = (size_t)header_len;
	return 0;
}

static int take_names(struct parse *p, const cJSON *doc)
{
	const cJSON *o = json_obj(doc, "names");
	const char *text = json_str(o, "text");
	uint64_t pad;

	if (!is_plain_object(o) || !text ||
	    !take_number(o, "pad", 1, MAX_NAME_PAD, &pad) ||
	    pad % SEAL_NAMES_PAD ||
	    !take_hex(o, "key", p->d->name_key, sizeof(p->d->name_key)))
		return fail(p, -EBADMSG, "\"names\"");
	if (!is_str(o, "cipher", DESCRIPTOR_NAMES_CIPHER) ||
	    name_text_from_label(text, &p->d->names_text) < 0)
		return fail(p, -ENOTSUP, "the names' cipher or text");
	p->d->pad = (unsigned)pad;
	return 0;
}

static int take_auth(struct parse *p, const cJSON *doc)
{
	const cJSON *o = json_obj(doc, "auth");
	struct descriptor *d = p->d;

	if (!is_plain_object(o) ||
	    !take_hex(o, "key", d->auth_key, sizeof(d->auth_key)))
		return fail(p, -EBADMSG, "\"auth\"");
	d->has_previous = json_get(o, "previous") != NULL;
	if (d->has_previous &&
	    !take_hex(o, "previous", d->previous, sizeof(d->previous)))
		return fail(p, -EBADMSG, "\"auth\"");
	return 0;
}

/* An identity that doesn't belong to its recipient would make files that nobody
 * can read. */
static int take_identity(const cJSON *o, struct descriptor_epoch *e)
{
	const char *s = json_str(o, "identity");
	struct age_identity *id;
	int rc = s ? age_identity_parse(s, strlen(s), &id) : -EBADMSG;

	if (rc < 0)
		return rc == AGE_FOREIGN_KEY || rc == -ENOMEM ? rc : -EBADMSG;
	memcpy(e->secret, id->secret, sizeof(e->secret));
	rc = memcmp(&id->recipient, &e->recipient, sizeof(e->recipient))
	             ? -EBADMSG
	             : 0;
	age_identity_free(id);
	return rc;
}

static int take_epoch(const cJSON *o, struct descriptor_epoch *e)
{
	const cJSON *active = json_get(o, "active");
	uint64_t n;
	int rc;

	if (!is_plain_object(o) || !cJSON_IsBool(active) ||
	    !take_number(o, "n", 1, UINT32_MAX, &n))
		return -EBADMSG;
	e->n = (uint32_t)n;
	e->active = cJSON_IsTrue(active);
	e->has_auth = json_get(o, "auth") != NULL;
	if (e->has_auth &&
	    !take_hex(o, "auth", e->auth_key, sizeof(e->auth_key)))
		return -EBADMSG;
	rc = take_recipient(o, &e->recipient);
	return rc == 0 ? take_identity(o, e) : rc;
}

static bool epochs_agree(const struct descriptor *d)
{
	unsigned active = 0;

	for (size_t i = 0; i < d->epoch_count; i++) {
		active += d->epochs[i].active;
		for (size_t j = 0; j < i; j++) {
			if (d->epochs[i].n == d->epochs[j].n ||
			    !memcmp(&d->epochs[i].recipient,
			            &d->epochs[j].recipient,
			            sizeof(d->epochs[i].recipient)))
				return false;
		}
	}
	return active == 1;
}

static int take_epochs(struct parse *p, const cJSON *doc)
{
	const cJSON *a = json_arr(doc, "epochs"), *o;
	struct descriptor *d = p->d;

	if (!a)
		return fail(p, -EBADMSG, "\"epochs\"");
	cJSON_ArrayForEach (o, a) {
		int rc;

		if (d->epoch_count == DESCRIPTOR_EPOCHS)
			return fail(p, -EBADMSG, "too many epochs");
		rc = take_epoch(o, &d->epochs[d->epoch_count++]);
		if (rc == -ENOMEM)
			return rc;
		if (rc < 0)
			return fail(p, rc, "\"epochs\"");
	}
	if (!epochs_agree(d))
		return fail(p, -EBADMSG, "\"epochs\"");
	return 0;
}

static int take_member(const cJSON *o, struct descriptor_member *m)
{
	if (!is_plain_object(o) || !take_label(o, "label", m->label) ||
	    !json_str(o, "kind"))
		return -EBADMSG;
	if (is_str(o, "kind", descriptor_kind_name(DESCRIPTOR_DEVICE)))
		m->kind = DESCRIPTOR_DEVICE;
	else if (is_str(o, "kind", descriptor_kind_name(DESCRIPTOR_RECOVERY)))
		m->kind = DESCRIPTOR_RECOVERY;
	else
		return -ENOTSUP;
	return take_recipient(o, &m->recipient);
}

static int take_members(struct parse *p, const cJSON *doc)
{
	const cJSON *a = json_arr(doc, "members"), *o;
	struct descriptor *d = p->d;

	if (!a)
		return fail(p, -EBADMSG, "\"members\"");
	cJSON_ArrayForEach (o, a) {
		struct descriptor_member m = { 0 };
		int rc = take_member(o, &m);

		if (rc == -ENOTSUP && d->read_only)
			continue;
		if (rc < 0)
			return fail(p, rc, "\"members\"");
		if (d->member_count == DESCRIPTOR_MEMBERS ||
		    descriptor_find_label(d, m.label) ||
		    descriptor_find_recipient(d, &m.recipient))
			return fail(p, -EBADMSG, "\"members\"");
		d->members[d->member_count++] = m;
	}
	return d->member_count ? 0 : fail(p, -EBADMSG, "it has no members");
}

static int take_removed(struct parse *p, const cJSON *doc)
{
	const cJSON *a = json_get(doc, "removed"), *o;
	struct descriptor *d = p->d;

	if (a && !cJSON_IsArray(a))
		return fail(p, -EBADMSG, "\"removed\"");
	cJSON_ArrayForEach (o, a) {
		struct descriptor_removed r = { 0 };
		int rc = take_recipient(o, &r.recipient);

		if (rc == -ENOTSUP && d->read_only)
			continue;
		if (rc < 0 || !is_plain_object(o) ||
		    !take_label(o, "label", r.label) ||
		    !take_number(o, "generation", 1, d->generation,
		                 &r.generation) ||
		    d->removed_count == DESCRIPTOR_REMOVED)
			return fail(p, rc < 0 ? rc : -EBADMSG, "\"removed\"");
		d->removed[d->removed_count++] = r;
	}
	return 0;
}

static int take_all(struct parse *p, const cJSON *doc)
{
	static int (*const parts[])(struct parse *, const cJSON *) = {
		take_head,   take_content, take_names,   take_auth,
		take_epochs, take_members, take_removed,
	};
	int rc = 0;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]) && !rc; i++)
		rc = parts[i](p, doc);
	return rc;
}

static int take_text(struct descriptor *d, const char *text, size_t len)
{
	char *copy = sodium_malloc(len + 1);

	if (!copy)
		return -ENOMEM;
	memcpy(copy, text, len);
	copy[len] = '\0';
	descriptor_set_text(d, copy, len);
	return 0;
}

int descriptor_parse(const char *text, size_t len, struct descriptor **out_d,
                     char why[DESCRIPTOR_WHY])
{
	struct parse p = { .why = why };
	cJSON *doc;
	int rc;

	if (len > DESCRIPTOR_MAX)
		return fail(&p, -EFBIG, "it is too long");
	if (!is_within_limits(text, len))
		return fail(&p, -EBADMSG,
		            "it is too deep or has too many parts");
	doc = json_parse(text, len);
	if (!doc)
		return fail(&p, -EBADMSG, "it is not JSON");
	p.d = descriptor_alloc();
	rc = p.d ? take_all(&p, doc) : -ENOMEM;
	json_wipe(doc);
	if (rc == 0)
		rc = take_text(p.d, text, len);
	if (rc < 0)
		descriptor_free(p.d);
	else
		*out_d = p.d;
	if (rc == -ENOMEM)
		snprintf(why, DESCRIPTOR_WHY, "not enough memory");
	return rc;
}
