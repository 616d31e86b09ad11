#include "auth/descriptor_internal.h"

#include <errno.h>
#include <string.h>

#include <sodium.h>

#include "net/clock.h"
#include "net/json.h"

/* What the document had before stays where it was: the tree of the generation
 * before is brought up to date, so that members of objects that we don't know
 * survive. Strings of the tree may be keys: each is overwritten before it is
 * freed. All functions that change the tree return false: no memory. */

/* ---- values -------------------------------------------------------------- */

static cJSON *find(cJSON *obj, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(obj, name);
}

static void wipe_value(cJSON *v)
{
	if (v->valuestring)
		sodium_memzero(v->valuestring, strlen(v->valuestring));
}

static bool set_str(cJSON *obj, const char *name, const char *s)
{
	cJSON *v = find(obj, name);

	if (!v)
		return cJSON_AddStringToObject(obj, name, s);
	if (!strcmp(v->valuestring, s))
		return true;
	wipe_value(v);
	return cJSON_SetValuestring(v, s);
}

static bool set_number(cJSON *obj, const char *name, uint64_t n)
{
	cJSON *v = find(obj, name);

	if (!v)
		return cJSON_AddNumberToObject(obj, name, (double)n);
	cJSON_SetNumberValue(v, (double)n);
	return true;
}

static bool set_bool(cJSON *obj, const char *name, bool b)
{
	cJSON *v = find(obj, name);

	if (!v)
		return cJSON_AddBoolToObject(obj, name, b);
	v->type = (v->type & ~(cJSON_True | cJSON_False)) |
	          (b ? cJSON_True : cJSON_False);
	return true;
}

static bool set_hex(cJSON *obj, const char *name, const uint8_t *bytes,
                    size_t len)
{
	char hex[2 * 32 + 1];
	bool ok;

	sodium_bin2hex(hex, sizeof(hex), bytes, len);
	ok = set_str(obj, name, hex);
	sodium_memzero(hex, sizeof(hex));
	return ok;
}

static bool set_recipient(cJSON *obj, const struct age_recipient *r)
{
	char text[AGE_RECIPIENT_TEXT];

	age_recipient_format(r, text);
	return set_str(obj, "recipient", text);
}

static void drop(cJSON *obj, const char *name)
{
	json_wipe(cJSON_DetachItemFromObjectCaseSensitive(obj, name));
}

static cJSON *get_obj(cJSON *doc, const char *name)
{
	cJSON *obj = find(doc, name);

	return obj ? obj : cJSON_AddObjectToObject(doc, name);
}

/* ---- arrays -------------------------------------------------------------- */

/* Fills element `i`; false: no memory. */
typedef bool fill_fn(cJSON *obj, const struct descriptor *d, size_t i);

/* The element of that recipient, taken out of `old`; a new one if there is
 * none. */
static cJSON *take_element(cJSON *old, const struct age_recipient *r)
{
	char text[AGE_RECIPIENT_TEXT];
	cJSON *e;

	age_recipient_format(r, text);
	cJSON_ArrayForEach (e, old) {
		const char *s = json_str(e, "recipient");

		if (s && !strcmp(s, text))
			return cJSON_DetachItemViaPointer(old, e);
	}
	return cJSON_CreateObject();
}

static bool fill_array(
	cJSON *array, cJSON *fresh, const struct descriptor *d, size_t n,
	const struct age_recipient *(*key)(const struct descriptor *, size_t),
	fill_fn *fill)
{
	for (size_t i = 0; i < n; i++) {
		cJSON *e = take_element(array, key(d, i));

		if (!e)
			return false;
		cJSON_AddItemToArray(fresh, e);
		if (!fill(e, d, i))
			return false;
	}
	return true;
}

/* Elements that are no more go, the others get the order of `d`. */
static bool
set_array(cJSON *doc, const char *name, const struct descriptor *d, size_t n,
          const struct age_recipient *(*key)(const struct descriptor *, size_t),
          fill_fn *fill)
{
	cJSON *array = find(doc, name), *fresh;
	bool ok;

	if (!array)
		array = cJSON_AddArrayToObject(doc, name);
	fresh = cJSON_CreateArray();
	ok = array && fresh && fill_array(array, fresh, d, n, key, fill);
	while (ok && array->child)
		json_wipe(cJSON_DetachItemFromArray(array, 0));
	while (ok && fresh->child)
		cJSON_AddItemToArray(array,
		                     cJSON_DetachItemFromArray(fresh, 0));
	json_wipe(fresh);
	return ok;
}

static const struct age_recipient *epoch_key(const struct descriptor *d,
                                             size_t i)
{
	return &d->epochs[i].recipient;
}

static bool set_identity(cJSON *obj, const struct descriptor_epoch *e)
{
	char text[AGE_IDENTITY_TEXT];
	struct age_identity *id;
	bool ok;

	if (age_identity_from_secret(e->secret, &id) < 0)
		return false;
	age_identity_format(id, text);
	age_identity_free(id);
	ok = set_str(obj, "identity", text);
	sodium_memzero(text, sizeof(text));
	return ok;
}

