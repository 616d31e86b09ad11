#include "fs/doctor.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <sodium.h>

#include "auth/cloud.h"
#include "auth/keystore.h"
#include "auth/tokens.h"
#include "fs/config.h"
#include "fs/direct.h"
#include "fs/session.h"
#include "net/error_text.h"
#include "net/http.h"
#include "net/probe.h"

#define PROBE_MS      20000
#define SCRATCH_BYTES 4096

/* ---- hosts, clock -------------------------------------------------------- */

static const char *next_for_host(int rc)
{
	return rc == -EKEYREJECTED
	               ? "set the clock; behind a proxy that opens TLS give "
	                 "its "
	                 "certificate with --ca-file"
	               : "check the network, name resolution, firewall and "
	                 "https_proxy";
}

/* 0 if it answers, whatever. */
static int look_host(const struct doctor *d, struct http *h, const char *check,
                     const char *url, const char *name, struct probe *out)
{
	int rc = probe_host(h, url, PROBE_MS, out);

	if (rc < 0)
		doctor_say(d, DOCTOR_FAIL, check, next_for_host(rc),
		           "%s: %s%s%s%s", name, error_text(rc),
		           out->detail[0] ? " (" : "", out->detail,
		           out->detail[0] ? ")" : "");
	else if (out->status >= 500)
		doctor_say(d, DOCTOR_WARN, check,
		           "wait; https://status.cloud.microsoft tells of "
		           "outages",
		           "%s answers with %ld", name, out->status);
	else
		doctor_say(d, DOCTOR_OK, check, "", "%s answers", name);
	return rc;
}

static void look_clock(const struct doctor *d, const struct probe *p)
{
	int64_t ahead = p->here - p->date;
	enum doctor_level level = doctor_judge_clock(ahead);

	if (!p->date)
		doctor_say(d, DOCTOR_WARN, "clock", "compare it with another",
		           "the service did not tell its time");
	else if (level == DOCTOR_OK)
		doctor_say(d, level, "clock", "", "agrees with the service's");
	else
		doctor_say(d, level, "clock",
		           "run `sudo timedatectl set-ntp true`",
		           "%" PRId64 " s %s the service's",
		           ahead < 0 ? -ahead : ahead,
		           ahead < 0 ? "behind" : "ahead of");
}

/* False: Graph does not answer. */
static bool look_hosts(const struct doctor *d)
{
	const char *ca = config_text(d->config, CONFIG_CA_FILE);
	struct http_options opt = { .ca_file = ca[0] ? ca : NULL };
	struct cloud cloud;
	char why[512] = "", url[1024];
	struct probe login, graph;
	struct http *h;
	int rc = cloud_resolve(config_text(d->config, CONFIG_ACCOUNT),
	                       config_text(d->config, CONFIG_LOGIN_URL),
	                       config_text(d->config, CONFIG_GRAPH_URL), &cloud,
	                       why, sizeof(why));

	if (rc == 0)
		rc = http_new(&opt, &h);
	if (rc < 0) {
		doctor_say(d, DOCTOR_FAIL, "login host",
		           "mend the config file or --ca-file", "%s",
		           why[0] ? why : strerror(-rc));
		return false;
	}
	snprintf(url, sizeof(url),
	         "%s/%s/v2.0/.well-known/openid-configuration", cloud.login_url,
	         cloud.tenant);
	if (look_host(d, h, "login host", url, cloud.login_url, &login) == 0)
		look_clock(d, &login);
	/* Without a token it is refused, and that is an answer. */
	snprintf(url, sizeof(url), "%s/me/drive", cloud.graph_url);
	rc = look_host(d, h, "graph host", url, cloud.graph_url, &graph);
	http_free(h);
	return rc == 0;
}

/* ---- a file there and back ----------------------------------------------- */

struct scratch {
	const struct doctor *doctor;
	struct direct *d;
	struct direct_place at;
	struct item item;
	uint8_t sent[SCRATCH_BYTES], got[SCRATCH_BYTES];
	size_t ngot;
};

/* direct_sink_fn */
static int collect(void *arg, const void *data, size_t len)
{
	struct scratch *s = arg;

	if (len > sizeof(s->got) - s->ngot)
		return -EBADMSG;
	memcpy(s->got + s->ngot, data, len);
	s->ngot += len;
	return 0;
}

static int send_scratch(struct scratch *s)
{
	int fd = memfd_create("scratch", MFD_CLOEXEC), rc = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, s->sent, sizeof(s->sent)) != (ssize_t)sizeof(s->sent))
		rc = -EIO;
	if (rc == 0)
		rc = direct_put(s->d, &s->at, fd, 077, NULL, NULL, &s->item);
	close(fd);
	return rc;
}

static int bring_back(struct scratch *s)
{
	struct direct_file *f = malloc(sizeof(*f));
	int rc = f ? direct_look_id(s->d, s->item.id, f) : -ENOMEM;

	if (rc == 0)
		rc = direct_get(s->d, f, collect, s, NULL, NULL);
	if (rc == 0 && (s->ngot != sizeof(s->sent) ||
	                memcmp(s->got, s->sent, sizeof(s->sent)) != 0)) {
		snprintf(s->d->why, DIRECT_WHY,
		         "other bytes came back than were sent");
		rc = -EBADMSG;
	}
	free(f);
	return rc;
}

static const char *why_of(const struct scratch *s, int rc)
{
	return s->d->why[0] ? s->d->why : error_text(rc);
}

