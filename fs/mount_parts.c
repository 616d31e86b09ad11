#include "fs/mount_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <fuse_lowlevel.h>

#include "auth/vault_store.h"
#include "fs/ahead.h"
#include "fs/codec.h"
#include "fs/config.h"
#include "fs/content.h"
#include "fs/control.h"
#include "fs/engine.h"
#include "fs/events.h"
#include "fs/fetch.h"
#include "fs/history.h"
#include "fs/hold.h"
#include "fs/item.h"
#include "fs/lock.h"
#include "fs/membership.h"
#include "fs/notify.h"
#include "fs/park.h"
#include "fs/pulse.h"
#include "fs/readers.h"
#include "fs/report.h"
#include "fs/rest.h"
#include "fs/service.h"
#include "fs/session.h"
#include "fs/space.h"
#include "fs/syncer.h"
#include "fs/sysbus.h"
#include "fs/tree.h"
#include "fs/vault_watch.h"
#include "net/http.h"
#include "net/log.h"
#include "net/names.h"
#include "net/work.h"

#define WORKERS 4

/* ---- what parts tell each other ------------------------------------------ */

static void on_dirty(void *arg, uint64_t ino)
{
	struct nmb *nmb = arg;

	engine_note_dirty(nmb->engine, ino);
}

static void on_settled(void *arg, uint64_t ino)
{
	struct nmb *nmb = arg;

	engine_note_settled(nmb->engine, ino);
}

static void on_stale_entry(void *arg, uint64_t parent, const char *name)
{
	struct nmb *nmb = arg;

	notify_entry(nmb->notify, parent, name);
}

static void on_stale_attr(void *arg, uint64_t nodeid)
{
	struct nmb *nmb = arg;

	notify_attr(nmb->notify, nodeid);
}

static void on_engine_changed(void *arg)
{
	struct nmb *nmb = arg;

	space_changed(nmb->space);
}

static void on_graph_changed(void *arg)
{
	struct nmb *nmb = arg;

	events_touch(nmb->events);
}

/* The engine wants a file whole before it sends it. */
static void hydrated(void *arg, int rc)
{
	(void)arg;
	if (rc < 0)
		log_warn("a changed file can't be completed: %s",
		         strerror(-rc));
}

static void on_hydrate(void *arg, uint64_t ino)
{
	struct nmb *nmb = arg;
	struct node *n = malloc(sizeof(*n));
	struct content *c;
	struct db *db;
	int rc = n ? store_reader(nmb->store, &db) : -ENOMEM;

	if (rc == 0) {
		rc = node_get(db, ino, n);
		store_reader_done(nmb->store, db);
	}
	if (rc == 0 && n->cid && nmb->fetch &&
	    content_get(nmb->contents, n->cid, false, &c) == 0) {
		fetch_hydrate(nmb->fetch, c, hydrated, NULL);
		content_put(c);
	}
	free(n);
}

static void on_resized(void *arg, uint64_t ino, uint64_t cid, uint64_t size)
{
	struct nmb *nmb = arg;
	struct tree_edit *e;
	struct db *db;
	int rc = tree_edit_begin(nmb->tree, &e, &db);

	if (rc < 0)
		return;
	rc = node_set_size(db, ino, cid, size);
	if (rc == 0)
		tree_edit_version(e, ino);
	tree_edit_end(e, rc);
}

static void on_outdated(void *arg, uint64_t ino)
{
	struct nmb *nmb = arg;

	engine_look(nmb->engine, ino);
}

static void on_broken(void *arg, uint64_t ino, int rc, const char *why)
{
	struct nmb *nmb = arg;
	struct db *db;
	int ret = store_begin(nmb->store, &db);

	if (ret < 0)
		return;
	ret = node_set_blocked(db, ino, rc, why);
	store_end(nmb->store, ret);
}

static int on_room(void *arg, uint64_t bytes)
{
	struct nmb *nmb = arg;

	return space_take(nmb->space, bytes);
}

static bool on_drains(void *arg, uint64_t *out_sent)
{
	struct nmb *nmb = arg;

	return engine_drains(nmb->engine, out_sent);
}

/* Is that file the descriptor of a vault in our folder? In a plain folder its
 * folder is a node like others. */
static bool is_descriptor(struct nmb *nmb, const struct item *it)
{
	struct node *n = malloc(sizeof(*n));
	struct db *db;
	bool is = false;

	if (n && store_reader(nmb->store, &db) == 0) {
		is = node_get_by_id(db, it->parent_id, n) == 0 &&
		     n->s_parent == NODE_ROOT &&
		     !strcmp(n->s_name, VAULT_STORE_FOLDER);
		store_reader_done(nmb->store, db);
	}
	free(n);
	return is;
}

static void on_descriptor(void *arg, const struct item *it)
{
	static const char why[] = "this folder is a vault: unmount it, and "
				  "mount it without --plain";
	struct nmb *nmb = arg;

	if (nmb->watch) {
		vault_watch_poke(nmb->watch);
	} else if (!nmb->membership && is_descriptor(nmb, it)) {
		log_error("%s; nothing is sent", why);
		engine_set_gate(nmb->engine, false, why);
	}
}

