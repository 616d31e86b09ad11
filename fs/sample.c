#include "fs/sample.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "auth/tokens.h"
#include "fs/codec.h"
#include "fs/db.h"
#include "fs/proof.h"
#include "fs/session.h"
#include "net/quickxor.h"

/* ---- picking ------------------------------------------------------------- */

/* 0 <= result < below; `below` may be more than 32 bits. */
static uint64_t random_below(uint64_t below)
{
	uint64_t v;

	randombytes_buf(&v, sizeof(v));
	return v % below; /* 2^64 against millions: no bias that matters */
}

struct pick {
	uint64_t *ino;
	size_t n, cap;
	uint64_t want, seen;
};

/* Reservoir sampling: after `seen` each has had the same chance. */
static int offer(struct pick *p, uint64_t ino)
{
	uint64_t at;

	p->seen++;
	if (p->n < p->want) {
		if (p->n == p->cap) {
			size_t cap = p->cap ? 2 * p->cap : 64;
			void *more = realloc(p->ino, cap * sizeof(*p->ino));

			if (!more)
				return -ENOMEM;
			p->ino = more;
			p->cap = cap;
		}
		p->ino[p->n++] = ino;
		return 0;
	}
	at = random_below(p->seen);
	if (at < p->n)
		p->ino[at] = ino;
	return 0;
}

int sample_pick(struct db *db, uint64_t n, uint64_t **out_inos, size_t *out_n)
{
	struct pick p = { .want = n };
	struct sqlite3_stmt *q;
	int rc = db_query(db,
	                  "SELECT ino FROM node WHERE s_id IS NOT NULL AND"
	                  " parent IS NOT NULL AND mode&61440=32768 AND s_gen>0"
	                  " AND flags&24=0 ORDER BY ino",
	                  DB_NONE, &q);

	while (rc == 0 && (rc = db_next(db, q)) == 1)
		rc = n ? offer(&p, (uint64_t)db_col_int(q, 0)) : 0;
	db_finish(q);
	if (rc < 0) {
		free(p.ino);
		return rc;
	}
	*out_inos = p.ino;
	*out_n = p.n;
	return 0;
}

/* ---- reading ------------------------------------------------------------- */

struct sample_row {
	struct node node;
	struct proof proof;
};

struct reading {
	struct direct *d;
	struct node node;
	struct proof proof;
	struct direct_file file;
	struct plainhash *plain;
	struct quickxor xor ;
	uint64_t bytes;
	direct_sink_fn *sink;
	void *sink_arg;
	int sink_rc;
};

/* direct_sink_fn */
static int take(void *arg, const void *data, size_t len)
{
	struct reading *r = arg;

	plainhash_update(r->plain, data, len, r->bytes);
	quickxor_update(&r->xor, data, len);
	r->bytes += len;
	if (r->sink)
		r->sink_rc = r->sink(r->sink_arg, data, len);
	return r->sink_rc;
}

static void judge(struct sample *s, enum compare_verdict v, const char *why)
{
	s->verdict = v;
	snprintf(s->why, sizeof(s->why), "%s", why);
}

/* It came, and is authentic, or what the service says it has. */
static void judge_content(const struct reading *r, struct sample *s)
{
	uint8_t hash[PLAINHASH_SIZE], xor[QUICKXOR_SIZE];
	bool authentic = r->d->codec->ops->authenticates;

	quickxor_final(&r->xor, xor);
	if (!plainhash_final(r->plain, r->bytes, hash))
		memset(hash, 0, sizeof(hash));
	if (r->bytes != r->proof.size)
		judge(s, COMPARE_DAMAGED, "what came is not as long as it was");
	else if (r->proof.has_plain_hash &&
	         memcmp(hash, r->proof.plain_hash, sizeof(hash)) != 0)
		judge(s, COMPARE_DAMAGED,
		      "what came is not what was sent, by its BLAKE2b hash");
	else if (!authentic && r->proof.has_hash &&
	         memcmp(xor, r->proof.hash, sizeof(xor)) != 0)
		judge(s, COMPARE_DAMAGED,
		      "what came is not what was sent, by its quickXorHash");
	else if (!authentic && !r->proof.has_hash && !r->proof.has_plain_hash &&
	         r->bytes)
		judge(s, COMPARE_UNHASHED, "no hash of it is known here");
	else
		judge(s, COMPARE_SAME, "");
}

