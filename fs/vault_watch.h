/* fs/vault_watch.h -- keeps a mount at the vault's newest generation.
 *
 * Nothing is sealed for upload with a descriptor that has been replaced (facts/
 * security.md note 12): the engine's gate is closed from the start until the
 * descriptor was looked at, and from the moment at which the feed shows another
 * one until that was read. A descriptor that is not taken (rolled back, forged,
 * this device removed) keeps it closed; reads go on with the keys known.
 *
 * One thread, which waits for the network. */
#ifndef NMB_VAULT_WATCH_H
#define NMB_VAULT_WATCH_H

struct engine;
struct membership;
struct session;
struct store;
struct vault_watch;

struct vault_watch_options {
	struct membership *membership; /* the thread's own from now on, but for
	                                * its slot */
	struct session *session;
	struct store *store;
	struct engine *engine;
};

int vault_watch_new(const struct vault_watch_options *opt,
                    struct vault_watch **out_w);

/* The feed showed a descriptor, or the network came back. Any thread. */
void vault_watch_poke(struct vault_watch *w);

/* The engine is not called any more. Before engine_free(), which ends the
 * requests that the thread may wait for; then vault_watch_free(). Both take
 * NULL. */
void vault_watch_stop(struct vault_watch *w);
void vault_watch_free(struct vault_watch *w);

#endif
