#include "fs/cmd_watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "fs/cmd_common.h"
#include "fs/control.h"
#include "fs/exit.h"
#include "fs/running.h"
#include "fs/watch_term.h"
#include "fs/watch_view.h"
#include "net/buf.h"
#include "net/clock.h"
#include "net/fdio.h"
#include "net/json.h"

#define SOON_MS   200   /* after an event, or the last answer */
#define BUSY_MS   1000  /* while something is under way */
#define IDLE_MS   30000 /* the time of the last sync */
#define SILENT_MS 5000  /* without an answer: it is said */
#define MEAN_S    3.0   /* the speeds are means of about so long */
#define MAX_LINE  (1 << 20)

struct watch {
	const struct running *r;
	struct watch_term term;
	struct watch_view view;
	cJSON *status;
	int fd;
	struct buf in;
	bool ended;         /* the mount said so */
	bool failed;        /* no memory, no terminal any more */
	int64_t asked_ms;   /* 0: nothing is awaited */
	int64_t next_ms;    /* asks again */
	int64_t counted_ms; /* when `sent` and `received` were */
	int64_t sent, received;
	char *said; /* what was printed last, without a terminal */
};

/* ---- the mount ----------------------------------------------------------- */

static int ask(struct watch *w, const char *what, unsigned waiting)
{
	cJSON *o = cJSON_CreateObject();
	int rc = -ENOMEM;

	if (cJSON_AddStringToObject(o, "do", what) &&
	    cJSON_AddNumberToObject(o, "waiting", waiting))
		rc = control_send(w->fd, o);
	cJSON_Delete(o);
	return rc;
}

static void ask_status(struct watch *w)
{
	unsigned cols, rows;

	watch_term_size(&cols, &rows);
	if (ask(w, "status", w->term.screen ? rows : 1) < 0)
		return; /* the end comes by the socket */
	w->asked_ms = clock_mono_ms();
	w->next_ms = INT64_MAX;
}

static void ask_soon(struct watch *w)
{
	int64_t at = clock_mono_ms() + (w->term.screen ? SOON_MS : BUSY_MS);

	if (!w->asked_ms && at < w->next_ms)
		w->next_ms = at;
}

/* ---- speeds -------------------------------------------------------------- */

static double mean(double old, int64_t bytes, double s)
{
	double now = bytes > 0 ? (double)bytes / s : 0;
	double mixed = old + (now - old) * s / (s + MEAN_S);

	return mixed < 1 ? 0 : mixed;
}

static void take_speeds(struct watch *w)
{
	int64_t sent = json_i64(w->status, "sent_bytes", 0);
	int64_t received = json_i64(w->status, "received_bytes", 0);
	int64_t now = clock_mono_ms();
	double s = (double)(now - w->counted_ms) / 1000;

	if (w->counted_ms && s > 0) {
		w->view.up = mean(w->view.up, sent - w->sent, s);
		w->view.down = mean(w->view.down, received - w->received, s);
	}
	w->counted_ms = now;
	w->sent = sent;
	w->received = received;
}

/* ---- what comes ---------------------------------------------------------- */

static void take_status(struct watch *w, cJSON *o)
{
	cJSON_Delete(w->status);
	w->view.status = w->status = o;
	w->view.silent = false;
	w->asked_ms = 0;
	w->next_ms = clock_mono_ms() + (watch_is_busy(o) ? BUSY_MS : IDLE_MS);
	take_speeds(w);
}

static void keep_recent(struct watch *w, char *text)
{
	char **list = w->view.recent;

	if (!text)
		return;
	if (w->view.nrecent == WATCH_RECENT)
		free(list[--w->view.nrecent]);
	memmove(list + 1, list, w->view.nrecent * sizeof(*list));
	list[0] = text;
	w->view.nrecent++;
}

static void take_line(struct watch *w, const char *text, size_t len)
{
	cJSON *o = json_parse(text, len);
	const char *event = json_str(o, "event");

	if (event) {
		w->ended |= !strcmp(event, "end");
		keep_recent(w, watch_describe(o));
		ask_soon(w);
	} else if (json_bool(o, "ok", false)) {
		take_status(w, o);
		return;
	}
	cJSON_Delete(o);
}

