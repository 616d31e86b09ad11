#include "auth/secret_bus.h"

#ifdef HAVE_LIBSECRET

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "net/clock.h"

#define GRACE_MS  1000  /* for a canceled call to come back */
#define PERSON_MS 60000 /* for somebody at a dialog */
#define LOOK_MS   100   /* how late we notice time and signals */

/* ---- one call ------------------------------------------------------------ */

/* On the heap: a call that is left behind may still come back. */
struct call {
	struct secret_bus *bus;
	GAsyncResult *result;
	bool left_behind;
};

static void on_result(GObject *source, GAsyncResult *result, gpointer call)
{
	struct call *c = call;

	(void)source;
	if (c->left_behind) {
		free(c);
		return;
	}
	c->result = g_object_ref(result);
}

static gboolean on_tick(gpointer unused)
{
	(void)unused;
	return G_SOURCE_REMOVE;
}

/* Lets the context work until something happened or the time is up. */
static void turn(GMainContext *context, int64_t ms)
{
	GSource *timer = g_timeout_source_new((guint)ms);

	g_source_set_callback(timer, on_tick, NULL, NULL);
	g_source_attach(timer, context);
	g_main_context_iteration(context, TRUE);
	g_source_destroy(timer);
	g_source_unref(timer);
}

static struct call *call_new(struct secret_bus *b)
{
	struct call *c = calloc(1, sizeof(*c));

	if (c)
		c->bus = b;
	return c;
}

/* A signal that would end the process waits until the mask is put back: make
 * that soon. */
static bool is_told_to_end(const struct secret_bus *b)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	sigset_t pending;

	sigpending(&pending);
	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
		if (sigismember(&pending, signals[i]) == 1 &&
		    sigismember(&b->old_mask, signals[i]) == 0)
			return true;
	}
	return false;
}

/* Frees the call. NULL: it did not come back. */
static GAsyncResult *call_wait(struct call *c)
{
	struct secret_bus *b = c->bus;
	GAsyncResult *result;
	int64_t until = b->until_ms;

	while (!c->result && clock_mono_ms() < until && !is_told_to_end(b))
		turn(b->context, LOOK_MS);
	if (!c->result) {
		b->until_ms = clock_mono_ms(); /* no other call either */
		until = b->until_ms + GRACE_MS;
		g_cancellable_cancel(b->cancel);
		while (!c->result && clock_mono_ms() < until)
			turn(b->context, LOOK_MS);
	}
	result = c->result;
	if (result)
		free(c);
	else
		c->left_behind = true;
	return result;
}

/* ---- errors -------------------------------------------------------------- */

static int late(struct secret_bus *b)
{
	snprintf(b->why, b->why_size, "the Secret Service does not answer");
	return -ETIMEDOUT;
}

static bool is_away(const GError *e)
{
	return g_error_matches(e, G_DBUS_ERROR, G_DBUS_ERROR_SERVICE_UNKNOWN) ||
	       g_error_matches(e, G_DBUS_ERROR,
	                       G_DBUS_ERROR_NAME_HAS_NO_OWNER) ||
	       g_error_matches(e, G_DBUS_ERROR, G_DBUS_ERROR_NO_REPLY) ||
	       g_error_matches(e, G_DBUS_ERROR, G_DBUS_ERROR_DISCONNECTED) ||
	       g_error_matches(e, G_DBUS_ERROR, G_DBUS_ERROR_NO_SERVER) ||
	       (e->domain == G_DBUS_ERROR &&
	        e->code >= G_DBUS_ERROR_SPAWN_EXEC_FAILED &&
	        e->code <= G_DBUS_ERROR_SPAWN_NO_MEMORY) ||
	       g_error_matches(e, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED) ||
	       g_error_matches(e, G_IO_ERROR, G_IO_ERROR_NOT_FOUND) ||
	       g_error_matches(e, G_IO_ERROR, G_IO_ERROR_CLOSED);
}

