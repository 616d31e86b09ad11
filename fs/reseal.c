#include "fs/reseal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "auth/age_payload.h"
#include "auth/vault.h"
#include "fs/bond.h"
#include "fs/cmd_common.h"
#include "fs/codec.h"
#include "fs/codec_vault.h"
#include "fs/db.h"
#include "fs/interrupt.h"
#include "fs/rescue.h"
#include "fs/unseal.h"
#include "fs/vault_admin.h"
#include "net/buf.h"
#include "net/clock.h"
#include "net/fdio.h"

#define HEAD_BYTES (DESCRIPTOR_HEADER_LEN + AGE_NONCE_SIZE)
#define PATH_BYTES 8192
#define DEPTH_MAX  200

struct reseal {
	struct vault_admin *a;
	struct rescue_source s;
	struct vault *vault;
	struct db *db; /* what this device remembers; NULL: nothing */
	struct reseal_counts *counts;
	struct progress progress;
	char path[PATH_BYTES];
};

/* One file on its way through. */
struct through {
	struct reseal *r;
	struct bind_known known;
	const char *trouble;
	int fd;
	uint8_t *key; /* sodium_malloc(): file key, nonce, payload key */
	uint64_t chunks, next, written;
	uint8_t chunk[AGE_CHUNK_SEAL];
};

/* ---- sealing ------------------------------------------------------------- */

static int put_bytes(struct through *t, const void *data, size_t len)
{
	t->written += len;
	return fdio_write_all(t->fd, data, len);
}

/* An older version that was put back is not made the newest one. */
static bool is_right(struct through *t, const struct vault_opened *o)
{
	enum bind_verdict v = bind_judge(&t->known, &o->bind, o->mac);

	if (v == BIND_ROLLED_BACK || v == BIND_SWAPPED)
		t->trouble = "an older version, or another file's content, "
			     "lies on the server; `nmbackupfs vault accept "
			     "PATH` takes it";
	return !t->trouble;
}

/* A fresh file key for this one content, sealed once into the file that is
 * sent. */
static int on_header(void *arg, const struct vault_opened *o)
{
	struct through *t = arg;
	uint8_t *nonce = t->key + AGE_FILE_KEY_SIZE;
	uint8_t header[DESCRIPTOR_HEADER_LEN], mac[AGE_MAC_SIZE];
	struct bind_fields f = o->bind;
	int rc;

	if (!is_right(t, o))
		return -EBADMSG;
	f.version++;
	f.sealed_ns = clock_real_ns();
	memcpy(f.previous, o->mac, sizeof(f.previous));
	vault_path_tag(t->r->vault, t->r->path, f.path_tag);
	randombytes_buf(t->key, AGE_FILE_KEY_SIZE + AGE_NONCE_SIZE);
	rc = vault_seal_header(t->r->vault, t->key, &f, header, mac);
	if (rc < 0)
		return rc;
	age_payload_key(t->key, nonce, nonce + AGE_NONCE_SIZE);
	t->chunks = age_chunk_count(f.size);
	rc = put_bytes(t, header, sizeof(header));
	return rc < 0 ? rc : put_bytes(t, nonce, AGE_NONCE_SIZE);
}

/* Comes chunk by chunk (fs/unseal.h). */
static int on_plain(void *arg, const void *data, size_t len)
{
	struct through *t = arg;
	const uint8_t *key = t->key + AGE_FILE_KEY_SIZE + AGE_NONCE_SIZE;

	age_chunk_seal(key, t->next, t->next + 1 == t->chunks, data, len,
	               t->chunk);
	t->next++;
	return put_bytes(t, t->chunk, len + AGE_TAG_SIZE);
}

