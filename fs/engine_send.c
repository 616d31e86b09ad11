#include "fs/engine_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/content.h"
#include "fs/db.h"
#include "fs/store.h"
#include "fs/tree.h"
#include "net/clock.h"
#include "net/download.h"
#include "net/log.h"
#include "net/work.h"

/* A content goes to the server in these steps:
 *
 *	engine   start_send     a job, an attempt in memory
 *	worker   prepare_...    freezes the generation; small: reads and seals
 *	                        it, big: settles it and begins a snapshot
 *	engine   prepared       waits for its fellows
 *	engine   start_ready    attempts of all that are prepared: one
 *	                        transaction, one sync; then requests start
 *	worker   read_piece     (sessions) seals what the network takes next
 *	engine   sent           verifies size and hash, notes the outcome
 *
 * Durable before the last byte of a session leaves: the hash of all of it. So
 * an attempt without a hash can't have become an item. */

#define SETTLE_TRIES 20   /* a program that never stops writing */
#define LOOK_HASH_MS 3000 /* a hash that comes late, facts 4 */
#define MAX_LOOKS    6

/* ---- memory -------------------------------------------------------------- */

void engine_send_release(struct job *j)
{
	struct engine *e = j->e;

	upload_free(j->upload);
	j->upload = NULL;
	download_free(j->download);
	if (j->snapshot && !e->stopping) /* else kept for the next start */
		content_snapshot_end(j->content);
	content_put(j->content);
	if (j->writer)
		e->opt.codec->ops->writer_free(j->writer);
	attempt_free(j->attempt);
	free(j->sums);
	free(j->small);
	if (j->counted_send) {
		if (j->big)
			e->nbig--;
		else
			e->nsmall--;
		e->small_bytes -= j->counted_bytes;
	}
}

static void count_send(struct engine *e, struct job *j)
{
	j->counted_send = true;
	j->shown_total = j->attempt->size;
	j->shown_sent = j->attempt->next;
	if (j->big) {
		e->nbig++;
		return;
	}
	e->nsmall++;
	j->counted_bytes = j->attempt->size;
	e->small_bytes += j->counted_bytes;
}

static void give_up(struct engine *e, struct job *j, const char *what, int rc)
{
	engine_again_later(e, j->ino, what, rc);
	engine_job_done(e, j);
}

/* ---- preparing, on a worker ---------------------------------------------- */

struct memory {
	const uint8_t *data;
	size_t len;
};

static int read_memory(void *arg, void *buf, size_t len, uint64_t off)
{
	const struct memory *m = arg;

	if (off > m->len || len > m->len - off)
		return -EIO;
	memcpy(buf, m->data + off, len);
	return 0;
}

static int new_writer(struct job *j, bool fresh)
{
	const struct codec *codec = j->e->opt.codec;
	struct attempt *a = j->attempt;
	char path[8192] = "";
	struct db *db;

	/* Only a hint for those who look later: none is no harm. */
	if (fresh && codec->ops->header_size &&
	    store_reader(j->e->opt.store, &db) == 0) {
		if (node_path(db, j->ino, path, sizeof(path)) < 0)
			path[0] = '\0';
		store_reader_done(j->e->opt.store, db);
	}
	return codec->ops->writer_new(codec, a->plain_size, fresh, &j->base,
	                              path, &a->seed, &j->writer);
}

static int seal_small(struct job *j, const uint8_t *plain, size_t len)
{
	const struct codec *codec = j->e->opt.codec;
	struct attempt *a = j->attempt;
	struct memory m = { plain, len };
	int rc;

	a->plain_size = len;
	a->size = codec->ops->sealed_size(codec, len);
	rc = new_writer(j, true);
	if (rc < 0)
		return rc;
	j->small = malloc(a->size ? a->size : 1);
	if (!j->small)
		return -ENOMEM;
	rc = codec->ops->writer_read(j->writer, read_memory, &m, j->small,
	                             a->size, 0);
	if (rc < 0)
		return rc;
	quickxor_init(&j->hash);
	quickxor_update(&j->hash, j->small, a->size);
	quickxor_final(&j->hash, a->hash);
	a->has_hash = true;
	return 0;
}

