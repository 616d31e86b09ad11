#include "tests/graphd/graphd.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/clock.h"
#include "tests/graphd/batch.h"
#include "tests/graphd/change.h"
#include "tests/graphd/copy.h"
#include "tests/graphd/delta.h"
#include "tests/graphd/download.h"
#include "tests/graphd/fault.h"
#include "tests/graphd/ids.h"
#include "tests/graphd/drive_json.h"
#include "tests/graphd/item_json.h"
#include "tests/graphd/list.h"
#include "tests/graphd/locate.h"
#include "tests/graphd/login.h"
#include "tests/graphd/must.h"
#include "tests/graphd/persist.h"
#include "tests/graphd/put.h"
#include "tests/graphd/session.h"
#include "tests/graphd/stats.h"
#include "tests/graphd/stranger.h"
#include "tests/graphd/tap.h"
#include "tests/graphd/throttle.h"
#include "tests/graphd/versions.h"
#include "tests/graphd/wire.h"

#define USER_GUID   "3e9d7f10-5b2c-4a86-9d0f-8c71e2b4a593"
#define WORK_TENANT "6babcaad-604b-40ac-a9d7-9fd97c0b779f"

/* ---- small handlers
 * ----------------------------------------------------------------- */

static void handle_me(struct graphd *g, const struct request *req,
                      struct answer *out)
{
	bool business = g->opt.kind == DRIVE_BUSINESS;
	cJSON *me = cJSON_CreateObject();

	(void)req;
	cJSON_AddStringToObject(me, "id",
	                        business ? g->user_guid : g->drive->id);
	cJSON_AddStringToObject(me, "displayName", "Some One");
	cJSON_AddStringToObject(me, "userPrincipalName",
	                        business ? "some.one@contoso.example"
	                                 : "someone@example.com");
	cJSON_AddStringToObject(me, "mail",
	                        business ? "some.one@contoso.example"
	                                 : "someone@example.com");
	answer_json(out, 200, me);
}

static void handle_drive(struct graphd *g, const struct request *req,
                         struct answer *out)
{
	const char *id = req->route.drive;
	cJSON *drive;

	if (id && strcasecmp(id, g->drive->id)) {
		answer_error(out, 404, "itemNotFound", NULL,
		             "There is no such drive.");
		return;
	}
	drive = drive_json(g);
	item_json_select(drive, query_get(&req->query, "select"));
	answer_json(out, 200, drive);
}

static void handle_item(struct graphd *g, const struct request *req,
                        struct answer *out)
{
	struct item *item = locate_item(g, req, out);

	if (item)
		item_json_answer(g, req, out, 200, item);
}

static void handle_unknown(struct graphd *g, const struct request *req,
                           struct answer *out)
{
	(void)g;
	(void)req;
	answer_error(out, 400, "invalidRequest", NULL,
	             "Resource or method not known.");
}

/* No push channel: clients fall back to polling (15). */
static void handle_subscription(struct graphd *g, const struct request *req,
                                struct answer *out)
{
	(void)g;
	(void)req;
	answer_error(out, 400, "invalidRequest", NULL,
	             "Notifications are not offered.");
}

/* ---- dispatch
 * ------------------------------------------------------------------------ */

typedef void handler(struct graphd *g, const struct request *req,
                     struct answer *out);

static handler *const handlers[CLASS_COUNT] = {
	[CLASS_me] = handle_me,
	[CLASS_drive] = handle_drive,
	[CLASS_drives] = list_drives,
	[CLASS_item] = handle_item,
	[CLASS_children] = list_children,
	[CLASS_create] = change_create,
	[CLASS_multipart] = put_multipart,
	[CLASS_patch] = change_patch,
	[CLASS_delete] = change_delete,
	[CLASS_permanent_delete] = change_permanent_delete,
	[CLASS_restore] = change_restore,
	[CLASS_copy] = copy_start,
	[CLASS_put] = put_content,
	[CLASS_commit_put] = session_commit_put,
	[CLASS_session] = session_create,
	[CLASS_content] = download_content,
	[CLASS_delta] = delta_page,
	[CLASS_versions] = versions_list,
	[CLASS_version] = versions_get,
	[CLASS_version_content] = versions_content,
	[CLASS_version_restore] = versions_restore,
	[CLASS_version_delete] = versions_delete,
	[CLASS_search] = list_search,
	[CLASS_shared] = list_nothing,
	[CLASS_permissions] = list_nothing,
	[CLASS_subscription] = handle_subscription,
	[CLASS_batch] = batch_run,
};