/* False: the mount has ended, or died. */
static bool read_some(struct watch *w)
{
	char data[16384], *end;
	ssize_t n = read(w->fd, data, sizeof(data));

	if (n < 0)
		return errno == EINTR;
	if (n == 0 || w->in.len > MAX_LINE ||
	    buf_add(&w->in, data, (size_t)n) < 0)
		return false;
	while (w->in.len && (end = memchr(w->in.data, '\n', w->in.len))) {
		size_t len = (size_t)(end - w->in.data);

		take_line(w, w->in.data, len);
		buf_drop(&w->in, len + 1);
	}
	return true;
}

/* ---- what is shown ------------------------------------------------------- */

static void draw(struct watch *w)
{
	struct buf b = BUF_INIT;
	unsigned cols, rows;

	/* The last column stays free: what stands there would be erased with
	 * the rest of its line. */
	watch_term_size(&cols, &rows);
	watch_draw(&w->view, cols > 1 ? cols - 1 : 1, rows, &b);
	if (b.failed || (b.len && watch_term_show(&b) < 0))
		w->failed = true;
	buf_done(&b);
}

static void print_line(struct watch *w)
{
	struct buf b = BUF_INIT;
	struct timespec ts = clock_ns_to_timespec(clock_real_ns());
	char at[16] = "";
	struct tm tm;

	watch_summary(&w->view, &b);
	if (!b.data || (w->said && !strcmp(w->said, b.data))) {
		buf_done(&b);
		return;
	}
	if (localtime_r(&ts.tv_sec, &tm))
		strftime(at, sizeof(at), "%H:%M:%S", &tm);
	printf("%s %s\n", at, b.data);
	w->failed |= fflush(stdout) != 0;
	free(w->said);
	w->said = strdup(b.data);
	buf_done(&b);
}

static void show(struct watch *w)
{
	if (w->term.screen)
		draw(w);
	else
		print_line(w);
}

/* ---- all of it ----------------------------------------------------------- */

static int64_t next_ms(const struct watch *w)
{
	if (w->asked_ms)
		return w->view.silent ? -1 : w->asked_ms + SILENT_MS;
	return w->next_ms;
}

/* True: a person wants no more. */
static bool follow(struct watch *w)
{
	unsigned what = 0;

	while (!w->failed) {
		if (!w->asked_ms && clock_mono_ms() >= w->next_ms)
			ask_status(w);
		w->view.silent = w->asked_ms &&
		                 clock_mono_ms() >= w->asked_ms + SILENT_MS;
		what = watch_term_wait(&w->term, w->fd, next_ms(w));
		if (what & WATCH_QUIT)
			return true;
		if (what & WATCH_FD && !read_some(w))
			return false;
		show(w);
	}
	return true;
}

static int said_end(const struct watch *w, bool quit)
{
	if (quit)
		return w->failed ? EXIT_FAILED : EXIT_OK;
	if (!w->ended)
		return cmd_fail(EXIT_FAILED, "the mount (process %ld) died",
		                w->r->pid);
	if (w->term.screen)
		puts("the mount has ended");
	return EXIT_OK;
}

int cmd_watch(const struct running *r)
{
	struct watch w = { .r = r, .in = BUF_INIT };
	bool quit;
	int rc;

	w.fd = control_connect(r->state_dir);
	rc = w.fd < 0 ? w.fd : ask(&w, "events", 0);
	if (rc < 0) {
		if (w.fd >= 0)
			close(w.fd);
		return cmd_fail(EXIT_FAILED, "process %ld doesn't answer: %s",
		                r->pid, strerror(-rc));
	}
	watch_term_begin(&w.term);
	quit = follow(&w);
	watch_term_end(&w.term);
	close(w.fd);
	rc = said_end(&w, quit);
	while (w.view.nrecent)
		free(w.view.recent[--w.view.nrecent]);
	cJSON_Delete(w.status);
	buf_done(&w.in);
	free(w.said);
	return rc;
}
