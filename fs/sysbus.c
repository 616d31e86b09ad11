#include "fs/sysbus.h"

#ifdef HAVE_GIO

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include <gio/gio.h>
#include <gio/gunixfdlist.h>

#include "net/log.h"

#define LOGIND      "org.freedesktop.login1"
#define LOGIND_PATH "/org/freedesktop/login1"
#define LOGIND_IF   "org.freedesktop.login1.Manager"
#define NM          "org.freedesktop.NetworkManager"
#define NM_PATH     "/org/freedesktop/NetworkManager"
#define PROPS       "org.freedesktop.DBus.Properties"

#define CALL_MS 10000
#define LOOK_MS 500 /* what changes meanwhile is looked at together */
#define AWAKE_S 60  /* a sleep that was announced and did not come */

struct sysbus {
	struct sysbus_options opt;
	GMainContext *context;
	GMainLoop *loop;
	GCancellable *cancel;
	pthread_t thread;
	bool started;
	atomic_bool touched;

	/* The thread's. */
	GDBusConnection *bus;
	bool sleeping, metered;
	unsigned calls; /* without an answer */
	GSource *awake; /* AWAKE_S */
	/* Inhibitors; -1: none. */
	int delay_fd, block_fd;
	bool block_asked, block_failed, wants_block;
};

/* ---- inhibitors ---------------------------------------------------------- */

