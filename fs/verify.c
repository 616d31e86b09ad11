#include "fs/verify.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/vault_store.h"
#include "fs/db.h"
#include "fs/direct.h"
#include "fs/interrupt.h"
#include "fs/plan.h"
#include "fs/records.h"
#include "fs/store.h"
#include "fs/survey.h"

#define LOOK_EVERY 1024 /* rows, for signals and progress */

struct verifying {
	struct direct *d;
	struct records *records;
	const struct verify_calls *calls;
	struct verify_result *result;
	struct survey *survey;
	char root_id[NODE_ID_MAX + 1];
	uint64_t asked;
	uint64_t done, total;
	struct node_inos doubt; /* rows that did not agree */
	struct node node;
	struct item item;
	char path[PATH_MAX];
};

static void show(struct verifying *v, const char *what, uint64_t done,
                 uint64_t total)
{
	if (v->calls->progress)
		v->calls->progress(v->calls->arg, what, done, total);
}

static int fail(struct verifying *v, int rc)
{
	if (rc < 0 && rc != -EINTR && !v->d->why[0])
		snprintf(v->d->why, DIRECT_WHY, "state.db: %s", strerror(-rc));
	return rc;
}

/* ---- rows against the survey --------------------------------------------- */

/* The verdict of a row by the survey. */
static int compare_row(struct verifying *v, const struct node *n,
                       enum compare_verdict *out)
{
	int rc = survey_get(v->survey, n->s_id, &v->item);

	if (rc < 0 && rc != -ENOENT)
		return rc;
	*out = compare_item(n, rc == 0 ? &v->item : NULL);
	return 0;
}

static void count_row(struct verifying *v, const struct node *n)
{
	bool dir = node_is_dir(n);

	/* Not what is only here by its kind (a link in a plain folder). */
	if (n->parent && !dir &&
	    (plan_content_differs(n) ||
	     (!node_on_server(n) && n->flags & NODE_DIRTY)))
		v->result->pending++;
	if (!node_on_server(n) || n->ino == NODE_ROOT)
		return;
	if (dir)
		v->result->folders++;
	else
		v->result->checked++;
}

static int check_row(struct verifying *v, uint64_t ino)
{
	enum compare_verdict verdict = COMPARE_SAME;
	struct node *n = &v->node;
	int rc = node_get(v->records->db, ino, n);

	if (rc < 0)
		return rc;
	count_row(v, n);
	/* Unlinked here: on its way to be deleted there. */
	if (node_on_server(n) && n->parent)
		rc = compare_row(v, n, &verdict);
	if (rc == 0 && verdict == COMPARE_UNHASHED)
		v->result->unhashed++;
	else if (rc == 0 && verdict != COMPARE_SAME)
		rc = node_add_ino(&v->doubt, n);
	return rc;
}

static int check_rows(struct verifying *v)
{
	struct sqlite3_stmt *q;
	struct db *db = v->records->db;
	int64_t total = 0;
	int rc = db_query_int(db, "SELECT count(*) FROM node", DB_NONE, 0,
	                      &total);

	v->total = (uint64_t)total;
	if (rc == 0)
		rc = db_query(db, "SELECT ino FROM node ORDER BY ino", DB_NONE,
		              &q);
	if (rc < 0)
		return rc;
	while (rc == 0 && (rc = db_next(db, q)) == 1) {
		rc = check_row(v, (uint64_t)db_col_int(q, 0));
		if (++v->done % LOOK_EVERY)
			continue;
		show(v, "comparing", v->done, v->total);
		if (rc == 0 && interrupt_seen())
			rc = -EINTR;
	}
	db_finish(q);
	return rc;
}

/* ---- what did not agree -------------------------------------------------- */

static void report(struct verifying *v, enum compare_verdict verdict,
                   bool moved_out, bool asked)
{
	struct verify_finding f = { verdict, moved_out,    asked,
		                    v->path, v->node.s_id, "" };

	switch (verdict) {
	case COMPARE_MISSING:
		v->result->missing++;
		f.why = moved_out ? "it lies outside of the folder now"
		                  : "it is not on the server";
		break;
	case COMPARE_CHANGED:
		v->result->changed++;
		f.why = "another content is there, which was not taken in here "
			"yet";
		break;
	case COMPARE_DAMAGED:
		v->result->damaged++;
		f.why = "the server has other bytes than it confirmed, under "
			"the tag it had";
		break;
	default:
		return;
	}
	v->calls->finding(v->calls->arg, &f);
}

/* Once more, by id. *out_verdict SAME: the feed was behind. */
static int ask(struct verifying *v, enum compare_verdict *out_verdict,
               bool *out_moved)
{
	int known, rc = direct_raw_item(v->d, v->node.s_id, &v->item);

	*out_moved = false;
	if (rc < 0 && rc != -ENOENT)
		return rc;
	*out_verdict = compare_item(&v->node, rc == 0 ? &v->item : NULL);
	if (*out_verdict == COMPARE_MISSING)
		return 0;
	known = survey_has_folder(v->survey, v->item.parent_id);
	if (known == 0) {
		/* Into a folder that is new, perhaps: by the rows then. */
		struct node *p = malloc(sizeof(*p));

		known = p && node_get_by_id(v->records->db, v->item.parent_id,
		                            p) == 0;
		free(p);
	}
	if (known == 0) {
		*out_verdict = COMPARE_MISSING;
		*out_moved = true;
	}
	return known < 0 ? known : 0;
}