static int pass_through(struct through *t, const struct item *it)
{
	struct unseal_options opt = { .vault = t->r->vault,
		                      .sealed = it->size,
		                      .header = on_header,
		                      .sink = on_plain,
		                      .arg = t };
	struct direct *d = &t->r->a->direct;
	struct unseal *u;
	int rc = unseal_new(&opt, &u);

	if (rc < 0)
		return rc;
	rc = direct_raw_read(d, it, 0, it->size, unseal_feed, u);
	if (unseal_error(u) < 0) {
		rc = unseal_error(u);
		t->trouble = t->trouble ? t->trouble : vault_strerror(rc);
	}
	if (rc == 0)
		rc = unseal_finish(u);
	unseal_free(u);
	return rc;
}

/* Without a name: nothing is left behind. */
static int open_unnamed(const char *dir)
{
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	char path[PATH_MAX + 32];

	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
		return fd < 0 ? -errno : fd;
	snprintf(path, sizeof(path), "%s/reseal-XXXXXX", dir);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	unlink(path);
	return fd;
}

static void find_known(const struct reseal *r, const char *id,
                       struct bind_known *out)
{
	struct codec_bond b;

	memset(out, 0, sizeof(*out));
	if (!r->db || bond_get(r->db, id, &b) < 0 || !b.known)
		return;
	out->known = true;
	out->version = b.version;
	memcpy(out->file_id, b.file_id, sizeof(out->file_id));
	memcpy(out->mac, b.mac, sizeof(out->mac));
}

static int seal_anew(struct reseal *r, const struct item *it,
                     const char **out_trouble)
{
	struct through *t = calloc(1, sizeof(*t));
	int rc = -ENOMEM;

	if (!t)
		return rc;
	t->r = r;
	t->key = sodium_malloc(AGE_FILE_KEY_SIZE + AGE_NONCE_SIZE +
	                       AGE_PAYLOAD_KEY);
	t->fd = open_unnamed(r->a->m.state_dir);
	find_known(r, it->id, &t->known);
	if (t->key)
		rc = t->fd < 0 ? t->fd : pass_through(t, it);
	if (rc == 0)
		rc = reseal_send(&r->a->direct, it, t->fd, t->written);
	if (rc == 0)
		r->counts->bytes += t->written;
	*out_trouble = t->trouble;
	if (t->fd >= 0)
		close(t->fd);
	sodium_free(t->key);
	free(t);
	return rc;
}

/* ---- is it needed? ------------------------------------------------------- */

static int keep(void *arg, const void *data, size_t len)
{
	return buf_add(arg, data, len);
}

/* 1: it is of the active epoch; 0: it isn't, or nobody can say yet. */
static int is_current(struct reseal *r, const struct item *it)
{
	struct vault_opened *o = sodium_malloc(sizeof(*o));
	struct buf head = BUF_INIT;
	int rc = o ? 0 : -ENOMEM;

	if (rc == 0)
		rc = direct_raw_read(&r->a->direct, it, 0,
		                     it->size < HEAD_BYTES ? it->size
		                                           : HEAD_BYTES,
		                     keep, &head);
	if (rc == 0)
		rc = vault_open_header(r->vault, head.data, head.len, 0, o) ==
		             0 &&
		     o->epoch == vault_epoch(r->vault);
	buf_done(&head);
	sodium_free(o);
	return rc;
}

/* ---- the walk ------------------------------------------------------------ */

static void show(struct reseal *r)
{
	progress_show(&r->progress, 0, 0, r->path);
}

static void note(struct reseal *r, int rc, const char *trouble)
{
	const char *why = r->a->why;

	r->counts->failed++;
	progress_end(&r->progress);
	if (!trouble)
		trouble = rc == -ESTALE ? "it was changed meanwhile; run this "
		                          "again"
		          : *why        ? why
		                        : vault_strerror(rc);
	cmd_fail(0, "%s: %s", r->path, trouble);
}

static int reseal_file(struct reseal *r, const struct rescue_entry *e)
{
	struct item *it = malloc(sizeof(*it));
	const char *trouble = NULL;
	int rc = it ? 0 : -ENOMEM;

	show(r);
	r->a->why[0] = '\0';
	if (rc == 0) {
		rescue_entry_item(e, it);
		rc = is_current(r, it);
	}
	if (rc == 1) {
		r->counts->current++;
		rc = 0;
	} else if (rc == 0) {
		rc = seal_anew(r, it, &trouble);
		r->counts->done += rc == 0;
	}
	free(it);
	if (rc < 0 && rc != -EINTR)
		note(r, rc, trouble);
	/* The sign-in is gone; AGE_NO_MATCH has a trouble of its own. */
	return rc == -EINTR || (rc == -EACCES && !trouble) ? rc : 0;
}