/* ---- parts --------------------------------------------------------------- */

static int open_space(struct mount *m)
{
	struct nmb *nmb = &m->nmb;
	struct space_options opt = {
		.contents = nmb->contents,
		.store = nmb->store,
		.work = nmb->work,
		.budget_bytes = config_number(nmb->config, CONFIG_CACHE_SIZE),
		.floor_bytes = config_number(nmb->config, CONFIG_MIN_FREE),
		.arg = nmb,
		.drains = on_drains,
	};

	return space_new(&opt, &nmb->space);
}

static int open_tree(struct mount *m)
{
	struct nmb *nmb = &m->nmb;
	struct tree_options opt = {
		.store = nmb->store,
		.contents = nmb->contents,
		.codec = nmb->codec,
		.read_only = nmb->read_only,
		.append_only = config_bool(nmb->config, CONFIG_APPEND_ONLY),
		.uid = getuid(),
		.gid = getgid(),
		.events = { .arg = m,
		            .dirty = on_dirty,
		            .settled = on_settled,
		            .unsynced = mount_on_unsynced,
		            .stale_entry = on_stale_entry,
		            .stale_attr = on_stale_attr },
		.path_units = (unsigned)names_utf16_len(
			config_text(nmb->config, CONFIG_FOLDER)),
	};

	return tree_new(&opt, &nmb->tree);
}

static int open_fetch(struct mount *m)
{
	struct nmb *nmb = &m->nmb;
	struct fetch_options opt = {
		.graph = nmb->session->graph,
		.store = nmb->store,
		.work = nmb->work,
		.codec = nmb->codec,
		.arg = nmb,
		.resized = on_resized,
		.outdated = on_outdated,
		.broken = on_broken,
		.room = on_room,
	};

	return fetch_new(&opt, &nmb->fetch);
}

static int open_history(struct nmb *nmb)
{
	struct history_options opt = {
		.graph = nmb->session->graph,
		.store = nmb->store,
		.work = nmb->work,
		.codec = nmb->codec,
		.deadline_ms =
			(int64_t)config_number(nmb->config, CONFIG_DEADLINE),
	};

	return config_bool(nmb->config, CONFIG_VERSIONS_DIR)
	               ? history_new(&opt, &nmb->history)
	               : 0;
}

static int open_ahead(struct mount *m)
{
	struct nmb *nmb = &m->nmb;
	struct ahead_options opt = {
		.store = nmb->store,
		.tree = nmb->tree,
		.space = nmb->space,
		.fetch = nmb->fetch,
		.work = nmb->work,
	};

	return ahead_new(&opt, &nmb->ahead);
}

static int open_engine(struct mount *m)
{
	struct nmb *nmb = &m->nmb;
	const struct config *c = nmb->config;
	struct hold_limits hold;
	struct engine_options opt = {
		.hold = &hold,
		.store = nmb->store,
		.tree = nmb->tree,
		.contents = nmb->contents,
		.codec = nmb->codec,
		.graph = nmb->session->graph,
		.work = nmb->work,
		.folder = config_text(c, CONFIG_FOLDER),
		.write_back_delay_ms =
			(int64_t)config_number(c, CONFIG_WRITE_BACK_DELAY),
		.max_dirty_age_ms =
			(int64_t)config_number(c, CONFIG_MAX_DIRTY_AGE),
		.poll_interval_ms =
			(int64_t)config_number(c, CONFIG_POLL_INTERVAL),
		.reconcile_interval_ms =
			(int64_t)config_number(c, CONFIG_RECONCILE_INTERVAL),
		.read_only = nmb->read_only,
		.begins_closed = nmb->membership != NULL,
		.watched_name = VAULT_STORE_FILE,
		.watched = on_descriptor,
		.rolled_back = m->found.rolled_back,
		.hydrate = on_hydrate,
		.events = nmb->events,
		.changed = on_engine_changed,
		.arg = nmb,
	};

	hold_parse(config_text(c, CONFIG_HOLD_AFTER), &hold);
	return engine_new(&opt, &nmb->engine);
}

static int start_watch(struct nmb *nmb)
{
	struct vault_watch_options opt = {
		.membership = nmb->membership,
		.session = nmb->session,
		.store = nmb->store,
		.engine = nmb->engine,
	};

	return nmb->membership ? vault_watch_new(&opt, &nmb->watch) : 0;
}

/* ---- what the system tells ----------------------------------------------- */

static void on_sleep(void *arg, bool begins)
{
	if (begins)
		rest_begin(arg);
	else
		rest_end(arg);
}

static void on_metered(void *arg, bool metered)
{
	struct nmb *nmb = arg;

	log_info("metered=%d: %s", metered,
	         metered ? "nothing is sent" : "sending goes on");
	http_hold_uploads(nmb->session->http, metered);
	engine_set_paused(nmb->engine, metered ? "metered connection" : NULL);
}

