#include "fs/mount_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "fs/config.h"
#include "fs/content.h"
#include "fs/engine.h"
#include "fs/exit.h"
#include "fs/lock.h"
#include "fs/paths.h"
#include "fs/service.h"
#include "fs/session.h"
#include "fs/statelock.h"
#include "fs/tree.h"
#include "net/clock.h"
#include "net/log.h"

#define HAND_OVER_MS  5000
#define BELIEVE_S     3600.0 /* fs/notify tells what changed elsewhere */
#define DRAIN_LOOK_MS 200
#define STOPS_AT_ONCE 3 /* asked that often: end without tidying up */

/* ---- being asked to end -------------------------------------------------- */

static void stop_nmb(struct nmb *nmb)
{
	struct mount *m = (struct mount *)nmb;
	unsigned stops;

	lock_take(&m->lock, LOCK_LEAF);
	stops = ++m->stops;
	pthread_cond_broadcast(&m->turn);
	lock_drop(&m->lock, LOCK_LEAF);
	if (stops >= STOPS_AT_ONCE)
		_exit(EXIT_FAILED); /* as safe as a kill -9 */
}

static void fill_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGUSR1); /* ours: ends the thread */
}

static void *signal_run(void *arg)
{
	struct mount *m = arg;
	sigset_t set;
	int sig;

	fill_signals(&set);
	while (sigwait(&set, &sig) == 0 && sig != SIGUSR1) {
		log_info("signal %d: ending, what is unsent is kept", sig);
		stop_nmb(&m->nmb);
	}
	return NULL;
}

/* Before any other thread: all of them inherit the mask. */
static int start_signals(pthread_t *out, struct mount *m)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	fill_signals(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	return -pthread_create(out, NULL, signal_run, m);
}

/* ---- one run ------------------------------------------------------------- */

static void raise_limits(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

#define SCAN_LEFT_S 2 /* given to a scan when all else has ended */

/* After an unclean end: slow, beside everything else. */
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

static bool has_damage(struct mount *m)
{
	bool damaged;

	lock_take(&m->lock, LOCK_LEAF);
	damaged = m->damaged;
	lock_drop(&m->lock, LOCK_LEAF);
	return damaged;
}

/* A scan that is not through has to start over next time: so the run does not
 * end in order, with everything on the disk all the same. */
static void end_scan(struct mount *m, pthread_t scan, int status)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += SCAN_LEFT_S;
	if (has_damage(m)) { /* it comes to nothing, and not at once */
		pthread_join(scan, NULL);
		return;
	}
	if (pthread_timedjoin_np(scan, NULL, &until) == 0)
		return;
	tree_sync(m->nmb.tree);
	log_info("ended during the scan of the content");
	_exit(status);
}

