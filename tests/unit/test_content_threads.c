/* Threads at one content and at the table of all: for ThreadSanitizer, and for
 * the promises that hold while others write. Each works a fixed amount. */
#include "fs/content.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/db.h"
#include "fs/lock.h"
#include "tests/unit/content_rig.h"

#define CHUNKS 8u
#define SIZE   (CHUNKS * CHUNK_SIZE)

static struct crig rig;
static struct content *shared;
static atomic_bool stop;
static atomic_uint failures; /* CHECK is for one thread */

#define MUST(cond)                                                             \
	do {                                                                   \
		if (!(cond)) {                                                 \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__,       \
			        __LINE__, #cond);                              \
			atomic_fetch_add(&failures, 1);                        \
		}                                                              \
	} while (0)

/* A user may let go of a content that was not saved at this moment. */
static bool tidy(void)
{
	int rc = contents_tidy(rig.cs);

	return rc == 0 || rc == -EAGAIN;
}

static pthread_t start(void *(*run)(void *), void *arg)
{
	pthread_t t;

	CHECK_EQ(pthread_create(&t, NULL, run, arg), 0);
	return t;
}

/* ---- one content ------------------------------------------------------- */

/* A chunk holds one byte value throughout, at any moment somebody may see. */
static void *write_chunks(void *arg)
{
	uint8_t buf[CHUNK_SIZE];
	unsigned from = *(unsigned *)arg;

	for (unsigned i = 0; i < 150; i++) {
		uint64_t idx = (from + i * 3) % CHUNKS;

		memset(buf, (int)(1 + (from + i) % 250), CHUNK_SIZE);
		MUST(content_write(shared, buf, CHUNK_SIZE, idx * CHUNK_SIZE) ==
		     0);
	}
	return NULL;
}

static bool is_uniform(const uint8_t *buf)
{
	return memcmp(buf, buf + 1, CHUNK_SIZE - 1) == 0;
}

/* By copy under the lock: never half a write. */
static void *read_chunks(void *arg)
{
	uint8_t buf[CHUNK_SIZE];

	(void)arg;
	for (unsigned i = 0; !atomic_load(&stop); i++) {
		struct content_span span;
		uint64_t off = i % CHUNKS * CHUNK_SIZE;

		MUST(content_pread(shared, buf, CHUNK_SIZE, off) == CHUNK_SIZE);
		MUST(is_uniform(buf));
		MUST(content_read(shared, off, CHUNK_SIZE, &span) == 0);
		MUST(span.len == CHUNK_SIZE && span.fd >= 0);
	}
	return NULL;
}

static void *settle(void *arg)
{
	(void)arg;
	while (!atomic_load(&stop)) {
		MUST(content_settle(shared) >= 0);
		MUST(contents_flush(rig.cs) == 0);
		MUST(content_transact(shared, NULL, NULL) == 0);
		MUST(tidy());
	}
	return NULL;
}

/* Freezes a generation and reads all of it while others write on: what is read
 * is what the sums said, or the snapshot was refused. */
static bool take_snapshot(void)
{
	uint8_t buf[CHUNK_SIZE];
	uint64_t gen = content_freeze(shared), *sums;
	bool whole = true;
	size_t n;

	if (content_settle(shared) != 0 || content_gen(shared) != gen)
		return false;
	MUST(content_get_sums(shared, &sums, &n) == 0);
	if (content_snapshot_begin(shared, SIZE, sums, false) < 0) {
		free(sums);
		return false;
	}
	for (uint64_t idx = 0; idx < CHUNKS; idx++) {
		ssize_t got = content_snapshot_read(shared, buf, CHUNK_SIZE,
		                                    idx * CHUNK_SIZE);

		/* Written between the sums and the snapshot. */
		MUST(got == CHUNK_SIZE || got == -ESTALE);
		whole &= got == CHUNK_SIZE;
		if (got == CHUNK_SIZE)
			MUST(content_sum(buf, CHUNK_SIZE) == sums[idx]);
	}
	MUST(content_snapshot_cost(shared) <= SIZE);
	content_snapshot_end(shared);
	free(sums);
	return whole;
}

static void *take_snapshots(void *arg)
{
	unsigned *whole = arg;

	while (!atomic_load(&stop))
		*whole += take_snapshot();
	return NULL;
}

static void test_one_content(void)
{
	unsigned from[] = { 0, 5 }, whole = 0;
	pthread_t writers[2], others[3];

	crig_open(&rig);
	crig_add_file(&rig, "a", &shared);
	crig_write(shared, 0, SIZE, 0);
	atomic_store(&stop, false);
	others[0] = start(read_chunks, NULL);
	others[1] = start(settle, NULL);
	others[2] = start(take_snapshots, &whole);
	for (int i = 0; i < 2; i++)
		writers[i] = start(write_chunks, &from[i]);
	for (int i = 0; i < 2; i++)
		pthread_join(writers[i], NULL);
	atomic_store(&stop, true);
	for (int i = 0; i < 3; i++)
		pthread_join(others[i], NULL);
	CHECK_EQ(atomic_load(&failures), 0);
	CHECK(take_snapshot()); /* nobody writes: it is whole */
	crig_settle(shared);
	content_put(shared);
	crig_close(&rig);
}

