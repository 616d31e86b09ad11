/* The keystore backend "secret-service": one item per blob in the default
 * keyring, found by the attributes application=nmbackupfs, profile, name. The
 * secret is the blob in base64, so that `secret-tool lookup` shows text.
 *
 * A person is asked to unlock the keyring only when the keystore is opened; a
 * running mount that finds it locked says so and goes on with what it has. That
 * an item is not there counts only if the keyring is unlocked: some services
 * show nothing of a locked one. */
#include "auth/keystore_backend.h"

#ifdef HAVE_LIBSECRET

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "auth/keystore.h"
#include "auth/secret_bus.h"
#include "net/log.h"

#define PROBE_MS 2000
#define LIMIT_MS 10000
#define VARIANT  sodium_base64_VARIANT_ORIGINAL

static const SecretSchema schema = {
	.name = "org.nmbackupfs.Secret",
	.flags = SECRET_SCHEMA_DONT_MATCH_NAME,
	.attributes = {
		{ "application", SECRET_SCHEMA_ATTRIBUTE_STRING },
		{ "profile", SECRET_SCHEMA_ATTRIBUTE_STRING },
		{ "name", SECRET_SCHEMA_ATTRIBUTE_STRING },
	},
};

struct service {
	char *profile, *where;
};

/* `name` NULL: all of the profile. */
static GHashTable *attributes_of(const struct service *s, const char *name)
{
	return secret_attributes_build(&schema, "application", "nmbackupfs",
	                               "profile", s->profile,
	                               name ? "name" : NULL, name, NULL);
}

bool keystore_service_answers(char *why, size_t why_size)
{
	struct secret_bus b;
	int rc = secret_bus_open(&b, PROBE_MS, why, why_size);

	if (rc < 0)
		return false;
	rc = secret_bus_check_default(&b, false);
	secret_bus_close(&b);
	return rc == 0;
}

/* ---- items --------------------------------------------------------------- */

static SecretItem *newest(GList *items)
{
	SecretItem *best = NULL;

	for (GList *l = items; l; l = l->next) {
		if (!best || secret_item_get_modified(l->data) >
		                     secret_item_get_modified(best))
			best = l->data;
	}
	return best;
}

/* The items of a name, all of them readable; *out NULL: there are none. */
static int find(struct secret_bus *b, GHashTable *attributes, bool unlock,
                GList **out)
{
	GList *items = NULL, *locked = NULL;
	int rc = secret_bus_search(b, &schema, attributes, &items);

	if (rc < 0)
		return rc;
	for (GList *l = items; l; l = l->next) {
		if (secret_item_get_locked(l->data))
			locked = g_list_prepend(locked, l->data);
	}
	if (locked && unlock) {
		rc = secret_bus_unlock(b, locked);
	} else if (locked) {
		snprintf(b->why, b->why_size, "the keyring is locked");
		rc = -ENOKEY;
	} else if (!items) {
		rc = secret_bus_check_default(b, unlock);
	}
	g_list_free(locked);
	if (rc < 0)
		secret_bus_free_list(items);
	else
		*out = items;
	return rc;
}

static int decode(SecretValue *value, void *buf, size_t *out_len)
{
	gsize len;
	const char *text = secret_value_get(value, &len), *end;

	if (sodium_base642bin(buf, KEYSTORE_MAX_BLOB, text, len, " \r\n",
	                      out_len, &end, VARIANT) < 0 ||
	    end != text + len)
		return -EBADMSG;
	return 0;
}

static int load(struct secret_bus *b, GHashTable *attributes, void *buf,
                size_t *out_len)
{
	SecretValue *value;
	GList *items;
	int rc = find(b, attributes, false, &items);

	if (rc < 0)
		return rc;
	if (!items)
		return -ENOENT;
	rc = secret_bus_load(b, newest(items), &value);
	secret_bus_free_list(items);
	if (rc < 0)
		return rc;
	rc = decode(value, buf, out_len);
	secret_value_unref(value);
	return rc;
}

static SecretValue *encode(const void *secret, size_t len)
{
	size_t size = sodium_base64_encoded_len(len, VARIANT);
	char *text = sodium_malloc(size);
	SecretValue *value;

	if (!text)
		return NULL;
	sodium_bin2base64(text, size, secret, len, VARIANT);
	value = secret_value_new(text, (gssize)size - 1, "text/plain");
	sodium_free(text);
	return value;
}

