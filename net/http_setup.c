#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <sodium.h>

#include "net/clock.h"
#include "net/http_internal.h"
#include "net/log.h"

#define DEFAULT_CONNECTIONS 40u

static void init_libraries(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
	/* TLS writes raise it in spite of CURLOPT_NOSIGNAL (facts 13 #41). */
	signal(SIGPIPE, SIG_IGN);
}

/* Is there a certificate in it? libcurl would tell only at the first use. */
static int check_ca_file(const char *path)
{
	char line[128];
	FILE *f = fopen(path, "re");
	int rc = -EINVAL;

	if (!f)
		return -EINVAL;
	while (rc < 0 && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, "-----BEGIN ", 11) &&
		    strstr(line, "CERTIFICATE-----"))
			rc = 0;
	}
	fclose(f);
	return rc;
}

/* HTTP/2 of these is known to break transfers, or too young to be trusted
 * (facts 10.3): all before 8.11, and 8.13 to 8.14. */
static bool has_sound_http2(void)
{
	const curl_version_info_data *v = curl_version_info(CURLVERSION_NOW);

	return (v->features & CURL_VERSION_HTTP2) &&
	       v->version_num >= 0x080b00 &&
	       !(v->version_num >= 0x080d00 && v->version_num <= 0x080e00);
}

static int copy_options(struct http *h, const struct http_options *opt)
{
	h->max_connections = opt->max_connections ? opt->max_connections
	                                          : DEFAULT_CONNECTIONS;
	h->http2 = opt->http2_any || (opt->http2 && has_sound_http2());
	if (opt->http2 && !h->http2)
		log_debug("http2=off reason=\"libcurl %s\"",
		          curl_version_info(CURLVERSION_NOW)->version);
	http_bucket_set(&h->up, opt->up_bytes_per_s, clock_mono_ms());
	http_bucket_set(&h->down, opt->down_bytes_per_s, clock_mono_ms());
	if (opt->user_agent) {
		h->user_agent = strdup(opt->user_agent);
		if (!h->user_agent)
			return -ENOMEM;
	}
	if (opt->ca_file) {
		h->ca_file = strdup(opt->ca_file);
		if (!h->ca_file)
			return -ENOMEM;
		return check_ca_file(opt->ca_file);
	}
	return 0;
}

static int open_multi(struct http *h)
{
	h->multi = curl_multi_init();
	h->share = curl_share_init();
	if (!h->multi || !h->share)
		return -ENOMEM;
	/* No lock functions: only the network thread uses it. */
	if (curl_share_setopt(h->share, CURLSHOPT_SHARE,
	                      CURL_LOCK_DATA_SSL_SESSION))
		return -ENOMEM;
	curl_multi_setopt(h->multi, CURLMOPT_PIPELINING,
	                  h->http2 ? CURLPIPE_MULTIPLEX : CURLPIPE_NOTHING);
	curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS,
	                  (long)h->max_connections * 4);
	h->timer_fd =
		timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	return h->timer_fd < 0 ? -errno : 0;
}

/* Signals are for other threads. */
static int start_thread(struct http *h)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_mutex_lock(&h->lock);
	rc = -pthread_create(&h->thread, NULL, http_thread, h);
	pthread_mutex_unlock(&h->lock);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc == 0)
		pthread_setname_np(h->thread, "http");
	return rc;
}

static void free_all(struct http *h)
{
	struct http_sock *s;

	if (h->multi)
		curl_multi_cleanup(h->multi); /* mostly empties h->socks */
	/* A connection whose set-up ran out of memory is closed by libcurl
	 * itself, without telling. */
	while ((s = LIST_FIRST(&h->socks))) {
		LIST_REMOVE(s, link);
		free(s);
	}
	if (h->share)
		curl_share_cleanup(h->share);
	if (h->timer_fd >= 0)
		close(h->timer_fd);
	pthread_mutex_destroy(&h->lock);
	free(h->user_agent);
	free(h->ca_file);
	free(h);
}

int http_new(const struct http_options *opt, struct http **out_h)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct http *h;
	int rc;

	pthread_once(&once, init_libraries);
	if (sodium_init() < 0)
		return -EIO;
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	h->timer_fd = -1;
	h->check_ms = HTTP_NEVER;
	pthread_mutex_init(&h->lock, NULL);
	TAILQ_INIT(&h->incoming);
	TAILQ_INIT(&h->signals);
	TAILQ_INIT(&h->timers);
	TAILQ_INIT(&h->running);
	LIST_INIT(&h->hosts);
	LIST_INIT(&h->socks);

	rc = copy_options(h, opt);
	if (rc == 0)
		rc = open_multi(h);
	if (rc == 0)
		rc = start_thread(h);
	if (rc < 0) {
		free_all(h);
		return rc;
	}
	*out_h = h;
	return 0;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	pthread_mutex_lock(&h->lock);
	h->stopping = true;
	http_wake_locked(h);
	pthread_mutex_unlock(&h->lock);
	pthread_join(h->thread, NULL);
	free_all(h);
}
