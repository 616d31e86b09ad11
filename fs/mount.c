#include "fs/mount.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fuse_lowlevel.h>

#include "fs/codec.h"
#include "fs/config.h"
#include "fs/content.h"
#include "fs/control.h"
#include "fs/engine.h"
#include "fs/exit.h"
#include "fs/fetch.h"
#include "fs/mountpoint.h"
#include "fs/nmb.h"
#include "fs/notify.h"
#include "fs/ops.h"
#include "fs/park.h"
#include "fs/paths.h"
#include "fs/session.h"
#include "fs/space.h"
#include "fs/statelock.h"
#include "fs/store.h"
#include "fs/syncer.h"
#include "fs/tree.h"
#include "net/log.h"
#include "net/names.h"
#include "net/work.h"

#define WORKERS       4
#define FUSE_THREADS  10
#define HAND_OVER_MS  5000
#define BELIEVE_S     3600.0 /* fs/notify tells what changed elsewhere */
#define DRAIN_LOOK_MS 200
#define SERVICE_UNITS 40 /* what the service puts in front of a path, 11.1 */

/* One more than the struct nmb that all parts see: what only this file needs.
 */
struct mount {
	struct nmb nmb; /* first: nmb->stop() finds us by it */
	struct store_found found;
	struct syncer *syncer;
	int signal_fd; /* eventfd: a signal, or `stop` over the socket */
	atomic_int signals;
	bool mounted, clean;
};

/* ---- what parts tell each other ------------------------------------------ */

static void on_dirty(void *arg, uint64_t ino)
{
	struct nmb *nmb = arg;

	if (nmb->engine)
		engine_note_dirty(nmb->engine, ino);
}

