#include "fs/attempt.h"

#include <errno.h>
#include <stdlib.h>

#include "fs/cfile.h"
#include "fs/db.h"
#include "fs/store.h"
#include "tests/unit/alloc.h"
#include "tests/unit/check.h"

static struct store *store;
static struct db *db;

static void set_up(void)
{
	struct store_found found;

	CHECK_EQ(store_open(NULL, &store, &found), 0);
	CHECK_EQ(store_begin(store, &db), 0);
}

static void tear_down(void)
{
	CHECK_EQ(store_commit(store), 0);
	store_close(store, true);
}

/* Every column with a value of its own. */
static struct attempt *make_full(uint64_t ino)
{
	struct attempt *a = attempt_alloc();

	a->ino = ino;
	a->op = ATTEMPT_REPLACE;
	a->state = ATTEMPT_SESSION;
	a->cid = UINT64_C(3) << 32 | 7;
	a->gen = 4;
	a->parent = 20;
	strcpy(a->parent_id, "PARENT!1");
	strcpy(a->name, "n\xc3\xa4me");
	strcpy(a->item_id, "ITEM!2");
	strcpy(a->etag, "\"{TAG},3\"");
	a->mtime = -5;
	a->size = UINT64_C(250) << 30;
	a->plain_size = 77;
	a->has_hash = true;
	memset(a->hash, 1, sizeof(a->hash));
	memset(a->url, 'u', ATTEMPT_URL_MAX);
	a->next = 327680;
	a->started = 1700000000;
	a->seed.header_len = CODEC_HEADER_MAX;
	memset(a->seed.header, 2, CODEC_HEADER_MAX);
	a->seed.secret_len = CODEC_SECRET_MAX;
	memset(a->seed.secret, 3, CODEC_SECRET_MAX);
	a->has_hash_state = true;
	quickxor_init(&a->hash_state);
	quickxor_update(&a->hash_state, "abc", 3);
	return a;
}

static void test_round_trip(void)
{
	struct attempt *full = make_full(16), *bare = attempt_alloc(),
		       *got = attempt_alloc();

	set_up();
	bare->ino = 17;
	strcpy(bare->name, "b");
	CHECK_EQ(attempt_get(db, 1, got), -ENOENT);
	CHECK_EQ(attempt_insert(db, full), 0);
	CHECK_EQ(attempt_insert(db, bare), 0);
	CHECK(full->aid != bare->aid);
	CHECK_EQ(attempt_get(db, full->aid, got), 0);
	CHECK_MEM(got, full, sizeof(*full));
	CHECK_EQ(attempt_get_by_ino(db, 17, got), 0);
	CHECK_MEM(got, bare, sizeof(*bare));
	CHECK(!got->has_hash && !got->has_hash_state);
	CHECK_EQ(attempt_get_by_ino(db, 18, got), -ENOENT);
	attempt_free(full);
	attempt_free(bare);
	attempt_free(got);
	attempt_free(NULL);
	tear_down();
}

static void test_progress(void)
{
	struct attempt *a = attempt_alloc(), *got = attempt_alloc();
	uint8_t hash[NODE_HASH_SIZE] = { 9 };
	struct quickxor state;

	set_up();
	a->ino = 16;
	a->state = ATTEMPT_SESSION;
	CHECK_EQ(attempt_insert(db, a), 0);
	quickxor_init(&state);
	quickxor_update(&state, "abcd", 4);
	CHECK_EQ(attempt_set_progress(db, a->aid, "https://x/", 4, &state), 0);
	/* Nothing at hand: what was noted stays. */
	CHECK_EQ(attempt_set_progress(db, a->aid, "https://y/", 8, NULL), 0);
	CHECK_EQ(attempt_set_hash(db, a->aid, hash), 0);
	CHECK_EQ(attempt_set_state(db, a->aid, ATTEMPT_LOOK), 0);
	CHECK_EQ(attempt_get(db, a->aid, got), 0);
	CHECK_STR(got->url, "https://y/");
	CHECK_EQ(got->next, 8);
	CHECK_EQ(got->state, ATTEMPT_LOOK);
	CHECK(got->has_hash && got->has_hash_state);
	CHECK_MEM(got->hash, hash, sizeof(hash));
	CHECK_MEM(&got->hash_state, &state, sizeof(state));
	attempt_free(a);
	attempt_free(got);
	tear_down();
}

static void test_places(void)
{
	struct attempt *a = make_full(16), *b = make_full(17);

	set_up();
	strcpy(b->name, "created");
	b->item_id[0] = '\0';
	b->op = ATTEMPT_CREATE;
	CHECK_EQ(attempt_insert(db, a), 0);
	CHECK_EQ(attempt_insert(db, b), 0);
	CHECK_EQ(attempt_is_at(db, "PARENT!1", "created"), 1);
	CHECK_EQ(attempt_is_at(db, "PARENT!1", "Created"), 0);
	CHECK_EQ(attempt_is_at(db, "PARENT!2", "created"), 0);
	/* Where new content goes by id there is no name to take. */
	CHECK_EQ(attempt_is_at(db, "PARENT!1", a->name), 0);
	CHECK_EQ(attempt_is_for(db, "ITEM!2"), 1);
	CHECK_EQ(attempt_is_for(db, "ITEM!3"), 0);
	attempt_free(a);
	attempt_free(b);
	tear_down();
}

