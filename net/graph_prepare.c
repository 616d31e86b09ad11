#include "net/graph.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/buf.h"
#include "net/clock.h"
#include "net/graph_internal.h"

/* What graph_parse_item() looks at: pages of thousands of items are most of
 * what is ever received. */
#define SELECT                                                                 \
	"$select=id,name,eTag,size,createdDateTime,lastModifiedDateTime,"      \
	"fileSystemInfo,parentReference,file,folder,package,root,remoteItem,"  \
	"deleted,malware"
#define CONFLICT "@microsoft.graph.conflictBehavior"

/* ---- paths --------------------------------------------------------------- */

/* Ids keep their '!' as the service gave it (facts 2.1, 13 #2); everything
 * else that is not unreserved is encoded, so that no id can lead elsewhere. */
void graph_add_id(struct buf *b, const char *id)
{
	for (size_t len; *id; id += len) {
		len = strcspn(id, "!");
		buf_add_percent(b, id, len);
		if (id[len] == '!') {
			buf_add_char(b, '!');
			len++;
		}
	}
}

void graph_add_item(struct graph *g, struct buf *b, const char *id)
{
	graph_add_drive(g, b);
	buf_add_str(b, "/items/");
	graph_add_id(b, id);
}

/* An OData literal: quotes doubled, then percent-encoded. */
static void add_literal(struct buf *b, const char *s)
{
	buf_add_str(b, "%27");
	for (; *s; s++) {
		buf_add_percent(b, s, 1);
		if (*s == '\'')
			buf_add_percent(b, s, 1);
	}
	buf_add_str(b, "%27");
}

/* "items/{parent}:/{name}:/verb?query"; the cloud in China takes names only as
 * a parameter (facts 2.1, 13 #49). */
void graph_add_child(struct graph *g, struct buf *b, const char *parent_id,
                     const char *name, const char *verb, const char *query)
{
	graph_add_item(g, b, parent_id);
	if (graph_is_china(g)) {
		buf_addf(b, "/children('@a1')%s?", verb);
		if (*query)
			buf_addf(b, "%s&", query);
		buf_add_str(b, "@a1=");
		add_literal(b, name);
		return;
	}
	buf_add_str(b, ":/");
	buf_add_percent(b, name, strlen(name));
	if (*verb)
		buf_addf(b, ":%s", verb);
	if (*query)
		buf_addf(b, "?%s", query);
}

/* ---- prepared calls ------------------------------------------------------ */

static int prepare(struct graph_prepared *p, enum retry_kind kind,
                   const char *method, unsigned units, struct buf *path)
{
	p->path = buf_steal(path);
	p->body = NULL;
	p->etag = NULL;
	if (!p->path)
		return -ENOMEM;
	p->c.kind = kind;
	p->c.method = method;
	p->c.path = p->path;
	p->c.units = units;
	p->c.if_match = NULL;
	p->c.headers = NULL;
	p->c.type = NULL;
	p->c.body = NULL;
	p->c.body_len = 0;
	return 0;
}

void graph_prepared_done(struct graph_prepared *p)
{
	free(p->path);
	free(p->body);
	free(p->etag);
	p->path = p->body = p->etag = NULL;
}

static int set_etag(struct graph_prepared *p, const char *etag)
{
	if (!etag)
		return 0;
	p->etag = strdup(etag);
	if (!p->etag)
		return -ENOMEM;
	p->c.if_match = p->etag;
	return 0;
}

static int set_json(struct graph_prepared *p, const cJSON *json)
{
	p->body = json ? cJSON_PrintUnformatted(json) : NULL;
	if (!p->body)
		return -ENOMEM;
	p->c.body = p->body;
	p->c.body_len = strlen(p->body);
	return 0;
}

/* Ends a preparation: nothing is left behind after an error. */
static int check(struct graph_prepared *p, int rc)
{
	if (rc < 0)
		graph_prepared_done(p);
	return rc;
}

static int prepare_get(struct graph_prepared *p, unsigned units,
                       struct buf *path)
{
	return prepare(p, RETRY_READ, "GET", units, path);
}

int graph_prepare_get_drive(struct graph *g, struct graph_prepared *p)
{
	struct buf path = BUF_INIT;

	graph_add_drive(g, &path);
	return prepare_get(p, 1, &path);
}

int graph_prepare_get_root(struct graph *g, struct graph_prepared *p)
{
	struct buf path = BUF_INIT;

	graph_add_drive(g, &path);
	buf_add_str(&path, "/root");
	return prepare_get(p, 1, &path);
}

int graph_prepare_get_item(struct graph *g, const char *id,
                           struct graph_prepared *p)
{
	struct buf path = BUF_INIT;

	graph_add_item(g, &path, id);
	return prepare_get(p, 1, &path);
}

int graph_prepare_get_child(struct graph *g, const char *parent_id,
                            const char *name, struct graph_prepared *p)
{
	struct buf path = BUF_INIT;

	graph_add_child(g, &path, parent_id, name, "", "");
	return prepare_get(p, 1, &path);
}

int graph_prepare_list(struct graph *g, const char *folder_id,
                       struct graph_prepared *p)
{
	struct buf path = BUF_INIT;

	graph_add_item(g, &path, folder_id);
	buf_add_str(&path, "/children?$top=1000&" SELECT);
	return prepare_get(p, 2, &path);
}

int graph_prepare_link(struct graph *g, const char *link,
                       struct graph_prepared *p)
{
	struct buf path = BUF_INIT;

	(void)g;
	buf_add_str(&path, link);
	return prepare(p, RETRY_PAGE, "GET", 2, &path);
}

