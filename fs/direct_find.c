#include "fs/direct_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/config.h"
#include "fs/interrupt.h"
#include "fs/naming.h"
#include "fs/session.h"
#include "net/error_text.h"
#include "net/names.h"

/* In a plain folder a name there follows from the name here, and is asked for.
 * In a vault it depends on the attributes too: the folder is listed, and the
 * names are opened. */

#define MAKE_TRIES 3

/* ---- names --------------------------------------------------------------- */

static void new_node(const char *name, mode_t mode, struct node *out)
{
	memset(out, 0, sizeof(*out));
	snprintf(out->name, sizeof(out->name), "%s", name);
	out->mode = mode;
	out->uid = getuid();
	out->gid = getgid();
}

/* Fills out->node from out->item. -EINVAL: the name does not open; the node is
 * called as it then. */
static int describe(const struct codec *c, struct direct_file *out,
                    char target[DIRECT_TARGET])
{
	const struct item *it = &out->item;
	struct node *n = &out->node;
	char unused[DIRECT_TARGET];
	int rc;

	if (!target)
		target = unused;
	target[0] = '\0';

	new_node(strlen(it->name) <= NODE_NAME_MAX ? it->name : it->id,
	         it->kind == ITEM_FOLDER ? S_IFDIR | 0755 : S_IFREG | 0644, n);
	n->mtime = n->s_mtime = it->mtime;
	rc = c->ops->open_name(c, it->name, n, target);
	memcpy(n->s_id, it->id, sizeof(n->s_id));
	memcpy(n->s_name, it->name, sizeof(n->s_name));
	return rc;
}

int direct_describe(struct direct *d, struct direct_file *f,
                    char target[DIRECT_TARGET])
{
	return describe(d->codec, f, target);
}

/* ---- looking ------------------------------------------------------------- */

static int look_by_name(struct direct *d, const struct codec *c,
                        const struct direct_place *at, struct direct_file *out)
{
	struct graph_prepared p = direct_call();
	char remote[NODE_REMOTE_MAX + 1];
	const char *why;
	int rc;

	new_node(at->name, S_IFREG | 0644, &out->node);
	rc = c->ops->seal_name(c, &out->node, NULL, remote, &why);
	if (rc == -EINVAL) /* a name that can't be there isn't */
		return -ENOENT;
	if (rc < 0) {
		direct_say(d, "\"%s\": %s", at->name, why);
		return rc;
	}
	rc = graph_prepare_get_child(d->session->graph, at->parent_id, remote,
	                             &p);
	if (rc == 0)
		rc = direct_ask_item(d, &p, at->name, &out->item);
	if (rc < 0)
		return rc;
	if (strcmp(out->item.name, remote) != 0) {
		direct_say(d,
		           "\"%s\" is there, and OneDrive holds that name "
		           "equal to \"%s\"",
		           out->item.name, remote);
		return -EEXIST;
	}
	describe(c, out, NULL);
	return 0;
}

struct search {
	const struct codec *codec;
	const char *name;
	struct direct_file *now, *best; /* best->item.id "": none yet */
};

/* The design's rule, "Vault": the earlier one keeps the name, the others are
 * shown under their alias. */
static bool is_first(const struct search *s)
{
	const struct item *a = &s->now->item, *b = &s->best->item;

	if (!b->id[0] || s->best->node.flags & NODE_ALIAS)
		return true;
	return a->created != b->created ? a->created < b->created
	                                : strcmp(a->id, b->id) < 0;
}

static void consider(struct search *s, const struct graph_item *g)
{
	char alias[NODE_NAME_MAX + 1];
	struct direct_file *f = s->now;

	if (item_copy(g, &f->item) < 0 || describe(s->codec, f, NULL) < 0)
		return;
	if (!strcmp(f->node.name, s->name)) {
		if (is_first(s))
			*s->best = *f;
		return;
	}
	naming_alias(s->codec, f->node.name, f->item.id, alias);
	if (!s->best->item.id[0] && !strcmp(alias, s->name)) {
		f->node.flags |= NODE_ALIAS;
		*s->best = *f;
	}
}

static int read_page(struct direct *d, struct search *s, const cJSON *json,
                     struct graph_walk *walk, char **out_next)
{
	struct graph_page page;
	struct graph_item g;
	const cJSON *each;
	int rc = json ? graph_parse_page(d->session->graph, json, &page)
	              : -EBADMSG;

	*out_next = NULL;
	if (rc == 0 && page.next_link)
		rc = graph_walk_on(walk, &page);
	if (rc < 0) {
		direct_say(d, "the folder's listing: %s", error_text(rc));
		return rc;
	}
	cJSON_ArrayForEach (each, page.value) {
		if (graph_parse_item(each, &g) == 0 && !g.deleted)
			consider(s, &g);
	}
	if (page.next_link) {
		*out_next = strdup(page.next_link);
		if (!*out_next)
			rc = -ENOMEM;
	}
	return rc;
}

static int list(struct direct *d, const char *folder_id, struct search *s)
{
	struct graph_prepared p = direct_call();
	struct graph_walk walk = { 0 };
	struct graph_result r;
	int rc = graph_prepare_list(d->session->graph, folder_id, &p);
	char *next = NULL;

	while (rc == 0) {
		rc = direct_wait(d, &p, &r);
		if (rc < 0)
			direct_say_answer(d, "the folder", &r.answer, rc);
		else
			rc = read_page(d, s, r.json, &walk, &next);
		graph_result_done(&r);
		graph_prepared_done(&p);
		if (rc < 0 || !next)
			break;
		p = direct_call();
		rc = interrupt_seen()
		             ? -EINTR
		             : graph_prepare_link(d->session->graph, next, &p);
		free(next);
	}
	return rc;
}