static int walk(struct reseal *r, const char *id, int depth)
{
	size_t len = strlen(r->path);
	struct rescue_list l;
	int rc = depth < DEPTH_MAX ? rescue_list(&r->s, &r->a->direct, id, &l)
	                           : -ELOOP;

	if (rc < 0) {
		note(r, rc, NULL);
		return rc == -EACCES ? rc : 0;
	}
	for (size_t i = 0; i < l.n && rc == 0; i++) {
		const struct rescue_entry *e = l.entries[i];

		snprintf(r->path + len, sizeof(r->path) - len, "%s%s",
		         len ? "/" : "", e->it.name);
		if (interrupt_seen())
			rc = -EINTR;
		else if (e->is_folder)
			rc = walk(r, e->id, depth + 1);
		else
			rc = reseal_file(r, e);
		r->path[len] = '\0';
	}
	rescue_list_done(&l);
	return rc;
}

/* The entry that `path` names; the folder of the vault: NULL. */
static int find(struct reseal *r, const char *path, struct rescue_entry **out)
{
	struct rescue_entry *e = NULL;
	int rc = 0;

	while (rc == 0 && *(path += strspn(path, "/"))) {
		size_t len = strcspn(path, "/"), had = strlen(r->path);
		struct rescue_list l;

		snprintf(r->path + had, sizeof(r->path) - had, "%s%.*s",
		         had ? "/" : "", (int)len, path);
		rc = rescue_list(&r->s, &r->a->direct,
		                 e ? e->id : r->a->folder_id, &l);
		rescue_entry_free(e);
		e = NULL;
		if (rc < 0)
			break;
		for (size_t i = 0; i < l.n && !e; i++) {
			if (strlen(l.entries[i]->it.name) != len ||
			    strncmp(l.entries[i]->it.name, path, len) != 0)
				continue;
			e = l.entries[i];
			l.entries[i] = NULL;
		}
		rescue_list_done(&l);
		rc = e ? 0 : -ENOENT;
		path += len;
	}
	*out = e;
	return rc;
}

/* ---- all of it ----------------------------------------------------------- */

static void open_memory(struct reseal *r)
{
	char path[PATH_MAX + 16];

	snprintf(path, sizeof(path), "%s/state.db", r->a->m.state_dir);
	if (access(path, F_OK) == 0 && db_open(path, false, &r->db) < 0)
		r->db = NULL;
}

static int run(struct reseal *r, const char *path)
{
	struct rescue_entry *e = NULL;
	struct interrupt signals;
	int rc;

	interrupt_catch(&signals);
	rc = find(r, path, &e);
	if (rc == 0 && e && !e->is_folder)
		rc = reseal_file(r, e);
	else if (rc == 0)
		rc = walk(r, e ? e->id : r->a->folder_id, 0);
	interrupt_release(&signals);
	rescue_entry_free(e);
	progress_end(&r->progress);
	return rc;
}

int reseal_run(struct vault_admin *a, const char *path,
               struct reseal_counts *out)
{
	struct reseal *r = calloc(1, sizeof(*r));
	int rc;

	memset(out, 0, sizeof(*out));
	if (!r)
		return -ENOMEM;
	r->a = a;
	r->counts = out;
	r->s.direct = &a->direct;
	r->vault = vault_slot_get(&a->m.slot);
	rc = codec_vault_new(&a->m.slot, getuid(), getgid(), &r->s.codec);
	if (rc == 0) {
		open_memory(r);
		rc = run(r, path);
	}
	if (r->db)
		db_close(r->db);
	codec_free(r->s.codec);
	vault_unref(r->vault);
	free(r);
	return rc;
}