static bool fill_epoch(cJSON *obj, const struct descriptor *d, size_t i)
{
	const struct descriptor_epoch *e = &d->epochs[i];

	return set_number(obj, "n", e->n) &&
	       set_recipient(obj, &e->recipient) && set_identity(obj, e) &&
	       set_bool(obj, "active", e->active) &&
	       (!e->has_auth ||
	        set_hex(obj, "auth", e->auth_key, sizeof(e->auth_key)));
}

static const struct age_recipient *member_key(const struct descriptor *d,
                                              size_t i)
{
	return &d->members[i].recipient;
}

static bool fill_member(cJSON *obj, const struct descriptor *d, size_t i)
{
	const struct descriptor_member *m = &d->members[i];

	return set_str(obj, "label", m->label) &&
	       set_str(obj, "kind", descriptor_kind_name(m->kind)) &&
	       set_recipient(obj, &m->recipient);
}

static const struct age_recipient *removed_key(const struct descriptor *d,
                                               size_t i)
{
	return &d->removed[i].recipient;
}

static bool fill_removed(cJSON *obj, const struct descriptor *d, size_t i)
{
	const struct descriptor_removed *r = &d->removed[i];

	return set_str(obj, "label", r->label) &&
	       set_recipient(obj, &r->recipient) &&
	       set_number(obj, "generation", r->generation);
}

/* ---- the document -------------------------------------------------------- */

static bool set_head(cJSON *doc, const struct descriptor *d)
{
	char written[CLOCK_RFC3339_SIZE];

	clock_format_rfc3339(d->written_ns, 0, written);
	return set_str(doc, "format", DESCRIPTOR_FORMAT) &&
	       set_number(doc, "version", d->version) &&
	       set_hex(doc, "vault_id", d->vault_id, sizeof(d->vault_id)) &&
	       set_number(doc, "generation", d->generation) &&
	       set_str(doc, "written", written) &&
	       set_str(doc, "written_by", d->written_by);
}

static bool set_content(cJSON *doc, const struct descriptor *d)
{
	cJSON *o = get_obj(doc, "content");

	return o && set_str(o, "cipher", DESCRIPTOR_CIPHER) &&
	       set_number(o, "slots", d->slots) &&
	       set_number(o, "header_len", d->header_len) &&
	       set_number(o, "bind", DESCRIPTOR_BIND);
}

static bool set_names(cJSON *doc, const struct descriptor *d)
{
	cJSON *o = get_obj(doc, "names");

	return o && set_str(o, "cipher", DESCRIPTOR_NAMES_CIPHER) &&
	       set_str(o, "text", name_text_label(d->names_text)) &&
	       set_number(o, "pad", d->pad) &&
	       set_hex(o, "key", d->name_key, sizeof(d->name_key));
}

static bool set_auth(cJSON *doc, const struct descriptor *d)
{
	cJSON *o = get_obj(doc, "auth");

	if (!o || !set_hex(o, "key", d->auth_key, sizeof(d->auth_key)))
		return false;
	if (d->has_previous)
		return set_hex(o, "previous", d->previous, sizeof(d->previous));
	drop(o, "previous");
	return true;
}

static bool set_all(cJSON *doc, const struct descriptor *d)
{
	return set_head(doc, d) && set_content(doc, d) && set_names(doc, d) &&
	       set_auth(doc, d) &&
	       set_array(doc, "epochs", d, d->epoch_count, epoch_key,
	                 fill_epoch) &&
	       set_array(doc, "members", d, d->member_count, member_key,
	                 fill_member) &&
	       set_array(doc, "removed", d, d->removed_count, removed_key,
	                 fill_removed);
}

static int print(cJSON *doc, char **out_text, size_t *out_len)
{
	size_t size = DESCRIPTOR_MAX + 1;
	char *all = sodium_malloc(size), *text = NULL;
	int rc = all ? 0 : -ENOMEM;

	if (rc == 0 && !cJSON_PrintPreallocated(doc, all, (int)size, true))
		rc = -EFBIG;
	if (rc == 0) {
		size = strlen(all) + 1;
		text = sodium_malloc(size);
		rc = text ? 0 : -ENOMEM;
	}
	if (rc == 0) {
		memcpy(text, all, size);
		*out_text = text;
		*out_len = size - 1;
	}
	sodium_free(all);
	return rc;
}

int descriptor_format(const struct descriptor *d, char **out_text,
                      size_t *out_len)
{
	cJSON *doc = d->text ? json_parse(d->text, d->text_len)
	                     : cJSON_CreateObject();
	int rc = -ENOMEM;

	if (doc && set_all(doc, d))
		rc = print(doc, out_text, out_len);
	json_wipe(doc);
	return rc;
}
