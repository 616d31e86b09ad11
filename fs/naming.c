#include "fs/naming.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <sodium.h>

#include "fs/codec.h"
#include "fs/node.h"
#include "net/names.h"

#define TARGET_MAX 4096

/* Link targets live beside the row, and only some codecs want them. */
static int get_target(const struct codec *c, struct db *db,
                      const struct node *n, char buf[TARGET_MAX],
                      const char **out_target)
{
	ssize_t len;

	*out_target = NULL;
	if (!S_ISLNK(n->mode) || !c->ops->keeps_attributes)
		return 0;
	len = node_get_target(db, n->ino, buf, TARGET_MAX);
	if (len < 0 && len != -ENOENT)
		return (int)len;
	*out_target = len < 0 ? NULL : buf;
	return 0;
}

int naming_seal(const struct codec *c, struct db *db, const struct node *n,
                char *out, const char **out_why)
{
	char buf[TARGET_MAX];
	const char *target;
	int rc = get_target(c, db, n, buf, &target);

	*out_why = "its row can't be read";
	if (rc < 0)
		return rc;
	if (n->flags & NODE_ALIAS && node_on_server(n) &&
	    !c->ops->keeps_attributes) {
		/* An alias is how we show a name, not a wish for another. */
		strcpy(out, n->s_name);
		return 0;
	}
	return c->ops->seal_name(c, n, target, out, out_why);
}

int naming_units(const struct codec *c, struct db *db, const struct node *n,
                 const char *target, unsigned *out_units)
{
	char buf[TARGET_MAX];
	int rc = target ? 0 : get_target(c, db, n, buf, &target);

	return rc < 0 ? rc : c->ops->name_units(c, n, target, out_units);
}

static const char *find_extension(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot && dot != name && strlen(dot) <= 16 ? dot
	                                               : name + strlen(name);
}

void naming_mark(const char *name, const char *mark, char *out)
{
	const char *ext = find_extension(name);
	size_t stem = (size_t)(ext - name), mark_len = strlen(mark);
	size_t room = NODE_NAME_MAX - mark_len - strlen(ext);

	if (stem > room) {
		stem = room;
		while (stem && (name[stem] & 0xc0) == 0x80)
			stem--;
	}
	memcpy(out, name, stem);
	memcpy(out + stem, mark, mark_len);
	strcpy(out + stem + mark_len, ext);
}

void naming_alias(const struct codec *c, const char *name, const char *item_id,
                  char *out)
{
	uint8_t hash[crypto_generichash_BYTES];
	char mark[sizeof(" (conflict 01234567)")];

	if (!c->ops->keeps_attributes) {
		names_alias(name, item_id, out, NODE_NAME_MAX + 1);
		return;
	}
	crypto_generichash(hash, sizeof(hash), (const uint8_t *)item_id,
	                   strlen(item_id), NULL, 0);
	snprintf(mark, sizeof(mark), " (conflict %02x%02x%02x%02x)", hash[0],
	         hash[1], hash[2], hash[3]);
	naming_mark(name, mark, out);
}
