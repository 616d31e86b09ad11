#include "tests/unit/ops_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/ahead.h"
#include "fs/codec.h"
#include "fs/content.h"
#include "fs/db.h"
#include "fs/engine.h"
#include "fs/fetch.h"
#include "fs/notify.h"
#include "fs/ops.h"
#include "fs/park.h"
#include "fs/space.h"
#include "fs/store.h"
#include "net/clock.h"
#include "net/work.h"
#include "tests/unit/check.h"

#include <fuse_lowlevel.h>

struct rig rig;

/* ---- stand-ins
 * ----------------------------------------------------------------- */

struct job {
	struct content *content;
	uint64_t ino;
	int64_t deadline_ms;
	void (*wake)(void *arg, int rc);
	void *arg;
};

static struct job *job_new(void (*wake)(void *, int), void *arg, int64_t ms)
{
	struct job *j = calloc(1, sizeof(*j));

	j->deadline_ms = clock_mono_ms() + ms;
	j->wake = wake;
	j->arg = arg;
	return j;
}

static void start_job(void *(*run)(void *), struct job *j)
{
	pthread_t t;

	CHECK_EQ(pthread_create(&t, NULL, run, j), 0);
	pthread_detach(t);
}

static void end_job(struct job *j, int rc)
{
	j->wake(j->arg, rc);
	free(j);
	atomic_fetch_sub(&rig.waiting, 1);
}

/* Waits as long as `cond` holds; false at the deadline. */
static bool wait_while(atomic_bool *cond, const struct job *j)
{
	while (atomic_load(cond)) {
		if (clock_mono_ms() >= j->deadline_ms)
			return false;
		usleep(1000);
	}
	return true;
}

static void *bring(void *arg)
{
	struct job *j = arg;
	int rc = wait_while(&rig.stuck, j) ? 0 : -ETIMEDOUT;
	const char *text = rig.remote;

	if (rc == 0)
		rc = content_store_chunk(j->content, NULL, 0, text,
		                         strlen(text));
	content_put(j->content);
	end_job(j, rc);
	return NULL;
}

void fetch_read_on(struct fetch *f, uint64_t cid, uint64_t off, size_t len)
{
	(void)f;
	(void)cid;
	(void)off;
	(void)len;
}

int fetch_want(struct fetch *f, struct content *c, uint64_t off, size_t len,
               bool sequential, int64_t deadline_ms, fetch_wake_fn *wake,
               void *arg)
{
	struct job *j = job_new(wake, arg, deadline_ms);

	(void)f;
	(void)off;
	(void)len;
	(void)sequential;
	j->content = content_ref(c);
	atomic_fetch_add(&rig.waiting, 1);
	atomic_fetch_add(&rig.fetches, 1);
	start_job(bring, j);
	return 0;
}

int fetch_hydrate(struct fetch *f, struct content *c, fetch_wake_fn *done,
                  void *arg)
{
	(void)f;
	(void)c;
	(void)done;
	(void)arg;
	atomic_fetch_add(&rig.hydrations, 1);
	return 0;
}

static void *list(void *arg)
{
	struct job *j = arg;
	int rc = wait_while(&rig.stuck, j) ? atomic_load(&rig.list_rc)
	                                   : -ETIMEDOUT;

	if (rc == 0)
		rig_set_flags(j->ino, 0, NODE_UNLISTED);
	end_job(j, rc);
	return NULL;
}

int engine_list(struct engine *e, uint64_t ino, int64_t deadline_ms,
                engine_wake_fn *wake, void *arg)
{
	struct job *j = job_new(wake, arg, deadline_ms);

	(void)e;
	j->ino = ino;
	atomic_fetch_add(&rig.waiting, 1);
	atomic_fetch_add(&rig.lists, 1);
	start_job(list, j);
	return 0;
}

void engine_get_status(struct engine *e, struct engine_status *out)
{
	(void)e;
	*out = (struct engine_status){ .quota_total = 5 << 20,
		                       .quota_remaining = 1 << 20 };
}

int engine_each_upload(struct engine *e, engine_upload_fn *each, void *arg)
{
	(void)e;
	(void)each;
	(void)arg;
	return 0;
}