/* Replaced while it was read, or an older version, or another file's bytes,
 * under the tag it had? */
static int judge_stale(struct reading *r, struct sample *s)
{
	char why[DIRECT_WHY];
	struct item *now = malloc(sizeof(*now));
	int rc;

	if (!now)
		return -ENOMEM;
	snprintf(why, sizeof(why), "%s", r->d->why);
	rc = direct_raw_item(r->d, s->id, now);
	if (rc == 0 && !strcmp(now->etag, r->file.item.etag))
		judge(s, COMPARE_DAMAGED, why);
	else if (rc == 0 || rc == -ENOENT)
		judge(s, COMPARE_CHANGED, "it was replaced while it was read");
	free(now);
	return rc == -ENOENT ? 0 : rc;
}

/* What ended the transfer: a verdict, or the error. */
static int judge_error(struct reading *r, int rc, struct sample *s)
{
	if (r->sink_rc < 0)
		return rc;
	switch (rc) {
	case -EBADMSG:
		judge(s, COMPARE_DAMAGED, r->d->why);
		return 0;
	case -ESTALE:
		return judge_stale(r, s);
	case -EPERM:
	case -EACCES:
		if (!tokens_signed_in(r->d->session->tokens))
			return rc;
		judge(s, COMPARE_UNREADABLE, r->d->why);
		return 0;
	case -ENOENT:
		judge(s, COMPARE_MISSING, "it is not on the server");
		return 0;
	default:
		return rc;
	}
}

static int read_content(struct reading *r, struct sample *s)
{
	struct direct_part all = { .size = r->file.item.size,
		                   .len = UINT64_MAX };
	int rc;

	r->plain = plainhash_new();
	if (!r->plain)
		return -ENOMEM;
	quickxor_init(&r->xor);
	r->file.node = r->node;
	if (r->file.item.has_hash && !r->d->codec->ops->authenticates)
		all.hash = r->file.item.hash;
	rc = direct_get_part(r->d, &r->file, &all, take, r, NULL, NULL);
	s->bytes = r->bytes;
	if (rc == 0)
		judge_content(r, s);
	else
		rc = judge_error(r, rc, s);
	plainhash_free(r->plain);
	return rc;
}

int sample_look(struct db *db, uint64_t ino, struct sample_row **out_row,
                struct sample *out)
{
	struct sample_row *row = calloc(1, sizeof(*row));
	int rc = row ? node_get(db, ino, &row->node) : -ENOMEM;

	memset(out, 0, sizeof(*out));
	if (rc == 0)
		rc = proof_of(db, &row->node, &row->proof);
	if (rc == 0)
		rc = node_path(db, ino, out->path, sizeof(out->path));
	if (rc == 0 && row->proof.id[0]) {
		memcpy(out->id, row->proof.id, sizeof(out->id));
		*out_row = row;
		return 1;
	}
	free(row);
	return rc == -ENOENT ? 0 : rc;
}

static int fetch(struct reading *r, struct sample *out)
{
	enum compare_verdict v;
	int rc = direct_raw_item(r->d, out->id, &r->file.item);

	if (rc == -ENOENT) {
		judge(out, COMPARE_MISSING, "it is not on the server");
		return 0;
	}
	if (rc < 0)
		return rc;
	v = compare_item(&r->node, &r->file.item);
	if (v == COMPARE_SAME || v == COMPARE_UNHASHED)
		return read_content(r, out);
	judge(out, v,
	      v == COMPARE_DAMAGED
	              ? "the service has other bytes under the tag it had"
	              : "it was changed there, and is not taken in here yet");
	return 0;
}

int sample_fetch(struct direct *d, struct sample_row *row, direct_sink_fn *sink,
                 void *sink_arg, struct sample *out)
{
	struct reading *r = calloc(1, sizeof(*r));
	int rc = -ENOMEM;

	if (r) {
		r->d = d;
		r->sink = sink;
		r->sink_arg = sink_arg;
		r->node = row->node;
		r->proof = row->proof;
		rc = fetch(r, out);
	}
	free(r);
	free(row);
	return rc;
}