static int look_by_list(struct direct *d, const struct codec *c,
                        const struct direct_place *at, struct direct_file *out)
{
	struct search s = { .codec = c, .name = at->name, .best = out };
	int rc;

	s.now = malloc(sizeof(*s.now));
	if (!s.now)
		return -ENOMEM;
	out->item.id[0] = '\0';
	out->node.flags = 0;
	rc = list(d, at->parent_id, &s);
	free(s.now);
	return rc < 0 || out->item.id[0] ? rc : -ENOENT;
}

static int look(struct direct *d, const struct codec *c,
                const struct direct_place *at, struct direct_file *out)
{
	return c->ops->keeps_attributes ? look_by_list(d, c, at, out)
	                                : look_by_name(d, c, at, out);
}

int direct_look(struct direct *d, const struct direct_place *at,
                struct direct_file *out)
{
	return look(d, d->codec, at, out);
}

int direct_look_id(struct direct *d, const char *id, struct direct_file *out)
{
	struct graph_prepared p = direct_call();
	int rc = graph_prepare_get_item(d->session->graph, id, &p);

	if (rc == 0)
		rc = direct_ask_item(d, &p, id, &out->item);
	if (rc == 0)
		describe(d->codec, out, NULL);
	return rc;
}

/* ---- walking ------------------------------------------------------------- */

static int make_folder(struct direct *d, const struct codec *c,
                       const struct direct_place *at, struct direct_file *out)
{
	struct graph_prepared p = direct_call();
	char remote[NODE_REMOTE_MAX + 1];
	struct direct_answer a = { .look = false };
	const char *why;
	int rc;

	new_node(at->name, S_IFDIR | 0755, &out->node);
	rc = c->ops->seal_name(c, &out->node, NULL, remote, &why);
	if (rc < 0) {
		direct_say(d, "\"%s\": %s", at->name, why);
		return rc;
	}
	rc = graph_prepare_mkdir(d->session->graph, at->parent_id, remote, &p);
	if (rc == 0)
		rc = direct_ask(d, &p, at->name, &a);
	if (rc == 0 && a.has_item)
		out->item = a.item;
	else if (rc == 0 || a.look || a.status == 409)
		rc = -EAGAIN; /* somebody was faster, or nobody knows */
	return rc;
}

/* at->name in at->parent_id becomes at->parent_id. */
static int enter(struct direct *d, const struct codec *c,
                 struct direct_place *at, bool make)
{
	struct direct_file *f = malloc(sizeof(*f));
	int rc = f ? -EAGAIN : -ENOMEM;

	for (int i = 0; i < MAKE_TRIES && rc == -EAGAIN; i++) {
		rc = look(d, c, at, f);
		if (rc == -ENOENT && make)
			rc = make_folder(d, c, at, f);
	}
	if (rc == 0 && f->item.kind != ITEM_FOLDER) {
		direct_say(d, "\"%s\" is no folder", at->name);
		rc = -ENOTDIR;
	}
	if (rc == 0)
		memcpy(at->parent_id, f->item.id, sizeof(at->parent_id));
	free(f);
	return rc;
}

/* 1; 0: the end of the path. */
static int next_part(struct direct *d, const char **path,
                     struct direct_place *at)
{
	size_t len = strlen(at->path);
	int rc = names_next_plain(path, at->name, sizeof(at->name));

	if (rc == 1 && snprintf(at->path + len, sizeof(at->path) - len, "/%s",
	                        at->name) >= (int)(sizeof(at->path) - len))
		rc = -ENAMETOOLONG;
	if (rc < 0)
		direct_say(d, "\"%s\": %s", *path,
		           rc == -EINVAL ? "this leads elsewhere"
		                         : error_text(rc));
	return rc;
}

/* Enters all parts of `path`, but the last one if `keep_last`. */
static int walk(struct direct *d, const struct codec *c, const char *path,
                bool keep_last, bool make, struct direct_place *at)
{
	int rc;

	at->path[0] = '\0';
	while ((rc = next_part(d, &path, at)) > 0) {
		if (keep_last && !path[strspn(path, "/")])
			return 0;
		rc = enter(d, c, at, make);
		if (rc < 0)
			return rc;
	}
	if (rc == 0 && keep_last) {
		direct_say(d, "a file's name is missing");
		rc = -EISDIR;
	}
	return rc;
}

static int find_root(struct direct *d, char out_id[NODE_ID_MAX + 1])
{
	struct graph_prepared p = direct_call();
	struct item *root = malloc(sizeof(*root));
	int rc = root ? graph_prepare_get_root(d->session->graph, &p) : -ENOMEM;

	if (rc == 0)
		rc = direct_ask_item(d, &p, "the drive's root", root);
	if (rc == 0)
		memcpy(out_id, root->id, sizeof(root->id));
	free(root);
	return rc;
}

int direct_folder(struct direct *d, bool make, char out_id[NODE_ID_MAX + 1])
{
	struct direct_place at;
	int rc = find_root(d, at.parent_id);

	if (rc == 0)
		rc = walk(d, d->plain, config_text(d->config, CONFIG_FOLDER),
		          false, make, &at);
	if (rc == 0)
		memcpy(out_id, at.parent_id, sizeof(at.parent_id));
	return rc;
}

int direct_find(struct direct *d, const char *path, bool make,
                struct direct_place *out)
{
	memcpy(out->parent_id, d->folder_id, sizeof(out->parent_id));
	return walk(d, d->codec, path, true, make, out);
}
