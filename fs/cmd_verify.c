#include "fs/commands.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "auth/tokens.h"
#include "fs/cmd_common.h"
#include "fs/config.h"
#include "fs/control_status.h"
#include "fs/direct.h"
#include "fs/exit.h"
#include "fs/interrupt.h"
#include "fs/records.h"
#include "fs/session.h"
#include "fs/verify.h"
#include "net/clock.h"
#include "net/graph.h"
#include "net/json.h"
#include "net/log.h"

#define MAX_EXTRA 1000 /* listed in JSON */
#define FEW_EXTRA 10   /* on a terminal */

static const char usage[] =
	"usage: nmbackupfs verify [--sample N | --deep] [--json]\n"
	"\n"
	"Lists the drive once and compares it with what the service confirmed: "
	"what is\n"
	"missing there, what has another size or quickXorHash, what is there "
	"and not\n"
	"known here. Downloads nothing; 100,000 files take some hundred "
	"requests. Works\n"
	"with and without a mount, and changes nothing.\n"
	"\n"
	"  --sample N      also download N files picked at random, "
	"authenticate them\n"
	"                  (vault) and compare them with what was sent\n"
	"  --deep          the same for all files\n"
	"  --json          one JSON object\n"
	"  --profile NAME\n"
	"\n"
	"  missing   it is not on the server, or not in the folder any more\n"
	"  changed   another device replaced it, and a mount will take that "
	"in\n"
	"  damaged   other bytes than the service confirmed, and nobody "
	"changed it\n"
	"  extra     not known here (yet); no failure\n"
	"\n"
	"Exit status: 0 all that was confirmed is there; 10 something is "
	"missing,\n"
	"changed or damaged; 5 that is not so, but something here is not on "
	"the server\n"
	"yet; 3 nobody is signed in; 4 this machine has no key of the vault; 2 "
	"usage;\n"
	"1 it could not be finished.\n";

struct verification {
	bool json, deep;
	uint64_t sample; /* 0: none */
	struct verify_result result;
	struct verify_read read;
	uint64_t shown_extra;
	cJSON *findings, *extra;
	struct progress progress;
	char why[DIRECT_WHY];
};

/* ---- telling ------------------------------------------------------------- */

static void show(void *arg, const char *what, uint64_t done, uint64_t total)
{
	struct verification *v = arg;
	char text[96];

	if (total)
		snprintf(text, sizeof(text), "%s", what);
	else
		snprintf(text, sizeof(text), "%s: %" PRIu64, what, done);
	progress_show(&v->progress, done, total, text);
}

static void tell(struct verification *v, const char *kind, const char *path,
                 const char *id, const char *why, bool asked)
{
	char safe[PATH_MAX * 4 + 1];
	cJSON *o;

	if (v->json) {
		o = cJSON_CreateObject();
		cJSON_AddStringToObject(o, "kind", kind);
		control_add_text(o, "path", path);
		control_add_text(o, "id", id);
		control_add_text(o, "text", why);
		cJSON_AddBoolToObject(o, "asked", asked);
		cJSON_AddItemToArray(v->findings, o);
		return;
	}
	progress_end(&v->progress);
	log_sanitize(path, safe, sizeof(safe));
	printf("%-10s  %s: ", kind, safe);
	log_sanitize(why, safe, sizeof(safe));
	printf("%s\n", safe);
}

static void finding(void *arg, const struct verify_finding *f)
{
	tell(arg, f->moved_out ? "moved-out" : compare_name(f->verdict),
	     f->path, f->id, f->why, f->asked);
}

static void extra(void *arg, const char *path, const char *id)
{
	struct verification *v = arg;
	char safe[PATH_MAX * 4 + 1];
	cJSON *o;

	v->shown_extra++;
	if (v->json && v->shown_extra <= MAX_EXTRA) {
		o = cJSON_CreateObject();
		control_add_text(o, "stored_path", path);
		control_add_text(o, "id", id);
		cJSON_AddItemToArray(v->extra, o);
	} else if (!v->json && v->shown_extra <= FEW_EXTRA) {
		progress_end(&v->progress);
		log_sanitize(path, safe, sizeof(safe));
		printf("%-10s  %s\n", "extra", safe);
	}
}