static int settle_row(struct verifying *v, uint64_t ino)
{
	enum compare_verdict verdict;
	bool moved = false, asked = v->asked < VERIFY_ASK_MAX;
	struct db *db = v->records->db;
	int rc = node_get(db, ino, &v->node);

	if (rc == -ENOENT ||
	    (rc == 0 && !(node_on_server(&v->node) && v->node.parent)))
		return 0; /* not any more */
	if (rc == 0)
		rc = node_path(db, ino, v->path, sizeof(v->path));
	if (rc == 0 && asked) {
		v->asked++;
		rc = ask(v, &verdict, &moved);
	} else if (rc == 0) {
		rc = compare_row(v, &v->node, &verdict);
	}
	if (rc == 0)
		report(v, verdict, moved, asked);
	return rc;
}

static int settle_doubts(struct verifying *v)
{
	int rc = records_refresh(v->records);

	for (size_t i = 0; i < v->doubt.n && rc == 0; i++) {
		show(v, "looking again", i, v->doubt.n);
		rc = settle_row(v, v->doubt.ino[i]);
		if (rc == 0 && interrupt_seen())
			rc = -EINTR;
	}
	return rc;
}

/* ---- what is not known here ---------------------------------------------- */

/* Path by the names there, and whether it is the vault's own. */
static int describe(struct verifying *v, const struct item *it, bool *out_own)
{
	size_t at = sizeof(v->path) - 1;
	int rc = 0;

	v->item = *it;
	v->path[at] = '\0';
	*out_own = false;
	while (rc == 0) {
		size_t len = strlen(v->item.name);

		if (len + 1 <= at) {
			at -= len;
			memcpy(v->path + at, v->item.name, len);
			v->path[--at] = '/';
		}
		if (!strcmp(v->item.parent_id, v->root_id)) {
			*out_own = v->records->sealed &&
			           !strcmp(v->item.name, VAULT_STORE_FOLDER);
			break;
		}
		rc = survey_get(v->survey, v->item.parent_id, &v->item);
	}
	memmove(v->path, v->path + at, sizeof(v->path) - at);
	return rc == -ENOENT ? 0 : rc;
}

/* survey_each_fn */
static int look_if_known(void *arg, const struct item *it)
{
	struct verifying *v = arg;
	bool own;
	int rc = node_get_by_id(v->records->db, it->id, &v->node);

	if (rc != -ENOENT)
		return rc;
	rc = describe(v, it, &own);
	if (rc < 0 || own)
		return rc;
	v->result->extra++;
	if (v->calls->extra)
		v->calls->extra(v->calls->arg, v->path, it->id);
	return interrupt_seen() ? -EINTR : 0;
}

/* ---- all of it ----------------------------------------------------------- */

static void surveyed(void *arg, uint64_t n)
{
	struct verifying *v = arg;

	show(v, "listing the drive", n, 0);
}

static int take_survey(struct verifying *v)
{
	char type[32] = "";
	int rc = store_get_text(v->records->db, "drive_type", type,
	                        sizeof(type));

	if (rc == 0)
		rc = node_get(v->records->db, NODE_ROOT, &v->node);
	if (rc == 0 && !node_on_server(&v->node)) {
		snprintf(v->d->why, DIRECT_WHY,
		         "this profile's folder was never seen on the drive; "
		         "mount it first");
		return -EINVAL;
	}
	if (rc < 0)
		return rc;
	memcpy(v->root_id, v->node.s_id, sizeof(v->root_id));
	return survey_take(v->d, v->root_id, !strcmp(type, "personal"),
	                   surveyed, v, &v->survey);
}

int verify_all(struct direct *d, struct records *r,
               const struct verify_calls *calls, struct verify_result *out)
{
	struct verifying *v = calloc(1, sizeof(*v));
	int rc;

	if (!v)
		return -ENOMEM;
	*out = (struct verify_result){ 0 };
	v->d = d;
	v->records = r;
	v->calls = calls;
	v->result = out;
	d->why[0] = '\0';
	rc = take_survey(v);
	/* What was confirmed after the drive was listed would be missing in
	 * that: rows are those of before, and what does not agree is looked at
	 * with those of now. */
	if (rc == 0)
		rc = check_rows(v);
	if (rc == 0)
		rc = settle_doubts(v);
	if (rc == 0)
		rc = survey_each(v->survey, look_if_known, v);
	survey_free(v->survey);
	free(v->doubt.ino);
	rc = fail(v, rc);
	free(v);
	return rc;
}