/* Not as an fsync left it any more: settled by that, soft since. */
static bool was_written(const struct job *j)
{
	return j->synced && content_is_soft(j->content);
}

/* Reads one generation whole. A write that comes in between opens the next one
 * first, so an unchanged number says that the bytes are of one piece. */
static int read_small(struct job *j, uint8_t **out_plain, size_t *out_len)
{
	struct content *c = j->content;
	uint64_t gen = content_freeze(c), size = content_size(c);
	uint8_t *plain;
	ssize_t n;

	if (size > j->e->opt.codec->ops->small_max)
		return -E2BIG;
	plain = malloc(size ? size : 1);
	if (!plain)
		return -ENOMEM;
	n = content_pread(c, plain, size, 0);
	if (n >= 0 &&
	    ((uint64_t)n != size || content_gen(c) != gen || was_written(j)))
		n = -EBUSY;
	if (n < 0) {
		free(plain);
		return (int)n;
	}
	j->attempt->gen = gen;
	*out_plain = plain;
	*out_len = size;
	return 0;
}

/* A symlink whose target is too long for its name. */
static int read_target(struct job *j, uint8_t **out_plain, size_t *out_len)
{
	const struct codec *codec = j->e->opt.codec;
	struct node *n = malloc(sizeof(*n));
	char *target = calloc(1, 4096);
	ssize_t len = 0;
	struct db *db;
	int rc = n && target ? store_reader(j->e->opt.store, &db) : -ENOMEM;

	if (rc == 0) {
		rc = node_get(db, j->ino, n);
		if (rc == 0 && S_ISLNK(n->mode))
			len = node_get_target(db, j->ino, target, 4096);
		store_reader_done(j->e->opt.store, db);
	}
	if (rc == 0 && len < 0)
		rc = (int)len;
	if (rc == 0 && len > 0 && codec->ops->target_in_content &&
	    codec->ops->target_in_content(codec, n, target)) {
		*out_plain = (uint8_t *)target;
		*out_len = (size_t)len;
		target = NULL;
	}
	free(target);
	free(n);
	return rc;
}

static void prepare_small(void *arg)
{
	struct job *j = arg;
	uint8_t *plain = NULL;
	size_t len = 0;
	int rc = 0;

	if (j->attempt->cid) {
		rc = content_get(j->e->opt.contents, j->attempt->cid, false,
		                 &j->content);
		if (rc == 0)
			rc = read_small(j, &plain, &len);
	} else {
		rc = read_target(j, &plain, &len);
	}
	if (rc == 0)
		rc = seal_small(j, plain, len);
	free(plain);
	j->rc = rc;
	job_post(j);
}

/* Settled, frozen, and not written since: then the checksums are those of the
 * generation. */
static int freeze_settled(struct job *j)
{
	struct content *c = j->content;
	int rc;

	for (int i = 0; i < SETTLE_TRIES; i++) {
		rc = j->synced ? 0 : content_settle(c);
		if (rc < 0)
			return rc;
		if (rc == 1)
			continue;
		j->attempt->gen = content_freeze(c);
		if (!content_is_soft(c))
			return 0;
		if (j->synced)
			break;
	}
	return -EBUSY;
}

static int begin_snapshot(struct job *j)
{
	struct attempt *a = j->attempt;
	struct content *c = j->content;
	int rc;

	rc = content_get_sums(c, &j->sums, &j->nsums);
	if (rc < 0)
		return rc;
	a->plain_size = content_size(c);
	rc = content_snapshot_begin(c, a->plain_size, j->sums, false);
	if (rc < 0)
		return rc;
	j->snapshot = true;
	/* From here on writers set old chunks aside; did one come before? */
	return content_gen(c) == a->gen ? 0 : -EBUSY;
}

