#include "fs/remote_internal.h"

#include <stdlib.h>
#include <string.h>

#include "fs/db.h"
#include "fs/events.h"
#include "fs/node.h"

#define PATH_BYTES 8192

/* What the transaction under way will have done. */
struct remote_news {
	struct remote_news *next;
	enum event_kind kind;
	uint64_t ino;
	const char *text; /* behind the path */
	char path[];
};

static struct remote_news *news_new(const char *path, const char *text)
{
	size_t len = strlen(path) + 1;
	struct remote_news *n = malloc(sizeof(*n) + len + strlen(text) + 1);

	if (!n)
		return NULL;
	memcpy(n->path, path, len);
	n->text = strcpy(n->path + len, text);
	return n;
}

void remote_tell(struct remote *r, struct db *db, enum event_kind kind,
                 uint64_t ino, const char *text)
{
	struct remote_news *n;
	char *path;

	if (!r->events || (kind == EVENT_REMOTE && !events_wanted(r->events)))
		return;
	path = malloc(PATH_BYTES);
	if (!path)
		return;
	if (node_path(db, ino, path, PATH_BYTES) < 0)
		path[0] = '\0';
	n = news_new(path, text);
	free(path);
	if (!n)
		return;
	n->kind = kind;
	n->ino = ino;
	n->next = NULL;
	*r->news_tail = n;
	r->news_tail = &n->next;
}

int remote_told(struct remote *r, int rc)
{
	struct remote_news *n, *list = r->news;

	r->news = NULL;
	r->news_tail = &r->news;
	while ((n = list)) {
		list = n->next;
		if (rc == 0)
			events_put(r->events, n->kind, n->ino, n->path, NULL,
			           n->text);
		free(n);
	}
	return rc;
}
