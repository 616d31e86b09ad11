#include "fs/report.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fs/alert.h"
#include "fs/config.h"
#include "fs/desktop.h"
#include "fs/engine.h"
#include "fs/events.h"
#include "fs/lock.h"
#include "fs/metrics.h"
#include "fs/nmb.h"
#include "fs/session.h"
#include "fs/space.h"
#include "net/buf.h"
#include "net/clock.h"
#include "net/graph.h"
#include "net/http.h"
#include "net/log.h"

#define LOOK_MS   200  /* what happens meanwhile is looked at together */
#define FILE_MODE 0666 /* less the user's umask */

struct report {
	struct nmb *nmb;
	const char *file;       /* "": none */
	char program[PATH_MAX]; /* "": nobody is notified */
	struct alert alert;
	int64_t started_ns;
	int64_t file_ms;  /* written again from then on */
	bool file_wanted; /* something changed since it was */
	bool file_failed; /* and that was said */
	int64_t alert_ms; /* asked again then */
	int stop_fd;      /* readable: all ends now */

	pthread_t thread;
	bool started;
	pthread_mutex_t lock; /* LOCK_LEAF: below */
	pthread_cond_t turn;
	bool touched, stop;
};

/* ---- the desktop --------------------------------------------------------- */

static void fill_view(const struct report *r, const struct engine_status *s,
                      struct alert_view *v)
{
	uint64_t stays = s->blocked + s->held;

	*v = (struct alert_view){
		.signed_out = s->state == ENGINE_SIGNED_OUT,
		.full = s->state == ENGINE_FULL,
		.blocked = s->blocked,
		.held = s->held + s->held_in,
		.conflicts = events_count(r->nmb->events, EVENT_CONFLICT),
		.busy = s->pending_nodes > stays || s->uploading,
		.uploaded = s->uploaded_files,
	};
}

static void notify(struct report *r, enum alert_kind kind)
{
	const char *profile = config_text(r->nmb->config, CONFIG_PROFILE);
	char title[ALERT_TEXT], text[ALERT_TEXT];
	int rc;

	alert_words(&r->alert, kind, profile, title, text);
	rc = desktop_notify(r->program, title, text, r->stop_fd);
	if (rc < 0)
		log_warn("notify kind=%d error=\"%s\" not shown", (int)kind,
		         strerror(-rc));
	else
		log_info("notify kind=%d shown", (int)kind);
}

static void look_for_alerts(struct report *r, const struct engine_status *s)
{
	struct alert_view v;
	enum alert_kind kind;

	if (!r->program[0])
		return;
	fill_view(r, s, &v);
	do {
		kind = alert_next(&r->alert, &v, clock_mono_ms(), &r->alert_ms);
		if (kind != ALERT_NONE)
			notify(r, kind);
	} while (kind != ALERT_NONE);
}

/* ---- the file ------------------------------------------------------------ */

static void fill_metrics(const struct report *r, struct metrics *m, bool up)
{
	const struct nmb *nmb = r->nmb;
	struct graph_state g;

	*m = (struct metrics){
		.profile = config_text(nmb->config, CONFIG_PROFILE),
		.mountpoint = nmb->mountpoint,
		.version = NMB_VERSION,
		.up = up,
		.conflicts = events_count(nmb->events, EVENT_CONFLICT),
		.failures = events_count(nmb->events, EVENT_FAILED),
		.refusals = events_count(nmb->events, EVENT_BLOCKED),
		.started_ns = r->started_ns,
	};
	engine_get_status(nmb->engine, &m->status);
	graph_get_state(nmb->session->graph, &g);
	m->requests = g.requests;
	http_get_traffic(nmb->session->http, &m->sent_bytes,
	                 &m->received_bytes);
	space_get(nmb->space, &m->cached_bytes, &m->cache_limit_bytes);
}

static void write_file(struct report *r, bool up)
{
	struct buf b = BUF_INIT;
	struct metrics m;
	int rc;

	fill_metrics(r, &m, up);
	metrics_format(&m, &b);
	rc = metrics_write(r->file, &b,
	                   FILE_MODE & ~config_umask(r->nmb->config));
	buf_done(&b);
	if (rc < 0 && !r->file_failed)
		log_error("prometheus_file path=\"%s\" error=\"%s\" it goes on "
		          "being tried",
		          r->file, strerror(-rc));
	r->file_failed = rc < 0;
	r->file_wanted = false;
	r->file_ms = clock_mono_ms() + REPORT_FILE_MS;
}

/* ---- the thread ---------------------------------------------------------- */

static void look(struct report *r)
{
	struct engine_status s;

	if (r->program[0]) {
		engine_get_status(r->nmb->engine, &s);
		look_for_alerts(r, &s);
	}
	if (r->file[0] && r->file_wanted && clock_mono_ms() >= r->file_ms)
		write_file(r, true);
}