void graphd_handle(struct graphd *g, const struct request *req,
                   struct answer *out)
{
	handler *h = handlers[req->route.class];

	if (req->in_batch && req->route.class == CLASS_batch)
		h = NULL;
	if (req->stranger && req->route.class != CLASS_batch)
		stranger_handle(g, req, out);
	else if (h)
		h(g, req, out);
	else
		handle_unknown(g, req, out);
}

/* ---- life
 * ---------------------------------------------------------------------------
 */

int64_t graphd_now_ns(struct graphd *g)
{
	return clock_real_ns() + atomic_load(&g->clock_offset_ns);
}

int64_t graphd_now_ms(struct graphd *g)
{
	return graphd_now_ns(g) / 1000000;
}

void graphd_settle(struct graphd *g)
{
	if (g->persist)
		persist_save(g);
	else
		drive_take_dirty(g->drive);
	pthread_cond_broadcast(&g->event);
}

/* Waiting tests use the monotonic clock. */
static void init_locks(struct graphd *g)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&g->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&g->event, &attr);
	pthread_condattr_destroy(&attr);
}

static int open_storage(struct graphd *g)
{
	const char *data = g->opt.data_dir;
	char *blobs = data ? must_printf("%s/blobs", data) : NULL;
	int rc = data ? persist_make_dir(data) : 0;

	if (rc == 0)
		rc = blob_store_open(blobs, g->opt.sha1, &g->blobs);
	free(blobs);
	if (rc < 0)
		return rc;
	g->drive = drive_new(g->opt.kind, g->blobs, g->opt.quota_bytes,
	                     graphd_now_ns(g));
	return data ? persist_open(g, data) : 0;
}

/* Ann owns the drive; the others have drives of their own (stranger.h). */
static int open_login(struct graphd *g)
{
	static const struct login_account personal[] = {
		{ "ann@personal.example", LOGIN_MSA_TENANT },
		{ "ann@work.example", WORK_TENANT },
		{ "bob@personal.example", LOGIN_MSA_TENANT },
	};
	static const struct login_account work[] = {
		{ "ann@work.example", WORK_TENANT },
		{ "ann@personal.example", LOGIN_MSA_TENANT },
		{ "bob@work.example", WORK_TENANT },
	};
	struct login_options login = {
		.accounts = g->opt.kind == DRIVE_BUSINESS ? work : personal,
		.naccounts = 3,
	};

	return login_new(&login, &g->login);
}

int graphd_new(const struct graphd_options *opt, struct graphd **out_g)
{
	struct graphd *g = must_alloc(sizeof(*g));
	int rc;

	g->opt = *opt;
	init_locks(g);
	quirks_init(&g->quirks, opt->kind);
	g->content_url = must_copy(opt->content_url);
	g->user_guid = must_copy(USER_GUID);
	g->delta_epoch = 1;
	g->stats = stats_new();
	g->faults = faults_new();
	g->sessions = sessions_new();
	g->copies = copies_new();
	g->tap_fd = opt->tap ? tap_open(opt->tap) : -1;
	rc = opt->tap && g->tap_fd < 0 ? g->tap_fd : wire_new(&g->wire);
	if (rc == 0)
		rc = open_login(g);
	if (rc == 0)
		rc = throttle_new(&g->throttle);
	if (rc == 0)
		rc = open_storage(g);
	if (rc < 0) {
		graphd_free(g);
		return rc;
	}
	*out_g = g;
	return 0;
}

void graphd_stop(struct graphd *g)
{
	pthread_mutex_lock(&g->lock);
	g->stopping = true;
	pthread_cond_broadcast(&g->event);
	pthread_mutex_unlock(&g->lock);
	wire_stop(g->wire);
}

void graphd_free(struct graphd *g)
{
	if (!g)
		return;
	persist_close(g);
	sessions_free(g);
	copies_free(g->copies);
	drive_free(g->drive);
	blob_store_close(g->blobs);
	faults_free(g->faults);
	stats_free(g->stats);
	wire_free(g->wire);
	throttle_free(g->throttle);
	login_free(g->login);
	if (g->tap_fd >= 0)
		close(g->tap_fd);
	pthread_cond_destroy(&g->event);
	pthread_mutex_destroy(&g->lock);
	free(g->content_url);
	free(g->user_guid);
	free(g);
}