/* ---- the table --------------------------------------------------------- */

#define NFILES 4u

static uint64_t inos[NFILES];

static uint64_t get_cid(uint64_t ino)
{
	struct node n;
	struct db *db;
	int rc = store_reader(rig.store, &db);

	if (rc == 0) {
		rc = node_get(db, ino, &n);
		store_reader_done(rig.store, db);
	}
	MUST(rc == 0);
	return rc == 0 ? n.cid : 0;
}

/* Gives a node without content one whose bytes are all absent. */
static void make_absent(uint64_t ino)
{
	struct cfile row = { .ino = ino,
		             .size = 2 * CHUNK_SIZE,
		             .gen = 1,
		             .base_id = "ID",
		             .base_etag = "E1" };
	struct node n;
	struct db *db;
	int rc = store_begin(rig.store, &db);

	if (rc == 0)
		rc = node_get(db, ino, &n);
	if (rc == 0 && n.cid)
		rc = -EEXIST; /* another thread was faster */
	if (rc == 0)
		rc = content_add_absent(rig.cs, db, &row);
	n.cid = row.cid;
	if (rc == 0)
		rc = node_update(db, &n);
	rc = store_end(rig.store, rc);
	MUST(rc == 0 || rc == -EEXIST);
}

/* Opens, fetches what is missing, reads. */
static void *use_files(void *arg)
{
	uint8_t buf[CHUNK_SIZE], want[CHUNK_SIZE];
	unsigned from = *(unsigned *)arg;

	for (unsigned i = 0; i < 120; i++) {
		uint64_t ino = inos[(from + i) % NFILES];
		uint64_t cid = get_cid(ino), off = i % 2 * CHUNK_SIZE;
		struct content *c;
		int rc = cid ? content_get(rig.cs, cid, false, &c) : -ENOENT;

		if (rc < 0) { /* evicted meanwhile */
			MUST(rc == -ENOENT);
			make_absent(ino);
			continue;
		}
		crig_pattern(want, CHUNK_SIZE, off, 1);
		if (content_pread(c, buf, CHUNK_SIZE, off) == -EAGAIN)
			MUST(content_store_chunk(c, "E1", off / CHUNK_SIZE,
			                         want, CHUNK_SIZE) == 0);
		MUST(content_pread(c, buf, CHUNK_SIZE, off) == CHUNK_SIZE);
		MUST(memcmp(buf, want, CHUNK_SIZE) == 0);
		content_put(c);
	}
	return NULL;
}

static void *evict_files(void *arg)
{
	unsigned *evicted = arg;
	struct content_scan scan;

	for (unsigned i = 0; !atomic_load(&stop); i++) {
		uint64_t cid = get_cid(inos[i % NFILES]);
		int rc = cid ? content_evict(rig.cs, cid) : -ENOENT;

		MUST(rc == 0 || rc == -EBUSY || rc == -ENOENT);
		*evicted += rc == 0;
		if (i % 2)
			MUST(tidy());
		if (i % 64 == 0) {
			MUST(contents_scan(rig.cs, &scan) == 0);
			MUST(scan.moved == 0 && scan.lost == 0);
		}
		lock_assert_none();
	}
	return NULL;
}

static void test_table(void)
{
	unsigned from[] = { 0, 1, 2 }, evicted = 0;
	pthread_t users[3], evictor;
	uint64_t all, clean;

	crig_open(&rig);
	for (unsigned i = 0; i < NFILES; i++) {
		char name[8];

		snprintf(name, sizeof(name), "%u", i);
		inos[i] = crig_add_remote(&rig, name, 2 * CHUNK_SIZE, &shared);
		content_put(shared);
	}
	atomic_store(&stop, false);
	evictor = start(evict_files, &evicted);
	for (int i = 0; i < 3; i++)
		users[i] = start(use_files, &from[i]);
	for (int i = 0; i < 3; i++)
		pthread_join(users[i], NULL);
	atomic_store(&stop, true);
	pthread_join(evictor, NULL);
	CHECK_EQ(atomic_load(&failures), 0);
	CHECK(evicted > 0);
	CHECK_EQ(crig_count_quarantined(&rig), 0);
	for (unsigned i = 0; i < NFILES; i++) {
		uint64_t cid = get_cid(inos[i]);

		if (cid)
			CHECK_EQ(content_evict(rig.cs, cid), 0);
	}
	CHECK_EQ(contents_tidy(rig.cs), 0);
	contents_get_usage(rig.cs, &all, &clean);
	CHECK_EQ(all, 0);
	CHECK_EQ(clean, 0);
	crig_close(&rig);
}

int main(void)
{
	RUN(test_one_content);
	RUN(test_table);
	return check_report();
}
