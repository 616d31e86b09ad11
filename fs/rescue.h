/* fs/rescue.h -- brings a vault, or a part of it, back with nothing but the
 * account and a key that opens its descriptor: no state, no membership.
 *
 *	fs/rescue_find.c  which vault, its descriptor, where to begin
 *	fs/rescue_list.c  a folder with its names opened
 *	fs/rescue.c       the walk through the folders
 *	fs/rescue_work.c  several files at a time
 *
 * Without a descriptor content still opens, and names stay sealed. What is
 * damaged is reported and left out, the rest comes; nothing in the destination
 * is overwritten (fs/restore.h). Threads: one calls, workers are within. */
#ifndef NMB_RESCUE_H
#define NMB_RESCUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/age_header.h"
#include "auth/vault.h"
#include "fs/direct.h"
#include "fs/item.h"
#include "fs/restore.h"

struct codec;

/* ---- which vault --------------------------------------------------------- */

struct rescue_source {
	struct direct *direct;
	struct age_keys keys;   /* the recovery key's */
	bool content_only;      /* asked for, or because nothing else is left */
	struct vault_slot slot; /* empty without a descriptor */
	struct codec *codec;    /* NULL without */
	uint64_t generation;    /* of the descriptor */
	struct item start;
};

/* `what`: a folder's path on the drive, inside the vault with its plain names;
 * or an item's id. Sets s->start, and the vault it lies in. s->direct, keys and
 * content_only are set. -ENOENT: no such thing; -ENOKEY: the key doesn't open
 * the descriptor that is there. The line for people is in s->direct->why. */
int rescue_find(struct rescue_source *s, const char *what);
void rescue_source_done(struct rescue_source *s);

/* ---- a folder ------------------------------------------------------------ */

struct rescue_entry {
	char *id, *etag, *remote,
		*target; /* target NULL: none, or in content */
	bool is_folder, is_file, has_hash;
	uint8_t hash[NODE_HASH_SIZE];
	uint64_t sealed;
	int64_t created, mtime;
	struct restore_item it;
};
struct rescue_list {
	struct rescue_entry **entries;
	size_t n, cap;
	size_t foreign; /* what is no item of the vault: left out */
};

/* Sorted by name; of items with one name all but the first are called as a
 * mount calls them. */
int rescue_list(const struct rescue_source *s, struct direct *d,
                const char *folder_id, struct rescue_list *out);
void rescue_list_done(struct rescue_list *l);

/* One item; -EINVAL: foreign. */
int rescue_open_entry(const struct rescue_source *s, const struct item *it,
                      struct rescue_entry **out_e);
void rescue_entry_free(struct rescue_entry *e);
/* Fills *out from an entry, for direct_raw_read(). */
void rescue_entry_item(const struct rescue_entry *e, struct item *out);

/* ---- all of it ----------------------------------------------------------- */

struct rescue_counts {
	uint64_t files, bytes, folders, already, failed, foreign;
	bool interrupted, stopped; /* the disk is full and the like */
};

/* Everything at and below s->start into the directory `dest`. What goes wrong
 * with one item is said on standard error, and counted. */
int rescue_run(struct rescue_source *s, int dest, struct rescue_counts *out);

#endif