static void drop_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* The descriptor in the answer to Inhibit(), or -1. */
static int take_inhibitor(GObject *bus, GAsyncResult *res, const char *what)
{
	GUnixFDList *fds = NULL;
	GError *error = NULL;
	gint32 index = 0;
	int fd = -1;
	GVariant *v = g_dbus_connection_call_with_unix_fd_list_finish(
		G_DBUS_CONNECTION(bus), &fds, res, &error);

	if (v) {
		g_variant_get(v, "(h)", &index);
		fd = fds ? g_unix_fd_list_get(fds, index, &error) : -1;
		g_variant_unref(v);
	}
	if (fd < 0 && !g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
		log_warn("logind gives no inhibitor what=%s error=\"%s\"", what,
		         error ? error->message : "none");
	g_clear_object(&fds);
	g_clear_error(&error);
	return fd;
}

static void inhibit(struct sysbus *s, const char *what, const char *why,
                    const char *mode, GAsyncReadyCallback done)
{
	s->calls++;
	g_dbus_connection_call_with_unix_fd_list(
		s->bus, LOGIND, LOGIND_PATH, LOGIND_IF, "Inhibit",
		g_variant_new("(ssss)", what, "nmbackupfs", why, mode),
		G_VARIANT_TYPE("(h)"), G_DBUS_CALL_FLAGS_NO_AUTO_START, CALL_MS,
		NULL, s->cancel, done, s);
}

static void on_delay(GObject *bus, GAsyncResult *res, gpointer arg)
{
	int fd = take_inhibitor(bus, res, "sleep");
	struct sysbus *s = arg;

	s->calls--;
	if (s->sleeping || s->delay_fd >= 0)
		drop_fd(&fd);
	else
		s->delay_fd = fd;
}

static void delay_sleep(struct sysbus *s)
{
	inhibit(s, "sleep", "reads end and connections close first", "delay",
	        on_delay);
}

static void look_pending(struct sysbus *s);

static void on_block(GObject *bus, GAsyncResult *res, gpointer arg)
{
	int fd = take_inhibitor(bus, res, "shutdown");
	struct sysbus *s = arg;

	s->calls--;
	s->block_asked = false;
	s->block_failed = fd < 0; /* not asked again and again */
	s->block_fd = fd;
	if (fd >= 0)
		log_info("a shutdown waits for uploads");
	look_pending(s);
}

static void look_pending(struct sysbus *s)
{
	s->wants_block = s->opt.inhibit_shutdown && s->opt.pending(s->opt.arg);
	if (!s->wants_block) {
		if (s->block_fd >= 0)
			log_info("a shutdown does not wait any more");
		drop_fd(&s->block_fd);
	} else if (s->block_fd < 0 && !s->block_asked && !s->block_failed) {
		s->block_asked = true;
		inhibit(s, "shutdown", "files are being backed up", "block",
		        on_block);
	}
}

static gboolean on_look(gpointer arg)
{
	struct sysbus *s = arg;

	atomic_store(&s->touched, false);
	look_pending(s);
	return G_SOURCE_REMOVE;
}

void sysbus_touch(void *sysbus)
{
	struct sysbus *s = sysbus;
	GSource *source;

	if (!s || !s->opt.inhibit_shutdown ||
	    atomic_exchange(&s->touched, true))
		return;
	source = g_timeout_source_new(LOOK_MS);
	g_source_set_callback(source, on_look, s, NULL);
	g_source_attach(source, s->context);
	g_source_unref(source);
}

/* ---- sleep --------------------------------------------------------------- */

static void end_sleep(struct sysbus *s)
{
	if (s->awake) {
		g_source_destroy(s->awake);
		g_source_unref(s->awake);
		s->awake = NULL;
	}
	if (!s->sleeping)
		return;
	s->sleeping = false;
	s->opt.sleeps(s->opt.arg, false);
}

static gboolean on_awake(gpointer arg)
{
	struct sysbus *s = arg;

	log_info("sleep was announced and did not come");
	end_sleep(s);
	delay_sleep(s);
	return G_SOURCE_REMOVE;
}

static void begin_sleep(struct sysbus *s)
{
	if (!s->sleeping) {
		s->sleeping = true;
		s->opt.sleeps(s->opt.arg, true);
		s->awake = g_timeout_source_new_seconds(AWAKE_S);
		g_source_set_callback(s->awake, on_awake, s, NULL);
		g_source_attach(s->awake, s->context);
	}
	drop_fd(&s->delay_fd); /* now it may */
}

static void on_prepare(GDBusConnection *bus, const char *sender,
                       const char *path, const char *interface,
                       const char *signal, GVariant *args, gpointer arg)
{
	struct sysbus *s = arg;
	gboolean begins;

	(void)bus;
	(void)sender;
	(void)path;
	(void)interface;
	(void)signal;
	if (!g_variant_is_of_type(args, G_VARIANT_TYPE("(b)")))
		return;
	g_variant_get(args, "(b)", &begins);
	if (begins) {
		begin_sleep(s);
	} else {
		end_sleep(s);
		delay_sleep(s);
	}
}

static void on_logind(GDBusConnection *bus, const char *name, const char *owner,
                      gpointer arg)
{
	struct sysbus *s = arg;

	(void)bus;
	(void)name;
	(void)owner;
	delay_sleep(s);
	look_pending(s);
}

static void on_no_logind(GDBusConnection *bus, const char *name, gpointer arg)
{
	struct sysbus *s = arg;

	(void)bus;
	(void)name;
	drop_fd(&s->delay_fd);
	drop_fd(&s->block_fd);
	s->block_failed = false;
	end_sleep(s);
}

/* ---- metered ------------------------------------------------------------- */

/* NMMetered: 1 yes, 3 guess-yes. */
static void set_metered(struct sysbus *s, guint32 value)
{
	bool metered = value == 1 || value == 3;

	if (metered == s->metered)
		return;
	s->metered = metered;
	s->opt.metered(s->opt.arg, metered);
}

static void take_value(struct sysbus *s, GVariant *v)
{
	if (g_variant_is_of_type(v, G_VARIANT_TYPE_UINT32))
		set_metered(s, g_variant_get_uint32(v));
}

static void on_got(GObject *bus, GAsyncResult *res, gpointer arg)
{
	struct sysbus *s = arg;
	GError *error = NULL;
	GVariant *value, *v = g_dbus_connection_call_finish(
				 G_DBUS_CONNECTION(bus), res, &error);

	s->calls--;
	if (v) {
		g_variant_get(v, "(v)", &value);
		take_value(s, value);
		g_variant_unref(value);
		g_variant_unref(v);
	} else if (!g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
		log_warn("NetworkManager does not say whether the connection "
		         "is metered error=\"%s\"",
		         error->message);
	}
	g_clear_error(&error);
}

static void on_property(GDBusConnection *bus, const char *sender,
                        const char *path, const char *interface,
                        const char *signal, GVariant *args, gpointer arg)
{
	GVariant *changed, *value;

	(void)bus;
	(void)sender;
	(void)path;
	(void)interface;
	(void)signal;
	if (!g_variant_is_of_type(args, G_VARIANT_TYPE("(sa{sv}as)")))
		return;
	changed = g_variant_get_child_value(args, 1);
	value = g_variant_lookup_value(changed, "Metered",
	                               G_VARIANT_TYPE_UINT32);
	if (value) {
		take_value(arg, value);
		g_variant_unref(value);
	}
	g_variant_unref(changed);
}

static void on_nm(GDBusConnection *bus, const char *name, const char *owner,
                  gpointer arg)
{
	struct sysbus *s = arg;

	(void)name;
	(void)owner;
	s->calls++;
	g_dbus_connection_call(
		bus, NM, NM_PATH, PROPS, "Get",
		g_variant_new("(ss)", NM, "Metered"), G_VARIANT_TYPE("(v)"),
		G_DBUS_CALL_FLAGS_NO_AUTO_START, CALL_MS, s->cancel, on_got, s);
}

static void on_no_nm(GDBusConnection *bus, const char *name, gpointer arg)
{
	(void)bus;
	(void)name;
	set_metered(arg, 0);
}

/* ---- the thread ---------------------------------------------------------- */

static void on_closed(GDBusConnection *bus, gboolean asked, GError *error,
                      gpointer arg)
{
	struct sysbus *s = arg;

	(void)bus;
	(void)error;
	if (!asked)
		log_warn("the system's bus is gone");
	g_main_loop_quit(s->loop);
}

static bool connect_bus(struct sysbus *s)
{
	GError *error = NULL;
	char *address = g_dbus_address_get_for_bus_sync(G_BUS_TYPE_SYSTEM,
	                                                s->cancel, &error);

	if (address)
		s->bus = g_dbus_connection_new_for_address_sync(
			address,
			G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
				G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
			NULL, s->cancel, &error);
	g_free(address);
	if (!s->bus && s->opt.watch_metered)
		log_warn("no system bus error=\"%s\": metered connections are "
		         "not noticed",
		         error ? error->message : "none");
	else if (!s->bus)
		log_debug("no system bus: %s", error ? error->message : "none");
	g_clear_error(&error);
	return s->bus;
}

struct watches {
	guint sleep, property, logind, nm;
};

static void subscribe(struct sysbus *s, struct watches *w)
{
	w->sleep = g_dbus_connection_signal_subscribe(
		s->bus, LOGIND, LOGIND_IF, "PrepareForSleep", LOGIND_PATH, NULL,
		G_DBUS_SIGNAL_FLAGS_NONE, on_prepare, s, NULL);
	w->logind = g_bus_watch_name_on_connection(
		s->bus, LOGIND, G_BUS_NAME_WATCHER_FLAGS_NONE, on_logind,
		on_no_logind, s, NULL);
	if (!s->opt.watch_metered)
		return;
	w->property = g_dbus_connection_signal_subscribe(
		s->bus, NM, PROPS, "PropertiesChanged", NM_PATH, NM,
		G_DBUS_SIGNAL_FLAGS_NONE, on_property, s, NULL);
	w->nm = g_bus_watch_name_on_connection(s->bus, NM,
	                                       G_BUS_NAME_WATCHER_FLAGS_NONE,
	                                       on_nm, on_no_nm, s, NULL);
}

static void unsubscribe(struct sysbus *s, const struct watches *w)
{
	g_dbus_connection_signal_unsubscribe(s->bus, w->sleep);
	g_bus_unwatch_name(w->logind);
	if (w->property)
		g_dbus_connection_signal_unsubscribe(s->bus, w->property);
	if (w->nm)
		g_bus_unwatch_name(w->nm);
}

/* Calls under way come back now, cancelled, while `s` is there. */
static void run_rest(struct sysbus *s)
{
	g_cancellable_cancel(s->cancel);
	while (s->calls)
		g_main_context_iteration(s->context, TRUE);
}

static void *sysbus_run(void *arg)
{
	struct sysbus *s = arg;
	struct watches w = { 0 };

	g_main_context_push_thread_default(s->context);
	if (connect_bus(s)) {
		g_signal_connect(s->bus, "closed", G_CALLBACK(on_closed), s);
		subscribe(s, &w);
		g_main_loop_run(s->loop);
		unsubscribe(s, &w);
		g_signal_handlers_disconnect_by_data(s->bus, s);
		run_rest(s);
		end_sleep(s);
		set_metered(s, 0);
		drop_fd(&s->delay_fd);
		drop_fd(&s->block_fd);
		g_dbus_connection_close_sync(s->bus, NULL, NULL);
		g_clear_object(&s->bus);
	}
	g_main_context_pop_thread_default(s->context);
	return NULL;
}

/* ---- life ---------------------------------------------------------------- */

int sysbus_new(const struct sysbus_options *opt, struct sysbus **out_s)
{
	struct sysbus *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->opt = *opt;
	s->delay_fd = s->block_fd = -1;
	s->context = g_main_context_new();
	s->loop = g_main_loop_new(s->context, FALSE);
	s->cancel = g_cancellable_new();
	*out_s = s;
	return 0;
}

int sysbus_start(struct sysbus *s)
{
	int rc = s ? -pthread_create(&s->thread, NULL, sysbus_run, s) : 0;

	if (s)
		s->started = rc == 0;
	return rc;
}

static gboolean on_stop(gpointer arg)
{
	struct sysbus *s = arg;

	g_main_loop_quit(s->loop);
	return G_SOURCE_REMOVE;
}

void sysbus_stop(struct sysbus *s)
{
	GSource *source;

	if (!s || !s->started)
		return;
	g_cancellable_cancel(s->cancel);
	source = g_idle_source_new(); /* once the loop runs, if it will */
	g_source_set_callback(source, on_stop, s, NULL);
	g_source_attach(source, s->context);
	g_source_unref(source);
	pthread_join(s->thread, NULL);
	s->started = false;
}

void sysbus_free(struct sysbus *s)
{
	if (!s)
		return;
	g_object_unref(s->cancel);
	g_main_loop_unref(s->loop);
	g_main_context_unref(s->context);
	free(s);
}

#endif
