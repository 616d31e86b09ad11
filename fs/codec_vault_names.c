#include "fs/codec_vault_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "auth/attributes.h"
#include "auth/seal_names.h"

/* Of a path's last name that much is kept free for attributes it may get later
 * (design: "Vault"). Folders rarely have any, and a path has many. */
#define ATTR_ROOM 48

/* A longer link name than that, with its target, has the target in the item's
 * content: paths are short. */
#define LINK_UNITS 128

/* A sealed name, opened. */
struct opened {
	bool ok;
	struct seal_names_plain plain;
	struct attributes attr;
};

static void open_sealed(const struct vault *v, const char *sealed, bool dir,
                        struct opened *out)
{
	out->ok = seal_names_open(vault_names(v), sealed, &out->plain) == 0;
	if (out->ok) /* a text of no shape counts as none */
		attributes_parse(&out->attr, dir, out->plain.attributes);
	else
		attributes_init(&out->attr, dir);
}

static uid_t uid_of(const struct vault_codec *vc, const struct attributes *a)
{
	return a->has_uid ? a->uid : vc->uid;
}

static gid_t gid_of(const struct vault_codec *vc, const struct attributes *a)
{
	return a->has_gid ? a->gid : vc->gid;
}

static bool same_target(const struct attributes *a, const struct node *n,
                        const char *target)
{
	if (!S_ISLNK(n->mode) || !a->target || !target)
		return true; /* none, or in the content, which can't change */
	return !strcmp(a->target, target);
}

/* Are all fields as `had` says? Then its text stays, whoever wrote it. */
static bool is_same(const struct vault_codec *vc, const struct opened *had,
                    const char *name, const struct node *n, const char *target)
{
	const struct attributes *a = &had->attr;

	if (!had->ok || strcmp(had->plain.name, name) != 0 ||
	    a->mode != n->mode || uid_of(vc, a) != n->uid ||
	    gid_of(vc, a) != n->gid || !same_target(a, n, target))
		return false;
	if ((S_ISCHR(n->mode) || S_ISBLK(n->mode)) && a->rdev != n->rdev)
		return false;
	return S_ISDIR(n->mode) ||
	       n->mtime == (a->has_mtime ? a->mtime : n->s_mtime);
}

/* What the node asks for, with what `had` holds and we don't understand. */
static void fill(const struct vault_codec *vc, const struct opened *had,
                 const struct node *n, const char *target,
                 struct attributes *out)
{
	*out = had->attr;
	if (!had->ok)
		attributes_init(out, S_ISDIR(n->mode));
	out->has_uid = n->uid != vc->uid || (had->ok && had->attr.has_uid &&
	                                     had->attr.uid == n->uid);
	out->has_gid = n->gid != vc->gid || (had->ok && had->attr.has_gid &&
	                                     had->attr.gid == n->gid);
	out->uid = n->uid;
	out->gid = n->gid;
	out->mode = S_ISLNK(n->mode) ? S_IFLNK | 0777 : n->mode;
	out->rdev = n->rdev;
	out->has_mtime = !S_ISDIR(n->mode);
	out->mtime = n->mtime;
	if (target || !S_ISLNK(n->mode))
		out->target = target;
}

/* The text of the attributes; a target that makes the name too long for a path
 * is left out. */
static int format(const struct vault *v, const char *name, struct attributes *a,
                  char out[ATTRIBUTES_MAX + 1])
{
	const struct seal_names *names = vault_names(v);
	size_t len = strlen(name), room;

	if (a->target) {
		room = seal_names_longest_attr(names, LINK_UNITS, len);
		if (room && attributes_format(a, out, room + 1) == 0)
			return 0;
		a->target = NULL;
	}
	room = seal_names_longest_attr(names, SEAL_NAMES_UNITS_MAX, len);
	if (!room)
		return -ENAMETOOLONG;
	return attributes_format(a, out, room + 1);
}

static const char *name_of(const struct node *n, const struct opened *had)
{
	return n->flags & NODE_ALIAS && had->ok ? had->plain.name : n->name;
}

static int seal(const struct vault *v, const struct vault_codec *vc,
                const struct opened *had, const struct node *n,
                const char *target, char *out)
{
	const char *name = name_of(n, had);
	char text[ATTRIBUTES_MAX + 1];
	struct attributes a;
	int rc;

	fill(vc, had, n, target, &a);
	rc = format(v, name, &a, text);
	return rc < 0 ? rc : seal_names_seal(vault_names(v), name, text, out);
}

int vault_seal_name(const struct codec *c, const struct node *n,
                    const char *target, char *out, const char **out_why)
{
	struct vault *v = vault_codec_get(c);
	struct opened had = { .ok = false };
	int rc = 0;

	if (node_on_server(n))
		open_sealed(v, n->s_name, S_ISDIR(n->mode), &had);
	if (node_on_server(n) &&
	    (is_same(vault_codec_of(c), &had, name_of(n, &had), n, target) ||
	     (n->flags & NODE_ALIAS && !had.ok)))
		strcpy(out, n->s_name);
	else
		rc = seal(v, vault_codec_of(c), &had, n, target, out);
	vault_unref(v);
	*out_why = rc == -ENAMETOOLONG ? "the sealed name is too long"
	                               : "the name can't be sealed";
	return rc;
}

int vault_name_units(const struct codec *c, const struct node *n,
                     const char *target, unsigned *out_units)
{
	struct vault *v = vault_codec_get(c);
	struct opened none = { .ok = false };
	char text[ATTRIBUTES_MAX + 1];
	struct attributes a;
	size_t len, units;
	int rc;

	fill(vault_codec_of(c), &none, n, target, &a);
	rc = format(v, n->name, &a, text);
	if (rc == 0) {
		len = strlen(text);
		if (!S_ISDIR(n->mode) && len < ATTR_ROOM)
			len = ATTR_ROOM;
		units = seal_names_units(vault_names(v), strlen(n->name), len);
		*out_units = (unsigned)units;
		if (units > SEAL_NAMES_UNITS_MAX)
			rc = -ENAMETOOLONG;
	}
	vault_unref(v);
	return rc;
}

int vault_open_name(const struct codec *c, const char *remote, struct node *n,
                    char *target)
{
	const struct vault_codec *vc = vault_codec_of(c);
	struct vault *v = vault_codec_get(c);
	struct opened had;

	target[0] = '\0';
	open_sealed(v, remote, S_ISDIR(n->mode), &had);
	vault_unref(v);
	if (!had.ok)
		return -EINVAL;
	strcpy(n->name, had.plain.name);
	n->mode = had.attr.mode;
	n->uid = uid_of(vc, &had.attr);
	n->gid = gid_of(vc, &had.attr);
	n->rdev = had.attr.rdev;
	if (had.attr.has_mtime)
		n->mtime = had.attr.mtime;
	if (had.attr.target)
		strcpy(target, had.attr.target);
	return 0;
}

bool vault_target_in_content(const struct codec *c, const struct node *n,
                             const char *target)
{
	struct vault *v = vault_codec_get(c);
	struct opened none = { .ok = false };
	char text[ATTRIBUTES_MAX + 1];
	struct attributes a;
	int rc;

	fill(vault_codec_of(c), &none, n, target, &a);
	rc = format(v, n->name, &a, text);
	vault_unref(v);
	return rc == 0 && target && !a.target;
}