int graph_prepare_delta(struct graph *g, const char *folder_id, bool latest,
                        struct graph_prepared *p)
{
	struct buf path = BUF_INIT;

	if (folder_id) {
		graph_add_item(g, &path, folder_id);
	} else {
		graph_add_drive(g, &path);
		buf_add_str(&path, "/root");
	}
	buf_add_str(&path, "/delta?");
	buf_add_str(&path, latest ? "token=latest" : "$top=1000&" SELECT);
	return prepare_get(p, 2, &path);
}

int graph_prepare_versions(struct graph *g, const char *id,
                           struct graph_prepared *p)
{
	struct buf path = BUF_INIT;

	graph_add_item(g, &path, id);
	buf_add_str(&path, "/versions");
	return prepare_get(p, 2, &path);
}

int graph_prepare_mkdir(struct graph *g, const char *parent_id,
                        const char *name, struct graph_prepared *p)
{
	struct buf path = BUF_INIT;
	cJSON *json;
	int rc;

	graph_add_item(g, &path, parent_id);
	buf_add_str(&path, "/children");
	rc = prepare(p, RETRY_CREATE, "POST", 2, &path);
	if (rc < 0)
		return rc;
	json = cJSON_CreateObject();
	if (!cJSON_AddStringToObject(json, "name", name) ||
	    !cJSON_AddObjectToObject(json, "folder") ||
	    !cJSON_AddStringToObject(json, CONFLICT, "fail"))
		rc = -ENOMEM;
	else
		rc = set_json(p, json);
	cJSON_Delete(json);
	return check(p, rc);
}

/* Whole seconds if they are: some accounts keep no more (facts 2.3). */
bool graph_add_file_times(cJSON *json, int64_t mtime_ns)
{
	cJSON *info = cJSON_AddObjectToObject(json, "fileSystemInfo");
	char text[CLOCK_RFC3339_SIZE];

	clock_format_rfc3339(mtime_ns, mtime_ns % NS_PER_SEC ? 3 : 0, text);
	return info &&
	       cJSON_AddStringToObject(info, "lastModifiedDateTime", text);
}

static bool add_parent(cJSON *json, const char *parent_id)
{
	cJSON *parent = cJSON_AddObjectToObject(json, "parentReference");

	return parent && cJSON_AddStringToObject(parent, "id", parent_id);
}

int graph_prepare_patch(struct graph *g, const char *id, const char *etag,
                        const char *parent_id, const char *name,
                        const int64_t *mtime_ns, struct graph_prepared *p)
{
	struct buf path = BUF_INIT;
	cJSON *json;
	int rc;

	graph_add_item(g, &path, id);
	rc = prepare(p, RETRY_WRITE, "PATCH", 2, &path);
	if (rc < 0)
		return rc;
	json = cJSON_CreateObject();
	if ((name && !cJSON_AddStringToObject(json, "name", name)) ||
	    (parent_id && !add_parent(json, parent_id)) ||
	    (mtime_ns && !graph_add_file_times(json, *mtime_ns)) ||
	    !cJSON_AddStringToObject(json, CONFLICT, "fail"))
		rc = -ENOMEM;
	else
		rc = set_json(p, json);
	cJSON_Delete(json);
	if (rc == 0)
		rc = set_etag(p, etag);
	return check(p, rc);
}

int graph_prepare_restore(struct graph *g, const char *id,
                          const char *parent_id, const char *name,
                          struct graph_prepared *p)
{
	struct buf path = BUF_INIT;
	cJSON *json;
	int rc;

	graph_add_item(g, &path, id);
	buf_add_str(&path, "/restore");
	rc = prepare(p, RETRY_CREATE, "POST", 2, &path);
	if (rc < 0)
		return rc;
	json = cJSON_CreateObject();
	if ((name && !cJSON_AddStringToObject(json, "name", name)) ||
	    (parent_id && !add_parent(json, parent_id)))
		rc = -ENOMEM;
	else
		rc = set_json(p, json);
	cJSON_Delete(json);
	return check(p, rc);
}

int graph_prepare_delete(struct graph *g, const char *id, const char *etag,
                         struct graph_prepared *p)
{
	struct buf path = BUF_INIT;
	int rc;

	graph_add_item(g, &path, id);
	rc = prepare(p, RETRY_WRITE, "DELETE", 2, &path);
	if (rc < 0)
		return rc;
	return check(p, set_etag(p, etag));
}

static void set_content(struct graph_prepared *p, const void *data, size_t len)
{
	p->c.type = "application/octet-stream";
	p->c.body = data;
	p->c.body_len = len;
}

int graph_prepare_put_new(struct graph *g, const char *parent_id,
                          const char *name, const void *data, size_t len,
                          struct graph_prepared *p)
{
	struct buf path = BUF_INIT;
	int rc;

	graph_add_child(g, &path, parent_id, name, "/content",
	                CONFLICT "=fail");
	rc = prepare(p, RETRY_CREATE, "PUT", 2, &path);
	if (rc == 0)
		set_content(p, data, len);
	return rc;
}

/* Without a tag a repeat could go over what another one wrote meanwhile. */
int graph_prepare_put(struct graph *g, const char *id, const char *etag,
                      const void *data, size_t len, struct graph_prepared *p)
{
	struct buf path = BUF_INIT;
	int rc;

	graph_add_item(g, &path, id);
	buf_add_str(&path, "/content");
	rc = prepare(p, etag ? RETRY_WRITE : RETRY_CREATE, "PUT", 2, &path);
	if (rc < 0)
		return rc;
	set_content(p, data, len);
	return check(p, set_etag(p, etag));
}
