/* TLS, proxies and names. */
#include "net/http.h"

#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <microhttpd.h>

#include "net/clock.h"
#include "tests/unit/check.h"
#include "tests/unit/http_fixture.h"

/* fault 34: names that can't be resolved are no network (net/retry). */
/* ---- a resolver that hangs, in front of libc's ------------------------- */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	unsigned waiting;
	bool open;
} resolver = { .lock = PTHREAD_MUTEX_INITIALIZER,
	       .cond = PTHREAD_COND_INITIALIZER };

static void hang(void)
{
	pthread_mutex_lock(&resolver.lock);
	resolver.waiting++;
	pthread_cond_broadcast(&resolver.cond);
	while (!resolver.open)
		pthread_cond_wait(&resolver.cond, &resolver.lock);
	resolver.waiting--;
	pthread_cond_broadcast(&resolver.cond);
	pthread_mutex_unlock(&resolver.lock);
}

static void wait_for_hanging(unsigned n)
{
	pthread_mutex_lock(&resolver.lock);
	while (resolver.waiting < n)
		pthread_cond_wait(&resolver.cond, &resolver.lock);
	pthread_mutex_unlock(&resolver.lock);
}

int getaddrinfo(const char *node, const char *service,
                const struct addrinfo *hints, struct addrinfo **res)
{
	int (*real)(const char *, const char *, const struct addrinfo *,
	            struct addrinfo **);

	if (node && strstr(node, ".hangs.invalid"))
		hang();
	if (node && strstr(node, ".invalid"))
		return EAI_NONAME;
	*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	return real(node, service, hints, res);
}

static void test_unknown_name(void)
{
	struct http *h = new_http(NULL);
	struct call c;

	call_init(&c, "https://nobody.invalid/secret?sig=1");
	c.spec.secret_url = true;
	CHECK_EQ(call_run(&c, h), -ENETUNREACH);
	CHECK(!c.was_sent);
	CHECK(strstr(c.detail, "nobody.invalid"));
	CHECK(!strstr(c.detail, "secret") && !strstr(c.detail, "sig"));
	call_free(&c);
	http_free(h);
}

static void test_hanging_resolver(void)
{
	struct raw_server *s = raw_start(raw_serve_echo, NULL);
	struct http *h = new_http(NULL);
	struct call stuck, late, left, other;
	int64_t begun = clock_mono_ms();

	call_init(&stuck, "https://a.hangs.invalid/");
	call_init(&late, "https://b.hangs.invalid/");
	call_init(&left, "https://c.hangs.invalid/");
	late.spec.connect_ms = 200;
	CHECK_EQ(call_start(&stuck, h), 0);
	CHECK_EQ(call_start(&late, h), 0);
	CHECK_EQ(call_start(&left, h), 0);
	wait_for_hanging(3);

	call_cancel(&stuck);
	call_wait(&stuck);
	CHECK_EQ(stuck.rc, -ECANCELED);
	call_wait(&late);
	CHECK_EQ(late.rc, -ETIMEDOUT);
	call_init(&other, raw_url(s, "/"));
	CHECK_EQ(call_run(&other, h), 0);
	http_free(h);
	CHECK_EQ(left.rc, -ECANCELED);
	/* The resolver still hangs: nobody has waited for it. */
	CHECK(clock_mono_ms() - begun < 10000);

	pthread_mutex_lock(&resolver.lock);
	CHECK_EQ(resolver.waiting, 3);
	resolver.open = true;
	pthread_cond_broadcast(&resolver.cond);
	while (resolver.waiting)
		pthread_cond_wait(&resolver.cond, &resolver.lock);
	pthread_mutex_unlock(&resolver.lock);
	raw_stop(s);
	call_free(&stuck);
	call_free(&late);
	call_free(&left);
	call_free(&other);
}

/* ---- TLS --------------------------------------------------------------- */

static char dir[] = "/tmp/test_http_XXXXXX";
static unsigned served;