static void try_scratch(struct scratch *s)
{
	const struct doctor *d = s->doctor;
	bool sealed = s->d->vault != NULL;
	int rc = send_scratch(s);

	if (rc < 0) {
		doctor_say(d, DOCTOR_FAIL, "write",
		           rc == -ENOSPC || rc == -EDQUOT
		                   ? "make room on the drive, its recycle bin "
		                     "counts too"
		                   : "check that https to *.1drv.com, "
		                     "*.sharepoint.com and "
		                     "my.microsoftpersonalcontent.com is let "
		                     "through",
		           "a test file could not be sent: %s", why_of(s, rc));
		return;
	}
	doctor_say(d, DOCTOR_OK, "write", "",
	           "a test file was sent%s, by an upload session",
	           sealed ? " sealed" : "");
	rc = bring_back(s);
	if (rc < 0)
		doctor_say(d, DOCTOR_FAIL, "read",
		           rc == -EBADMSG
		                   ? "try again; if it stays, something on the "
		                     "way changes what is sent"
		                   : "check that https to *.1drv.com, "
		                     "*.sharepoint.com and "
		                     "my.microsoftpersonalcontent.com is let "
		                     "through",
		           "it could not be read back: %s", why_of(s, rc));
	else
		doctor_say(d, DOCTOR_OK, "read", "", "it was read back%s",
		           sealed ? " and authenticated" : "");
	rc = direct_raw_delete(s->d, &s->item);
	if (rc < 0)
		doctor_say(d, DOCTOR_WARN, "delete",
		           "remove it by hand in the browser or the mount",
		           "\"%s\" could not be deleted: %s", s->at.name,
		           why_of(s, rc));
	else
		doctor_say(d, DOCTOR_OK, "delete", "", "it was deleted again");
}

static void look_write(const struct doctor *d, struct direct *direct)
{
	struct scratch *s;
	char name[64];

	if (config_bool(d->config, CONFIG_READ_ONLY)) {
		doctor_say(d, DOCTOR_OK, "write", "",
		           "not tried: the config says read_only");
		return;
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		return;
	s->doctor = d;
	s->d = direct;
	direct->trial = true; /* through the hosts that take content */
	randombytes_buf(s->sent, sizeof(s->sent));
	snprintf(name, sizeof(name), "nmbackupfs-doctor-%08" PRIx32,
	         randombytes_random());
	if (direct_find(direct, name, false, &s->at) < 0)
		doctor_say(d, DOCTOR_FAIL, "write", "try again", "%s",
		           direct->why);
	else
		try_scratch(s);
	free(s);
}

/* ---- keystore, sign-in, folder ------------------------------------------- */

static void look_folder(const struct doctor *d, struct direct *direct)
{
	int rc = direct_enter(direct, false);

	if (rc == -ENOENT)
		doctor_say(d, DOCTOR_WARN, "folder",
		           "the first mount makes it; then try again",
		           "\"%s\" is not on the drive yet, so nothing was "
		           "written there",
		           config_text(d->config, CONFIG_FOLDER));
	else if (rc < 0)
		doctor_say(d, DOCTOR_FAIL, "folder",
		           config_bool(d->config, CONFIG_PLAIN)
		                   ? "check --folder"
		                   : "`nmbackupfs vault --help` says how a "
		                     "machine joins; `nmbackupfs rescue` needs "
		                     "the recovery key alone",
		           "%s", direct->why);
	else
		doctor_say(d, DOCTOR_OK, "folder", "", "\"%s\"%s",
		           config_text(d->config, CONFIG_FOLDER),
		           direct->vault ? ", whose vault this machine is a "
		                           "member of"
		                         : "");
	if (rc == 0)
		look_write(d, direct);
}

static void look_drive(const struct doctor *d, struct keystore *k)
{
	char why[DIRECT_WHY] = "";
	struct direct direct;
	int rc = direct_open(d->config, k, &direct, why);

	if (rc < 0) {
		doctor_say(d, DOCTOR_FAIL, "sign-in",
		           rc == -EACCES || rc == -EXDEV || rc == -EBADMSG
		                   ? "run `nmbackupfs auth`"
		                   : "see the lines above, then try again",
		           "%s", why);
		return;
	}
	doctor_say(d, DOCTOR_OK, "sign-in", "", "the drive answers");
	look_folder(d, &direct);
	direct_close(&direct);
}

void doctor_look_service(const struct doctor *d)
{
	struct keystore *k = NULL;
	char why[1024] = "";
	bool answers = look_hosts(d);
	int rc;

	rc = session_open_keystore(d->config, &k, why, sizeof(why));
	if (rc < 0) {
		doctor_say(d, DOCTOR_FAIL, "keystore",
		           "`nmbackupfs keystore` says where the secrets are; "
		           "unlock that, or set --keystore",
		           "%s", why);
		return;
	}
	doctor_say(d, keystore_note(k)[0] ? DOCTOR_WARN : DOCTOR_OK, "keystore",
	           "`nmbackupfs keystore move` takes them elsewhere", "%s%s%s",
	           keystore_where(k), keystore_note(k)[0] ? ": " : "",
	           keystore_note(k));
	if (answers)
		look_drive(d, k);
	else
		doctor_say(d, DOCTOR_WARN, "sign-in",
		           "mend that first, then try again",
		           "not tried: the service does not answer");
	keystore_close(k);
}
