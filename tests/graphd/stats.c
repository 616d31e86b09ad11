#include "tests/graphd/stats.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/clock.h"
#include "tests/graphd/must.h"

#define MAX_RULES    64
#define MAX_STATUSES 600

struct rule {
	const char *text;
	uint64_t count;
	char last[200]; /* the request that broke it last */
};

struct stats {
	struct per_class {
		uint64_t begun, done, parts, ok, in_bytes, out_bytes;
		unsigned now, peak;
	} classes[CLASS_COUNT];
	uint64_t statuses[MAX_STATUSES];
	unsigned now, peak; /* requests under way, control and login left out */
	int64_t last_ms;    /* a request began or ended */
	unsigned connections, peak_connections;
	uint64_t opened;
	uint64_t leaks;
	char last_leak[200];
	struct rule rules[MAX_RULES];
	size_t nrules;
};

struct stats *stats_new(void)
{
	return must_alloc(sizeof(struct stats));
}

void stats_free(struct stats *s)
{
	free(s);
}

/* What is under way goes on being under way. */
void stats_reset(struct stats *s)
{
	struct stats old = *s;

	memset(s, 0, sizeof(*s));
	s->now = s->peak = old.now;
	s->last_ms = old.last_ms;
	s->connections = s->peak_connections = old.connections;
	for (int i = 0; i < CLASS_COUNT; i++)
		s->classes[i].now = s->classes[i].peak = old.classes[i].now;
}

static bool counts(enum route_class class)
{
	return class != CLASS_control && class != CLASS_login;
}

void stats_begin(struct stats *s, enum route_class class)
{
	struct per_class *c = &s->classes[class];

	c->begun++;
	if (++c->now > c->peak)
		c->peak = c->now;
	if (!counts(class))
		return;
	s->last_ms = clock_mono_ms();
	if (++s->now > s->peak)
		s->peak = s->now;
}

void stats_answer(struct stats *s, enum route_class class, int status,
                  uint64_t in_bytes)
{
	struct per_class *c = &s->classes[class];

	c->done++;
	c->ok += status >= 200 && status < 400;
	c->in_bytes += in_bytes;
	if (counts(class) && status >= 0 && status < MAX_STATUSES)
		s->statuses[status]++;
}

void stats_out(struct stats *s, enum route_class class, uint64_t bytes)
{
	s->classes[class].out_bytes += bytes;
}

void stats_end(struct stats *s, enum route_class class)
{
	s->classes[class].now--;
	if (!counts(class))
		return;
	s->last_ms = clock_mono_ms();
	s->now--;
}

void stats_part(struct stats *s, enum route_class class, int status)
{
	struct per_class *c = &s->classes[class];

	c->begun++;
	c->done++;
	c->parts++;
	c->ok += status >= 200 && status < 400;
}

void stats_connection(struct stats *s, int more)
{
	s->connections += (unsigned)more;
	if (more > 0)
		s->opened++;
	if (s->connections > s->peak_connections)
		s->peak_connections = s->connections;
}

uint64_t stats_count(const struct stats *s, enum route_class class)
{
	return s->classes[class].begun;
}

uint64_t stats_done(const struct stats *s, enum route_class class)
{
	return s->classes[class].done;
}

bool stats_is_idle(const struct stats *s, int64_t *out_since_ms)
{
	*out_since_ms = s->last_ms;
	return s->now == 0;
}

void stats_leak(struct stats *s, const char *where)
{
	s->leaks++;
	snprintf(s->last_leak, sizeof(s->last_leak), "%s", where);
}

static struct rule *find_rule(struct stats *s, const char *text)
{
	for (size_t i = 0; i < s->nrules; i++) {
		if (!strcmp(s->rules[i].text, text))
			return &s->rules[i];
	}
	if (s->nrules == MAX_RULES)
		return &s->rules[MAX_RULES - 1];
	s->rules[s->nrules].text = text;
	return &s->rules[s->nrules++];
}

void stats_forbid(struct stats *s, const char *rule, const char *fmt, ...)
{
	struct rule *r = find_rule(s, rule);
	va_list ap;

	r->count++;
	va_start(ap, fmt);
	vsnprintf(r->last, sizeof(r->last), fmt, ap);
	va_end(ap);
}

static void dump_class(cJSON *all, const char *name, const struct per_class *c)
{
	cJSON *o = cJSON_AddObjectToObject(all, name);

	cJSON_AddNumberToObject(o, "count", (double)c->begun);
	cJSON_AddNumberToObject(o, "done", (double)c->done);
	cJSON_AddNumberToObject(o, "ok", (double)c->ok);
	cJSON_AddNumberToObject(o, "parts", (double)c->parts);
	cJSON_AddNumberToObject(o, "in_bytes", (double)c->in_bytes);
	cJSON_AddNumberToObject(o, "out_bytes", (double)c->out_bytes);
	cJSON_AddNumberToObject(o, "peak", c->peak);
}

static void dump_forbidden(cJSON *all, const struct stats *s)
{
	for (size_t i = 0; i < s->nrules; i++) {
		cJSON *o = cJSON_CreateObject();

		cJSON_AddStringToObject(o, "rule", s->rules[i].text);
		cJSON_AddNumberToObject(o, "count", (double)s->rules[i].count);
		cJSON_AddStringToObject(o, "last", s->rules[i].last);
		cJSON_AddItemToArray(all, o);
	}
}

cJSON *stats_dump(const struct stats *s)
{
	cJSON *json = cJSON_CreateObject(), *o;
	uint64_t http = 0, calls = 0;
	char name[8];

	o = cJSON_AddObjectToObject(json, "classes");
	for (int i = 0; i < CLASS_COUNT; i++) {
		const struct per_class *c = &s->classes[i];

		if (!c->begun)
			continue;
		dump_class(o, route_class_name((enum route_class)i), c);
		if (!counts((enum route_class)i))
			continue;
		http += c->begun - c->parts;
		calls += i == CLASS_batch ? 0 : c->begun;
	}
	cJSON_AddNumberToObject(json, "requests", (double)http);
	cJSON_AddNumberToObject(json, "calls", (double)calls);
	cJSON_AddNumberToObject(json, "peak", s->peak);
	cJSON_AddNumberToObject(json, "now", s->now);
	cJSON_AddNumberToObject(json, "connections", s->connections);
	cJSON_AddNumberToObject(json, "peak_connections", s->peak_connections);
	cJSON_AddNumberToObject(json, "opened_connections", (double)s->opened);
	o = cJSON_AddObjectToObject(json, "statuses");
	for (int i = 0; i < MAX_STATUSES; i++) {
		snprintf(name, sizeof(name), "%d", i);
		if (s->statuses[i])
			cJSON_AddNumberToObject(o, name,
			                        (double)s->statuses[i]);
	}
	cJSON_AddNumberToObject(json, "auth_leaks", (double)s->leaks);
	if (s->leaks)
		cJSON_AddStringToObject(json, "last_leak", s->last_leak);
	dump_forbidden(cJSON_AddArrayToObject(json, "forbidden"), s);
	return json;
}
