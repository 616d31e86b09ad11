#include "fs/direct_internal.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "auth/tokens.h"
#include "fs/account.h"
#include "fs/config.h"
#include "fs/paths.h"
#include "fs/session.h"
#include "net/clock.h"
#include "net/graph.h"
#include "net/names.h"

#define OFFLINE_MS   60000
#define THROTTLED_MS 600000
#define MAKE_TRIES   3

void direct_say(struct direct *d, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(d->why, DIRECT_WHY, fmt, args);
	va_end(args);
}

/* ---- one request --------------------------------------------------------- */

static void sleep_ms(int64_t ms)
{
	struct timespec ts = { .tv_sec = ms / 1000,
		               .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&ts, NULL);
}

/* A service that asks to wait is waited for longer than one that isn't there.
 */
static int wait_for(struct direct *d, struct graph_prepared *p,
                    struct graph_result *r)
{
	int64_t until = clock_mono_ms() + THROTTLED_MS;
	struct graph *g = d->session->graph;
	int rc;

	for (;;) {
		struct graph_state state;

		memset(r, 0, sizeof(*r));
		rc = graph_wait(g, &p->c, r);
		if (r->answer.verdict != RETRY_WAIT || r->answer.offline)
			return rc;
		graph_get_state(g, &state);
		if (state.frozen_until_ms > until || clock_mono_ms() >= until)
			return rc;
		graph_result_done(r);
		if (state.frozen_until_ms > clock_mono_ms())
			sleep_ms(state.frozen_until_ms - clock_mono_ms());
		else
			sleep_ms(1000);
	}
}

static void say(struct direct *d, const char *what,
                const struct graph_answer *a, int rc)
{
	char trouble[256] = "";

	tokens_get_trouble(d->session->tokens, trouble, sizeof(trouble));
	if (rc == -EACCES && trouble[0])
		direct_say(d, "%s", trouble);
	else if (a->offline)
		direct_say(
			d,
			"%s: the network or the service can't be reached (%s)",
			what, strerror(-rc));
	else
		direct_say(d, "%s: %s%s%s%s", what, strerror(-rc),
		           a->code && a->code[0] ? " (" : "",
		           a->code ? a->code : "",
		           a->code && a->code[0] ? ")" : "");
}

int direct_ask(struct direct *d, struct graph_prepared *p, const char *what,
               struct direct_answer *out)
{
	struct graph_result r;
	struct graph_item item;
	int rc = wait_for(d, p, &r);

	*out = (struct direct_answer){ .status = r.answer.status,
		                       .look = r.answer.verdict == RETRY_LOOK };
	if (rc == 0 && r.json && graph_parse_item(r.json, &item) == 0)
		out->has_item = item_copy(&item, &out->item) == 0;
	if (rc < 0)
		say(d, what, &r.answer, rc);
	graph_result_done(&r);
	graph_prepared_done(p);
	return rc;
}

static struct graph_prepared new_call(void)
{
	return (struct graph_prepared){ .c = { .prio = HTTP_PRIO_USER,
		                               .patience_ms = OFFLINE_MS } };
}

/* For a GET of one item: without one in the answer it is worth nothing. */
static int ask_item(struct direct *d, struct graph_prepared *p,
                    const char *what, struct item *out)
{
	struct direct_answer a;
	int rc = direct_ask(d, p, what, &a);

	if (rc < 0)
		return a.status == 404 || a.status == 410 ? -ENOENT : rc;
	if (!a.has_item || a.item.deleted) {
		direct_say(d, "%s: the service's answer makes no sense", what);
		return -EBADMSG;
	}
	*out = a.item;
	return 0;
}

/* ---- opening ------------------------------------------------------------- */

/* Faults 50: what belongs to one account never goes to another. */
static int check_drive(struct direct *d, const cJSON *json)
{
	char dir[PATH_MAX], known[ACCOUNT_DRIVE_MAX + 1] = "";
	struct graph_drive drive;
	int rc = json ? graph_parse_drive(json, &drive) : -EBADMSG;

	if (rc == 0 && (!drive.id || !drive.id[0]))
		rc = -EBADMSG;
	if (rc < 0) {
		direct_say(d, "the drive: %s", strerror(-rc));
		return rc;
	}
	if (paths_state_dir(d->config, dir, sizeof(dir)) == 0)
		account_profile_drive(dir, known, sizeof(known));
	if (known[0] && !graph_same_drive(known, drive.id)) {
		direct_say(d,
		           "signed in as another account than this profile's "
		           "files belong to: sign in again, or use another "
		           "--profile");
		return -EXDEV;
	}
	d->business = drive.type && strcmp(drive.type, "personal") != 0;
	return graph_set_drive(d->session->graph, drive.id);
}

static int ask_drive(struct direct *d)
{
	struct graph_prepared p = new_call();
	struct graph_result r;
	int rc = graph_prepare_get_drive(d->session->graph, &p);

	if (rc < 0)
		return rc;
	rc = wait_for(d, &p, &r);
	if (rc < 0)
		say(d, "the drive", &r.answer, rc);
	else
		rc = check_drive(d, r.json);
	graph_result_done(&r);
	graph_prepared_done(&p);
	return rc;
}

int direct_open(const struct config *cfg, struct keystore *k,
                struct direct *out, char *why)
{
	struct direct d = { .config = cfg, .why = why };
	int rc = session_open(cfg, k, SESSION_ANY, &d.session, why, DIRECT_WHY);

