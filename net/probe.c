#include "net/probe.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <curl/curl.h>

#include "net/clock.h"
#include "net/http.h"

struct probing {
	pthread_mutex_t lock; /* a leaf: nothing is called with it */
	pthread_cond_t over;
	bool ended;
	int rc;
	struct probe *out;
};

/* On the network thread. */
static void on_done(void *arg, const struct http_answer *a)
{
	struct probing *p = arg;
	const char *date = a->rc == 0 ? http_answer_header(a, "Date") : NULL;
	time_t t = date ? curl_getdate(date, NULL) : -1;

	pthread_mutex_lock(&p->lock);
	p->rc = a->rc;
	p->out->status = a->status;
	p->out->date = t > 0 ? (int64_t)t : 0;
	p->out->here = clock_real_ns() / NS_PER_SEC;
	snprintf(p->out->detail, sizeof(p->out->detail), "%s",
	         a->detail ? a->detail : "");
	p->ended = true;
	pthread_cond_signal(&p->over);
	pthread_mutex_unlock(&p->lock);
}

int probe_host(struct http *h, const char *url, int total_ms, struct probe *out)
{
	struct probing p = { .out = out };
	struct http_spec spec = {
		.method = "GET",
		.url = url,
		.prio = HTTP_PRIO_USER,
		.total_ms = total_ms,
		.done = on_done,
		.arg = &p,
	};
	int rc;

	memset(out, 0, sizeof(*out));
	pthread_mutex_init(&p.lock, NULL);
	pthread_cond_init(&p.over, NULL);
	rc = http_start(h, &spec, NULL);
	if (rc == 0) {
		pthread_mutex_lock(&p.lock);
		while (!p.ended)
			pthread_cond_wait(&p.over, &p.lock);
		pthread_mutex_unlock(&p.lock);
		rc = p.rc;
	}
	pthread_cond_destroy(&p.over);
	pthread_mutex_destroy(&p.lock);
	return rc;
}
