#include "fs/commands.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "fs/cmd_common.h"
#include "fs/config.h"
#include "fs/control_status.h"
#include "fs/db.h"
#include "fs/exit.h"
#include "fs/proof.h"
#include "fs/records.h"
#include "net/clock.h"
#include "net/log.h"
#include "net/quickxor.h"

static const char usage[] =
	"usage: nmbackupfs receipt [PATH] [--json]\n"
	"\n"
	"Prints what proves that files are on the server: of PATH, of all "
	"below it if\n"
	"it is a directory, of everything without PATH. By what this machine "
	"noted when\n"
	"the service confirmed it; nothing is asked there (that is `verify`). "
	"Works\n"
	"with and without a mount.\n"
	"\n"
	"  state      confirmed: sent from here, size and hash agreed; listed: "
	"sent by\n"
	"             another device, the service told of it; older: what is "
	"there is\n"
	"             not yet what is here; missing: not there yet\n"
	"  blake2b    BLAKE2b-256 of the file as it is here, taken when it was "
	"sent:\n"
	"             what `b2sum -l 256 FILE` prints. \"-\": not kept "
	"(another "
	"device or\n"
	"             an older program sent it, or its upload went on after a "
	"restart)\n"
	"  quickxor   quickXorHash of the bytes on the server, which in a "
	"vault "
	"are the\n"
	"             sealed ones; \"-\": the service never said it\n"
	"  id         of the item on the drive\n"
	"\n"
	"  --json          one JSON object\n"
	"  --profile NAME\n"
	"\n"
	"Exit status: 0 all of it is on the server; 5 something is not, or is "
	"older\n"
	"there, or a folder was not listed here yet; 2 usage; 1 else.\n";

struct receipt {
	bool json, sealed;
	uint64_t files, confirmed, listed, older, missing;
	uint64_t bytes;   /* of what is there */
	int64_t unlisted; /* folders whose content is not known here yet */
};

/* ---- one file ------------------------------------------------------------ */

struct texts {
	char plain_hash[PLAINHASH_TEXT];
	char hash[QUICKXOR_TEXT];
	char time[CLOCK_RFC3339_SIZE];
};

/* "": there is none. */
static void format(const struct proof *p, struct texts *t)
{
	t->plain_hash[0] = t->hash[0] = t->time[0] = '\0';
	if (p->has_plain_hash)
		plainhash_to_text(p->plain_hash, t->plain_hash);
	if (p->has_hash)
		quickxor_to_text(p->hash, t->hash);
	if (p->confirmed)
		clock_format_rfc3339(p->confirmed, 0, t->time);
}

static void count(struct receipt *r, const struct proof *p)
{
	r->files++;
	r->bytes += p->size;
	switch (p->state) {
	case PROOF_CONFIRMED:
		r->confirmed++;
		break;
	case PROOF_TOLD:
		r->listed++;
		break;
	case PROOF_OLDER:
		r->older++;
		break;
	case PROOF_NOT_THERE:
		r->missing++;
		break;
	}
}

static const char *or_dash(const char *text)
{
	return text[0] ? text : "-";
}

static void print_line(const struct proof *p, const struct texts *t)
{
	char path[PATH_MAX * 4 + 1];

	log_sanitize(p->path, path, sizeof(path));
	printf("%-9s  %-20s  %12" PRIu64 "  %-64s  %-28s  %s  %s\n",
	       proof_state_name(p->state), or_dash(t->time),
	       p->state == PROOF_NOT_THERE ? p->local_size : p->size,
	       or_dash(t->plain_hash), or_dash(t->hash), or_dash(p->id), path);
}

static void add_text_or_null(cJSON *o, const char *name, const char *text)
{
	if (text[0])
		cJSON_AddStringToObject(o, name, text);
	else
		cJSON_AddNullToObject(o, name);
}

static int print_object(const struct proof *p, const struct texts *t,
                        bool first)
{
	cJSON *o = cJSON_CreateObject();
	bool there = p->state != PROOF_NOT_THERE;
	char *text;

	control_add_text(o, "path", p->path);
	cJSON_AddStringToObject(o, "state", proof_state_name(p->state));
	cJSON_AddNumberToObject(o, "local_size", (double)p->local_size);
	if (there) {
		cJSON_AddNumberToObject(o, "size", (double)p->size);
		cJSON_AddNumberToObject(o, "stored_size", (double)p->stored);
	} else {
		cJSON_AddNullToObject(o, "size");
		cJSON_AddNullToObject(o, "stored_size");
	}
	add_text_or_null(o, "plain_hash", t->plain_hash);
	add_text_or_null(o, "stored_hash", t->hash);
	add_text_or_null(o, "id", p->id);
	add_text_or_null(o, "confirmed", t->time);
	text = cJSON_PrintUnformatted(o);
	cJSON_Delete(o);
	if (!text)
		return -ENOMEM;
	printf("%s\n    %s", first ? "" : ",", text);
	cJSON_free(text);
	return 0;
}

