/* auth/descriptor.h -- the vault's descriptor: its keys and who may have them.
 *
 * A JSON document (facts/names.md C2), at most 1 MiB, sealed as an age file to
 * all members:
 *
 *	{ "format": "nmbackupfs-vault", "version": 1,
 *	  "vault_id": "<32 hex>", "generation": 12,
 *	  "written": "<RFC 3339>", "written_by": "laptop",
 *	  "content": { "cipher": "age-v1", "slots": 2, "header_len": 407,
 *	               "bind": 1 },
 *	  "names": { "cipher": "siv-blake2b-xchacha20", "text": "cjk14",
 *	             "pad": 7, "key": "<64 hex>" },
 *	  "auth": { "key": "<64 hex>", "previous": "<64 hex>" },
 *	  "epochs": [ { "n": 1, "recipient": "age1...",
 *	                "identity": "AGE-SECRET-KEY-1...", "active": true,
 *	                "auth": "<64 hex>" } ],
 *	  "members": [ { "label": "laptop", "kind": "device",
 *	                 "recipient": "age1..." } ],
 *	  "removed": [ { "label": "phone", "recipient": "age1...",
 *	                 "generation": 9 } ] }
 *
 * "previous" is there for one generation after the auth key changed. "auth" of
 * an epoch is the auth key of its time, absent while that is still the present
 * one: without it the bind stanzas (auth/bind) of older files would open no
 * more once a member was removed. Members of an object that this release
 * doesn't know survive a rewrite. A higher "version" can be read as far as it
 * is understood, but not changed.
 *
 * A descriptor never changes once it is finished: a change begins with
 * descriptor_next(), a copy that is the next generation, and ends with
 * descriptor_finish(). All of it is in sodium_malloc() memory.
 *
 * Threads: any, one at a time while it is not finished. Errors: 0 or -Exxx;
 * `why`, where there is one, gets one line for people. */
#ifndef NMB_DESCRIPTOR_H
#define NMB_DESCRIPTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/age_header.h"
#include "auth/age_key.h"
#include "auth/bind.h"
#include "auth/name_text.h"
#include "auth/seal_names.h"

struct buf;

#define DESCRIPTOR_MAX       (1u << 20)                    /* bytes of JSON */
#define DESCRIPTOR_SEAL_MAX  (DESCRIPTOR_MAX + (1u << 17)) /* sealed */
#define DESCRIPTOR_VERSION   1
#define DESCRIPTOR_LABEL_MAX 64 /* bytes */
#define DESCRIPTOR_HASH_SIZE 32
#define DESCRIPTOR_MEMBERS   AGE_STANZAS_MAX
#define DESCRIPTOR_EPOCHS    256
#define DESCRIPTOR_REMOVED   256 /* the oldest fall out */
#define DESCRIPTOR_WHY       256

/* Of a header with two recipients and the bind stanza: 70 + 98 * 2 + 141. */
#define DESCRIPTOR_SLOTS      2
#define DESCRIPTOR_HEADER_LEN 407

enum descriptor_kind {
	DESCRIPTOR_DEVICE,
	DESCRIPTOR_RECOVERY,
};

struct descriptor_member {
	char label[DESCRIPTOR_LABEL_MAX + 1];
	enum descriptor_kind kind;
	struct age_recipient recipient;
};

struct descriptor_removed {
	char label[DESCRIPTOR_LABEL_MAX + 1];
	struct age_recipient recipient;
	uint64_t generation; /* the first one without it */
};

struct descriptor_epoch {
	uint32_t n;
	bool active; /* exactly one is */
	struct age_recipient recipient;
	uint8_t secret[AGE_KEY_SIZE];
	bool has_auth; /* false: that of the descriptor */
	uint8_t auth_key[BIND_AUTH_SIZE];
};

struct descriptor {
	unsigned version;
	bool read_only; /* of a newer release */
	uint8_t vault_id[BIND_VAULT_SIZE];
	uint64_t generation;
	int64_t written_ns;
	char written_by[DESCRIPTOR_LABEL_MAX + 1];

