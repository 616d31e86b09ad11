#include <stdatomic.h>
#include <string.h>

#include "net/clock.h"
#include "tests/graphd/control_internal.h"
#include "tests/graphd/login.h"
#include "tests/graphd/session.h"
#include "tests/graphd/throttle.h"
#include "tests/graphd/wire.h"

static int set_quirks(struct graphd *g, const cJSON *all)
{
	const cJSON *m;

	cJSON_ArrayForEach (m, all) {
		if (quirks_set(&g->quirks, m->string, m) < 0)
			return -1;
	}
	g->drive->rules.weightless = g->quirks.weightless != 0;
	return 0;
}

static int login_flag(struct graphd *g, const char *name)
{
	cJSON *s = cJSON_CreateObject();
	int rc;

	cJSON_AddTrueToObject(s, name);
	rc = login_set(g->login, s, graphd_now_ms(g));
	cJSON_Delete(s);
	return rc;
}

static int expire(struct graphd *g, const char *what)
{
	if (!what)
		return -1;
	if (!strcmp(what, "sessions"))
		session_expire(g, NULL, false);
	else if (!strcmp(what, "session_tokens"))
		session_expire(g, NULL, true);
	else if (!strcmp(what, "urls"))
		g->urls_from_ns = graphd_now_ns(g) + 1000000;
	else if (!strcmp(what, "access"))
		return login_flag(g, "expire_access");
	else if (!strcmp(what, "refresh"))
		return login_flag(g, "revoke_refresh");
	else
		return -1;
	return 0;
}

static int set_delta_gone(struct graphd *g, const char *flavour)
{
	if (!flavour || (strcmp(flavour, "apply") && strcmp(flavour, "upload")))
		return -1;
	g->delta_epoch++;
	g->delta_gone_upload = !strcmp(flavour, "upload");
	return 0;
}

static int set_one(struct graphd *g, const cJSON *m)
{
	int64_t now_ms = graphd_now_ms(g);
	const char *text = cJSON_GetStringValue(m);
	const char *name = m->string;
	int64_t n = cJSON_IsNumber(m) ? (int64_t)m->valuedouble : -1;

	if (!strcmp(name, "latency_ms"))
		return wire_set_latency(g->wire, m);
	if (!strcmp(name, "bandwidth"))
		return wire_set_bandwidth(g->wire, m);
	if (!strcmp(name, "quirks"))
		return cJSON_IsObject(m) ? set_quirks(g, m) : -1;
	if (!strcmp(name, "login"))
		return login_set(g->login, m, now_ms);
	if (!strcmp(name, "throttle"))
		return throttle_set(g->throttle, m, clock_mono_ms());
	if (!strcmp(name, "expire"))
		return expire(g, text);
	if (!strcmp(name, "delta_gone"))
		return set_delta_gone(g, text);
	if (!strcmp(name, "quota_bytes") && n >= 0)
		g->drive->quota_bytes = n;
	else if (!strcmp(name, "advance_ms") && cJSON_IsNumber(m))
		atomic_fetch_add(&g->clock_offset_ns, n * 1000000);
	else
		return -1;
	return 0;
}

void control_set(struct graphd *g, const cJSON *body, struct answer *out)
{
	const cJSON *m;

	if (!cJSON_IsObject(body)) {
		control_bad(out, "an object is needed");
		return;
	}
	cJSON_ArrayForEach (m, body) {
		if (set_one(g, m) < 0) {
			control_bad(out, "set: not understood: %s", m->string);
			return;
		}
	}
	answer_json(out, 200, cJSON_CreateObject());
}