static void prepare_big(void *arg)
{
	struct job *j = arg;
	const struct codec *codec = j->e->opt.codec;
	struct attempt *a = j->attempt;
	int rc = content_get(j->e->opt.contents, a->cid, false, &j->content);

	if (rc == 0)
		rc = freeze_settled(j);
	if (rc == 0)
		rc = begin_snapshot(j);
	if (rc == 0) {
		a->size = codec->ops->sealed_size(codec, a->plain_size);
		rc = new_writer(j, true);
	}
	quickxor_init(&j->hash);
	j->rc = rc;
	job_post(j);
}

/* ---- uploads ------------------------------------------------------------- */

static int read_snapshot(void *arg, void *buf, size_t len, uint64_t off)
{
	struct job *j = arg;
	ssize_t n = content_snapshot_read(j->content, buf, len, off);

	if (n < 0)
		return (int)n;
	return (size_t)n == len ? 0 : -ESTALE;
}

static int seal_piece(struct job *j, void *buf, size_t len, uint64_t off)
{
	if (j->small) {
		if (off > j->attempt->size || len > j->attempt->size - off)
			return -EINVAL;
		memcpy(buf, j->small + off, len);
		return 0;
	}
	return j->e->opt.codec->ops->writer_read(j->writer, read_snapshot, j,
	                                         buf, len, off);
}

static int in_transaction(struct store *s, int (*edit)(struct db *, void *),
                          void *arg, bool sync)
{
	struct db *db;
	int rc = store_begin(s, &db);

	if (rc < 0)
		return rc;
	rc = edit(db, arg);
	rc = store_end(s, rc);
	return rc == 0 && sync ? store_sync(s) : rc;
}

static int edit_hash(struct db *db, void *arg)
{
	const struct job *j = arg;

	return attempt_set_hash(db, j->attempt->aid, j->attempt->hash);
}

/* Goes on hashing where the state at hand ends: after a restart, or where
 * fragments were cut anew, bytes are made once more for that. */
static int hash_up_to(struct job *j, uint64_t off)
{
	uint8_t buf[65536];

	while (j->hash.len < off) {
		uint64_t left = off - j->hash.len;
		size_t n = left < sizeof(buf) ? (size_t)left : sizeof(buf);
		int rc = seal_piece(j, buf, n, j->hash.len);

		if (rc < 0)
			return rc;
		quickxor_update(&j->hash, buf, n);
	}
	return 0;
}

/* A vault's key may have been replaced since it began. */
static bool is_current(const struct job *j)
{
	const struct codec *codec = j->e->opt.codec;

	return !codec->ops->writer_is_current ||
	       codec->ops->writer_is_current(codec, j->writer);
}

static int read_piece(void *arg, void *buf, size_t len, uint64_t off)
{
	struct job *j = arg;
	struct attempt *a = j->attempt;
	int rc = is_current(j) ? seal_piece(j, buf, len, off) : -ESTALE;

	if (rc == 0 && off > j->hash.len)
		rc = hash_up_to(j, off);
	if (rc < 0)
		return rc;
	if (off + len > j->hash.len) {
		size_t skip = (size_t)(j->hash.len - off);

		quickxor_update(&j->hash, (uint8_t *)buf + skip, len - skip);
	}
	if (j->hash.len == a->size && !a->has_hash) {
		quickxor_final(&j->hash, a->hash);
		a->has_hash = true;
		rc = in_transaction(j->e->opt.store, edit_hash, j, true);
	}
	return rc;
}

struct progress {
	struct job *j;
	const char *url;
	uint64_t next;
};

static int edit_progress(struct db *db, void *arg)
{
	const struct progress *p = arg;
	struct job *j = p->j;
	int rc = engine_note_tags(j, db);

	if (rc < 0)
		return rc;
	return attempt_set_progress(db, j->attempt->aid, p->url, p->next,
	                            j->hash.len == p->next ? &j->hash : NULL);
}

