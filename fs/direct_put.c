#include "fs/direct_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "fs/config.h"
#include "fs/interrupt.h"
#include "fs/session.h"
#include "net/error_text.h"
#include "net/log.h"
#include "net/quickxor.h"

/* One file: look what has the name, send, verify, rename. Where the outcome is
 * unknown or the tag was old: look again, and go on only if that shows what we
 * knew (promise 3). A tag that moves by itself a second time (opening a session
 * can do that, facts 5.3) is met with a deferred commit. */

#define ROUNDS       4
#define LOOK_HASH_MS 3000 /* a hash that comes late, facts 4 */
#define HASH_LOOKS   6

static void pause_ms(int64_t ms)
{
	struct timespec ts = { .tv_sec = ms / 1000,
		               .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&ts, NULL);
}

void put_say(struct put *p, int rc)
{
	if (rc == -EINTR)
		direct_say(p->d, "interrupted");
	else if (p->changed)
		direct_say(p->d,
		           "the file was changed while it was sent; try again");
	else if (rc == -ENOSPC || rc == -EDQUOT)
		direct_say(p->d, "\"%s\": the drive is full", p->at->name);
	else if (rc == -EROFS)
		direct_say(p->d, "the vault was changed by a newer release "
		                 "and can only be read by this one");
	else if (rc != -ESTALE)
		direct_say(p->d, "\"%s\": %s", p->at->name, error_text(rc));
}

/* ---- looking ------------------------------------------------------------- */

bool put_is_base(const struct put *p, const struct item *now)
{
	const struct item *base = &p->base.item;

	if (!base->id[0] || strcmp(now->id, base->id) != 0)
		return false;
	if (!strcmp(now->etag, base->etag))
		return true;
	/* Without a hash nobody knows whether it is the same content. */
	return now->size == base->size && now->has_hash == base->has_hash &&
	       (now->has_hash || !now->size) &&
	       !memcmp(now->hash, base->hash, sizeof(now->hash));
}

/* What has the name now, into p->base. */
static int look(struct put *p, struct direct_file *out)
{
	int rc = direct_look(p->d, p->at, out);

	if (rc == -ENOENT) {
		memset(out, 0, sizeof(*out));
		return 0;
	}
	if (rc == 0 &&
	    (out->item.kind != ITEM_FILE || !S_ISREG(out->node.mode))) {
		direct_say(p->d, "\"%s\" is there, and is no file",
		           p->at->name);
		rc = -EISDIR;
	}
	return rc;
}

/* Ours, by its bytes, and not what was there before. */
static bool is_ours(const struct put *p, const struct item *now)
{
	return now->id[0] && strcmp(now->etag, p->base.item.etag) != 0 &&
	       item_same_content(now, p->sealed, p->hash) == 1;
}

/* After a round without an answer to trust: 1: it is there after all; 0: send
 * again; -ESTALE: somebody else was here. */
static int look_again(struct put *p, struct item *out)
{
	struct direct_file now;
	int rc = look(p, &now);

	if (rc < 0)
		return rc;
	if (is_ours(p, &now.item)) {
		*out = now.item;
		return 1;
	}
	if (!now.item.id[0] && !p->base.item.id[0])
		return 0;
	if (put_is_base(p, &now.item)) {
		p->moved += strcmp(now.item.etag, p->base.item.etag) != 0;
		p->base = now;
		return 0;
	}
	direct_say(p->d,
	           "\"%s\" was changed by somebody else meanwhile; nothing was "
	           "replaced, try again",
	           p->at->name);
	return -ESTALE;
}

/* ---- verifying ----------------------------------------------------------- */

static int drop_bytes(void *arg, const void *data, size_t len)
{
	struct quickxor *q = arg;

	quickxor_update(q, data, len);
	return 0;
}

/* No hash comes: the bytes themselves are asked for (facts 4). */
static int read_back(struct put *p, const struct direct_file *f)
{
	uint8_t got[QUICKXOR_SIZE];
	struct quickxor q;
	int rc;

	quickxor_init(&q);
	rc = direct_download(p->d, f, 0, f->item.size, drop_bytes, &q);
	quickxor_final(&q, got);
	if (rc < 0)
		return rc;
	return !memcmp(got, p->hash, sizeof(got));
}

/* The item as the service has it: its bytes must be those of the file. */
static int verify(struct put *p, struct direct_file *f)
{
	int same = item_same_content(&f->item, p->sealed, p->hash), rc;
	char id[NODE_ID_MAX + 1];

	memcpy(id, f->item.id, sizeof(id));
	for (int i = 0; i < HASH_LOOKS && same == -ENODATA; i++) {
		if (interrupt_seen())
			return -EINTR;
		pause_ms(LOOK_HASH_MS);
		rc = direct_look_id(p->d, id, f);
		if (rc < 0)
			return rc;
		same = item_same_content(&f->item, p->sealed, p->hash);
	}
	if (same == -ENODATA)
		same = read_back(p, f);
	if (same < 0 || same == 1)
		return same < 0 ? same : 0;
	if (put_file_changed(p)) {
		p->changed = true;
		return -EBUSY;
	}
	direct_say(p->d,
	           "\"%s\": the service has other bytes than were sent (id %s)",
	           p->at->name, f->item.id);
	return -EBADMSG;
}