	size_t slots, header_len; /* of content */
	enum name_text names_text;
	unsigned pad;
	uint8_t name_key[SEAL_NAMES_KEY_SIZE];

	uint8_t auth_key[BIND_AUTH_SIZE];
	bool has_previous;
	uint8_t previous[BIND_AUTH_SIZE];

	size_t epoch_count, member_count, removed_count;
	struct descriptor_epoch epochs[DESCRIPTOR_EPOCHS];
	struct descriptor_member members[DESCRIPTOR_MEMBERS];
	struct descriptor_removed removed[DESCRIPTOR_REMOVED];

	/* The document itself; of the generation before while this one isn't
	 * finished, NULL in a new vault. */
	char *text; /* sodium_malloc() */
	size_t text_len;
	uint8_t hash[DESCRIPTOR_HASH_SIZE]; /* BLAKE2b-256 of `text` */
};

/* ---- reading ------------------------------------------------------------- */

/* Strict: -EBADMSG: no descriptor, or one that contradicts itself; -ENOTSUP: it
 * needs something this release doesn't have; -EFBIG; -ENOMEM. */
int descriptor_parse(const char *text, size_t len, struct descriptor **out_d,
                     char why[DESCRIPTOR_WHY]);

/* A sealed one. As above, and the errors of auth/age_error.h: AGE_NO_MATCH is
 * "not a member". */
int descriptor_open(const void *file, size_t len, const struct age_keys *keys,
                    struct descriptor **out_d, char why[DESCRIPTOR_WHY]);

void descriptor_free(struct descriptor *d); /* wipes; takes NULL */

const struct descriptor_epoch *descriptor_active(const struct descriptor *d);

/* The recovery key that content is sealed for: the first one. NULL: none. */
const struct descriptor_member *descriptor_recovery(const struct descriptor *d);

/* NULL: no member has it. */
const struct descriptor_member *
descriptor_find_label(const struct descriptor *d, const char *label);
const struct descriptor_member *
descriptor_find_recipient(const struct descriptor *d,
                          const struct age_recipient *r);

/* Of an epoch: its own, or the descriptor's. */
const uint8_t *descriptor_auth_key(const struct descriptor *d,
                                   const struct descriptor_epoch *e);

/* ---- writing ------------------------------------------------------------- */

/* Generation 1 of a new vault: fresh keys, no members yet. Not finished.
 * -EINVAL: a pad or label that can't be. */
int descriptor_new(enum name_text text, unsigned pad, const char *written_by,
                   struct descriptor **out_d);

/* A copy that is the next generation; not finished. -EROFS: of a newer release;
 * -EINVAL: label; -ENOMEM. */
int descriptor_next(const struct descriptor *d, const char *written_by,
                    struct descriptor **out_d);

/* -EEXIST: the label or the recipient is a member's; -EINVAL: no label (1 to 64
 * bytes of UTF-8, no control characters); -ENOSPC: 64 of them already. */
int descriptor_add(struct descriptor *d, const char *label,
                   enum descriptor_kind kind, const struct age_recipient *r);

/* Also begins a new epoch with a new auth key, so that the member can't read
 * what is written from now on. -ENOENT: no such member; -EBUSY: the last one;
 * -ENOSPC: too many epochs. */
int descriptor_remove(struct descriptor *d, const char *label);

/* A new epoch; the auth key stays. -ENOSPC. */
int descriptor_rotate(struct descriptor *d);

/* Puts another recovery key in place of the first one (or adds it): new epoch
 * and auth key, as the old one may be in wrong hands. Errors as for add and
 * remove. */
int descriptor_set_recovery(struct descriptor *d, const char *label,
                            const struct age_recipient *r);

/* Writes the document: text, hash, written_ns. -EINVAL: it has no member;
 * -EFBIG; -ENOMEM. */
int descriptor_finish(struct descriptor *d, int64_t now_ns);

/* Adds the age file of a finished one, for all members, to `out`. */
int descriptor_seal(const struct descriptor *d, struct buf *out);

#endif