static int note_progress(void *arg, const char *url, uint64_t next)
{
	struct job *j = arg;
	struct progress p = { j, url, next };

	if (strlen(url) > ATTEMPT_URL_MAX)
		return -EMSGSIZE;
	memcpy(j->attempt->url, url, strlen(url) + 1);
	j->shown_sent = next;
	/* What goes in one piece has nothing to go on with after a power cut:
	 * it is sent anew. */
	return in_transaction(j->e->opt.store, edit_progress, &p, !j->small);
}

static void upload_ended(void *arg, const struct upload_end *end)
{
	struct job *j = arg;

	j->rc = end->rc;
	j->verdict = end->verdict;
	j->status = end->status;
	j->offline = end->offline;
	snprintf(j->code, sizeof(j->code), "%s", end->code ? end->code : "");
	j->has_item = end->item && item_copy(end->item, &j->item) == 0;
	job_post(j);
}

static void sent(struct engine *e, struct job *j);
static void sent_deferred(struct engine *e, struct job *j);

static void start_upload(struct engine *e, struct job *j)
{
	const struct attempt *a = j->attempt;
	struct upload_spec spec = {
		.graph = e->opt.graph,
		.work = e->opt.work,
		.total = a->size,
		.mtime_ns = e->opt.codec->ops->times_in_item ? a->mtime : 0,
		.url = a->url[0] ? a->url : NULL,
		.prio = HTTP_PRIO_BULK,
		.read = read_piece,
		.note = note_progress,
		.done = upload_ended,
		.arg = j,
	};
	int rc;

	if (a->op == ATTEMPT_CREATE) {
		spec.parent_id = a->parent_id;
		spec.name = a->name;
	} else {
		spec.item_id = a->item_id;
		spec.etag = a->etag[0] && !j->deferred ? a->etag : NULL;
		spec.defer_commit = j->deferred;
	}
	j->next = j->deferred ? sent_deferred : sent;
	rc = upload_start(&spec, &j->upload);
	if (rc < 0)
		give_up(e, j, "upload", rc);
}

static void start_put(struct engine *e, struct job *j)
{
	const struct attempt *a = j->attempt;
	int rc;

	if (a->op == ATTEMPT_CREATE)
		rc = graph_prepare_put_new(e->opt.graph, a->parent_id, a->name,
		                           j->small, a->size, &j->call);
	else
		rc = graph_prepare_put(e->opt.graph, a->item_id,
		                       a->etag[0] ? a->etag : NULL, j->small,
		                       a->size, &j->call);
	if (rc < 0) {
		give_up(e, j, "upload", rc);
		return;
	}
	j->call.c.prio = HTTP_PRIO_BULK;
	job_send(j, sent, job_answered);
}

static bool by_session(const struct engine *e, const struct job *j)
{
	return j->big || (j->deferred && j->attempt->size > 0) ||
	       (e->opt.codec->ops->times_in_item && j->attempt->size > 0);
}

/* ---- starting ------------------------------------------------------------ */

static int insert_ready(struct db *db, void *arg)
{
	struct engine *e = arg;
	int rc = 0;

	for (struct job *j = e->ready; j && rc == 0; j = j->link) {
		rc = attempt_insert(db, j->attempt);
		if (rc == 0 && j->big)
			rc = attempt_set_sums(db, j->attempt->aid, j->sums,
			                      j->nsums);
	}
	return rc;
}

void engine_start_ready(struct engine *e)
{
	struct job *list;
	int rc;

	if (!e->ready)
		return;
	rc = in_transaction(e->opt.store, insert_ready, e, true);
	list = e->ready;
	e->ready = NULL;
	e->ready_tail = &e->ready;
	while (list) {
		struct job *j = list;

		list = j->link;
		j->link = NULL;
		if (rc < 0)
			give_up(e, j, "state.db", rc);
		else if (by_session(e, j))
			start_upload(e, j);
		else
			start_put(e, j);
	}
}

