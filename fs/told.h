/* fs/told.h -- which items something new was heard of lately, and when.
 *
 * Answers overtake each other. What a GET or a listing says of an item may be
 * older than what the feed told, or a request of ours confirmed, while it was
 * under way; the feed does not tell it again, so taking the older one would be
 * for good. Whoever asks notes the moment first, and asks again if the item
 * was heard of since. In memory only: answers don't survive the program.
 * Threads: the engine's only. */
#ifndef NMB_TOLD_H
#define NMB_TOLD_H

#include <stdbool.h>
#include <stdint.h>

struct told;

struct told *told_new(void); /* NULL: no memory */
void told_free(struct told *t);

void told_note(struct told *t, const char *id);

/* Now, as a moment for told_since(); never 0. */
uint64_t told_now(const struct told *t);

/* A tag that the item had before one which is known by now: what comes with it
 * is old. Of the last few thousand; the ledger has those of our own writes. */
void told_note_tag(struct told *t, const char *id, const char *etag);
bool told_had_tag(const struct told *t, const char *id, const char *etag);

/* Also true if that moment is too long ago to know. */
bool told_since(const struct told *t, const char *id, uint64_t moment);

#endif