/* -1: when something happens. */
static int64_t next_ms(const struct report *r)
{
	int64_t ms = r->alert_ms;

	if (r->file[0] && r->file_wanted && r->file_ms < ms)
		ms = r->file_ms;
	return ms == ALERT_NEVER ? -1 : ms;
}

/* False: the end. */
static bool wait_turn(struct report *r)
{
	int64_t until = next_ms(r), rest = clock_mono_ms() + LOOK_MS;
	bool stop;

	lock_take(&r->lock, LOCK_LEAF);
	while (!r->stop && !r->touched) {
		lock_wait_until(&r->turn, &r->lock, until);
		if (until >= 0 && clock_mono_ms() >= until)
			break;
	}
	while (!r->stop && r->touched && clock_mono_ms() < rest)
		lock_wait_until(&r->turn, &r->lock, rest);
	r->file_wanted |= r->touched;
	r->touched = false;
	stop = r->stop;
	lock_drop(&r->lock, LOCK_LEAF);
	return !stop;
}

static void *report_run(void *arg)
{
	struct report *r = arg;

	do
		look(r);
	while (wait_turn(r));
	if (r->file[0])
		write_file(r, false);
	return NULL;
}

/* events_wake_fn: of many touches before a look only the first signals. */
static void on_touch(void *arg)
{
	struct report *r = arg;

	lock_take(&r->lock, LOCK_LEAF);
	if (!r->touched)
		pthread_cond_signal(&r->turn);
	r->touched = true;
	lock_drop(&r->lock, LOCK_LEAF);
}

/* ---- life ---------------------------------------------------------------- */

static int check_place(const char *path, const char *mountpoint, char *why,
                       size_t size)
{
	char dir[PATH_MAX], at[PATH_MAX];
	const char *slash = strrchr(path, '/');
	size_t len = strlen(mountpoint);

	if (path[0] != '/' || !slash[1]) {
		snprintf(why, size,
		         "--prometheus-file: \"%s\" should be the absolute "
		         "path of a file",
		         path);
		return -EINVAL;
	}
	snprintf(dir, sizeof(dir), "%.*s/", (int)(slash - path), path);
	if (!realpath(dir, at) || access(at, W_OK) < 0) {
		snprintf(why, size, "--prometheus-file: %s: %s", dir,
		         strerror(errno));
		return -EINVAL;
	}
	if (!strncmp(at, mountpoint, len) && (!at[len] || at[len] == '/')) {
		snprintf(why, size,
		         "--prometheus-file: %s lies in the mount itself, "
		         "which would never be idle then",
		         path);
		return -EINVAL;
	}
	return 0;
}

int report_check(const struct config *cfg, const char *mountpoint, char *why,
                 size_t size)
{
	const char *path = config_text(cfg, CONFIG_PROMETHEUS_FILE);

	return *path ? check_place(path, mountpoint, why, size) : 0;
}

int report_new(struct nmb *nmb, struct report **out_r)
{
	const struct config *cfg = nmb->config;
	bool notifies = config_bool(cfg, CONFIG_NOTIFY);
	struct report *r;
	int rc;

	*out_r = NULL;
	if (!notifies && !config_text(cfg, CONFIG_PROMETHEUS_FILE)[0])
		return 0;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (r->stop_fd < 0) {
		rc = -errno;
		free(r);
		return rc;
	}
	r->nmb = nmb;
	r->file = config_text(cfg, CONFIG_PROMETHEUS_FILE);
	r->file_wanted = true;
	r->started_ns = clock_real_ns();
	r->alert_ms = ALERT_NEVER;
	if (notifies && desktop_find(r->program) < 0) {
		r->program[0] = '\0';
		log_warn("--notify: there is no notify-send in PATH (libnotify "
		         "brings it); nothing is shown on the desktop");
	}
	alert_init(&r->alert, (int64_t)config_number(cfg, CONFIG_NOTIFY_AFTER));
	pthread_mutex_init(&r->lock, NULL);
	lock_cond_init(&r->turn);
	events_listen(nmb->events, on_touch, r);
	*out_r = r;
	return 0;
}

int report_start(struct report *r)
{
	int rc = r ? -pthread_create(&r->thread, NULL, report_run, r) : 0;

	if (r)
		r->started = rc == 0;
	return rc;
}

void report_stop(struct report *r)
{
	if (!r || !r->started)
		return;
	if (eventfd_write(r->stop_fd, 1) < 0)
		log_error("report: %s", strerror(errno));
	lock_take(&r->lock, LOCK_LEAF);
	r->stop = true;
	pthread_cond_signal(&r->turn);
	lock_drop(&r->lock, LOCK_LEAF);
	pthread_join(r->thread, NULL);
	r->started = false;
}

void report_free(struct report *r)
{
	if (!r)
		return;
	close(r->stop_fd);
	pthread_cond_destroy(&r->turn);
	pthread_mutex_destroy(&r->lock);
	free(r);
}
