#include "fs/ops_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/content.h"
#include "fs/engine.h"
#include "fs/fetch.h"
#include "fs/lock.h"
#include "fs/park.h"
#include "fs/readers.h"
#include "fs/space.h"
#include "net/clock.h"

/* ---- replies
 * ----------------------------------------------------------------- */

void reply_error(fuse_req_t req, int rc)
{
	lock_assert_none();
	fuse_reply_err(req, -rc);
}

bool ops_answer(struct call *c, int rc)
{
	reply_error(c->req, rc);
	return false;
}

double ops_attr_timeout(const struct nmb *nmb, const struct stat *st)
{
	struct tree_use use = { 0 };

	if (S_ISREG(st->st_mode))
		tree_get_use(nmb->tree, st->st_ino, &use);
	return use.writers ? 0 : nmb->attr_timeout_s;
}

struct fuse_entry_param ops_entry_param(const struct nmb *nmb,
                                        const struct tree_entry *e)
{
	return (struct fuse_entry_param){
		.ino = e->nodeid,
		.attr = e->st,
		.attr_timeout = ops_attr_timeout(nmb, &e->st),
		.entry_timeout = nmb->entry_timeout_s,
	};
}

bool ops_answer_entry(struct call *c, const struct tree_entry *e)
{
	struct fuse_entry_param p = ops_entry_param(c->nmb, e);

	lock_assert_none();
	if (fuse_reply_entry(c->req, &p) == -ENOENT) /* nobody waits any more */
		tree_forget(c->nmb->tree, e->nodeid, 1);
	return false;
}

/* ---- calls
 * ------------------------------------------------------------------- */

void ops_free(struct call *c)
{
	free(c->name);
	free(c->name2);
	free(c->data);
	free(c);
}

struct call *ops_new(fuse_req_t req, call_run_fn *run, fuse_ino_t ino,
                     const char *name, const struct fuse_file_info *fi)
{
	struct call *c = calloc(1, sizeof(*c));

	if (c && name) {
		c->name = strdup(name);
		if (!c->name) {
			free(c);
			c = NULL;
		}
	}
	if (!c) {
		reply_error(req, -ENOMEM);
		return NULL;
	}
	c->nmb = fuse_req_userdata(req);
	c->req = req;
	c->run = run;
	c->ino = ino;
	if (fi)
		c->fi = *fi;
	return c;
}

void ops_start(struct call *c)
{
	if (c && !c->run(c))
		ops_free(c);
}

/* ---- waiting
 * ----------------------------------------------------------------- */

static void resume(void *arg, int rc)
{
	struct call *c = arg;

	if (rc == 0) {
		c->admitted |= c->asked;
		ops_start(c);
		return;
	}
	if (rc == -ETIMEDOUT)
		rc = c->timeout_rc;
	reply_error(c->req, rc == -ECANCELED ? -EIO : rc);
	ops_free(c);
}

/* All waits of one call together take no longer than the deadline. */
static int64_t time_left(struct call *c, int timeout_rc)
{
	int64_t now = clock_mono_ms();

	if (!c->deadline_ms)
		c->deadline_ms = now + c->nmb->deadline_ms;
	c->timeout_rc = timeout_rc;
	return c->deadline_ms - now;
}

static int add(struct call *c, struct parked **out_p)
{
	int rc = park_add(c->nmb->park, c->req, resume, c, out_p);

	return rc == -ETIMEDOUT ? c->timeout_rc : rc;
}

/* After the ticket `p` was given out: `rc` is whether somebody will wake it.
 * From here on the call may be gone. */
static bool started(struct call *c, struct parked *p, int rc)
{
	if (rc < 0 && park_remove(p) == 0)
		return ops_answer(c, rc);
	return true;
}

int ops_park(struct call *c, struct parked **out_p)
{
	int64_t left = time_left(c, -EIO);

	return left > 0 ? park_add(c->nmb->park, c->req, resume, c, out_p)
	                : -EIO;
}

bool ops_parked(struct call *c, struct parked *p, int rc)
{
	return started(c, p, rc);
}

bool ops_on_worker(struct call *c)
{
	struct parked *p;
	int rc;

	c->timeout_rc = -EIO; /* about to sleep */
	rc = add(c, &p);

	if (rc < 0)
		return ops_answer(c, rc);
	park_wake(p, 0);
	return true;
}

bool ops_wait_list(struct call *c, uint64_t ino)
{
	int64_t left = time_left(c, -EIO);
	struct nmb *nmb = c->nmb;
	struct parked *p;
	int rc = left > 0 ? 0 : -EIO;

	if (rc == 0)
		rc = add(c, &p);
	if (rc < 0)
		return ops_answer(c, rc);
	rc = engine_list(nmb->engine, ino, left, park_wake, p);
	return started(c, p, rc);
}

int ops_admit(struct call *c)
{
	return c->admitted ? 0 : space_admit(c->nmb->space);
}

/* The deadline begins anew with all that is sent: space_wait() counts it. */
bool ops_wait_room(struct call *c)
{
	struct nmb *nmb = c->nmb;
	struct parked *p;
	int rc;

	c->asked = true;
	c->timeout_rc = -ENOSPC;
	rc = add(c, &p);
	if (rc < 0)
		return ops_answer(c, rc);
	rc = space_wait(nmb->space, nmb->deadline_ms, park_wake, p);
	return started(c, p, rc);
}

bool ops_is_refused(const struct call *c)
{
	return readers_refuse(c->nmb->readers, fuse_req_ctx(c->req)->pid);
}

bool ops_wait_chunk(struct call *c, struct content *content, uint64_t off,
                    size_t len, bool sequential)
{
	int64_t left = time_left(c, -EIO);
	struct nmb *nmb = c->nmb;
	struct parked *p;
	int rc = left > 0 ? 0 : -EIO;

	if (rc == 0)
		rc = add(c, &p);
	if (rc < 0)
		return ops_answer(c, rc);
	rc = fetch_want(nmb->fetch, content, off, len, sequential, left,
	                park_wake, p);
	return started(c, p, rc);
}
