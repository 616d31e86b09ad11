#include "fs/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "auth/tokens.h"
#include "fs/cfile.h"
#include "fs/cmd_common.h"
#include "fs/config.h"
#include "fs/control_status.h"
#include "fs/direct.h"
#include "fs/drill.h"
#include "fs/exit.h"
#include "fs/interrupt.h"
#include "fs/output.h"
#include "fs/plan.h"
#include "fs/records.h"
#include "fs/sample.h"
#include "fs/session.h"
#include "net/clock.h"
#include "net/log.h"

#define DEFAULT_FILES 10
#define BLOCK         (1u << 16)

static const char usage[] =
	"usage: nmbackupfs drill [N] [--json]\n"
	"\n"
	"Tries whether restoring works: brings N files picked at random (10) "
	"back from\n"
	"the server into a temporary directory ($TMPDIR or /var/tmp), compares "
	"them with\n"
	"what was sent and, where that is here, with the content itself, and "
	"removes\n"
	"them. `nmbackupfs status` shows when that was last done, and how it "
	"ended. Works\n"
	"with and without a mount.\n"
	"\n"
	"  --json          one JSON object\n"
	"  --profile NAME\n"
	"\n"
	"Exit status: 0 each of them came back as it was sent; 10 one did not; "
	"3 nobody\n"
	"is signed in; 4 this machine has no key of the vault; 2 usage; 1 it "
	"could not\n"
	"be finished.\n";

struct drill {
	bool json;
	uint64_t want;
	char dir[PATH_MAX]; /* "": none yet */
	struct drill_record record;
	uint64_t compared; /* with content that is here */
	cJSON *findings;
	struct progress progress;
	char why[DIRECT_WHY];
};

