#include "auth/vault_store_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "net/log.h"

#define LOAD_TRIES 4

struct load {
	struct vault_store *s;
	struct objects o;
	const struct age_keys *keys;
};

/* ---- one file ------------------------------------------------------------ */

/* Errors of age, in words of a vault. */
static int explain(const struct load *l, const char *name, int rc,
                   const char *what)
{
	switch (rc) {
	case -ENOMEM:
	case -ENOTSUP:
		objects_say(&l->o, "%s", what);
		return rc;
	case AGE_NO_MATCH:
		objects_say(&l->o, "this device is not a member of the vault");
		return VAULT_STORE_NOT_MEMBER;
	default:
		objects_say(&l->o, "%s: %s", name, what);
		return -EBADMSG;
	}
}

static int open_file(const struct load *l, const char *name,
                     const struct buf *sealed, struct descriptor **out_d)
{
	char what[DESCRIPTOR_WHY] = "";
	int rc = descriptor_open(sealed->data, sealed->len, l->keys, out_d,
	                         what);

	return rc < 0 ? explain(l, name, rc, what) : 0;
}

/* ---- generations in between ---------------------------------------------- */

struct list {
	uint64_t above, below;
	struct object found[VAULT_STORE_KEEP + 2];
	size_t count;
};

static int on_child(void *arg, const struct object *child)
{
	uint64_t n = vault_store_generation_of(child->name);
	struct list *l = arg;

	if (child->is_file && n > l->above && n < l->below &&
	    l->count < sizeof(l->found) / sizeof(l->found[0]))
		l->found[l->count++] = *child;
	return 0;
}

static int by_generation(const void *a, const void *b)
{
	uint64_t x =
		vault_store_generation_of(((const struct object *)a)->name);
	uint64_t y =
		vault_store_generation_of(((const struct object *)b)->name);

	return x < y ? -1 : x > y;
}

/* Takes one of them if it is what it says, and follows what is pinned. */
static void follow_one(const struct load *l, const struct object *file,
                       struct pin *pin)
{
	struct buf sealed = BUF_INIT;
	struct descriptor *d;
	struct pin next;

	if (objects_read(&l->o, file, DESCRIPTOR_SEAL_MAX, &sealed) == 0 &&
	    open_file(l, file->name, &sealed, &d) == 0) {
		if (d->generation == vault_store_generation_of(file->name) &&
		    pin_verdict_rc(pin_check(pin, d, &next)) == 0)
			*pin = next;
		descriptor_free(d);
	}
	buf_done(&sealed);
}

/* A descriptor that doesn't fit the pin may be two changes of the auth key
 * away: each of them says in its own generation what the key was before. */
static void follow(const struct load *l, uint64_t below, struct pin *pin)
{
	struct list *found = calloc(1, sizeof(*found));

	if (!found)
		return;
	found->above = pin->generation;
	found->below = below;
	if (objects_list(&l->o, l->s->folder.id, on_child, found) == 0) {
		qsort(found->found, found->count, sizeof(found->found[0]),
		      by_generation);
		for (size_t i = 0; i < found->count; i++)
			follow_one(l, &found->found[i], pin);
	}
	free(found);
}

static int check_pin(const struct load *l, const struct descriptor *d,
                     const struct pin *pin, struct pin *out_pin)
{
	struct pin known = *pin;
	enum pin_verdict v = pin_check(&known, d, out_pin);

	if (v == PIN_FORGED && d->generation > pin->generation) {
		follow(l, d->generation, &known);
		v = pin_check(&known, d, out_pin);
	}
	if (pin_verdict_rc(v) < 0)
		objects_say(&l->o, "%s", pin_verdict_text(v));
	else if (v == PIN_MOVED)
		log_info("event=vault_key_moved generation=%" PRIu64,
		         d->generation);
	return pin_verdict_rc(v);
}

/* ---- vault.age ----------------------------------------------------------- */

static int read_current(const struct load *l, struct object *file,
                        struct buf *sealed)
{
	int rc = vault_store_open_folder(l->s, &l->o);

	if (rc == 0)
		rc = objects_find(&l->o, l->s->folder.id, VAULT_STORE_FILE,
		                  file);
	if (rc == 0 && !file->is_file)
		rc = -ENOENT;
	if (rc == 0) {
		buf_clear(sealed);
		rc = objects_read(&l->o, file, DESCRIPTOR_SEAL_MAX, sealed);
	}
	/* The folder may have been moved or made anew since it was found. */
	if (rc == -ENOENT)
		l->s->folder.id[0] = '\0';
	return rc == -EFBIG ? -EBADMSG : rc;
}

static int accept(const struct load *l, const struct object *file,
                  const struct buf *sealed, const struct pin *pin,
                  struct descriptor **out_d, struct pin *out_pin)
{
	struct descriptor *d;
	int rc = open_file(l, VAULT_STORE_FILE, sealed, &d);

	if (rc < 0)
		return rc;
	if (pin)
		rc = check_pin(l, d, pin, out_pin);
	else
		pin_of(d, out_pin);
	if (rc == 0)
		rc = vault_store_remember(l->s, file, sealed, d->generation);
	if (rc < 0)
		descriptor_free(d);
	else
		*out_d = d;
	return rc;
}

int vault_store_load(struct vault_store *s, const struct age_keys *keys,
                     const struct pin *pin, struct descriptor **out_d,
                     struct pin *out_pin, char *why)
{
	struct load l = { .s = s,
		          .o = vault_store_calls(s, why),
		          .keys = keys };
	struct buf sealed = BUF_INIT;
	struct object file;
	int rc = -ESTALE;

	for (int i = 0; i < LOAD_TRIES && rc == -ESTALE; i++)
		rc = read_current(&l, &file, &sealed);
	if (rc == -ESTALE)
		rc = -EAGAIN;
	if (rc == 0)
		rc = accept(&l, &file, &sealed, pin, out_d, out_pin);
	buf_done(&sealed);
	return vault_store_end(&l.o, rc);
}
