#include "fs/control_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/control_status.h"
#include "fs/db.h"
#include "fs/engine.h"
#include "fs/events.h"
#include "fs/lock.h"
#include "fs/nmb.h"
#include "fs/node.h"
#include "fs/plan.h"
#include "fs/store.h"
#include "net/clock.h"
#include "net/json.h"

#define PATH_BYTES 8192
#define MAX_BEHIND 65536 /* bytes a reader may lag before it loses lines */
#define STATE_MS   100   /* the state is not counted more often than that */

/* ---- lines --------------------------------------------------------------- */

static cJSON *new_line(const char *name, int64_t time_ns)
{
	cJSON *o = cJSON_CreateObject();
	char text[CLOCK_RFC3339_SIZE];

	clock_format_rfc3339(time_ns, 3, text);
	cJSON_AddStringToObject(o, "event", name);
	cJSON_AddStringToObject(o, "time", text);
	return o;
}

static void add_known(cJSON *o, const char *name, const char *text)
{
	if (text[0])
		control_add_text(o, name, text);
}

/* What the rows say of the node by now; nothing, if it is gone. */
static void add_node(struct db *db, cJSON *o, const struct event *e)
{
	char *path = malloc(PATH_BYTES);
	struct node *n = malloc(sizeof(*n));
	bool there = n && path && e->ino && node_get(db, e->ino, n) == 0;

	if (e->path[0])
		control_add_text(o, "path", e->path);
	else if (there && node_path(db, e->ino, path, PATH_BYTES) == 0)
		add_known(o, "path", path);
	if (there && node_is_dir(n))
		cJSON_AddBoolToObject(o, "folder", true);
	else if (there && n->parent)
		cJSON_AddNumberToObject(o, "size", (double)n->size);
	free(n);
	free(path);
}

static cJSON *line_of(struct db *db, const struct event *e)
{
	cJSON *o = new_line(event_name(e->kind), e->time_ns);
	const char *text = e->kind == EVENT_CONFLICT ? "name"
	                   : e->kind == EVENT_REMOTE ? "change"
	                                             : "reason";

	add_node(db, o, e);
	add_known(o, "id", e->id);
	add_known(o, text, e->text);
	return o;
}

/* ---- readers ------------------------------------------------------------- */

/* Who does not read in time loses lines; nobody waits for him. */
static void send_line(struct peer *p, const cJSON *o)
{
	if (p->lost || p->out.len > MAX_BEHIND)
		p->lost++;
	else
		control_send_json(p, cJSON_Duplicate(o, true));
}

void control_tell_lost(struct peer *p)
{
	cJSON *o;

	if (!p->lost || p->out.len)
		return;
	o = new_line("lost", clock_real_ns());
	cJSON_AddNumberToObject(o, "count", (double)p->lost);
	p->lost = 0;
	control_send_json(p, o);
}

static void send_to_all(struct control *c, const cJSON *o)
{
	for (int i = 0; o && i < CONTROL_PEERS; i++) {
		if (c->peer[i] && c->peer[i]->events)
			send_line(c->peer[i], o);
	}
}

static void send_events(struct control *c)
{
	uint64_t lost;
	struct event *e, *list = events_take(c->nmb->events, &lost);
	struct db *db;
	bool open = list && store_reader(c->nmb->store, &db) == 0;

	while ((e = list)) {
		cJSON *o = open ? line_of(db, e) : NULL;

		list = e->next;
		lost += !o;
		send_to_all(c, o);
		cJSON_Delete(o);
		event_free(e);
	}
	if (open)
		store_reader_done(c->nmb->store, db);
	for (int i = 0; lost && i < CONTROL_PEERS; i++) {
		if (c->peer[i] && c->peer[i]->events)
			c->peer[i]->lost += lost;
	}
}

/* ---- the state ----------------------------------------------------------- */

static const char *state_event(const struct engine_status *s)
{
	return s->state == ENGINE_IDLE && !s->pending_nodes
	               ? "all-done"
	               : engine_state_name(s->state);
}

static cJSON *state_line(const struct engine_status *s)
{
	cJSON *o = new_line(state_event(s), clock_real_ns());
	int64_t until = s->state == ENGINE_THROTTLED ? s->throttled_until_ms
	                : s->state == ENGINE_FULL    ? s->full_until_ms
	                                             : 0;

	cJSON_AddNumberToObject(o, "pending_files", (double)s->pending_files);
	cJSON_AddNumberToObject(o, "pending_bytes", (double)s->pending_bytes);
	if (until)
		json_add_time(o, "until", control_wall_time(until));
	return o;
}

static void send_state(struct control *c)
{
	struct engine_status s;
	const char *name;
	cJSON *o;

	c->state_due = clock_mono_ms() < c->state_ms;
	if (c->state_due)
		return;
	c->state_ms = clock_mono_ms() + STATE_MS;
	engine_get_status(c->nmb->engine, &s);
	name = state_event(&s);
	if (c->state && !strcmp(c->state, name))
		return;
	c->state = name;
	o = state_line(&s);
	send_to_all(c, o);
	cJSON_Delete(o);
}

/* ---- for the thread ------------------------------------------------------ */

static unsigned count_readers(const struct control *c)
{
	unsigned n = 0;

	for (int i = 0; i < CONTROL_PEERS; i++)
		n += c->peer[i] && c->peer[i]->events;
	return n;
}

void control_events_begin(struct control *c, struct peer *p)
{
	struct engine_status s;

	if (!count_readers(c))
		events_want(c->nmb->events, true);
	p->events = true;
	engine_get_status(c->nmb->engine, &s);
	c->state = state_event(&s);
	control_send_json(p, state_line(&s));
}

void control_events_turn(struct control *c)
{
	bool touched;

	lock_take(&c->lock, LOCK_LEAF);
	touched = c->touched;
	c->touched = false;
	lock_drop(&c->lock, LOCK_LEAF);
	if (!(touched || c->state_due) || !events_wanted(c->nmb->events))
		return;
	if (!count_readers(c)) {
		events_want(c->nmb->events, false);
		c->state_due = false;
		return;
	}
	send_events(c);
	send_state(c);
}

void control_events_end(struct control *c)
{
	cJSON *o = new_line("end", clock_real_ns());

	if (events_wanted(c->nmb->events))
		send_events(c);
	send_to_all(c, o);
	cJSON_Delete(o);
	events_want(c->nmb->events, false);
}

void control_touch(void *arg)
{
	struct control *c = arg;
	bool ring;

	if (!events_wanted(c->nmb->events))
		return;
	lock_take(&c->lock, LOCK_LEAF);
	ring = !c->touched;
	c->touched = true;
	lock_drop(&c->lock, LOCK_LEAF);
	if (ring)
		control_ring(c);
}