/* proof_each_fn */
static int show(void *arg, const struct proof *p)
{
	struct receipt *r = arg;
	struct texts t;
	int rc = 0;

	format(p, &t);
	if (r->json)
		rc = print_object(p, &t, !r->files);
	else
		print_line(p, &t);
	count(r, p);
	return rc;
}

/* ---- all of it ----------------------------------------------------------- */

/* One object for a million files: it is not built in memory. */
static void begin(const struct receipt *r)
{
	char now[CLOCK_RFC3339_SIZE];

	if (!r->json) {
		printf("%-9s  %-20s  %12s  %-64s  %-28s  %s  %s\n", "state",
		       "confirmed", "bytes", "blake2b", "quickxor", "id",
		       "path");
		return;
	}
	clock_format_rfc3339(clock_real_ns(), 0, now);
	printf("{\n  \"time\": \"%s\",\n  \"plain_hash\": \"%s\",\n"
	       "  \"stored_hash\": \"quickXorHash\",\n  \"sealed\": %s,\n"
	       "  \"files\": [",
	       now, PLAINHASH_NAME, r->sealed ? "true" : "false");
}

static void end(const struct receipt *r)
{
	char size[CMD_SIZE_TEXT];

	if (r->json) {
		printf("%s],\n  \"count\": %" PRIu64 ",\n  \"confirmed\": "
		       "%" PRIu64 ",\n  \"listed\": %" PRIu64
		       ",\n  \"older\": %" PRIu64 ",\n  \"missing\": %" PRIu64
		       ",\n  \"unlisted_folders\": %" PRId64 "\n}\n",
		       r->files ? "\n  " : "", r->files, r->confirmed,
		       r->listed, r->older, r->missing, r->unlisted);
		return;
	}
	cmd_format_size(r->bytes, size);
	printf("\n%" PRIu64 " files, %s on the server: %" PRIu64
	       " confirmed, %" PRIu64 " listed, %" PRIu64
	       " older there, %" PRIu64 " not there yet\n",
	       r->files, size, r->confirmed, r->listed, r->older, r->missing);
	if (r->unlisted)
		printf("%" PRId64 " folders were not listed here yet: what "
		       "lies in them is not told above\n",
		       r->unlisted);
	printf("blake2b: of the file; quickxor: of %s\n",
	       r->sealed ? "the sealed bytes on the server" : "the same bytes");
}

/* In the whole folder, whatever the path: who wonders asks again later. */
static int count_unlisted(const struct records *rec, int64_t *out_n)
{
	return db_query_int(rec->db,
	                    "SELECT count(*) FROM node INDEXED BY node_unlisted"
	                    " WHERE flags & 4",
	                    DB_NONE, 0, out_n);
}

static int print_all(struct receipt *r, struct records *rec)
{
	int rc;

	r->sealed = rec->sealed;
	begin(r);
	rc = count_unlisted(rec, &r->unlisted);
	if (rc == 0)
		rc = proof_each(rec->db, rec->ino, show, r);
	if (rc < 0)
		return cmd_fail(EXIT_FAILED, "%s/state.db: %s", rec->state_dir,
		                strerror(-rc));
	end(r);
	if (fflush(stdout) != 0 || ferror(stdout))
		return cmd_fail(EXIT_FAILED, "standard output: %s",
		                strerror(errno));
	return r->older || r->missing || r->unlisted ? EXIT_UNFINISHED
	                                             : EXIT_OK;
}

/* ---- the command --------------------------------------------------------- */

struct arguments {
	const char *path;
	bool json, help;
};

static bool parse(int argc, char **argv, struct arguments *out)
{
	const struct cmd_flag flags[] = {
		{ "help", 'h', &out->help },
		{ "json", 'j', &out->json },
		{ 0 },
	};

	*out = (struct arguments){ 0 };
	if (!cmd_parse("receipt", argc, argv, 1, flags))
		return false;
	out->path = argv[optind];
	return true;
}

int cmd_receipt(struct config *cfg, int argc, char **argv)
{
	struct receipt r = { 0 };
	char why[CMD_WHY_BYTES];
	struct records rec;
	struct arguments a;
	int rc;

	if (!parse(argc, argv, &a))
		return EXIT_USAGE;
	if (a.help) {
		fputs(usage, stdout);
		return EXIT_OK;
	}
	r.json = a.json;
	rc = records_open(cfg, a.path, &rec, why, sizeof(why));
	if (rc < 0)
		return cmd_fail(EXIT_FAILED, "%s", why);
	rc = print_all(&r, &rec);
	records_close(&rec);
	return rc;
}
