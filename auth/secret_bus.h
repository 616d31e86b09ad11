/* auth/secret_bus.h -- calls to the Secret Service that end in time.
 *
 * The service is another program behind the session bus: it may be away, hang,
 * or wait for a person who isn't there. Every conversation here has a deadline
 * for all of its calls together; who is late is canceled, and who does not even
 * answer that is left behind. A conversation opens the bus and the service and
 * closes them, so that a service that was restarted is found again.
 *
 * Only with libsecret (HAVE_LIBSECRET). Specification: freedesktop.org, "Secret
 * Service API Draft". Threads: one per conversation. Errors: 0, -ENXIO (no bus,
 * no service), -ENOKEY (locked, or no keyring to write to), -ETIMEDOUT,
 * -ENOMEM, -EIO; `why` gets one line. Internal to auth/. */
#ifndef NMB_SECRET_BUS_H
#define NMB_SECRET_BUS_H

#ifdef HAVE_LIBSECRET

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include <libsecret/secret.h>

struct secret_bus {
	GMainContext *context;
	GCancellable *cancel;
	GDBusConnection *bus;
	SecretService *service;
	int64_t until_ms; /* mono */
	sigset_t old_mask;
	char *why;
	size_t why_size;
};

/* True if there is a session bus at all. Asks nobody. */
bool secret_bus_exists(void);

/* On an error nothing is left open. */
int secret_bus_open(struct secret_bus *b, int64_t limit_ms, char *why,
                    size_t why_size);
void secret_bus_close(struct secret_bus *b);

/* The items of the attributes; *out is to be freed with secret_bus_free_list().
 */
int secret_bus_search(struct secret_bus *b, const SecretSchema *schema,
                      GHashTable *attributes, GList **out);
void secret_bus_free_list(GList *items);

/* The keyring new items go to: -ENOKEY if there is none, or if it is locked
 * and `unlock` is false or did not help. */
int secret_bus_check_default(struct secret_bus *b, bool unlock);

/* Unlocks where a person can be asked (there is a display), who gets a minute;
 * -ENOKEY else. */
int secret_bus_unlock(struct secret_bus *b, GList *objects);

/* *out is to be unreferenced with secret_value_unref(). */
int secret_bus_load(struct secret_bus *b, SecretItem *item, SecretValue **out);
int secret_bus_store(struct secret_bus *b, const SecretSchema *schema,
                     GHashTable *attributes, const char *label,
                     SecretValue *value);
int secret_bus_clear(struct secret_bus *b, const SecretSchema *schema,
                     GHashTable *attributes);

#endif
#endif
