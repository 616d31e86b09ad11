/* graphd: Microsoft Graph (OneDrive), its sign-in and its content hosts, on
 * loopback, for tests. See README.md here and control.h. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/json.h"
#include "net/log.h"
#include "tests/graphd/control.h"
#include "tests/graphd/graphd.h"
#include "tests/graphd/must.h"
#include "tests/graphd/server.h"

#define GRAPH_ADDRESS   "127.0.0.1"
#define CONTENT_ADDRESS "127.0.0.2"

static const char usage[] =
	"usage: graphd [options]\n"
	"  --port N            0 (default): any free one\n"
	"  --kind K            personal, personal-migrated, business "
	"(default)\n"
	"  --data DIR          keep the drive there over restarts\n"
	"  --quota BYTES       size of the drive; 0: unlimited\n"
	"  --tls CERT KEY      HTTPS with these PEM files\n"
	"  --content-url URL   scheme, host and port of content URLs\n"
	"                      (default: 127.0.0.2 and the same port)\n"
	"  --listen ADDRESS    instead of 127.0.0.1 and 127.0.0.2\n"
	"  --page-size N       of listings and delta\n"
	"  --tolerant          serve bearers on content URLs, as real hosts "
	"may\n"
	"  --sha1              items have sha1Hash too\n"
	"  --quirk NAME=N      see quirks.h\n"
	"  --tap FILE          append requests and answers to it\n"
	"  --uploads DIR       keep the bytes of all uploads there\n"
	"  --verbose           log to standard error\n"
	"When ready it prints one line of JSON with its URLs. SIGTERM ends "
	"it.\n";

struct settings {
	struct graphd_options opt;
	struct server_options server;
	const char *addresses[3];
	const char *cert_file, *key_file;
	char *quirks[64];
	size_t nquirks;
};

static _Noreturn void fail(const char *what, const char *why)
{
	fprintf(stderr, "graphd: %s: %s\n", what, why);
	exit(2);
}

static enum drive_kind parse_kind(const char *s)
{
	static const char *const kinds[] = { "personal", "personal-migrated",
		                             "business" };

	for (int i = 0; i < 3; i++) {
		if (!strcmp(s, kinds[i]))
			return (enum drive_kind)i;
	}
	fail("no such kind", s);
}

static long long parse_number(const char *s)
{
	char *end;
	long long n = strtoll(s, &end, 10);

	if (end == s || *end || n < 0)
		fail("not a number", s);
	return n;
}

static void add_quirk(struct settings *s, char *text)
{
	if (s->nquirks == sizeof(s->quirks) / sizeof(*s->quirks))
		fail("too many", "--quirk");
	s->quirks[s->nquirks++] = text;
}

enum {
	OPT_PORT = 256,
	OPT_KIND,
	OPT_DATA,
	OPT_QUOTA,
	OPT_TLS,
	OPT_CONTENT,
	OPT_LISTEN,
	OPT_PAGE,
	OPT_TOLERANT,
	OPT_SHA1,
	OPT_QUIRK,
	OPT_TAP,
	OPT_UPLOADS,
	OPT_VERBOSE,
	OPT_HELP
};

static const struct option options[] = {
	{ "port", 1, NULL, OPT_PORT },
	{ "kind", 1, NULL, OPT_KIND },
	{ "data", 1, NULL, OPT_DATA },
	{ "quota", 1, NULL, OPT_QUOTA },
	{ "tls", 1, NULL, OPT_TLS },
	{ "content-url", 1, NULL, OPT_CONTENT },
	{ "listen", 1, NULL, OPT_LISTEN },
	{ "page-size", 1, NULL, OPT_PAGE },
	{ "tolerant", 0, NULL, OPT_TOLERANT },
	{ "sha1", 0, NULL, OPT_SHA1 },
	{ "quirk", 1, NULL, OPT_QUIRK },
	{ "tap", 1, NULL, OPT_TAP },
	{ "uploads", 1, NULL, OPT_UPLOADS },
	{ "verbose", 0, NULL, OPT_VERBOSE },
	{ "help", 0, NULL, OPT_HELP },
	{ NULL, 0, NULL, 0 },
};

static void take_option(struct settings *s, int c, int argc, char **argv)
{
	switch (c) {
	case OPT_PORT:
		s->server.port = (uint16_t)parse_number(optarg);
		break;
	case OPT_KIND:
		s->opt.kind = parse_kind(optarg);
		break;
	case OPT_DATA:
		s->opt.data_dir = optarg;
		break;
	case OPT_QUOTA:
		s->opt.quota_bytes = parse_number(optarg);
		break;
	case OPT_TLS:
		if (optind >= argc)
			fail("--tls", "two files are needed");
		s->cert_file = optarg;
		s->key_file = argv[optind++];
		break;
	case OPT_CONTENT:
		s->opt.content_url = optarg;
		break;
	case OPT_LISTEN:
		s->addresses[0] = optarg;
		s->addresses[1] = NULL;
		break;
	case OPT_PAGE:
		add_quirk(s,
		          must_printf("page_size=%lld", parse_number(optarg)));
		break;
	case OPT_TOLERANT:
		add_quirk(s, must_copy("tolerant=1"));
		break;
	case OPT_SHA1:
		s->opt.sha1 = true;
		break;
	case OPT_QUIRK:
		add_quirk(s, must_copy(optarg));
		break;
	case OPT_TAP:
		s->opt.tap = optarg;
		break;
	case OPT_UPLOADS:
		s->opt.uploads = optarg;
		break;
	case OPT_VERBOSE:
		log_set_level(LOG_LEVEL_DEBUG);
		break;
	case OPT_HELP:
		fputs(usage, stdout);
		exit(0);
	default:
		fputs(usage, stderr);
		exit(2);
	}
}

static char *read_file(const char *path)
{
	FILE *f = fopen(path, "re");
	struct buf b = BUF_INIT;
	char piece[4096];
	size_t n;

	if (!f)
		fail(path, strerror(errno));
	while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
		buf_add(&b, piece, n);
	fclose(f);
	must_text(&b);
	return buf_steal(&b);
}

static void apply_quirks(struct graphd *g, struct settings *s)
{
	for (size_t i = 0; i < s->nquirks; i++) {
		char *eq = strchr(s->quirks[i], '=');
		cJSON *v = cJSON_CreateNumber(eq ? (double)parse_number(eq + 1)
		                                 : 1);

		if (eq)
			*eq = '\0';
		if (quirks_set(&g->quirks, s->quirks[i], v) < 0)
			fail("no such quirk", s->quirks[i]);
		cJSON_Delete(v);
		free(s->quirks[i]);
	}
}

static void announce(struct graphd *g, const char *scheme, const char *host,
                     uint16_t port)
{
	printf("{\"graph_url\":\"%s://%s:%u/v1.0\",\"login_url\":"
	       "\"%s://%s:%u\",\"content_url\":\"%s\",\"control_url\":"
	       "\"%s://%s:%u/graphd\",\"port\":%u,\"drive_id\":\"%s\"}\n",
	       scheme, host, port, scheme, host, port, g->content_url, scheme,
	       host, port, port, g->drive->id);
	fflush(stdout);
}

static int serve(struct settings *s, const sigset_t *signals)
{
	const char *scheme = s->cert_file ? "https" : "http";
	char *cert = NULL, *key = NULL;
	struct server *server;
	struct graphd *g;
	uint16_t port;
	int rc, sig;

	if (s->cert_file) {
		s->server.cert = cert = read_file(s->cert_file);
		s->server.key = key = read_file(s->key_file);
	}
	rc = graphd_new(&s->opt, &g);
	if (rc < 0)
		fail("can't start", strerror(-rc));
	apply_quirks(g, s);
	rc = server_bind(&s->server, &server, &port);
	if (rc < 0)
		fail("can't listen", strerror(-rc));
	if (!g->content_url)
		g->content_url = must_printf("%s://%s:%u", scheme,
		                             CONTENT_ADDRESS, port);
	rc = server_start(server, g);
	if (rc < 0)
		fail("can't serve", "are the certificate and its key good?");
	announce(g, scheme, s->addresses[0], port);
	sigwait(signals, &sig);
	graphd_stop(g);
	server_free(server);
	graphd_free(g);
	free(cert);
	free(key);
	return 0;
}

int main(int argc, char **argv)
{
	struct settings s = {
		.opt = { .kind = DRIVE_BUSINESS },
		.addresses = { GRAPH_ADDRESS, CONTENT_ADDRESS },
	};
	sigset_t signals;
	int c;

	s.server.addresses = s.addresses;
	log_set_level(LOG_LEVEL_WARN);
	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
		take_option(&s, c, argc, argv);
	if (optind < argc)
		fail("what is this", argv[optind]);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	return serve(&s, &signals);
}