/* Frees the error. */
static int fail(struct secret_bus *b, GError *e)
{
	int rc = -EIO;

	if (g_error_matches(e, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
		rc = late(b);
	} else if (g_error_matches(e, SECRET_ERROR, SECRET_ERROR_IS_LOCKED)) {
		snprintf(b->why, b->why_size, "the keyring is locked");
		rc = -ENOKEY;
	} else {
		snprintf(b->why, b->why_size, "Secret Service: %s",
		         e ? e->message : "no answer");
		if (e && is_away(e))
			rc = -ENXIO;
	}
	if (e)
		g_error_free(e);
	return rc;
}

/* ---- open and close ------------------------------------------------------ */

bool secret_bus_exists(void)
{
	const char *address = getenv("DBUS_SESSION_BUS_ADDRESS");
	const char *dir = getenv("XDG_RUNTIME_DIR");
	struct stat st;
	char *path;
	bool there;

	if (address && *address)
		return true;
	if (!dir || !*dir || asprintf(&path, "%s/bus", dir) < 0)
		return false;
	there = stat(path, &st) == 0 && S_ISSOCK(st.st_mode);
	free(path);
	return there;
}

static int open_bus(struct secret_bus *b)
{
	struct call *c = call_new(b);
	GAsyncResult *r;
	GError *e = NULL;

	if (!c)
		return -ENOMEM;
	g_bus_get(G_BUS_TYPE_SESSION, b->cancel, on_result, c);
	r = call_wait(c);
	if (!r)
		return late(b);
	b->bus = g_bus_get_finish(r, &e);
	g_object_unref(r);
	if (!b->bus)
		return fail(b, e);
	/* The end of the desktop session is not the end of a mount. */
	g_dbus_connection_set_exit_on_close(b->bus, FALSE);
	return 0;
}

static int open_service(struct secret_bus *b)
{
	struct call *c = call_new(b);
	GAsyncResult *r;
	GError *e = NULL;

	if (!c)
		return -ENOMEM;
	secret_service_open(SECRET_TYPE_SERVICE, NULL,
	                    SECRET_SERVICE_OPEN_SESSION, b->cancel, on_result,
	                    c);
	r = call_wait(c);
	if (!r)
		return late(b);
	b->service = secret_service_open_finish(r, &e);
	g_object_unref(r);
	return b->service ? 0 : fail(b, e);
}

int secret_bus_open(struct secret_bus *b, int64_t limit_ms, char *why,
                    size_t why_size)
{
	sigset_t all;
	int rc = 0;

	*b = (struct secret_bus){
		.until_ms = clock_mono_ms() + limit_ms,
		.why = why,
		.why_size = why_size,
	};
	if (!secret_bus_exists()) {
		snprintf(why, why_size, "there is no session bus");
		return -ENXIO;
	}
	/* GLib's threads start here and stay: signals are not theirs. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &b->old_mask);
	b->context = g_main_context_new();
	g_main_context_push_thread_default(b->context);
	b->cancel = g_cancellable_new();
	rc = open_bus(b);
	if (rc == 0)
		rc = open_service(b);
	if (rc < 0)
		secret_bus_close(b);
	return rc;
}

void secret_bus_close(struct secret_bus *b)
{
	g_clear_object(&b->service);
	g_clear_object(&b->bus);
	while (g_main_context_iteration(b->context, FALSE))
		continue; /* what was to be told to those two */
	g_clear_object(&b->cancel);
	g_main_context_pop_thread_default(b->context);
	g_main_context_unref(b->context);
	pthread_sigmask(SIG_SETMASK, &b->old_mask, NULL);
}

/* ---- what is there ------------------------------------------------------- */

int secret_bus_search(struct secret_bus *b, const SecretSchema *schema,
                      GHashTable *attributes, GList **out)
{
	struct call *c = call_new(b);
	GAsyncResult *r;
	GError *e = NULL;

	if (!c)
		return -ENOMEM;
	secret_service_search(b->service, schema, attributes, SECRET_SEARCH_ALL,
	                      b->cancel, on_result, c);
	r = call_wait(c);
	if (!r)
		return late(b);
	*out = secret_service_search_finish(b->service, r, &e);
	g_object_unref(r);
	return e ? fail(b, e) : 0;
}

void secret_bus_free_list(GList *items)
{
	g_list_free_full(items, g_object_unref);
}

static bool has_display(void)
{
	const char *x = getenv("DISPLAY"), *wayland = getenv("WAYLAND_DISPLAY");

	return (x && *x) || (wayland && *wayland);
}

int secret_bus_unlock(struct secret_bus *b, GList *objects)
{
	GList *unlocked = NULL;
	struct call *c;
	GAsyncResult *r;
	GError *e = NULL;
	guint n;

	snprintf(b->why, b->why_size, "the keyring is locked%s",
	         has_display() ? "" : ", and there is no display to ask on");
	if (!has_display())
		return -ENOKEY;
	c = call_new(b);
	if (!c)
		return -ENOMEM;
	b->until_ms = clock_mono_ms() + PERSON_MS;
	secret_service_unlock(b->service, objects, b->cancel, on_result, c);
	r = call_wait(c);
	if (!r)
		return late(b);
	secret_service_unlock_finish(b->service, r, &unlocked, &e);
	g_object_unref(r);
	n = g_list_length(unlocked);
	secret_bus_free_list(unlocked);
	if (e)
		return fail(b, e);
	return n == g_list_length(objects) ? 0 : -ENOKEY;
}

int secret_bus_check_default(struct secret_bus *b, bool unlock)
{
	struct call *c = call_new(b);
	SecretCollection *keyring;
	GAsyncResult *r;
	GError *e = NULL;
	int rc = 0;

	if (!c)
		return -ENOMEM;
	secret_collection_for_alias(b->service, SECRET_COLLECTION_DEFAULT,
	                            SECRET_COLLECTION_NONE, b->cancel,
	                            on_result, c);
	r = call_wait(c);
	if (!r)
		return late(b);
	keyring = secret_collection_for_alias_finish(r, &e);
	g_object_unref(r);
	if (e)
		return fail(b, e);
	if (!keyring) {
		snprintf(b->why, b->why_size, "there is no default keyring");
		return -ENOKEY;
	}
	if (secret_collection_get_locked(keyring)) {
		GList one = { .data = keyring };

		snprintf(b->why, b->why_size, "the keyring is locked");
		rc = unlock ? secret_bus_unlock(b, &one) : -ENOKEY;
	}
	g_object_unref(keyring);
	return rc;
}

/* ---- secrets ------------------------------------------------------------- */

int secret_bus_load(struct secret_bus *b, SecretItem *item, SecretValue **out)
{
	struct call *c = call_new(b);
	SecretValue *value;
	GAsyncResult *r;
	GError *e = NULL;

	if (!c)
		return -ENOMEM;
	secret_item_load_secret(item, b->cancel, on_result, c);
	r = call_wait(c);
	if (!r)
		return late(b);
	secret_item_load_secret_finish(item, r, &e);
	g_object_unref(r);
	if (e)
		return fail(b, e);
	value = secret_item_get_secret(item);
	if (!value) {
		snprintf(b->why, b->why_size, "the keyring is locked");
		return -ENOKEY;
	}
	*out = value;
	return 0;
}

int secret_bus_store(struct secret_bus *b, const SecretSchema *schema,
                     GHashTable *attributes, const char *label,
                     SecretValue *value)
{
	struct call *c = call_new(b);
	GAsyncResult *r;
	GError *e = NULL;
	bool stored;

	if (!c)
		return -ENOMEM;
	secret_service_store(b->service, schema, attributes,
	                     SECRET_COLLECTION_DEFAULT, label, value, b->cancel,
	                     on_result, c);
	r = call_wait(c);
	if (!r)
		return late(b);
	stored = secret_service_store_finish(b->service, r, &e);
	g_object_unref(r);
	return stored ? 0 : fail(b, e);
}

int secret_bus_clear(struct secret_bus *b, const SecretSchema *schema,
                     GHashTable *attributes)
{
	struct call *c = call_new(b);
	GAsyncResult *r;
	GError *e = NULL;

	if (!c)
		return -ENOMEM;
	secret_service_clear(b->service, schema, attributes, b->cancel,
	                     on_result, c);
	r = call_wait(c);
	if (!r)
		return late(b);
	secret_service_clear_finish(b->service, r, &e); /* FALSE: no item */
	g_object_unref(r);
	return e ? fail(b, e) : 0;
}

#endif