static void test_list_and_delete(void)
{
	static const uint64_t inos[] = { 30, 16, 99, 40 };
	uint64_t got[3], aids[ARRAY_LEN(inos)], *sums;
	int64_t n;

	set_up();
	for (size_t i = 0; i < ARRAY_LEN(inos); i++) {
		struct attempt *a = make_full(inos[i]);

		CHECK_EQ(attempt_insert(db, a), 0);
		aids[i] = a->aid;
		CHECK_EQ(attempt_set_sums(db, a->aid, inos, 2), 0);
		attempt_free(a);
	}
	CHECK_EQ(attempt_list(db, 0, 3, got), 3);
	CHECK(got[0] == 16 && got[1] == 30 && got[2] == 40);
	CHECK_EQ(attempt_list(db, 40, 3, got), 1);
	CHECK_EQ(got[0], 99);
	CHECK_EQ(attempt_delete(db, aids[1]), 0);
	CHECK_EQ(attempt_get_sums(db, aids[1], 2, &sums), -ENOENT);
	CHECK_EQ(attempt_count(db, &n), 0);
	CHECK_EQ(n, 3);
	CHECK_EQ(attempt_delete_all(db), 0);
	CHECK_EQ(attempt_count(db, &n), 0);
	CHECK_EQ(n, 0);
	CHECK_EQ(attempt_get_sums(db, aids[0], 2, &sums), -ENOENT);
	tear_down();
}

static void test_sums(void)
{
	static const size_t counts[] = { 0,
		                         1,
		                         GROUP_CHUNKS - 1,
		                         GROUP_CHUNKS,
		                         GROUP_CHUNKS + 1,
		                         3 * GROUP_CHUNKS };
	uint64_t sums[3 * GROUP_CHUNKS], *got;

	for (size_t i = 0; i < ARRAY_LEN(sums); i++)
		sums[i] = i * 7 + 1;
	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		size_t n = counts[i];

		check_row("%zu", n);
		set_up();
		CHECK_EQ(attempt_set_sums(db, 5, sums, n), 0);
		if (attempt_get_sums(db, 5, n, &got) == 0) {
			CHECK_MEM(got, sums, n * sizeof(*sums));
			free(got);
		} else {
			check_fail(__FILE__, __LINE__, "not found");
		}
		/* Another length than was stored is damage. */
		if (n)
			CHECK_EQ(attempt_get_sums(db, 5, n + 1, &got),
			         -EUCLEAN);
		if (n > 1)
			CHECK_EQ(attempt_get_sums(db, 5, n - 1, &got),
			         -EUCLEAN);
		tear_down();
	}
}

/* Content of an open attempt is needed, by that attempt alone. */
static void test_needs_content(void)
{
	struct attempt *a = make_full(16);
	struct cfile f = { .cid = a->cid, .ino = 16 };

	set_up();
	CHECK_EQ(cfile_insert(db, &f), 0);
	CHECK_EQ(cfile_is_needed(db, f.cid), 0);
	CHECK_EQ(attempt_insert(db, a), 0);
	CHECK_EQ(cfile_is_needed(db, f.cid), 1);
	CHECK_EQ(attempt_delete(db, a->aid), 0);
	CHECK_EQ(cfile_is_needed(db, f.cid), 0);
	attempt_free(a);
	tear_down();
}

/* Rows that are longer than we write are refused, not cut. */
static void test_damaged(void)
{
	static const char *const texts[] = { "parent_id", "name", "item_id",
		                             "etag", "url" };
	static const char *const blobs[] = { "header", "secret" };
	struct attempt *a = make_full(16), *got = attempt_alloc();
	char sql[160];

	set_up();
	for (size_t i = 0; i < ARRAY_LEN(texts) + ARRAY_LEN(blobs); i++) {
		bool text = i < ARRAY_LEN(texts);
		const char *column =
			text ? texts[i] : blobs[i - ARRAY_LEN(texts)];

		check_row("%s", column);
		CHECK_EQ(attempt_delete_all(db), 0);
		CHECK_EQ(attempt_insert(db, a), 0);
		snprintf(sql, sizeof(sql), "UPDATE attempt SET %s=%s", column,
		         text ? "hex(zeroblob(5000))" : "zeroblob(5000)");
		CHECK_EQ(db_script(db, sql), 0);
		CHECK_EQ(attempt_get(db, a->aid, got), -EUCLEAN);
	}
	attempt_free(a);
	attempt_free(got);
	tear_down();
}

static void test_no_memory(void)
{
	uint64_t sums[10] = { 1 }, *got;
	unsigned rounds = 0;

	set_up();
	CHECK_EQ(attempt_set_sums(db, 5, sums, 10), 0);
	for (unsigned n = 1; alloc_fail_at(n); n++, rounds++) {
		int rc = attempt_get_sums(db, 5, 10, &got);

		CHECK(rc == 0 || rc == -ENOMEM);
		if (rc == 0)
			free(got);
	}
	CHECK_EQ(rounds, 2); /* one failed, one did not */
	tear_down();
}

int main(void)
{
	RUN(test_round_trip);
	RUN(test_progress);
	RUN(test_places);
	RUN(test_list_and_delete);
	RUN(test_sums);
	RUN(test_needs_content);
	RUN(test_damaged);
	RUN(test_no_memory);
	return check_report();
}
