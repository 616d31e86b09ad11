#include "auth/vault_store_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "net/log.h"

/* The service compares names under a collation of which nobody outside knows
 * all. So it is tried: folders whose names differ in one character, of the
 * ends, the middle and some random places of the repertoire, must all come to
 * be, and be listed. */

#define FIRST  0x4e00u
#define COUNT  0x4000u
#define PAIRS  6
#define NAME   16 /* a digit, three characters of 3 bytes, NUL */
#define EXTENT (2 * PAIRS)

static void utf8(unsigned c, char out[4])
{
	out[0] = (char)(0xe0 | c >> 12);
	out[1] = (char)(0x80 | (c >> 6 & 0x3f));
	out[2] = (char)(0x80 | (c & 0x3f));
	out[3] = '\0';
}

struct probe {
	char names[EXTENT][NAME];
	bool seen[EXTENT];
	unsigned strangers;
};

/* Pairs of neighbours; each pair with its own digit, so that only the two of
 * them can collide. */
static void choose(struct probe *p)
{
	unsigned at[PAIRS] = { 0, COUNT / 2 - 1, COUNT - 2 };
	char common[4], c[4];

	for (unsigned i = 3; i < PAIRS; i++)
		at[i] = randombytes_uniform(COUNT - 1);
	utf8(0x6c34, common); /* as common as a character can be */
	for (unsigned i = 0; i < EXTENT; i++) {
		utf8(FIRST + at[i / 2] + i % 2, c);
		snprintf(p->names[i], NAME, "%u%s%s%s", i / 2, common, c,
		         common);
	}
}

static int on_child(void *arg, const struct object *child)
{
	struct probe *p = arg;

	for (unsigned i = 0; i < EXTENT; i++) {
		if (!strcmp(p->names[i], child->name)) {
			p->seen[i] = true;
			return 0;
		}
	}
	p->strangers++;
	return 0;
}

static int say_equal(const struct objects *o)
{
	objects_say(o, "this drive takes different names for equal; make the "
	               "vault with --name-text base32");
	return -ENOTUNIQ;
}

static int try_names(const struct objects *o, const char *folder_id,
                     struct probe *p)
{
	struct object made;
	int rc = 0;

	for (unsigned i = 0; i < EXTENT && rc == 0; i++) {
		rc = objects_mkdir(o, folder_id, p->names[i], &made);
		/* Taken, or made under another name. */
		if (rc == -EEXIST || rc == -EBADMSG)
			return say_equal(o);
	}
	if (rc == 0)
		rc = objects_list(o, folder_id, on_child, p);
	for (unsigned i = 0; i < EXTENT && rc == 0; i++) {
		if (!p->seen[i])
			return say_equal(o);
	}
	return rc == 0 && p->strangers ? say_equal(o) : rc;
}

static int make_scratch(const struct vault_store *s, const struct objects *o,
                        struct object *out)
{
	char name[32];

	snprintf(name, sizeof(name), "probe-%08x",
	         (unsigned)randombytes_random());
	return objects_mkdir(o, s->folder.id, name, out);
}

static int probe(struct vault_store *s, const struct objects *o)
{
	struct objects quiet = { .graph = s->graph,
		                 .patience_ms = s->patience_ms };
	struct probe p = { .strangers = 0 };
	struct object scratch;
	int rc = make_scratch(s, o, &scratch);

	if (rc < 0)
		return rc;
	choose(&p);
	rc = try_names(o, scratch.id, &p);
	/* By id: all that is in it was made here a moment ago. */
	if (objects_delete(&quiet, &scratch) < 0)
		log_warn("event=probe_left name=%s", scratch.name);
	return rc;
}

int vault_store_probe(struct vault_store *s, enum name_text text, char *why)
{
	struct objects o = vault_store_calls(s, why);
	int rc;

	if (text != NAME_TEXT_CJK14)
		return 0; /* letters and digits */
	rc = vault_store_make_folder(s, &o);
	return vault_store_end(&o, rc == 0 ? probe(s, &o) : rc);
}