void ahead_note(struct ahead *a, uint64_t ino, bool missed)
{
	(void)a;
	(void)ino;
	(void)missed;
}

void space_check(struct space *s)
{
	(void)s;
}

int space_admit(struct space *s)
{
	(void)s;
	return atomic_load(&rig.full) ? -EAGAIN : 0;
}

int space_take(struct space *s, uint64_t bytes)
{
	(void)s;
	(void)bytes;
	return 0;
}

bool space_is_tight(struct space *s)
{
	(void)s;
	return atomic_load(&rig.full);
}

static void *drain(void *arg)
{
	struct job *j = arg;

	end_job(j, wait_while(&rig.full, j) ? 0 : -ETIMEDOUT);
	return NULL;
}

int space_wait(struct space *s, int64_t deadline_ms, space_wake_fn *wake,
               void *arg)
{
	(void)s;
	atomic_fetch_add(&rig.waiting, 1);
	start_job(drain, job_new(wake, arg, deadline_ms));
	return 0;
}

/* ---- the mount
 * ------------------------------------------------------------------ */

static pthread_t server;

static void on_entry(void *arg, uint64_t parent, const char *name)
{
	(void)arg;
	notify_entry(rig.nmb.notify, parent, name);
}

static void on_attr(void *arg, uint64_t nodeid)
{
	(void)arg;
	notify_attr(rig.nmb.notify, nodeid);
}

static void *serve(void *arg)
{
	struct fuse_loop_config *cfg = fuse_loop_cfg_create();

	(void)arg;
	fuse_loop_cfg_set_max_threads(cfg, 4);
	fuse_session_loop_mt(rig.nmb.fuse, cfg);
	fuse_loop_cfg_destroy(cfg);
	return NULL;
}

static void make_parts(struct nmb *n)
{
	struct tree_options opt = {
		.events = { .stale_entry = on_entry, .stale_attr = on_attr },
	};
	struct store_found found;

	CHECK_EQ(store_open(rig.dir, &n->store, &found), 0);
	CHECK_EQ(contents_new(rig.dir, n->store, &n->contents), 0);
	CHECK_EQ(work_new("test", 2, &n->work), 0);
	CHECK_EQ(codec_plain_new(false, &n->codec), 0);
	CHECK_EQ(notify_new(&n->notify), 0);
	CHECK_EQ(park_new(n->work, &n->park), 0);
	opt.store = n->store;
	opt.contents = n->contents;
	opt.codec = n->codec;
	opt.uid = getuid();
	opt.gid = getgid();
	CHECK_EQ(tree_new(&opt, &n->tree), 0);
	rig_set_flags(NODE_ROOT, 0, NODE_UNLISTED);
}

static void free_parts(struct nmb *n)
{
	CHECK_EQ(tree_sync(n->tree), 0);
	work_free(n->work);
	park_free(n->park);
	tree_free(n->tree);
	notify_free(n->notify);
	codec_free(n->codec);
	contents_free(n->contents);
	store_close(n->store, true);
}

static bool attach(struct nmb *n)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);

	fuse_opt_add_arg(&args, "test");
	fuse_opt_add_arg(&args, "-odefault_permissions,fsname=nmbackupfs-test");
	n->fuse = fuse_session_new(&args, &ops_table, sizeof(ops_table), n);
	fuse_opt_free_args(&args);
	if (n->fuse && fuse_session_mount(n->fuse, rig.mnt) < 0) {
		fuse_session_destroy(n->fuse);
		n->fuse = NULL;
	}
	return n->fuse;
}

bool rig_mount(int64_t deadline_ms)
{
	struct nmb *n = &rig.nmb;

	memset(&rig, 0, sizeof(rig));
	pthread_mutex_init(&rig.nmb.files_lock, NULL);
	rig.remote = "";
	if (access("/dev/fuse", R_OK | W_OK) < 0)
		return false;
	strcpy(rig.dir, "/tmp/nmb-ops-XXXXXX");
	CHECK(mkdtemp(rig.dir) != NULL);
	snprintf(rig.mnt, sizeof(rig.mnt), "%s/mnt", rig.dir);
	CHECK_EQ(mkdir(rig.mnt, 0700), 0);
	n->deadline_ms = deadline_ms;
	n->entry_timeout_s = n->attr_timeout_s = 86400;
	make_parts(n);
	if (!attach(n)) {
		free_parts(n);
		return false;
	}
	CHECK_EQ(notify_start(n->notify, n->fuse), 0);
	CHECK_EQ(pthread_create(&server, NULL, serve, NULL), 0);
	return true;
}