static void on_settled(void *arg, uint64_t ino)
{
	struct nmb *nmb = arg;

	if (nmb->engine)
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

static void on_unsynced(void *arg)
{
	struct mount *m = arg;

	syncer_wake(m->syncer);
}

static void on_engine_changed(void *arg)
{
	struct nmb *nmb = arg;

	space_changed(nmb->space);
	if (nmb->control)
		control_changed(nmb->control);
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
	if (ret < 0)
		store_rollback(nmb->store, ret);
	else
		store_commit(nmb->store);
}

static int on_room(void *arg, uint64_t bytes)
{
	struct nmb *nmb = arg;

	return space_take(nmb->space, bytes);
}

static bool on_drains(void *arg)
{
	struct nmb *nmb = arg;
	struct engine_status s;

	engine_get_status(nmb->engine, &s);
	return s.state == ENGINE_SYNCING && s.pending_nodes > s.blocked &&
	       s.quota_remaining != 0;
}

/* ---- parts --------------------------------------------------------------- */

static int open_codec(struct mount *m)
{
	char type[64] = "";
	struct db *db;
	int rc = store_reader(m->nmb.store, &db);

	if (rc == 0) {
		rc = store_get_text(db, "drive_type", type, sizeof(type));
		store_reader_done(m->nmb.store, db);
	}
	if (rc < 0)
		return rc;
	/* Not known yet: the stricter rules, those of Business. */
	return codec_plain_new(strcmp(type, "personal") != 0, &m->nmb.codec);
}

static int open_store(struct mount *m, char *why, size_t size)
{
	struct nmb *nmb = &m->nmb;
	struct content_recovery r;
	int rc = store_open(nmb->state_dir, &nmb->store, &m->found);

	if (rc < 0) {
		snprintf(why, size,
		         rc == -ENOTSUP
		                 ? "%s/state.db was made by a newer version "
		                   "of nmbackupfs: upgrade"
		                 : "%s/state.db can't be used (%s); it was "
		                   "left as it is",
		         nmb->state_dir, strerror(-rc));
		return rc;
	}
	rc = contents_new(nmb->state_dir, nmb->store, &nmb->contents);
	if (rc == 0)
		contents_set_untidy(nmb->contents, on_unsynced, m);
	if (rc == 0 && !m->found.clean && !m->found.created) {
		rc = contents_recover(nmb->contents, m->found.rebooted, &r);
		if (rc == 0)
			log_info("recovered resized=%u reverted=%u "
			         "quarantined=%u lost=%u",
			         r.resized, r.reverted, r.quarantined, r.lost);
	}
	if (rc < 0)
		snprintf(why, size, "%s/content: %s", nmb->state_dir,
		         strerror(-rc));
	return rc;
}

/* A damaged database is rebuilt from the server; it and all content that only
 * it knew are set aside, for a person to look at. */
static int open_or_rebuild_store(struct mount *m, char *why, size_t size)
{
	struct nmb *nmb = &m->nmb;
	int rc = open_store(m, why, size);

	if (rc != -EUCLEAN)
		return rc;
	log_error("state.db is damaged action=rebuild dir=\"%s\": what was not "
	          "sent yet is in its quarantine/",
	          nmb->state_dir);
	contents_free(nmb->contents);
	nmb->contents = NULL;
	store_close(nmb->store, false);
	nmb->store = NULL;
	rc = store_set_aside(nmb->state_dir);
	if (rc < 0) {
		snprintf(why, size,
		         "%s/state.db is damaged and can't be set "
		         "aside: %s",
		         nmb->state_dir, strerror(-rc));
		return rc;
	}
	why[0] = '\0';
	return open_store(m, why, size);
}

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
		.uid = getuid(),
		.gid = getgid(),
		.events = { .arg = m,
		            .dirty = on_dirty,
		            .settled = on_settled,
		            .unsynced = on_unsynced,
		            .stale_entry = on_stale_entry,
		            .stale_attr = on_stale_attr },
		.path_units = SERVICE_UNITS +
		              (unsigned)names_utf16_len(
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

static int open_engine(struct mount *m)
{
	struct nmb *nmb = &m->nmb;
	const struct config *c = nmb->config;
	struct engine_options opt = {
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
		.read_only = nmb->read_only,
		.rolled_back = m->found.rolled_back,
		.hydrate = on_hydrate,
		.changed = on_engine_changed,
		.arg = nmb,
	};

	return engine_new(&opt, &nmb->engine);
}

/* In the order of struct nmb; close_parts() undoes what was reached. */
static int open_parts(struct mount *m, char *why, size_t size)
{
	struct nmb *nmb = &m->nmb;
	int rc = work_new("nmb-work", WORKERS, &nmb->work);

	if (rc == 0)
		rc = session_open(nmb->config, SESSION_ANY, &nmb->session, why,
		                  size);
	if (rc == 0)
		rc = syncer_new(&m->syncer);
	if (rc == 0)
		rc = open_or_rebuild_store(m, why, size);
	if (rc < 0)
		return rc;
	rc = open_codec(m);
	if (rc == 0)
		rc = open_space(m);
	if (rc == 0)
		rc = notify_new(&nmb->notify);
	if (rc == 0)
		rc = park_new(nmb->work, &nmb->park);
	if (rc == 0)
		rc = open_tree(m);
	if (rc == 0)
		syncer_start(m->syncer, nmb->tree);
	if (rc == 0)
		rc = open_fetch(m);
	if (rc == 0)
		rc = open_engine(m);
	if (rc == 0)
		rc = control_new(nmb, &nmb->control);
	if (rc < 0 && !why[0])
		snprintf(why, size, "start: %s", strerror(-rc));
	return rc;
}

static void close_parts(struct mount *m)
{
	struct nmb *nmb = &m->nmb;

	control_stop(nmb->control);
	if (nmb->park)
		park_end(nmb->park, -EIO);
	fetch_free(nmb->fetch);
	nmb->fetch = NULL;
	engine_free(nmb->engine);
	nmb->engine = NULL;
	control_free(nmb->control);
	syncer_stop(m->syncer);
	if (nmb->tree && tree_sync(nmb->tree) < 0)
		m->clean = false;
	/* Jobs may still hold references into what goes next. */
	space_free(nmb->space);
	work_free(nmb->work);
	tree_free(nmb->tree);
	park_free(nmb->park);
	notify_free(nmb->notify);
	contents_free(nmb->contents);
	syncer_free(m->syncer); /* contents wake it to the end */
	store_close(nmb->store, m->clean);
	codec_free(nmb->codec);
	session_close(nmb->session);
	if (nmb->lock_fd >= 0)
		close(nmb->lock_fd);
}

/* ---- signals ------------------------------------------------------------- */

static void tell(struct mount *m)
{
	uint64_t one = 1;

	m->signals++;
	if (write(m->signal_fd, &one, sizeof(one)) < 0)
		log_debug("signal: %s", strerror(errno));
	if (m->signals > 2)
		_exit(EXIT_FAILED); /* asked three times: at once */
}

static void stop_nmb(struct nmb *nmb)
{
	struct mount *m = (struct mount *)nmb;

	tell(m);
	if (nmb->fuse && m->mounted) {
		fuse_session_exit(nmb->fuse);
		/* Wakes the threads that wait for the kernel. */
		mountpoint_detach(nmb->mountpoint, 1);
	}
}

static void *signal_run(void *arg)
{
	struct mount *m = arg;
	sigset_t set;
	int sig;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	while (sigwait(&set, &sig) == 0 && sig != SIGUSR1) {
		log_info("signal %d: ending, what is unsent is kept", sig);
		stop_nmb(&m->nmb);
	}
	return NULL;
}

static int start_signals(pthread_t *out, struct mount *m)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	return -pthread_create(out, NULL, signal_run, m);
}

/* ---- serving ------------------------------------------------------------- */

static void add_option(struct fuse_args *args, const char *option)
{
	fuse_opt_add_arg(args, "-o");
	fuse_opt_add_arg(args, option);
}

/* What mount(8) passes on and libfuse does not know is left out. */
static void add_fuse_options(struct fuse_args *args, const char *list)
{
	static const char *const ignored[] = { "rw",   "auto",   "noauto",
		                               "user", "nofail", "_netdev",
		                               "exec", "users",  "defaults" };
	char option[256];

	while (*list) {
		size_t len = strcspn(list, ",");
		bool skip = !len || len >= sizeof(option) ||
		            !strncmp(list, "x-", 2);

		snprintf(option, sizeof(option), "%.*s", (int)len, list);
		for (size_t i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
			skip |= !strcmp(option, ignored[i]);
		if (!skip)
			add_option(args, option);
		list += len + (list[len] == ',');
	}
}

static struct fuse_session *new_fuse(struct mount *m)
{
	const struct config *c = m->nmb.config;
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_session *se;

	fuse_opt_add_arg(&args, "nmbackupfs");
	add_option(&args, "default_permissions");
	add_option(&args, "fsname=nmbackupfs");
	add_option(&args, "subtype=nmbackupfs");
	if (config_bool(c, CONFIG_ALLOW_OTHER))
		add_option(&args, "allow_other");
	if (m->nmb.read_only)
		add_option(&args, "ro");
	add_fuse_options(&args, config_fuse_options(c));
	se = fuse_session_new(&args, &ops_table, sizeof(ops_table), &m->nmb);
	fuse_opt_free_args(&args);
	return se;
}

static void serve(struct mount *m)
{
	struct fuse_loop_config *loop = fuse_loop_cfg_create();

	fuse_loop_cfg_set_max_threads(loop, FUSE_THREADS);
	fuse_loop_cfg_set_clone_fd(loop, 0);
	fuse_session_loop_mt(m->nmb.fuse, loop);
	fuse_loop_cfg_destroy(loop);
}

/* Unmounted: what is unsent goes on being sent, unless told to end. */
static void drain(struct mount *m)
{
	struct nmb *nmb = &m->nmb;

	statelock_note(nmb->lock_fd, "");
	if (!engine_is_drained(nmb->engine))
		log_info("unmounted; uploads go on until all is sent");
	while (!m->signals && !engine_is_drained(nmb->engine)) {
		struct timespec ts = { .tv_nsec = DRAIN_LOOK_MS * 1000000L };

		nanosleep(&ts, NULL);
	}
}

static int serve_all(struct mount *m, mount_ready_fn *ready, void *arg,
                     char *why, size_t size)
{
	struct nmb *nmb = &m->nmb;
	int rc = 0;

	nmb->fuse = new_fuse(m);
	if (!nmb->fuse) {
		snprintf(why, size, "libfuse refuses these -o options: %s",
		         config_fuse_options(nmb->config));
		return EXIT_USAGE;
	}
	if (fuse_session_mount(nmb->fuse, nmb->mountpoint) != 0) {
		snprintf(why, size,
		         "%s can't be mounted on; is /dev/fuse there, and "
		         "fusermount3 installed?",
		         nmb->mountpoint);
		fuse_session_destroy(nmb->fuse);
		nmb->fuse = NULL;
		return EXIT_FAILED;
	}
	rc = notify_start(nmb->notify, nmb->fuse);
	m->mounted = true;
	if (rc == 0) {
		ready(arg);
		serve(m);
	}
	m->mounted = false;
	fuse_session_unmount(nmb->fuse);
	park_end(nmb->park, -EIO);
	notify_stop(nmb->notify);
	fuse_session_destroy(nmb->fuse);
	nmb->fuse = NULL;
	m->clean = true;
	if (rc == 0)
		drain(m);
	return rc < 0 ? EXIT_FAILED : EXIT_OK;
}

static void be_private(void)
{
	struct rlimit none = { 0, 0 }, files;

	umask(077);
	prctl(PR_SET_DUMPABLE, 0);
	setrlimit(RLIMIT_CORE, &none);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

static void *scan_run(void *arg)
{
	struct mount *m = arg;
	struct content_scan scan;

	if (store_check(m->nmb.store) == 0 &&
	    contents_scan(m->nmb.contents, &scan) == 0 &&
	    (scan.moved || scan.lost))
		log_warn("scan moved=%u to quarantine, lost=%u", scan.moved,
		         scan.lost);
	return NULL;
}

static int exit_of(int rc)
{
	switch (rc) {
	case -EUCLEAN:
	case -ENOTSUP:
		return EXIT_DAMAGED;
	case -EBUSY:
		return EXIT_BUSY;
	default:
		return session_exit_status(rc);
	}
}

int mount_run(const struct config *cfg, const char *mountpoint,
              mount_ready_fn *ready, void *arg, char *why, size_t why_size)
{
	struct mount *m = calloc(1, sizeof(*m));
	struct nmb *nmb = &m->nmb;
	pthread_t signals, scan;
	bool scanning;
	int rc;

	why[0] = '\0';
	if (!m)
		return EXIT_FAILED;
	be_private();
	nmb->config = cfg;
	nmb->lock_fd = -1;
	nmb->stop = stop_nmb;
	nmb->read_only = config_bool(cfg, CONFIG_READ_ONLY);
	nmb->deadline_ms = (int64_t)config_number(cfg, CONFIG_DEADLINE);
	nmb->entry_timeout_s = nmb->attr_timeout_s = BELIEVE_S;
	snprintf(nmb->mountpoint, sizeof(nmb->mountpoint), "%s", mountpoint);
	m->signal_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	rc = paths_state_dir(cfg, nmb->state_dir, sizeof(nmb->state_dir));
	if (rc == 0)
		rc = paths_make_private(nmb->state_dir, why, why_size);
	if (rc == 0)
		rc = statelock_take(nmb->state_dir, mountpoint, HAND_OVER_MS,
		                    &nmb->lock_fd, why, why_size);
	if (rc == 0)
		rc = start_signals(&signals, m);
	if (rc < 0) {
		if (!why[0])
			snprintf(why, why_size, "%s", strerror(-rc));
		if (nmb->lock_fd >= 0)
			close(nmb->lock_fd);
		free(m);
		return exit_of(rc);
	}
	rc = open_parts(m, why, why_size);
	/* A database that is new knows nothing of what is there. */
	scanning = rc == 0 && !m->found.clean &&
	           pthread_create(&scan, NULL, scan_run, m) == 0;
	rc = rc < 0 ? exit_of(rc) : serve_all(m, ready, arg, why, why_size);
	if (scanning)
		pthread_join(scan, NULL);
	close_parts(m);
	pthread_kill(signals, SIGUSR1);
	pthread_join(signals, NULL);
	close(m->signal_fd);
	free(m);
	return rc;
}