static bool on_pending(void *arg)
{
	struct nmb *nmb = arg;

	return !engine_is_drained(nmb->engine);
}

static int open_sysbus(struct nmb *nmb)
{
	struct sysbus_options opt = {
		.watch_metered = config_number(nmb->config, CONFIG_METERED),
		.inhibit_shutdown =
			config_bool(nmb->config, CONFIG_INHIBIT_SHUTDOWN),
		.arg = nmb,
		.sleeps = on_sleep,
		.metered = on_metered,
		.pending = on_pending,
	};
	int rc = sysbus_new(&opt, &nmb->sysbus);

	if (rc == 0 && nmb->sysbus)
		events_listen(nmb->events, sysbus_touch, nmb->sysbus);
	return rc;
}

/* Their threads use what others are still making before that. */
static int start_parts(struct mount *m)
{
	int rc;

	graph_on_change(m->nmb.session->graph, on_graph_changed, &m->nmb);

	syncer_start(m->syncer, m->nmb.tree);
	rc = start_watch(&m->nmb); /* the engine pokes it */
	if (rc == 0)
		rc = engine_start(m->nmb.engine);
	if (rc == 0)
		rc = control_start(m->nmb.control);
	if (rc == 0)
		rc = report_start(m->nmb.report);
	if (rc == 0)
		rc = service_start(m->nmb.service);
	return rc < 0 ? rc : sysbus_start(m->nmb.sysbus);
}

int mount_open_parts(struct mount *m, char *why, size_t size)
{
	struct nmb *nmb = &m->nmb;
	int rc = work_new("nmb-work", WORKERS, &nmb->work);

	if (rc == 0)
		rc = events_new(&nmb->events);
	if (rc == 0)
		rc = session_open(nmb->config, nmb->keystore, SESSION_ANY,
		                  &nmb->session, why, size);
	if (rc == 0)
		rc = syncer_new(&m->syncer);
	if (rc == 0)
		rc = mount_open_state(m, why, size);
	if (rc < 0)
		return rc;
	rc = mount_open_codec(m, why, size);
	if (rc == 0)
		rc = open_space(m);
	if (rc == 0)
		rc = notify_new(&nmb->notify);
	if (rc == 0)
		rc = park_new(nmb->work, &nmb->park);
	if (rc == 0)
		rc = readers_new(config_text(nmb->config, CONFIG_DENY_READERS),
		                 &nmb->readers);
	if (rc == 0)
		rc = open_tree(m);
	if (rc == 0)
		rc = open_fetch(m);
	if (rc == 0)
		rc = open_history(nmb);
	if (rc == 0)
		rc = open_ahead(m);
	if (rc == 0)
		rc = open_engine(m);
	if (rc == 0)
		rc = control_new(nmb, &nmb->control);
	if (rc == 0)
		rc = report_new(nmb, &nmb->report);
	if (rc == 0)
		rc = pulse_new(nmb->mountpoint, &nmb->pulse);
	if (rc == 0)
		rc = service_new(nmb, &nmb->service);
	if (rc == 0)
		rc = open_sysbus(nmb);
	if (rc == 0)
		rc = start_parts(m);
	if (rc < 0 && !why[0])
		snprintf(why, size, "start: %s", strerror(-rc));
	return rc;
}

void mount_close_parts(struct mount *m)
{
	struct nmb *nmb = &m->nmb;

	/* All are stopped before the first is freed: they call each other. */
	sysbus_stop(nmb->sysbus);
	service_stop(nmb->service);
	report_stop(nmb->report);
	control_stop(nmb->control);
	if (nmb->park)
		park_end(nmb->park, -EIO);
	syncer_stop(m->syncer);
	space_stop(nmb->space);
	ahead_stop(nmb->ahead);
	fetch_stop(nmb->fetch);
	history_stop(nmb->history);
	vault_watch_stop(nmb->watch);
	engine_stop(nmb->engine); /* ends the requests of the watch, too */
	vault_watch_free(nmb->watch);
	if (nmb->tree && tree_sync(nmb->tree) < 0)
		m->clean = false;
	/* Jobs may still hold references into what goes next. */
	work_free(nmb->work);
	engine_free(nmb->engine);
	ahead_free(nmb->ahead);
	fetch_free(nmb->fetch);
	history_free(nmb->history);
	space_free(nmb->space);
	/* Not before the threads that answered have ended: each has a pipe of
	 * the session, which goes with it only as long as the session lives. */
	if (nmb->fuse)
		fuse_session_destroy(nmb->fuse);
	tree_free(nmb->tree);
	park_free(nmb->park);
	readers_free(nmb->readers);
	notify_free(nmb->notify);
	contents_free(nmb->contents);
	syncer_free(m->syncer); /* contents wake it to the end */
	store_close(nmb->store, m->clean);
	codec_free(nmb->codec);
	session_close(nmb->session);
	control_free(nmb->control); /* the network woke it to the end */
	report_free(nmb->report);
	service_free(nmb->service);
	sysbus_free(nmb->sysbus);
	pulse_free(nmb->pulse);
	events_free(nmb->events);
}