static void prepared(struct engine *e, struct job *j)
{
	if (j->rc == -EBUSY || j->rc == -EAGAIN || j->rc == -E2BIG ||
	    j->rc == -ENOENT) { /* it changed meanwhile: plan anew */
		struct todo_entry *t = todo_find(e->todo, j->ino);

		if (t)
			todo_set_due(e->todo, t, clock_mono_ms() + 200);
		engine_job_done(e, j);
		return;
	}
	if (j->rc < 0) {
		give_up(e, j, "content", j->rc);
		return;
	}
	tree_note_snapshot(e->opt.tree, j->ino);
	j->attempt->state = j->big ? ATTEMPT_SESSION : ATTEMPT_SENT;
	j->attempt->started = clock_real_ns() / NS_PER_SEC;
	j->link = NULL;
	*e->ready_tail = j;
	e->ready_tail = &j->link;
}

static void fill_attempt(struct attempt *a, const struct plan_view *v)
{
	const struct node *n = &v->n;

	a->ino = n->ino;
	a->op = node_on_server(n) ? ATTEMPT_REPLACE : ATTEMPT_CREATE;
	a->cid = n->cid;
	a->gen = n->gen;
	a->parent = n->parent;
	a->mtime = n->mtime;
	memcpy(a->parent_id, v->parent_id, sizeof(a->parent_id));
	memcpy(a->name, v->want_name, sizeof(a->name));
	memcpy(a->item_id, n->s_id, sizeof(a->item_id));
	memcpy(a->etag, n->s_etag, sizeof(a->etag));
}

static void set_place(struct job *j, const struct attempt *a)
{
	j->parent = a->parent;
	memcpy(j->parent_id, a->parent_id, sizeof(j->parent_id));
	memcpy(j->name, a->name, sizeof(j->name));
	memcpy(j->item_id, a->item_id, sizeof(j->item_id));
}

void engine_start_send(struct engine *e, struct plan_view *v)
{
	const struct codec *codec = e->opt.codec;
	struct job *j = job_new(e, v->n.ino, PLAN_CREATE);
	int rc;

	if (j)
		j->attempt = attempt_alloc();
	if (!j || !j->attempt) {
		engine_again_later(e, v->n.ino, "upload", -ENOMEM);
		if (j)
			job_free(j);
		return;
	}
	fill_attempt(j->attempt, v);
	if (j->attempt->op == ATTEMPT_CREATE && engine_is_held(e, j->ino))
		engine_aside_name(j->attempt->name, sizeof(j->attempt->name));
	j->attempt->size = codec->ops->sealed_size(codec, v->n.size);
	set_place(j, j->attempt);
	j->base = v->bond;
	j->big = j->attempt->size > codec->ops->small_max;
	j->deferred =
		j->attempt->op == ATTEMPT_REPLACE && engine_must_look_first(e);
	/* Once it is quiet, whoever wrote last is done. */
	j->synced = v->in.writers && !v->in.hurry && plan_is_synced(&v->in) &&
	            v->in.now_ms - v->in.wrote_ms < v->in.quiet_ms;
	count_send(e, j);
	j->next = prepared;
	rc = work_submit(e->opt.work, j->big ? prepare_big : prepare_small, j);
	if (rc < 0)
		give_up(e, j, "upload", rc);
}

/* ---- after a restart ----------------------------------------------------- */

static int load_sums(struct engine *e, struct job *j)
{
	size_t n = (size_t)((j->attempt->plain_size + CHUNK_SIZE - 1) /
	                    CHUNK_SIZE);
	struct db *db;
	int rc = store_reader(e->opt.store, &db);

	if (rc < 0)
		return rc;
	j->nsums = n;
	rc = attempt_get_sums(db, j->attempt->aid, n, &j->sums);
	store_reader_done(e->opt.store, db);
	return rc;
}