static char *path(const char *name)
{
	char *p;

	if (asprintf(&p, "%s/%s", dir, name) < 0)
		abort();
	return p;
}

static char *slurp(const char *name)
{
	char *p = path(name), *text = calloc(1, 65536);
	FILE *f = fopen(p, "r");
	size_t n = 0;

	if (f && text) {
		n = fread(text, 1, 65535, f);
		fclose(f);
	}
	free(p);
	if (n)
		return text;
	free(text);
	return NULL;
}

static bool make_certificate(const char *name, const char *san)
{
	char cmd[512];

	snprintf(cmd, sizeof(cmd),
	         "openssl req -x509 -newkey ec -pkeyopt "
	         "ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=%s "
	         "-addext subjectAltName=%s -keyout %s/%s.key -out %s/%s.crt "
	         ">%s/log 2>&1",
	         name, san, dir, name, dir, name, dir);
	return system(cmd) == 0;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *conn,
                                  const char *url, const char *method,
                                  const char *version, const char *data,
                                  size_t *size, void **state)
{
	static char hello[] = "hello";
	struct MHD_Response *r;
	enum MHD_Result rc;

	(void)arg;
	(void)url;
	(void)method;
	(void)version;
	(void)data;
	if (!*state) {
		*state = conn;
		__atomic_add_fetch(&served, 1, __ATOMIC_SEQ_CST);
		return MHD_YES;
	}
	if (*size) {
		*size = 0;
		return MHD_YES;
	}
	r = MHD_create_response_from_buffer(5, hello, MHD_RESPMEM_PERSISTENT);
	rc = MHD_queue_response(conn, 200, r);
	MHD_destroy_response(r);
	return rc;
}

static struct MHD_Daemon *start_tls(const char *name)
{
	char file[64];
	char *key, *crt;
	struct MHD_Daemon *d = NULL;

	snprintf(file, sizeof(file), "%s.key", name);
	key = slurp(file);
	snprintf(file, sizeof(file), "%s.crt", name);
	crt = slurp(file);
	if (key && crt)
		d = MHD_start_daemon(
			MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_TLS, 0, NULL,
			NULL, on_request, NULL, MHD_OPTION_HTTPS_MEM_KEY, key,
			MHD_OPTION_HTTPS_MEM_CERT, crt, MHD_OPTION_END);
	free(key);
	free(crt);
	return d;
}

/* Asks the server with certificate `server`, trusting that of `trusted`. */
static void ask_tls(const char *server, const char *trusted, int want_rc)
{
	struct MHD_Daemon *d = start_tls(server);
	char url[64], crt[64];
	char *ca = NULL;
	struct http_options opt = { .user_agent = NULL };
	struct http *h;
	struct call c;

	CHECK(d);
	if (!d)
		return;
	if (trusted) {
		snprintf(crt, sizeof(crt), "%s.crt", trusted);
		opt.ca_file = ca = path(crt);
	}
	served = 0;
	snprintf(url, sizeof(url), "https://127.0.0.1:%d/",
	         MHD_get_daemon_info(d, MHD_DAEMON_INFO_BIND_PORT)->port);
	h = new_http(&opt);
	for (int i = 0; i < 2; i++) {
		call_init(&c, url);
		c.spec.method = "POST";
		c.spec.body = "secret";
		c.spec.body_len = 6;
		c.spec.bearer = "sesame";
		CHECK_EQ(call_run(&c, h), want_rc);
		CHECK_EQ(c.status, want_rc ? 0 : 200);
		CHECK_EQ(c.was_sent, !want_rc);
		call_free(&c);
	}
	http_free(h);
	MHD_stop_daemon(d);
	CHECK_EQ(served, want_rc ? 0 : 2);
	free(ca);
}

static void remove_dir(void)
{
	char cmd[64];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	CHECK_EQ(system(cmd), 0);
}

