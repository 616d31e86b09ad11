#include "auth/vault_store_internal.h"

#include <errno.h>
#include <time.h>

#include "net/clock.h"
#include "net/crashpoint.h"
#include "net/log.h"

/* How long another device that has begun to make the vault gets to end it. */
#define CREATION_MS 5000
#define LOOK_MS     500

static void sleep_ms(int64_t ms)
{
	struct timespec ts = { .tv_sec = ms / 1000,
		               .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&ts, NULL);
}

/* ---- the file of a generation -------------------------------------------- */

/* Whatever is there under the number becomes `data`. */
static int overwrite(const struct objects *o, const char *folder_id,
                     const char *name, const struct buf *data,
                     struct object *out)
{
	struct object there;
	int rc = objects_find(o, folder_id, name, &there);

	return rc < 0 ? rc
	              : objects_replace(o, &there, data->data, data->len, out);
}

/* The generation that is left behind must be there under its number: devices
 * that were away may need it to follow a change of the auth key. */
static int keep_current(const struct vault_store *s, const struct objects *o)
{
	char name[VAULT_STORE_NAME_SIZE];
	struct object out;
	int rc;

	vault_store_name_of(s->generation, name);
	rc = objects_create(o, s->folder.id, name, s->sealed.data,
	                    s->sealed.len, &out);
	return rc == -EEXIST
	               ? overwrite(o, s->folder.id, name, &s->sealed, &out)
	               : rc;
}

struct old {
	const struct objects *o;
	uint64_t newest;
};

static int drop_old(void *arg, const struct object *child)
{
	uint64_t n = vault_store_generation_of(child->name);
	const struct old *old = arg;

	if (n > 0 && n + VAULT_STORE_KEEP <= old->newest && child->is_file)
		objects_delete(old->o, child);
	return 0;
}

/* Tidiness: that it fails is no failure. */
static void prune(const struct vault_store *s)
{
	struct objects quiet = { .graph = s->graph,
		                 .patience_ms = s->patience_ms };
	struct old old = { &quiet, s->generation };

	objects_list(&quiet, s->folder.id, drop_old, &old);
}

/* ---- a new vault --------------------------------------------------------- */

/* 0: it is there; -ENOENT: nobody made it in time. */
static int wait_for_other(const struct vault_store *s, const struct objects *o)
{
	int64_t until = clock_mono_ms() + CREATION_MS;
	struct object file;
	int rc;

	for (;;) {
		rc = objects_find(o, s->folder.id, VAULT_STORE_FILE, &file);
		if (rc != -ENOENT || clock_mono_ms() >= until)
			return rc;
		sleep_ms(LOOK_MS);
	}
}

static int say_lost(const struct objects *o)
{
	objects_say(o, "another device has just made a vault of this folder");
	return -EEXIST;
}

/* The first generation under its number. What has it already is of a device
 * that is faster, or of one that never came to the end. */
static int write_first(const struct vault_store *s, const struct objects *o,
                       const struct buf *sealed, struct object *out)
{
	char name[VAULT_STORE_NAME_SIZE];
	int rc;

	vault_store_name_of(1, name);
	rc = objects_create(o, s->folder.id, name, sealed->data, sealed->len,
	                    out);
	if (rc != -EEXIST)
		return rc;
	rc = wait_for_other(s, o);
	if (rc == 0)
		return say_lost(o);
	return rc == -ENOENT ? overwrite(o, s->folder.id, name, sealed, out)
	                     : rc;
}

static int create(struct vault_store *s, const struct objects *o,
                  const struct buf *sealed)
{
	struct object first, file;
	int rc = vault_store_make_folder(s, o);

	if (rc == 0)
		rc = objects_find(o, s->folder.id, VAULT_STORE_FILE, &file);
	if (rc == 0)
		return say_lost(o);
	if (rc == -ENOENT)
		rc = write_first(s, o, sealed, &first);
	if (rc < 0)
		return rc;
	CRASH_POINT("vault-begun");
	rc = objects_create(o, s->folder.id, VAULT_STORE_FILE, sealed->data,
	                    sealed->len, &file);
	CRASH_POINT("vault-made");
	if (rc == -EEXIST) {
		objects_delete(o, &first);
		return say_lost(o);
	}
	return rc == 0 ? vault_store_remember(s, &file, sealed, 1) : rc;
}

int vault_store_create(struct vault_store *s, const struct descriptor *d,
                       char *why)
{
	struct objects o = vault_store_calls(s, why);
	struct buf sealed = BUF_INIT;
	int rc = d->generation == 1 ? descriptor_seal(d, &sealed) : -EINVAL;

	if (rc == 0)
		rc = create(s, &o, &sealed);
	buf_done(&sealed);
	return vault_store_end(&o, rc);
}

/* ---- the next generation ------------------------------------------------- */

static int is_still_ours(const struct vault_store *s, const struct objects *o)
{
	struct vault_mark m = { s->file };

	switch (vault_mark_look(o->graph, &m, o->patience_ms)) {
	case VAULT_MARK_SAME:
		return 0;
	case VAULT_MARK_CHANGED:
		return -ESTALE;
	case VAULT_MARK_UNKNOWN:
		break;
	}
	return -EIO;
}

/* Under the number of the next generation there may be what a device wrote that
 * never came to the end, or that is at it now. */
static int write_next(const struct vault_store *s, const struct objects *o,
                      const struct buf *sealed, struct object *out)
{
	char name[VAULT_STORE_NAME_SIZE];
	int rc;

	vault_store_name_of(s->generation + 1, name);
	rc = objects_create(o, s->folder.id, name, sealed->data, sealed->len,
	                    out);
	if (rc != -EEXIST)
		return rc;
	rc = is_still_ours(s, o);
	return rc < 0 ? rc : overwrite(o, s->folder.id, name, sealed, out);
}

static int replace(struct vault_store *s, const struct objects *o,
                   const struct buf *sealed)
{
	struct object next, file;
	int rc = is_still_ours(s, o);

	if (rc == 0)
		rc = keep_current(s, o);
	CRASH_POINT("descriptor-kept");
	if (rc == 0)
		rc = write_next(s, o, sealed, &next);
	if (rc < 0)
		return rc;
	CRASH_POINT("descriptor-next");
	rc = objects_replace(o, &s->file, sealed->data, sealed->len, &file);
	CRASH_POINT("descriptor-replaced");
	if (rc == -ESTALE)
		objects_delete(o, &next);
	return rc == 0 ? vault_store_remember(s, &file, sealed,
	                                      s->generation + 1)
	               : rc;
}

int vault_store_replace(struct vault_store *s, const struct descriptor *next,
                        char *why)
{
	struct objects o = vault_store_calls(s, why);
	struct buf sealed = BUF_INIT;
	int rc = -EINVAL;

	if (s->file.id[0] && next->generation == s->generation + 1)
		rc = descriptor_seal(next, &sealed);
	if (rc == 0)
		rc = replace(s, &o, &sealed);
	buf_done(&sealed);
	if (rc == -ESTALE)
		objects_say(&o, "another device has changed the vault "
		                "meanwhile; try again");
	if (rc == 0)
		prune(s);
	return vault_store_end(&o, rc);
}