/* ---- the end ------------------------------------------------------------- */

static int verdict(const struct verification *v)
{
	const struct verify_result *r = &v->result;

	if (r->missing || r->changed || r->damaged || v->read.failed)
		return EXIT_DIFFERENT;
	return r->pending ? EXIT_UNFINISHED : EXIT_OK;
}

static void print_end(const struct verification *v, uint64_t requests)
{
	const struct verify_result *r = &v->result;
	char size[CMD_SIZE_TEXT];

	if (r->extra > FEW_EXTRA)
		printf("%-10s  and %" PRIu64 " more\n", "",
		       r->extra - FEW_EXTRA);
	printf("%" PRIu64 " files and %" PRIu64 " folders compared in %" PRIu64
	       " requests: %" PRIu64 " missing, %" PRIu64 " changed, %" PRIu64
	       " damaged; %" PRIu64 " extra there\n",
	       r->checked, r->folders, requests, r->missing, r->changed,
	       r->damaged, r->extra);
	if (r->unhashed)
		printf("%" PRIu64 " of them could be compared by their size "
		       "only: the service gives no hash; --deep reads them\n",
		       r->unhashed);
	if (v->sample || v->deep) {
		cmd_format_size(v->read.bytes, size);
		printf("%" PRIu64 " files (%s) read back: %" PRIu64
		       " of them not as they were sent\n",
		       v->read.files, size, v->read.failed);
	}
	if (v->read.unhashed)
		printf("%" PRIu64 " of these could be read, but there is no "
		       "hash to compare them with\n",
		       v->read.unhashed);
	if (r->pending)
		printf("%" PRIu64 " files here are not on the server yet, or "
		       "older there; `nmbackupfs flush` waits for them\n",
		       r->pending);
	if (verdict(v) == EXIT_OK)
		puts("all that was confirmed is there");
}

static int print_json(struct verification *v, uint64_t requests)
{
	const struct verify_result *r = &v->result;
	cJSON *o = cJSON_CreateObject(), *s;
	bool done;

	json_add_time(o, "time", clock_real_ns());
	cJSON_AddBoolToObject(o, "agrees", verdict(v) != EXIT_DIFFERENT);
	cJSON_AddNumberToObject(o, "files", (double)r->checked);
	cJSON_AddNumberToObject(o, "folders", (double)r->folders);
	cJSON_AddNumberToObject(o, "not_comparable", (double)r->unhashed);
	cJSON_AddNumberToObject(o, "pending", (double)r->pending);
	cJSON_AddNumberToObject(o, "missing", (double)r->missing);
	cJSON_AddNumberToObject(o, "changed", (double)r->changed);
	cJSON_AddNumberToObject(o, "damaged", (double)r->damaged);
	cJSON_AddNumberToObject(o, "extra", (double)r->extra);
	cJSON_AddNumberToObject(o, "requests", (double)requests);
	if (v->sample || v->deep) {
		s = cJSON_AddObjectToObject(o, "read_back");
		cJSON_AddNumberToObject(s, "files", (double)v->read.files);
		cJSON_AddNumberToObject(s, "bytes", (double)v->read.bytes);
		cJSON_AddNumberToObject(s, "failed", (double)v->read.failed);
		cJSON_AddNumberToObject(s, "not_comparable",
		                        (double)v->read.unhashed);
	}
	cJSON_AddItemToObject(o, "findings", v->findings);
	cJSON_AddItemToObject(o, "extra_items", v->extra);
	v->findings = v->extra = NULL;
	done = cmd_print_json(o, true);
	cJSON_Delete(o);
	return done ? EXIT_OK : cmd_fail(EXIT_FAILED, "out of memory");
}