static void say(struct drill *d, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void say(struct drill *d, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(d->why, sizeof(d->why), fmt, args);
	va_end(args);
}

/* ---- what is here -------------------------------------------------------- */

/* The content file of what was sent, if all of it is here. -ENOENT: no. */
static int open_local(const struct records *rec, uint64_t ino,
                      uint64_t *out_cid)
{
	struct node *n = malloc(sizeof(*n));
	struct cfile row;
	char path[PATH_MAX];
	int fd, rc = n ? node_get(rec->db, ino, n) : -ENOMEM;

	if (rc == 0 && (!n->cid || plan_content_differs(n)))
		rc = -ENOENT;
	if (rc == 0)
		rc = cfile_get(rec->db, n->cid, &row);
	if (rc == 0 && (!(row.flags & CFILE_WHOLE) || row.gen != n->s_gen))
		rc = -ENOENT;
	if (rc == 0) {
		*out_cid = n->cid;
		if (snprintf(path, sizeof(path), "%s/content/%02x/%016" PRIx64,
		             rec->state_dir, (unsigned)(n->cid & 0xff),
		             n->cid) >= (int)sizeof(path))
			rc = -ENAMETOOLONG;
	}
	free(n);
	if (rc < 0)
		return rc;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

static int same_bytes(int a, int b)
{
	char *x = malloc(2 * BLOCK);
	int rc = x ? 1 : -ENOMEM;

	for (off_t off = 0; rc == 1; off += BLOCK) {
		ssize_t n = pread(a, x, BLOCK, off);
		ssize_t m = pread(b, x + BLOCK, BLOCK, off);

		if (n < 0 || m < 0)
			rc = -errno;
		else
			rc = n == m && !memcmp(x, x + BLOCK, (size_t)n);
		if (n <= 0)
			break;
	}
	free(x);
	return rc;
}

/* What came back, against what is here; a file that is written to meanwhile
 * says nothing. */
static int compare_local(struct drill *d, struct records *rec, uint64_t ino,
                         const char *restored, struct sample *s)
{
	uint64_t cid, still = 0;
	int local = open_local(rec, ino, &cid), fd, again, same;

	if (local < 0)
		return 0;
	fd = open(restored, O_RDONLY | O_CLOEXEC);
	same = fd < 0 ? -errno : same_bytes(fd, local);
	close(local);
	if (fd >= 0)
		close(fd);
	if (same < 0 || records_refresh(rec) < 0)
		return same < 0 ? same : -EIO;
	again = open_local(rec, ino, &still);
	if (again >= 0)
		close(again);
	if (again < 0 || still != cid)
		return 0;
	d->compared++;
	if (!same) {
		s->verdict = COMPARE_DAMAGED;
		snprintf(s->why, sizeof(s->why),
		         "what came back is not what is here");
	}
	return 0;
}

/* ---- one file ------------------------------------------------------------ */

static void tell(struct drill *d, const struct sample *s)
{
	char safe[PATH_MAX * 4 + 1];
	cJSON *o;

	d->record.failed++;
	if (d->json) {
		o = cJSON_CreateObject();
		cJSON_AddStringToObject(o, "kind", compare_name(s->verdict));
		control_add_text(o, "path", s->path);
		control_add_text(o, "id", s->id);
		control_add_text(o, "text", s->why);
		cJSON_AddItemToArray(d->findings, o);
		return;
	}
	progress_end(&d->progress);
	log_sanitize(s->path, safe, sizeof(safe));
	printf("%-10s  %s: ", compare_name(s->verdict), safe);
	log_sanitize(s->why, safe, sizeof(safe));
	printf("%s\n", safe);
}

/* On the disk, and of the size that came. */
static int check_size(const char *path, struct sample *s)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	if ((uint64_t)st.st_size != s->bytes)
		return -EIO;
	return 0;
}

/* 1: it came back, or not: s says so; 0: there is nothing to bring back. */
static int restore_row(struct drill *d, struct direct *direct,
                       struct records *rec, uint64_t ino,
                       struct sample_row *row, struct sample *s)
{
	char path[PATH_MAX];
	struct output out;
	int end, rc;

	if (snprintf(path, sizeof(path), "%s/restored", d->dir) >=
	    (int)sizeof(path))
		return -ENAMETOOLONG;
	rc = output_open(path, NULL, 0600, &out);
	if (rc < 0) {
		say(d, "%s: %s", path, strerror(-rc));
		free(row);
		return rc;
	}
	rc = sample_fetch(direct, row, output_write, &out, s);
	end = output_end(&out, rc, 0);
	if (rc == 0 && end == 0 && s->verdict == COMPARE_SAME)
		end = check_size(path, s);
	if (rc == 0 && end == 0 && s->verdict == COMPARE_SAME)
		end = compare_local(d, rec, ino, path, s);
	unlink(path);
	if (rc == 0 && end < 0)
		say(d, "%s: %s", d->dir, strerror(-end));
	return rc < 0 ? rc : end < 0 ? end : 1;
}

static int restore_one(struct drill *d, struct direct *direct,
                       struct records *rec, uint64_t ino, struct sample *s)
{
	struct sample_row *row;
	int rc = records_refresh(rec);

	if (rc == 0)
		rc = sample_look(rec->db, ino, &row, s);
	if (rc < 0)
		say(d, "%s/state.db: %s", rec->state_dir, strerror(-rc));
	return rc == 1 ? restore_row(d, direct, rec, ino, row, s) : rc;
}

static int restore_all(struct drill *d, struct direct *direct,
                       struct records *rec, const uint64_t *inos, size_t n)
{
	struct sample *s = malloc(sizeof(*s));
	int rc = s ? 0 : -ENOMEM;

	for (size_t i = 0; i < n && rc >= 0; i++) {
		progress_show(&d->progress, i, n, "restoring");
		rc = restore_one(d, direct, rec, inos[i], s);
		if (rc >= 0 && interrupt_seen())
			rc = -EINTR;
		if (rc != 1)
			continue;
		d->record.files++;
		d->record.bytes += s->bytes;
		if (s->verdict != COMPARE_SAME &&
		    s->verdict != COMPARE_UNHASHED)
			tell(d, s);
	}
	progress_end(&d->progress);
	free(s);
	return rc < 0 ? rc : 0;
}

/* ---- the drill ----------------------------------------------------------- */

static int make_dir(struct drill *d)
{
	const char *tmp = getenv("TMPDIR");

	if (snprintf(d->dir, sizeof(d->dir), "%s/nmbackupfs-drill-XXXXXX",
	             tmp && tmp[0] == '/' ? tmp : "/var/tmp") >=
	    (int)sizeof(d->dir))
		return -ENAMETOOLONG;
	if (mkdtemp(d->dir))
		return 0;
	say(d, "%s: %s; set TMPDIR", d->dir, strerror(errno));
	d->dir[0] = '\0';
	return -EIO;
}

static int run_drill(struct drill *d, struct direct *direct,
                     struct records *rec)
{
	struct interrupt signals;
	uint64_t *inos = NULL;
	size_t n = 0;
	int rc = sample_pick(rec->db, d->want, &inos, &n);

	if (rc == 0 && !n) {
		say(d, "nothing was confirmed yet that could be restored");
		rc = -ENOENT;
	}
	if (rc == 0)
		rc = make_dir(d);
	if (rc == 0) {
		interrupt_catch(&signals);
		rc = restore_all(d, direct, rec, inos, n);
		interrupt_release(&signals);
		rmdir(d->dir);
	}
	free(inos);
	return rc;
}

static int note(struct drill *d, const struct records *rec, int drilled)
{
	struct drill_record *r = &d->record;
	int rc;

	r->time = clock_real_ns();
	r->outcome = r->failed     ? DRILL_FAILED
	             : drilled < 0 ? DRILL_INCOMPLETE
	                           : DRILL_PASSED;
	rc = drill_write(rec->state_dir, r);
	if (rc < 0)
		cmd_fail(EXIT_FAILED, "%s/drill: %s; the date is not kept",
		         rec->state_dir, strerror(-rc));
	return rc;
}

static int print_json(struct drill *d, const struct records *rec)
{
	cJSON *o = drill_json(rec->state_dir);
	bool done;

	cJSON_AddNumberToObject(o, "compared_with_local", (double)d->compared);
	cJSON_AddItemToObject(o, "findings", d->findings);
	d->findings = NULL;
	done = cmd_print_json(o, true);
	cJSON_Delete(o);
	return done ? 0 : -ENOMEM;
}

static void print_end(const struct drill *d)
{
	const struct drill_record *r = &d->record;
	char size[CMD_SIZE_TEXT];

	cmd_format_size(r->bytes, size);
	printf("%" PRIu64 " files (%s) restored, %" PRIu64
	       " compared with what is here too: ",
	       r->files, size, d->compared);
	if (r->failed)
		printf("%" PRIu64 " of them not as they were sent\n",
		       r->failed);
	else
		puts("each as it was sent");
}

static int drill_entered(struct drill *d, struct direct *direct,
                         struct records *rec)
{
	int rc = run_drill(d, direct, rec), noted;

	if (rc == -ENOENT && !d->dir[0])
		return cmd_fail(EXIT_FAILED, "%s", d->why);
	noted = note(d, rec, rc);
	if (noted == 0 && d->json)
		noted = print_json(d, rec);
	else if (!d->json)
		print_end(d);
	if (rc < 0)
		return cmd_fail(tokens_signed_in(direct->session->tokens)
		                        ? EXIT_FAILED
		                        : EXIT_SIGN_IN,
		                "%s",
		                rc == -EINTR ? "interrupted"
		                : d->why[0]  ? d->why
		                             : strerror(-rc));
	if (d->record.failed)
		return EXIT_DIFFERENT;
	return noted < 0 ? EXIT_FAILED : EXIT_OK;
}

/* ---- the command --------------------------------------------------------- */

static int open_and_run(struct config *cfg, struct drill *d)
{
	struct records rec;
	struct direct direct;
	int rc = records_open(cfg, NULL, &rec, d->why, sizeof(d->why));

	if (rc < 0)
		return cmd_fail(EXIT_FAILED, "%s", d->why);
	rc = direct_open(cfg, NULL, &direct, d->why);
	if (rc < 0) {
		rc = cmd_fail_session(rc, d->why);
	} else {
		rc = direct_enter(&direct, false);
		rc = rc < 0 ? cmd_fail_session(rc, d->why)
		            : drill_entered(d, &direct, &rec);
		direct_close(&direct);
	}
	records_close(&rec);
	return rc;
}

static bool parse(int argc, char **argv, struct drill *d, bool *out_help)
{
	const struct cmd_flag flags[] = {
		{ "help", 'h', out_help },
		{ "json", 'j', &d->json },
		{ 0 },
	};
	char *end;

	if (!cmd_parse("drill", argc, argv, argc, flags))
		return false;
	if (optind < argc) {
		const char *word = argv[optind++];

		d->want = strtoull(word, &end, 10);
		if (*end || !d->want || word[0] == '-') {
			cmd_fail(0, "drill: \"%s\" is no number of files",
			         word);
			return false;
		}
	}
	if (optind < argc)
		cmd_fail(0, "drill: unexpected \"%s\"", argv[optind]);
	return optind >= argc;
}

int cmd_drill(struct config *cfg, int argc, char **argv)
{
	struct drill d = { .want = DEFAULT_FILES };
	bool help;
	int rc;

	if (!parse(argc, argv, &d, &help))
		return EXIT_USAGE;
	if (help) {
		fputs(usage, stdout);
		return EXIT_OK;
	}
	d.findings = cJSON_CreateArray();
	rc = open_and_run(cfg, &d);
	cJSON_Delete(d.findings);
	return rc;
}