/* Unmounted: what is unsent goes on being sent, unless told to end. */
static void drain(struct mount *m)
{
	struct nmb *nmb = &m->nmb;

	statelock_note(nmb->lock_fd, "");
	if (!engine_is_drained(nmb->engine))
		log_info("unmounted; uploads go on until all is sent");
	lock_take(&m->lock, LOCK_LEAF);
	while (!m->stops && !m->damaged) {
		bool drained;

		lock_drop(&m->lock, LOCK_LEAF);
		drained = engine_is_drained(nmb->engine);
		lock_take(&m->lock, LOCK_LEAF);
		if (drained)
			break;
		if (!m->stops)
			lock_wait_until(&m->turn, &m->lock,
			                clock_mono_ms() + DRAIN_LOOK_MS);
	}
	lock_drop(&m->lock, LOCK_LEAF);
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

/* One run over one database. */
static int run_parts(struct mount *m, mount_ready_fn *ready, void *arg,
                     char *why, size_t why_size)
{
	int status, rc = mount_open_parts(m, why, why_size);
	bool scanning;
	pthread_t scan;

	if (rc < 0) {
		mount_close_parts(m);
		return exit_of(rc);
	}
	/* A database that is new knows nothing of what is there. */
	scanning = !m->found.clean &&
	           pthread_create(&scan, NULL, scan_run, m) == 0;
	status = mount_serve(m, ready, arg, why, why_size);
	m->clean = true;
	if (status == EXIT_OK)
		drain(m);
	if (!has_damage(m))
		service_stopping(m->nmb.service);
	if (scanning)
		end_scan(m, scan, status);
	mount_close_parts(m);
	return status;
}

#define REBUILD_PAUSE_MS 600000 /* damaged again that soon: it is the disk */

/* The database turned out to be damaged while it was in use: marked, so that
 * the next run rebuilds it. Not a run that was told to end, or that nobody
 * sees any more. */
static bool may_start_over(struct mount *m)
{
	int64_t now = clock_mono_ms();
	bool may;

	lock_take(&m->lock, LOCK_LEAF);
	may = m->damaged && !m->stops && !m->unmounted;
	lock_drop(&m->lock, LOCK_LEAF);
	if (may && m->rebuilt_ms && now - m->rebuilt_ms < REBUILD_PAUSE_MS) {
		log_error("state.db is damaged again: is the disk failing?");
		may = false;
	}
	m->rebuilt_ms = now;
	return may;
}

/* All parts are closed. */
static void forget_parts(struct mount *m)
{
	struct nmb *nmb = &m->nmb;

	nmb->events = NULL;
	nmb->work = NULL;
	nmb->session = NULL;
	nmb->codec = NULL;
	nmb->store = NULL;
	nmb->contents = NULL;
	nmb->space = NULL;
	nmb->notify = NULL;
	nmb->park = NULL;
	nmb->readers = NULL;
	nmb->tree = NULL;
	nmb->fetch = NULL;
	nmb->ahead = NULL;
	nmb->engine = NULL;
	nmb->watch = NULL;
	nmb->control = NULL;
	nmb->report = NULL;
	nmb->service = NULL;
	nmb->sysbus = NULL;
	nmb->pulse = NULL;
	nmb->fuse = NULL;
	nmb->files = NULL;
	m->syncer = NULL;
	m->damaged = m->loop_ended = m->unmounted = m->clean = false;
}

/* With the state directory locked and signals taken care of. */
static int run_until_ended(struct mount *m, mount_ready_fn *ready, void *arg,
                           char *why, size_t why_size)
{
	int status = run_parts(m, ready, arg, why, why_size);

	while (may_start_over(m)) {
		log_error("state.db is damaged: mounting anew, open files are "
		          "cut off");
		why[0] = '\0';
		forget_parts(m);
		status = run_parts(m, ready, arg, why, why_size);
	}
	if (status == EXIT_OK && has_damage(m)) {
		snprintf(why, why_size,
		         "%s/state.db is damaged; the next mount rebuilds it "
		         "from the server",
		         m->nmb.state_dir);
		status = EXIT_DAMAGED;
	}
	close(m->nmb.lock_fd);
	return status;
}

static int take_state(struct mount *m, char *why, size_t why_size)
{
	struct nmb *nmb = &m->nmb;
	int rc = paths_state_dir(nmb->config, nmb->state_dir,
	                         sizeof(nmb->state_dir));

	if (rc == 0)
		rc = paths_make_private(nmb->state_dir, why, why_size);
	if (rc == 0)
		rc = statelock_take(nmb->state_dir, nmb->mountpoint,
		                    HAND_OVER_MS, &nmb->lock_fd, why, why_size);
	if (rc < 0 && !why[0])
		snprintf(why, why_size, "%s", strerror(-rc));
	return rc;
}

static int run(struct mount *m, mount_ready_fn *ready, void *arg, char *why,
               size_t why_size)
{
	pthread_t signals;
	int rc = take_state(m, why, why_size);

	if (rc < 0)
		return exit_of(rc);
	rc = start_signals(&signals, m);
	if (rc < 0) {
		snprintf(why, why_size, "start: %s", strerror(-rc));
		close(m->nmb.lock_fd);
		return EXIT_FAILED;
	}
	rc = run_until_ended(m, ready, arg, why, why_size);
	pthread_kill(signals, SIGUSR1);
	pthread_join(signals, NULL);
	return rc;
}

int mount_run(const struct config *cfg, struct keystore *keystore,
              struct membership *membership, const char *mountpoint,
              mount_ready_fn *ready, void *arg, char *why, size_t why_size)
{
	struct mount *m = calloc(1, sizeof(*m));
	struct nmb *nmb = &m->nmb;
	int status;

	why[0] = '\0';
	if (!m)
		return EXIT_FAILED;
	raise_limits();
	pthread_mutex_init(&m->lock, NULL);
	lock_cond_init(&m->turn);
	nmb->config = cfg;
	nmb->keystore = keystore;
	nmb->membership = membership;
	nmb->lock_fd = -1;
	pthread_mutex_init(&nmb->files_lock, NULL);
	nmb->stop = stop_nmb;
	nmb->read_only = config_bool(cfg, CONFIG_READ_ONLY);
	nmb->deadline_ms = (int64_t)config_number(cfg, CONFIG_DEADLINE);
	nmb->entry_timeout_s = nmb->attr_timeout_s = BELIEVE_S;
	snprintf(nmb->mountpoint, sizeof(nmb->mountpoint), "%s", mountpoint);
	status = run(m, ready, arg, why, why_size);
	pthread_cond_destroy(&m->turn);
	pthread_mutex_destroy(&nmb->files_lock);
	pthread_mutex_destroy(&m->lock);
	free(m);
	return status;
}