static int print_result(struct verification *v, struct direct *d)
{
	struct graph_state g;
	int status = EXIT_OK;

	graph_get_state(d->session->graph, &g);
	if (v->json)
		status = print_json(v, g.requests);
	else
		print_end(v, g.requests);
	return status != EXIT_OK ? status : verdict(v);
}

/* ---- the command --------------------------------------------------------- */

static int explain(struct verification *v, struct direct *d, int rc)
{
	bool signed_in = tokens_signed_in(d->session->tokens);

	if (rc == -EINTR)
		return cmd_fail(EXIT_FAILED, "interrupted");
	if (rc == -ENOENT)
		return cmd_fail(EXIT_DIFFERENT,
		                "the whole folder is gone from the drive: "
		                "restore it there from the recycle bin");
	return cmd_fail(signed_in ? EXIT_FAILED : EXIT_SIGN_IN, "%s",
	                v->why[0] ? v->why : strerror(-rc));
}

static int run(struct verification *v, struct direct *d, struct records *rec)
{
	const struct verify_calls calls = {
		.arg = v, .progress = show, .finding = finding, .extra = extra
	};
	struct interrupt signals;
	int rc, status = EXIT_OK;

	interrupt_catch(&signals);
	rc = verify_all(d, rec, &calls, &v->result);
	if (rc == 0 && (v->sample || v->deep)) {
		rc = direct_enter(d, false);
		if (rc < 0)
			status = cmd_fail_session(rc, v->why);
		else
			rc = verify_read_back(d, rec,
			                      v->deep ? UINT64_MAX : v->sample,
			                      &calls, &v->read);
	}
	interrupt_release(&signals);
	progress_end(&v->progress);
	if (status != EXIT_OK)
		return status;
	return rc < 0 ? explain(v, d, rc) : print_result(v, d);
}

static bool parse(int argc, char **argv, struct verification *v, bool *out_help)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "json", no_argument, NULL, 'j' },
		{ "deep", no_argument, NULL, 'd' },
		{ "sample", required_argument, NULL, 's' },
		{ 0 },
	};
	char *end;
	int c;

	*out_help = false;
	optind = 0;
	while ((c = getopt_long(argc, argv, "hj", options, NULL)) != -1) {
		if (c == 'h') {
			*out_help = true;
		} else if (c == 'j') {
			v->json = true;
		} else if (c == 'd') {
			v->deep = true;
		} else if (c == 's') {
			v->sample = strtoull(optarg, &end, 10);
			if (*end || !v->sample || strchr(optarg, '-'))
				return cmd_fail(false, "verify: --sample takes "
				                       "a number of files");
		} else {
			return false;
		}
	}
	if (optind < argc)
		cmd_fail(0, "verify: unexpected \"%s\"", argv[optind]);
	return optind >= argc;
}

static int open_and_run(struct config *cfg, struct verification *v)
{
	struct records rec;
	struct direct d;
	int rc = records_open(cfg, NULL, &rec, v->why, sizeof(v->why));

	if (rc < 0)
		return cmd_fail(EXIT_FAILED, "%s", v->why);
	rc = direct_open(cfg, NULL, &d, v->why);
	if (rc < 0) {
		rc = cmd_fail_session(rc, v->why);
	} else {
		rc = run(v, &d, &rec);
		direct_close(&d);
	}
	records_close(&rec);
	return rc;
}

int cmd_verify(struct config *cfg, int argc, char **argv)
{
	struct verification v = { 0 };
	bool help;
	int rc;

	if (!parse(argc, argv, &v, &help))
		return EXIT_USAGE;
	if (help) {
		fputs(usage, stdout);
		return EXIT_OK;
	}
	v.findings = cJSON_CreateArray();
	v.extra = cJSON_CreateArray();
	rc = open_and_run(cfg, &v);
	cJSON_Delete(v.findings);
	cJSON_Delete(v.extra);
	return rc;
}
