#include "fs/mount_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <fuse_lowlevel.h>

#include "fs/config.h"
#include "fs/exit.h"
#include "fs/lock.h"
#include "fs/notify.h"
#include "fs/ops.h"
#include "fs/park.h"
#include "fs/pulse.h"
#include "fs/service.h"
#include "net/clock.h"
#include "net/log.h"

#define FUSE_THREADS 10
#define KICK_MS      10

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

/* ---- the loop ------------------------------------------------------------ */

static void *loop_run(void *arg)
{
	struct fuse_loop_config *cfg = fuse_loop_cfg_create();
	struct mount *m = arg;

	fuse_loop_cfg_set_max_threads(cfg, FUSE_THREADS);
	fuse_loop_cfg_set_clone_fd(cfg, 0);
	fuse_session_loop_mt(m->nmb.fuse, cfg);
	fuse_loop_cfg_destroy(cfg);
	lock_take(&m->lock, LOCK_LEAF);
	m->loop_ended = true;
	pthread_cond_broadcast(&m->turn);
	lock_drop(&m->lock, LOCK_LEAF);
	return NULL;
}

static void nothing(int sig)
{
	(void)sig;
}

/* The loop sleeps in the kernel until a request comes, and on a mount that
 * somebody keeps busy without using it none comes. A signal makes it look at
 * the exit flag; one that comes just before it falls asleep is lost, so
 * another follows. */
static void end_loop(struct mount *m, pthread_t loop)
{
	struct sigaction sa = { .sa_handler = nothing };

	sigaction(SIGUSR2, &sa, NULL);
	fuse_session_exit(m->nmb.fuse);
	lock_take(&m->lock, LOCK_LEAF);
	while (!m->loop_ended) {
		pthread_kill(loop, SIGUSR2);
		lock_wait_until(&m->turn, &m->lock, clock_mono_ms() + KICK_MS);
	}
	lock_drop(&m->lock, LOCK_LEAF);
}

static void wait_for_end(struct mount *m)
{
	lock_take(&m->lock, LOCK_LEAF);
	while (!m->loop_ended && !m->stops && !m->damaged)
		lock_wait(&m->turn, &m->lock);
	m->unmounted = m->loop_ended;
	lock_drop(&m->lock, LOCK_LEAF);
}

static bool stops(struct mount *m)
{
	bool stop;

	lock_take(&m->lock, LOCK_LEAF);
	stop = m->stops;
	lock_drop(&m->lock, LOCK_LEAF);
	return stop;
}

static int run_loop(struct mount *m, mount_ready_fn *ready, void *arg)
{
	struct nmb *nmb = &m->nmb;
	pthread_t loop;
	int rc = notify_start(nmb->notify, nmb->fuse);

	if (rc < 0)
		return rc;
	rc = -pthread_create(&loop, NULL, loop_run, m);
	if (rc == 0) {
		if (!m->is_ready)
			ready(arg);
		m->is_ready = true;
		pulse_begin(nmb->pulse);
		service_ready(nmb->service);
		wait_for_end(m);
		if (stops(m))
			service_stopping(nmb->service);
		pulse_end(nmb->pulse);
		/* While the loop still answers: a notification may wait for a
		 * request, and a parked one for nothing that will come. */
		park_end(nmb->park, -EIO);
		notify_stop(nmb->notify);
		end_loop(m, loop);
		pthread_join(loop, NULL);
	}
	notify_stop(nmb->notify);
	return rc;
}

int mount_serve(struct mount *m, mount_ready_fn *ready, void *arg, char *why,
                size_t size)
{
	struct nmb *nmb = &m->nmb;
	int rc;

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
		return EXIT_FAILED;
	}
	rc = run_loop(m, ready, arg);
	if (rc < 0)
		snprintf(why, size, "start: %s", strerror(-rc));
	/* Closes the connection: who still has a file open gets ENOTCONN. */
	fuse_session_unmount(nmb->fuse);
	ops_close_all(nmb);
	return rc < 0 ? EXIT_FAILED : EXIT_OK;
}