/* ---- the name ------------------------------------------------------------ */

/* After a doubt: only what has our content is renamed. */
static int look_at_ours(struct put *p, struct direct_file *f)
{
	char id[NODE_ID_MAX + 1];
	int rc;

	memcpy(id, f->item.id, sizeof(id));
	rc = direct_look_id(p->d, id, f);
	if (rc == 0 && item_same_content(&f->item, p->sealed, p->hash) == 0) {
		direct_say(p->d,
		           "\"%s\" was changed by somebody else right after "
		           "it was sent",
		           p->at->name);
		rc = -ESTALE;
	}
	return rc;
}

/* The content is there; the name says what else the file is. */
static int rename_item(struct put *p, struct direct_file *f)
{
	struct direct_answer *a = calloc(1, sizeof(*a));
	struct item *it = &f->item;
	int rc = a ? 0 : -ENOMEM;

	for (int i = 0; rc == 0 && strcmp(it->name, p->name) != 0; i++) {
		struct graph_prepared call = direct_call();

		if (i == ROUNDS)
			rc = -EIO;
		if (rc == 0)
			rc = graph_prepare_patch(p->d->session->graph, it->id,
			                         it->etag, NULL, p->name, NULL,
			                         &call);
		if (rc == 0)
			rc = direct_ask(p->d, &call, p->at->name, a);
		if (rc == 0 && a->has_item)
			*it = a->item;
		else if (rc == 0 || a->look)
			rc = look_at_ours(p, f);
	}
	free(a);
	return rc;
}

/* ---- all of it ----------------------------------------------------------- */

static int send_rounds(struct put *p, struct item *out)
{
	struct direct_answer *a = calloc(1, sizeof(*a));
	int rc = a ? 0 : -ENOMEM;

	for (int i = 0; i < ROUNDS && rc == 0; i++) {
		memset(a, 0, sizeof(*a));
		rc = put_send(p, a);
		if (rc == 0 && a->has_item) {
			*out = a->item;
			break;
		}
		if (rc < 0 && !a->look)
			break;
		/* A 2xx without an item is not known either (facts 5.2). */
		log_debug("put: looking again round=%d rc=%d", i, rc);
		rc = look_again(p, out);
		if (rc == 0 && i + 1 == ROUNDS) {
			direct_say(p->d,
			           "\"%s\": the service takes it, but it does "
			           "not appear; try again later",
			           p->at->name);
			rc = -EIO;
		}
	}
	free(a);
	return rc < 0 ? rc : 0;
}

static int put_file(struct put *p, mode_t mask, struct direct_file *f)
{
	int rc = put_stat(p, mask);

	if (rc == 0)
		rc = direct_newest(p->d);
	if (rc == 0)
		rc = look(p, &p->base);
	if (rc == 0 && p->base.item.id[0] &&
	    config_bool(p->d->config, CONFIG_APPEND_ONLY)) {
		direct_say(p->d,
		           "\"%s\" is there already, and append_only leaves it "
		           "as it is",
		           p->at->name);
		rc = -EPERM;
	}
	if (rc == 0)
		rc = put_name(p);
	if (rc == 0)
		rc = put_seal(p);
	if (rc == 0)
		rc = put_hash(p);
	if (rc == 0)
		rc = send_rounds(p, &f->item);
	if (rc == 0)
		rc = verify(p, f);
	return rc == 0 ? rename_item(p, f) : rc;
}

int direct_put(struct direct *d, const struct direct_place *at, int fd,
               mode_t mask, direct_progress_fn *progress, void *arg,
               struct item *out)
{
	struct put *p = calloc(1, sizeof(*p));
	struct direct_file *f = calloc(1, sizeof(*f));
	struct interrupt signals;
	int rc = -ENOMEM;

	d->why[0] = '\0';
	if (p && f) {
		*p = (struct put){ .d = d, .at = at, .fd = fd };
		p->progress = progress;
		p->arg = arg;
		memcpy(f->node.name, at->name, sizeof(f->node.name));
		interrupt_catch(&signals);
		rc = put_file(p, mask, f);
		interrupt_release(&signals);
		d->codec->ops->writer_free(p->writer);
		if (rc < 0 && !d->why[0])
			put_say(p, rc);
	}
	if (rc == 0)
		*out = f->item;
	free(f);
	free(p);
	return rc;
}