static void test_certificates(void)
{
	if (system("openssl version >/dev/null 2>&1") != 0 || !mkdtemp(dir))
		SKIP("no openssl command");
	CHECK(make_certificate("good", "IP:127.0.0.1"));
	CHECK(make_certificate("other", "IP:127.0.0.1"));
	CHECK(make_certificate("elsewhere", "DNS:example.invalid"));

	check_row("right");
	ask_tls("good", "good", 0);
	check_row("signed by somebody else");
	ask_tls("other", "good", -EKEYREJECTED);
	check_row("signed by nobody the system knows");
	ask_tls("good", NULL, -EKEYREJECTED);
	check_row("for another host");
	ask_tls("elsewhere", "elsewhere", -EKEYREJECTED);
	remove_dir();
}

static void test_tls_to_plain_server(void)
{
	struct raw_server *s = raw_start(raw_serve_echo, NULL);
	struct http *h = new_http(NULL);
	struct call c;
	char url[64];

	snprintf(url, sizeof(url), "https://127.0.0.1:%d/", raw_port(s));
	call_init(&c, url);
	c.spec.connect_ms = 2000;
	CHECK(call_run(&c, h) < 0);
	CHECK(!c.was_sent);
	call_free(&c);
	http_free(h);
	raw_stop(s);
}

static void test_ca_file(void)
{
	struct http_options opt = { .ca_file = "/nonexistent" };
	struct http *h = NULL;

	CHECK_EQ(http_new(&opt, &h), -EINVAL);
	opt.ca_file = "/proc/self/exe";
	CHECK_EQ(http_new(&opt, &h), -EINVAL);
	opt.ca_file = "/dev/null";
	CHECK_EQ(http_new(&opt, &h), -EINVAL);
	CHECK(!h);
}

/* ---- proxies ----------------------------------------------------------- */

static void serve_proxy(void *arg, int fd, unsigned nth)
{
	(void)nth;
	if (raw_read_head(fd, arg))
		raw_write(fd, "HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n");
	raw_wait_close(fd);
}

static void test_proxy(void)
{
	struct buf head = BUF_INIT;
	struct raw_server *proxy = raw_start(serve_proxy, &head);
	struct raw_server *s = raw_start(raw_serve_echo, NULL);
	struct http *h;
	struct call c;

	setenv("https_proxy", raw_url(proxy, ""), 1);
	setenv("http_proxy", raw_url(proxy, ""), 1);
	setenv("all_proxy", raw_url(proxy, ""), 1);
	h = new_http(NULL);

	/* Plain http is for this machine alone. */
	call_init(&c, raw_url(s, "/"));
	CHECK_EQ(call_run(&c, h), 0);
	CHECK_EQ(raw_connections(proxy), 0);
	call_free(&c);

	call_init(&c, "https://graph.invalid/v1.0/me?x=y");
	c.spec.bearer = "sesame";
	CHECK(call_run(&c, h) < 0);
	CHECK(!c.was_sent);
	call_free(&c);
	http_free(h);
	raw_stop(proxy);
	CHECK(head.data &&
	      !strncmp(head.data, "CONNECT graph.invalid:443 ", 26));
	CHECK(head.data && !strcasestr(head.data, "authorization"));
	CHECK(head.data && !strstr(head.data, "v1.0"));
	unsetenv("https_proxy");
	unsetenv("http_proxy");
	unsetenv("all_proxy");
	raw_stop(s);
	buf_done(&head);
}

int main(void)
{
	unsetenv("https_proxy");
	unsetenv("HTTPS_PROXY");
	unsetenv("all_proxy");
	unsetenv("ALL_PROXY");
	unsetenv("no_proxy");
	unsetenv("NO_PROXY");
	RUN(test_unknown_name);
	RUN(test_hanging_resolver);
	RUN(test_certificates);
	RUN(test_tls_to_plain_server);
	RUN(test_ca_file);
	RUN(test_proxy);
	return check_report();
}