/* ---- the backend --------------------------------------------------------- */

static void service_close(void *self)
{
	struct service *s = self;

	free(s->profile);
	free(s->where);
	free(s);
}

/* The one time that a person may be asked. */
static int unlock_at_open(const struct service *s, char *why, size_t why_size)
{
	GHashTable *attributes = attributes_of(s, NULL);
	struct secret_bus b;
	GList *items;
	int rc = secret_bus_open(&b, LIMIT_MS, why, why_size);

	if (rc == 0) {
		rc = find(&b, attributes, true, &items);
		if (rc == 0)
			secret_bus_free_list(items);
		secret_bus_close(&b);
	}
	g_hash_table_unref(attributes);
	return rc;
}

static int service_open(const struct keystore_options *opt, void **out_self,
                        char *why, size_t why_size)
{
	struct service *s = calloc(1, sizeof(*s));
	char text[200] = "";
	int rc;

	if (!s)
		return -ENOMEM;
	s->profile = strdup(opt->profile ? opt->profile : "default");
	if (!s->profile ||
	    asprintf(&s->where, "the keyring (Secret Service, profile %s)",
	             s->profile) < 0) {
		free(s->profile);
		free(s);
		return -ENOMEM;
	}
	rc = unlock_at_open(s, text, sizeof(text));
	if (rc < 0) {
		snprintf(why, why_size, "%s can't be used: %s", s->where,
		         text[0] ? text : strerror(-rc));
		service_close(s);
		return rc;
	}
	*out_self = s;
	return 0;
}

static const char *service_where(const void *self)
{
	const struct service *s = self;

	return s->where;
}

/* One conversation about one blob. */
static int talk(const struct service *s, const char *name,
                int (*say)(struct secret_bus *b, GHashTable *attributes,
                           void *arg),
                void *arg)
{
	GHashTable *attributes = attributes_of(s, name);
	struct secret_bus b;
	char why[200] = "";
	int rc = secret_bus_open(&b, LIMIT_MS, why, sizeof(why));

	if (rc == 0) {
		rc = say(&b, attributes, arg);
		secret_bus_close(&b);
	}
	g_hash_table_unref(attributes);
	if (rc < 0 && rc != -ENOENT)
		log_warn("keystore place=secret-service name=%s error=\"%s\"",
		         name, why[0] ? why : strerror(-rc));
	return rc;
}

struct blob {
	void *buf;
	size_t *out_len;
	SecretValue *value;
	const char *label;
};

static int say_get(struct secret_bus *b, GHashTable *attributes, void *arg)
{
	const struct blob *blob = arg;

	return load(b, attributes, blob->buf, blob->out_len);
}

static int say_put(struct secret_bus *b, GHashTable *attributes, void *arg)
{
	const struct blob *blob = arg;
	int rc = secret_bus_check_default(b, false);

	return rc < 0 ? rc
	              : secret_bus_store(b, &schema, attributes, blob->label,
	                                 blob->value);
}

static int say_delete(struct secret_bus *b, GHashTable *attributes, void *arg)
{
	GList *items;
	int rc = find(b, attributes, false, &items);

	(void)arg;
	if (rc < 0 || !items)
		return rc;
	secret_bus_free_list(items);
	return secret_bus_clear(b, &schema, attributes);
}

static int service_get(void *self, const char *name, void *buf, size_t *out_len)
{
	struct blob blob = { .buf = buf, .out_len = out_len };

	return talk(self, name, say_get, &blob);
}

static int service_put(void *self, const char *name, const void *secret,
                       size_t len)
{
	const struct service *s = self;
	struct blob blob = { .value = encode(secret, len) };
	char label[128];
	int rc;

	if (!blob.value)
		return -ENOMEM;
	snprintf(label, sizeof(label), "nmbackupfs: %s of profile %s", name,
	         s->profile);
	blob.label = label;
	rc = talk(s, name, say_put, &blob);
	secret_value_unref(blob.value);
	return rc;
}

static int service_del(void *self, const char *name)
{
	return talk(self, name, say_delete, NULL);
}

const struct keystore_backend keystore_service = {
	.name = "secret-service",
	.open = service_open,
	.close = service_close,
	.where = service_where,
	.get = service_get,
	.put = service_put,
	.del = service_del,
};

#endif
