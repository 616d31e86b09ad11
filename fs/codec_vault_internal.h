/* fs/codec_vault_internal.h -- between the files of the vault's codec.
 *
 *	codec_vault.c        sizes, the table of functions
 *	codec_vault_names.c  names with attributes
 *	codec_vault_read.c   opening a version
 *	codec_vault_write.c  sealing one */
#ifndef NMB_CODEC_VAULT_INTERNAL_H
#define NMB_CODEC_VAULT_INTERNAL_H

#include "auth/vault.h"
#include "fs/codec.h"

struct vault_codec {
	struct vault_slot *slot;
	uid_t uid; /* of whoever mounted */
	gid_t gid;
};

static inline const struct vault_codec *vault_codec_of(const struct codec *c)
{
	return c->state;
}

/* A reference of the caller's own. */
struct vault *vault_codec_get(const struct codec *c);

/* codec_vault_names.c; see struct codec_ops */
int vault_seal_name(const struct codec *c, const struct node *n,
                    const char *target, char *out, const char **out_why);
int vault_name_units(const struct codec *c, const struct node *n,
                     const char *target, unsigned *out_units);
int vault_open_name(const struct codec *c, const char *remote, struct node *n,
                    char *target);
bool vault_target_in_content(const struct codec *c, const struct node *n,
                             const char *target);

/* codec_vault_read.c */
int vault_reader_new(const struct codec *c, uint64_t sealed,
                     const struct codec_bond *known,
                     struct codec_reader **out_r);
void vault_reader_free(struct codec_reader *r);
int vault_reader_needs(struct codec_reader *r, unsigned i, uint64_t *out_off,
                       uint64_t *out_len);
int vault_reader_feed(struct codec_reader *r, uint64_t off, const void *data,
                      size_t len, const char **out_why);
int vault_reader_take(struct codec_reader *r, uint64_t *out_idx,
                      const void **out_plain, size_t *out_len);
void vault_reader_range(struct codec_reader *r, uint64_t idx, uint64_t *out_off,
                        uint64_t *out_len);
ssize_t vault_reader_open(struct codec_reader *r, uint64_t idx,
                          const void *sealed, size_t len, void *out);
uint64_t vault_reader_size(struct codec_reader *r);
void vault_reader_bond(struct codec_reader *r, struct codec_bond *out);
int vault_read_header(const struct codec *c, const void *data, size_t len,
                      struct codec_bond *out, const char **out_why);

/* codec_vault_write.c */
int vault_writer_new(const struct codec *c, uint64_t plain, bool fresh,
                     const struct codec_bond *base, const char *path,
                     struct codec_seed *seed, struct codec_writer **out_w);
void vault_writer_free(struct codec_writer *w);
bool vault_writer_is_current(const struct codec *c,
                             const struct codec_writer *w);
int vault_writer_read(struct codec_writer *w, codec_source_fn *source,
                      void *arg, void *buf, size_t len, uint64_t off);
size_t vault_writer_tags(struct codec_writer *w, uint64_t first, size_t n,
                         void *out);
int vault_writer_expect(struct codec_writer *w, uint64_t first, size_t n,
                        const void *tags);

#endif
