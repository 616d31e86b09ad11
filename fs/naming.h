/* fs/naming.h -- the name on the server of a row of the tree: fs/codec.h with
 * what the codec needs besides the row.
 *
 * Threads and errors: as fs/db.h, and those of codec_ops.seal_name. */
#ifndef NMB_NAMING_H
#define NMB_NAMING_H

struct codec;
struct db;
struct node;

/* `out` takes NODE_REMOTE_MAX + 1 bytes; *out_why is one static line. */
int naming_seal(const struct codec *c, struct db *db, const struct node *n,
                char *out, const char **out_why);

/* `target`: of a symlink that is no row yet, else NULL. */
int naming_units(const struct codec *c, struct db *db, const struct node *n,
                 const char *target, unsigned *out_units);

/* `out` takes NODE_NAME_MAX + 1. naming_mark(): "NAME" + `mark` + ".EXT", the
 * name cut at a character if need be; `out` is not `name`. naming_alias(): how
 * an item is shown whose name is taken, or can't be shown; on all devices alike
 * (design: "Vault"). */
void naming_mark(const char *name, const char *mark, char *out);
void naming_alias(const struct codec *c, const char *name, const char *item_id,
                  char *out);

#endif