static void prepare_resume(void *arg)
{
	struct job *j = arg;
	struct attempt *a = j->attempt;
	int rc = load_sums(j->e, j);

	if (rc == 0)
		rc = content_get(j->e->opt.contents, a->cid, false,
		                 &j->content);
	if (rc == 0)
		rc = content_snapshot_begin(j->content, a->plain_size, j->sums,
		                            true);
	if (rc == 0) {
		j->snapshot = true;
		rc = new_writer(j, false);
	}
	if (rc == 0)
		rc = engine_load_tags(j);
	quickxor_init(&j->hash);
	if (a->has_hash_state && a->hash_state.len <= a->size)
		j->hash = a->hash_state;
	j->rc = rc;
	job_post(j);
}

/* What can't be resumed had no effect as long as its last byte was not sent;
 * else it must be looked for. No byte is sent before its session's URL is
 * noted. */
static bool may_have_arrived(const struct engine *e, const struct job *j)
{
	return j->attempt->has_hash &&
	       (j->attempt->url[0] || !by_session(e, j));
}

static void abandon(struct engine *e, struct job *j)
{
	struct attempt *a = j->attempt;
	int rc;

	if (a->url[0])
		upload_abandon(e->opt.graph, a->url);
	if (may_have_arrived(e, j)) {
		if (a->op == ATTEMPT_CREATE)
			engine_look_place(e, j);
		else
			engine_look_item(e, j, a->item_id);
		return;
	}
	rc = outcome_not_sent(&e->outcome, a->aid);
	if (rc < 0)
		give_up(e, j, "state.db", rc);
	else
		engine_job_done(e, j);
}

static void resumed(struct engine *e, struct job *j)
{
	if (j->rc < 0) {
		log_warn("ino=%" PRIu64 " upload can't be resumed: %s, it "
		         "starts over",
		         j->ino, strerror(-j->rc));
		abandon(e, j);
		return;
	}
	log_info("ino=%" PRIu64 " upload resumed at=%" PRIu64 " of=%" PRIu64,
	         j->ino, j->attempt->next, j->attempt->size);
	start_upload(e, j);
}

static struct job *attempt_job(struct engine *e, const struct plan_view *v)
{
	struct job *j = job_new(e, v->n.ino, PLAN_RESUME);

	if (j)
		j->attempt = attempt_alloc();
	if (!j || !j->attempt) {
		engine_again_later(e, v->n.ino, "upload", -ENOMEM);
		if (j)
			job_free(j);
		return NULL;
	}
	*j->attempt = *v->attempt;
	set_place(j, j->attempt);
	return j;
}

void engine_start_resume(struct engine *e, struct plan_view *v)
{
	struct job *j = attempt_job(e, v);
	int rc;

	if (!j)
		return;
	j->big = j->resumed = true;
	count_send(e, j);
	j->next = resumed;
	rc = work_submit(e->opt.work, prepare_resume, j);
	if (rc < 0)
		give_up(e, j, "upload", rc);
}

void engine_start_abandon(struct engine *e, struct plan_view *v,
                          struct job *running)
{
	struct job *j;

	if (running) {
		if (running->upload && !running->abandoned) {
			running->abandoned = true;
			upload_cancel(running->upload);
		}
		return;
	}
	j = attempt_job(e, v);
	if (j)
		abandon(e, j);
}

/* ---- the end ------------------------------------------------------------- */

static void noted(struct engine *e, struct job *j, bool verified)
{
	int rc = outcome_sent(&e->outcome, j->attempt, &j->item, verified);

	if (rc < 0) {
		give_up(e, j, "state.db", rc);
		return;
	}
	log_info("ino=%" PRIu64 " name=\"%s\" id=%s bytes=%" PRIu64
	         " uploaded=%s",
	         j->ino, j->attempt->name, j->item.id, j->attempt->size,
	         verified ? "verified" : "unverified");
	e->uploaded_files++;
	e->uploaded_bytes += j->attempt->size;
	engine_job_done(e, j);
}

/* The server holds other bytes than were sent: the item is ours, its content
 * is not; it is sent again under the item's id, and reported if that does not
 * help (facts 12.1). */