	if (rc < 0)
		return rc;
	rc = d.session->tokens_rc;
	if (rc == -ENOENT) {
		snprintf(why, DIRECT_WHY, "%s",
		         "No token available; please run `nmbackupfs auth` "
		         "first");
		rc = -EACCES;
	}
	if (rc == 0)
		rc = ask_drive(&d);
	if (rc < 0) {
		if (!why[0])
			snprintf(why, DIRECT_WHY, "%s", strerror(-rc));
		session_close(d.session);
		return rc;
	}
	*out = d;
	return 0;
}

void direct_close(struct direct *d)
{
	session_close(d->session);
	d->session = NULL;
}

/* ---- finding ------------------------------------------------------------- */

int direct_look(struct direct *d, const struct direct_place *at,
                struct item *out)
{
	struct graph_prepared p = new_call();
	int rc = graph_prepare_get_child(d->session->graph, at->parent_id,
	                                 at->name, &p);

	if (rc == 0)
		rc = ask_item(d, &p, at->name, out);
	if (rc < 0)
		return rc;
	if (strcmp(out->name, at->name) != 0) {
		direct_say(
			d,
			"\"%s\" is there, and OneDrive holds that name equal "
			"to \"%s\"",
			out->name, at->name);
		return -EEXIST;
	}
	return 0;
}

int direct_look_id(struct direct *d, const char *id, struct item *out)
{
	struct graph_prepared p = new_call();
	int rc = graph_prepare_get_item(d->session->graph, id, &p);

	return rc < 0 ? rc : ask_item(d, &p, id, out);
}

static int make_folder(struct direct *d, const struct direct_place *at,
                       struct item *out)
{
	struct graph_prepared p = new_call();
	struct direct_answer a;
	int rc = graph_prepare_mkdir(d->session->graph, at->parent_id, at->name,
	                             &p);

	if (rc == 0)
		rc = direct_ask(d, &p, at->name, &a);
	if (rc == 0 && a.has_item)
		*out = a.item;
	else if (rc == 0 || a.look || a.status == 409)
		rc = -EAGAIN; /* somebody was faster, or nobody knows */
	return rc;
}

/* at->name in at->parent_id becomes at->parent_id. */
static int enter(struct direct *d, struct direct_place *at, bool make)
{
	struct item *it = malloc(sizeof(*it));
	int rc = it ? -EAGAIN : -ENOMEM;

	for (int i = 0; i < MAKE_TRIES && rc == -EAGAIN; i++) {
		rc = direct_look(d, at, it);
		if (rc == -ENOENT && make)
			rc = make_folder(d, at, it);
	}
	if (rc == 0 && it->kind != ITEM_FOLDER) {
		direct_say(d, "\"%s\" is no folder", at->name);
		rc = -ENOTDIR;
	}
	if (rc == 0)
		memcpy(at->parent_id, it->id, sizeof(at->parent_id));
	free(it);
	return rc;
}

/* 1; 0: the end of the path. */
static int next_part(struct direct *d, const char **path,
                     struct direct_place *at)
{
	int rc = names_next_part(path, at->name, sizeof(at->name));

	if (rc < 0)
		direct_say(d, "\"%s\": %s", *path,
		           rc == -EINVAL ? "this leads elsewhere"
		                         : strerror(-rc));
	return rc;
}

static int check_name(struct direct *d, const struct direct_place *at,
                      bool folder)
{
	const char *reason;

	if (names_check(at->name, d->business, folder, &reason) == 0)
		return 0;
	direct_say(d, "\"%s\": %s", at->name, reason);
	return -EINVAL;
}

/* Enters all parts of `path`, but the last one if `keep_last`. */
static int walk(struct direct *d, const char *path, bool keep_last, bool make,
                struct direct_place *at)
{
	int rc;

	while ((rc = next_part(d, &path, at)) > 0) {
		bool last = !path[strspn(path, "/")];

		rc = make ? check_name(d, at, !(last && keep_last)) : 0;
		if (rc < 0 || (last && keep_last))
			return rc;
		rc = enter(d, at, make);
		if (rc < 0)
			return rc;
	}
	if (rc == 0 && keep_last) {
		direct_say(d, "a file's name is missing");
		rc = -EISDIR;
	}
	return rc;
}

/* *out becomes the configured folder's, without a name. */
static int find_folder(struct direct *d, bool make, struct direct_place *out)
{
	struct graph_prepared p = new_call();
	struct item *root = malloc(sizeof(*root));
	int rc = root ? graph_prepare_get_root(d->session->graph, &p) : -ENOMEM;

	if (rc == 0)
		rc = ask_item(d, &p, "the drive's root", root);
	if (rc == 0)
		memcpy(out->parent_id, root->id, sizeof(out->parent_id));
	free(root);
	return rc < 0 ? rc
	              : walk(d, config_text(d->config, CONFIG_FOLDER), false,
	                     make, out);
}

int direct_folder(struct direct *d, bool make, char out_id[NODE_ID_MAX + 1])
{
	struct direct_place at;
	int rc = find_folder(d, make, &at);

	if (rc == 0)
		memcpy(out_id, at.parent_id, NODE_ID_MAX + 1);
	return rc;
}

int direct_find(struct direct *d, const char *path, bool make,
                struct direct_place *out)
{
	int rc = find_folder(d, make, out);

	return rc < 0 ? rc : walk(d, path, true, make, out);
}
