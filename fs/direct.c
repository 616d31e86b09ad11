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
#include "net/error_text.h"
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
int direct_wait(struct direct *d, struct graph_prepared *p,
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

void direct_say_answer(struct direct *d, const char *what,
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
			what, error_text(rc));
	else
		direct_say(d, "%s: %s%s%s%s", what, error_text(rc),
		           a->code && a->code[0] ? " (" : "",
		           a->code ? a->code : "",
		           a->code && a->code[0] ? ")" : "");
}

int direct_ask(struct direct *d, struct graph_prepared *p, const char *what,
               struct direct_answer *out)
{
	struct graph_result r;
	struct graph_item item;
	int rc = direct_wait(d, p, &r);

	*out = (struct direct_answer){ .status = r.answer.status,
		                       .look = r.answer.verdict == RETRY_LOOK };
	if (rc == 0 && r.json && graph_parse_item(r.json, &item) == 0)
		out->has_item = item_copy(&item, &out->item) == 0;
	if (rc < 0)
		direct_say_answer(d, what, &r.answer, rc);
	graph_result_done(&r);
	graph_prepared_done(p);
	return rc;
}

struct graph_prepared direct_call(void)
{
	return (struct graph_prepared){ .c = { .prio = HTTP_PRIO_USER,
		                               .patience_ms = OFFLINE_MS } };
}

int direct_ask_item(struct direct *d, struct graph_prepared *p,
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
		direct_say(d, "the drive: %s", error_text(rc));
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
	d->personal = !drive.type || !strcmp(drive.type, "personal");
	if (drive.web_url && strlen(drive.web_url) < sizeof(d->web_url))
		strcpy(d->web_url, drive.web_url);
	rc = codec_plain_new(!d->personal, &d->plain);
	return rc < 0 ? rc : graph_set_drive(d->session->graph, drive.id);
}

static int ask_drive(struct direct *d)
{
	struct graph_prepared p = direct_call();
	struct graph_result r;
	int rc = graph_prepare_get_drive(d->session->graph, &p);

	if (rc < 0)
		return rc;
	rc = direct_wait(d, &p, &r);
	if (rc < 0)
		direct_say_answer(d, "the drive", &r.answer, rc);
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
			snprintf(why, DIRECT_WHY, "%s", error_text(rc));
		direct_close(&d);
		return rc;
	}
	*out = d;
	return 0;
}

void direct_close(struct direct *d)
{
	direct_leave_vault(d);
	codec_free(d->plain);
	session_close(d->session);
	*d = (struct direct){ 0 };
}

int direct_enter(struct direct *d, bool make)
{
	int rc;

	d->why[0] = '\0';
	if (config_bool(d->config, CONFIG_PLAIN)) {
		d->codec = d->plain;
		rc = direct_folder(d, make, d->folder_id);
	} else {
		rc = direct_enter_vault(d, make);
	}
	if (rc < 0 && !d->why[0])
		direct_say(d, "the folder: %s", error_text(rc));
	return rc;
}