static void differs(struct engine *e, struct job *j)
{
	struct todo_entry *t = todo_find(e->todo, j->ino);
	struct attempt *a = j->attempt;
	int rc;

	log_error("ino=%" PRIu64 " id=%s size=%" PRIu64 " sent=%" PRIu64
	          " the server holds other bytes than were sent kept=local",
	          j->ino, j->item.id, j->item.size, a->size);
	a->gen = 0; /* holds nothing of this node */
	rc = outcome_sent(&e->outcome, a, &j->item, false);
	if (rc == 0 && t && t->fails)
		outcome_blocked(&e->outcome, j->ino, -EIO,
		                "the server keeps other bytes than were sent");
	give_up(e, j, "verify", rc < 0 ? rc : -EIO);
}

/* ...and under another tag than the upload got: somebody wrote over it before
 * its hash was seen. Ours counts as not sent, the merger keeps both. */
static void replaced(struct engine *e, struct job *j)
{
	int rc = outcome_not_sent(&e->outcome, j->attempt->aid);

	log_warn("ino=%" PRIu64 " id=%s was changed there before it could be "
	         "verified kept=local",
	         j->ino, j->item.id);
	if (rc == 0)
		rc = engine_take_looked(e, j);
	if (rc < 0)
		give_up(e, j, "merge", rc);
	else
		engine_job_done(e, j);
}

static void verify(struct engine *e, struct job *j);

static void looked_for_hash(struct engine *e, struct job *j)
{
	if (j->rc == 0 && j->has_item)
		verify(e, j);
	else
		give_up(e, j, "verify", j->rc < 0 ? j->rc : -EIO);
}

static void look(struct engine *e, struct job *j);

static void read_back(struct engine *e, struct job *j)
{
	if (j->rc == 0)
		verify(e, j);
	else if (j->rc == -ESTALE || j->rc == -ENOENT)
		look(e, j);
	else if (j->rc == -EACCES || j->rc == -EPERM)
		noted(e, j, false); /* it took them, and keeps them to itself */
	else
		give_up(e, j, "read back", j->rc);
}

static void look_for_hash(struct engine *e, struct job *j)
{
	int rc;

	graph_prepared_done(&j->call);
	rc = graph_prepare_get_item(e->opt.graph, j->item_id, &j->call);
	if (rc < 0) {
		give_up(e, j, "verify", rc);
		return;
	}
	j->call.c.prio = HTTP_PRIO_META;
	j->call.c.batch = true;
	job_send(j, looked_for_hash, job_answered);
}

static void verify(struct engine *e, struct job *j)
{
	const struct attempt *a = j->attempt;
	int same = item_same_content(&j->item, a->size,
	                             a->has_hash ? a->hash : NULL);

	if (a->op == ATTEMPT_CREATE && e->opt.codec->ops->authenticates &&
	    strcmp(j->item.name, a->name) != 0)
		engine_look_place(e, j); /* not the name that was sent */
	else if (same == 1)
		noted(e, j, true);
	else if (same == 0 && strcmp(j->item.etag, j->answer_etag) != 0)
		replaced(e, j);
	else if (same == 0)
		differs(e, j);
	else if (j->looks++ < MAX_LOOKS) {
		memcpy(j->item_id, j->item.id, sizeof(j->item_id));
		job_delay(j, LOOK_HASH_MS, look_for_hash);
	} else {
		engine_read_back(e, j, read_back);
	}
}

static void look(struct engine *e, struct job *j)
{
	if (j->attempt->op == ATTEMPT_CREATE)
		engine_look_place(e, j);
	else
		engine_look_item(e, j, j->attempt->item_id);
}

/* Nothing arrived, or not all of it: the attempt ends without effect. */
static void not_sent(struct engine *e, struct job *j, const char *what)
{
	int rc = outcome_not_sent(&e->outcome, j->attempt->aid);

	give_up(e, j, what, rc < 0 ? rc : j->rc);
}

