/* fs/salvage.h -- content of a database that can't be trusted.
 *
 * What such a database still says about a content file decides nothing but its
 * place in quarantine/, so that a person finds it again:
 *
 *	STAMP-unsent/PATH   was not on the server yet
 *	STAMP-cached/PATH   was; nobody needs it, once the mount shows the same
 *
 * An unsent file of which only parts were here has ".incomplete" behind its
 * name, one that was replaced but still needed ".previous". What no row is
 * found for stays where it is: contents_scan() moves it.
 *
 * Can be repeated after it died. Nothing is removed or replaced. Threads: one,
 * nobody else has the directory. */
#ifndef NMB_SALVAGE_H
#define NMB_SALVAGE_H

struct salvage {
	unsigned unsent, cached, unnamed;
};

/* `stamp`: of store_mark_damaged(). 0 or -Exxx, with what was moved until
 * then. */
int salvage_content(const char *state_dir, const char *stamp,
                    struct salvage *out);

#endif