static void nothing(int sig)
{
	(void)sig;
}

/* The loop looks at the exit flag after a signal, or a request. */
static void stop_serving(struct nmb *n)
{
	struct sigaction sa = { .sa_handler = nothing };

	sigaction(SIGUSR2, &sa, NULL);
	fuse_session_exit(n->fuse);
	while (pthread_tryjoin_np(server, NULL) != 0) {
		pthread_kill(server, SIGUSR2);
		usleep(1000);
	}
}

void rig_unmount(void)
{
	struct nmb *n = &rig.nmb;
	char cmd[128];

	/* In the order of fs/mount_serve.c: nobody writes to the connection
	 * when it is closed. */
	park_end(n->park, -EIO);
	notify_stop(n->notify);
	stop_serving(n);
	fuse_session_unmount(n->fuse);
	fuse_session_destroy(n->fuse);
	ops_close_all(n);
	atomic_store(&rig.stuck, false);
	atomic_store(&rig.full, false);
	while (atomic_load(&rig.waiting))
		usleep(1000);
	free_parts(n);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", rig.dir);
	CHECK_EQ(system(cmd), 0);
}

pid_t rig_fork(void)
{
	pid_t pid = fork();

	/* A connection lives as long as anybody has its other end. */
	if (pid == 0)
		close(fuse_session_fd(rig.nmb.fuse));
	return pid;
}

const char *at(const char *name)
{
	static _Thread_local char paths[4][256];
	static _Thread_local unsigned next;
	char *p = paths[next++ % 4];

	snprintf(p, sizeof(paths[0]), "%s/%s", rig.mnt, name);
	return p;
}

void rig_set_flags(uint64_t ino, uint32_t set, uint32_t clear)
{
	struct db *db;

	CHECK_EQ(store_begin(rig.nmb.store, &db), 0);
	CHECK_EQ(node_set_flags(db, ino, set, clear), 0);
	CHECK_EQ(store_commit(rig.nmb.store), 0);
}

uint64_t rig_add_remote(const char *name, uint64_t size)
{
	struct node n = {
		.ino = store_next_ino(rig.nmb.store),
		.parent = NODE_ROOT,
		.mode = S_IFREG | 0644,
		.gen = 1,
		.s_gen = 1,
		.size = size,
		.s_len = size,
		.s_size = size,
		.s_etag = "tag",
		.s_parent = NODE_ROOT,
	};
	struct tree_edit *e;
	struct db *db;

	strcpy(n.name, name);
	strcpy(n.s_name, name);
	snprintf(n.s_id, sizeof(n.s_id), "ID!%u", (unsigned)n.ino);
	CHECK_EQ(tree_edit_begin(rig.nmb.tree, &e, &db), 0);
	CHECK_EQ(node_insert(db, &n, NULL), 0);
	tree_edit_entry(e, NODE_ROOT, name);
	CHECK_EQ(tree_edit_end(e, 0), 0);
	return n.ino;
}

void rig_new_version(uint64_t ino, uint64_t size)
{
	struct tree_edit *e;
	struct node n;
	struct db *db;

	CHECK_EQ(tree_edit_begin(rig.nmb.tree, &e, &db), 0);
	CHECK_EQ(node_get(db, ino, &n), 0);
	tree_edit_drop(e, n.cid);
	n.cid = 0;
	n.gen++;
	n.s_gen = n.gen;
	n.size = n.s_len = n.s_size = size;
	CHECK_EQ(node_update(db, &n), 0);
	tree_edit_version(e, ino);
	CHECK_EQ(tree_edit_end(e, 0), 0);
}

bool rig_wait(const atomic_uint *n, unsigned count)
{
	for (int i = 0; i < 10000; i++) {
		if (atomic_load(n) >= count)
			return true;
		usleep(1000);
	}
	return false;
}