static void send_refused(struct engine *e, struct job *j)
{
	struct todo_entry *t = todo_find(e->todo, j->ino);
	char why[256];

	snprintf(why, sizeof(why),
	         "the upload was refused by OneDrive: %s (%ld%s%s)",
	         strerror(-j->rc), j->status, j->code[0] ? " " : "", j->code);
	outcome_blocked(&e->outcome, j->ino, j->rc, why);
	engine_set_error(e, "%s", why);
	log_warn("ino=%" PRIu64 " blocked: %s kept=local", j->ino, why);
	outcome_not_sent(&e->outcome, j->attempt->aid);
	if (t)
		todo_set_due(e->todo, t, clock_mono_ms() + ENGINE_BLOCKED_MS);
	engine_job_done(e, j);
}

static void resume_later(struct engine *e, struct job *j)
{
	upload_free(j->upload);
	j->upload = NULL;
	if (j->abandoned)
		abandon(e, j);
	else
		start_upload(e, j);
}

static int64_t back_off(struct engine *e, uint64_t ino)
{
	struct todo_entry *t = todo_find(e->todo, ino);

	return engine_back_off(t ? t->fails++ : 0, 60000);
}

static void sent(struct engine *e, struct job *j)
{
	if (j->rc == 0 && j->has_item) {
		memcpy(j->answer_etag, j->item.etag, sizeof(j->answer_etag));
		verify(e, j);
	} else if (j->abandoned) {
		abandon(e, j);
	} else if (j->rc == -ECANCELED) {
		engine_job_done(e, j);
	} else if (j->rc == 0 || j->verdict == RETRY_LOOK) {
		look(e, j);
	} else if (j->verdict == RETRY_RESTART || j->status == 404) {
		j->attempt->url[0] = '\0';
		if (j->attempt->has_hash)
			look(e, j);
		else
			not_sent(e, j, "upload session is gone");
	} else if (j->rc == -ESTALE) { /* no snapshot, or not for that key */
		abandon(e, j);
	} else if (j->verdict == RETRY_WAIT && j->upload) {
		job_delay(j, back_off(e, j->ino), resume_later);
	} else if (engine_is_signed_out(e, j)) {
		not_sent(e, j, "upload");
	} else if (j->rc == -EINVAL || j->rc == -ENAMETOOLONG ||
	           j->rc == -EACCES || j->rc == -EPERM || j->rc == -EFBIG) {
		send_refused(e, j);
	} else if (j->verdict == RETRY_FAIL) {
		not_sent(e, j, "upload");
	} else {
		look(e, j);
	}
}

/* ---- a drive whose tags move for no reason --------------------------------
 */

/* Promise 3: everything is there but not committed; the item is looked at, and
 * if it is as we knew it the commit follows at once. */

static void committed(struct engine *e, struct job *j)
{
	sent(e, j);
}

static void looked_before_commit(struct engine *e, struct job *j)
{
	struct attempt *a = j->attempt;
	const char *tag;
	int rc;

	if (j->rc < 0 || !j->has_item || !engine_only_tag_moved(e, j)) {
		abandon(e, j); /* look again, and let the merger decide */
		return;
	}
	tag = engine_tag_after_look(j);
	log_warn("ino=%" PRIu64 " id=%s commit %s, looked at just now", j->ino,
	         a->item_id, tag ? "with its new tag" : "without a tag");
	j->next = committed;
	rc = upload_commit(e->opt.graph, a->url, j->item.parent_id,
	                   j->item.name, true, tag, job_answered, j);
	if (rc < 0)
		give_up(e, j, "commit", rc);
}

static void sent_deferred(struct engine *e, struct job *j)
{
	int rc;

	if (j->rc != 0 || j->has_item || j->abandoned) {
		sent(e, j);
		return;
	}
	graph_prepared_done(&j->call);
	rc = graph_prepare_get_item(e->opt.graph, j->attempt->item_id,
	                            &j->call);
	if (rc < 0) {
		give_up(e, j, "look", rc);
		return;
	}
	j->call.c.prio = HTTP_PRIO_META;
	job_send(j, looked_before_commit, job_answered);
}
