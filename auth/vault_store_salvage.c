#include "auth/vault_store_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Generations under their number: of more than these something is wrong. */
#define KEPT_MAX 16

struct kept {
	struct object file[KEPT_MAX];
	size_t count;
};

static int on_child(void *arg, const struct object *child)
{
	struct kept *k = arg;

	if (child->is_file && vault_store_generation_of(child->name) &&
	    k->count < KEPT_MAX)
		k->file[k->count++] = *child;
	return 0;
}

static int newest_first(const void *a, const void *b)
{
	uint64_t x =
		vault_store_generation_of(((const struct object *)a)->name);
	uint64_t y =
		vault_store_generation_of(((const struct object *)b)->name);

	return x > y ? -1 : x < y;
}

static int open_one(const struct objects *o, const struct object *file,
                    const struct age_keys *keys, struct descriptor **out_d)
{
	char why[DESCRIPTOR_WHY] = "";
	struct buf sealed = BUF_INIT;
	int rc = objects_read(o, file, DESCRIPTOR_SEAL_MAX, &sealed);

	if (rc == 0)
		rc = descriptor_open(sealed.data, sealed.len, keys, out_d, why);
	buf_done(&sealed);
	return rc;
}

static int try_kept(struct vault_store *s, const struct objects *o,
                    const struct age_keys *keys, struct descriptor **out_d)
{
	struct kept *k = calloc(1, sizeof(*k));
	int rc = k ? vault_store_open_folder(s, o) : -ENOMEM;

	if (rc == 0)
		rc = objects_list(o, s->folder.id, on_child, k);
	if (rc == 0) {
		qsort(k->file, k->count, sizeof(k->file[0]), newest_first);
		rc = -ENOENT;
		for (size_t i = 0; i < k->count && rc != 0; i++)
			rc = open_one(o, &k->file[i], keys, out_d);
	}
	free(k);
	return rc;
}

int vault_store_salvage(struct vault_store *s, const struct age_keys *keys,
                        struct descriptor **out_d, char *why)
{
	char aside[VAULT_STORE_WHY];
	struct objects o = vault_store_calls(s, aside);
	struct pin pin;
	int rc = vault_store_load(s, keys, NULL, out_d, &pin, why);

	if ((rc == -ENOENT || rc == -EBADMSG) &&
	    try_kept(s, &o, keys, out_d) == 0) {
		why[0] = '\0';
		rc = 0;
	}
	return rc;
}
