/* net/graph, net/upload and net/download against the emulator, for each kind
 * of drive: what the scripts of the other tests take for granted. */
#include "net/download.h"
#include "net/graph.h"
#include "net/names.h"
#include "net/quickxor.h"
#include "net/readback.h"
#include "net/upload.h"
#include "net/version_find.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "net/log.h"
#include "net/work.h"
#include "tests/graphd/graphd.h"
#include "tests/graphd/server.h"
#include "tests/unit/check.h"
#include "tests/unit/http_fixture.h"

#define BIG (25 * 1000 * 1000 + 7)

static struct world {
	struct graphd *d;
	struct server *server;
	uint16_t port;
	char content_url[64], base[64], bearer[4096];
	struct http *http;
	struct work *work;
	struct graph *g;
	char root[256];
	unsigned dirs; /* how many start_mkdirs() makes */

	pthread_mutex_t lock;
	pthread_cond_t more;
	unsigned ends; /* lock */
	int rc;
	enum retry_verdict verdict;
	char id[256], etag[256];
	uint8_t hash[QUICKXOR_SIZE];
	bool has_item;
	int64_t mtime_ns;
	char url[2048];
	uint64_t next;
	unsigned wrong;
} w;

/* ---- the emulator -------------------------------------------------------- */

static cJSON *control(const char *method, const char *path, const char *body)
{
	char url[300];
	struct call c;
	cJSON *json;

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/graphd/%s", w.port,
	         path);
	call_init(&c, url);
	c.spec.method = method;
	c.spec.body = body;
	c.spec.body_len = body ? strlen(body) : 0;
	CHECK_EQ(call_run(&c, w.http), 0);
	CHECK_EQ(c.status, 200);
	json = json_parse(c.body.data, c.body.len);
	call_free(&c);
	return json;
}

static void command(const char *path, const char *body)
{
	cJSON_Delete(control("POST", path, body));
}

static void give_token(void *token_arg, const char *stale,
                       graph_got_token_fn *got, void *arg)
{
	(void)token_arg;
	(void)stale;
	got(arg, 0, w.bearer);
}

static void world_start(enum drive_kind kind, bool china)
{
	static const char *const addresses[] = { "127.0.0.1", "127.0.0.2",
		                                 NULL };
	struct server_options so = { .addresses = addresses };
	struct graphd_options go = { .kind = kind,
		                     .content_url = w.content_url };
	struct graph_options opt = { .base_url = w.base,
		                     .token = give_token,
		                     .china = china };
	cJSON *json;

	memset(&w, 0, sizeof(w));
	pthread_mutex_init(&w.lock, NULL);
	pthread_cond_init(&w.more, NULL);
	CHECK_EQ(server_bind(&so, &w.server, &w.port), 0);
	snprintf(w.content_url, sizeof(w.content_url), "http://127.0.0.2:%u",
	         w.port);
	snprintf(w.base, sizeof(w.base), "http://127.0.0.1:%u/v1.0", w.port);
	CHECK_EQ(graphd_new(&go, &w.d), 0);
	CHECK_EQ(server_start(w.server, w.d), 0);
	w.http = new_http(NULL);
	CHECK_EQ(work_new("test", 2, &w.work), 0);
	json = control("POST", "token", "{}");
	snprintf(w.bearer, sizeof(w.bearer), "%s",
	         json_str(json, "access_token"));
	cJSON_Delete(json);
	opt.http = w.http;
	CHECK_EQ(graph_new(&opt, &w.g), 0);
}

/* No request that facts/graph.md forbids, no bearer where it must not be. */
static void check_manners(void)
{
	cJSON *json = control("GET", "stats", NULL);
	char *forbidden = cJSON_PrintUnformatted(json_arr(json, "forbidden"));

	CHECK_EQ(json_i64(json, "auth_leaks", -1), 0);
	CHECK_STR(forbidden, "[]");
	cJSON_free(forbidden);
	cJSON_Delete(json);
}

static void world_stop(void)
{
	check_manners();
	graph_free(w.g);
	graphd_stop(w.d);
	http_free(w.http);
	work_free(w.work);
	server_free(w.server);
	graphd_free(w.d);
	pthread_cond_destroy(&w.more);
	pthread_mutex_destroy(&w.lock);
}

static void wait_ends(unsigned n)
{
	pthread_mutex_lock(&w.lock);
	while (w.ends < n)
		pthread_cond_wait(&w.more, &w.lock);
	w.ends = 0;
	pthread_mutex_unlock(&w.lock);
}

static void end_locked(void)
{
	w.ends++;
	pthread_cond_broadcast(&w.more);
}

/* ---- calls --------------------------------------------------------------- */

/* Sends a prepared call; the item of the answer lands in `w`. */
static int run(struct graph_prepared *p, int prepared)
{
	struct graph_result res;
	struct graph_item item;
	int rc;

	CHECK_EQ(prepared, 0);
	p->c.patience_ms = 60000;
	rc = graph_wait(w.g, &p->c, &res);
	w.verdict = res.answer.verdict;
	if (rc == 0 && graph_parse_item(res.answer.json, &item) == 0) {
		snprintf(w.id, sizeof(w.id), "%s", item.id);
		snprintf(w.etag, sizeof(w.etag), "%s",
		         item.etag ? item.etag : "");
		memcpy(w.hash, item.hash, sizeof(w.hash));
	}
	graph_result_done(&res);
	graph_prepared_done(p);
	return rc;
}

static void learn_drive(void)
{
	struct graph_prepared p = { 0 };
	struct graph_result res;
	struct graph_drive drive;

	CHECK_EQ(graph_prepare_get_drive(w.g, &p), 0);
	CHECK_EQ(graph_wait(w.g, &p.c, &res), 0);
	CHECK_EQ(graph_parse_drive(res.answer.json, &drive), 0);
	CHECK_EQ(graph_set_drive(w.g, drive.id), 0);
	graph_result_done(&res);
	graph_prepared_done(&p);
	CHECK_EQ(run(&p, graph_prepare_get_root(w.g, &p)), 0);
	snprintf(w.root, sizeof(w.root), "%s", w.id);
}

static void count_end(void *arg, const struct graph_answer *a)
{
	(void)arg;
	pthread_mutex_lock(&w.lock);
	w.wrong += a->rc != 0;
	end_locked();
	pthread_mutex_unlock(&w.lock);
}

static void start_mkdirs(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < w.dirs; i++) {
		struct graph_prepared p = { .c = { .done = count_end,
			                           .batch = true,
			                           .prio = HTTP_PRIO_META,
			                           .patience_ms = -1 } };
		char name[32];

		snprintf(name, sizeof(name), "dir %u #%%+'&=", i);
		CHECK_EQ(graph_prepare_mkdir(w.g, w.root, name, &p), 0);
		CHECK_EQ(graph_start(w.g, &p.c), 0);
		graph_prepared_done(&p);
	}
}

static void make_directories(void)
{
	cJSON *json;

	w.dirs = 30;
	CHECK_EQ(http_call_later(w.http, 0, start_mkdirs, NULL, NULL), 0);
	wait_ends(30);
	CHECK_EQ(w.wrong, 0);
	json = control("GET", "stats", NULL);
	CHECK_EQ(json_i64(json_obj(json_obj(json, "classes"), "batch"), "count",
	                  -1),
	         2);
	cJSON_Delete(json);
}

static unsigned follow_pages(struct graph_prepared *p, int prepared,
                             bool want_delta_link)
{
	unsigned items = 0;
	bool more = true;

	CHECK_EQ(prepared, 0);
	while (more) {
		struct graph_page page = { 0 };
		struct graph_result res;

		p->c.patience_ms = 60000;
		CHECK_EQ(graph_wait(w.g, &p->c, &res), 0);
		CHECK_EQ(graph_parse_page(w.g, res.answer.json, &page), 0);
		graph_prepared_done(p);
		items += (unsigned)cJSON_GetArraySize(page.value);
		more = page.next_link;
		if (more)
			CHECK_EQ(graph_prepare_link(w.g, page.next_link, p), 0);
		else
			CHECK_EQ(page.delta_link != NULL, want_delta_link);
		graph_result_done(&res);
	}
	return items;
}

static void list_in_pages(void)
{
	struct graph_prepared p = { 0 };

	command("set", "{\"quirks\":{\"max_top\":7,\"page_size\":7,"
	               "\"empty_page_every\":2}}");
	CHECK_EQ(follow_pages(&p, graph_prepare_list(w.g, w.root, &p), false),
	         30);
	CHECK_EQ(follow_pages(&p, graph_prepare_delta(w.g, NULL, false, &p),
	                      true),
	         31);
	CHECK_EQ(follow_pages(&p, graph_prepare_delta(w.g, NULL, true, &p),
	                      true),
	         0);
	command("set", "{\"quirks\":{\"max_top\":1000,\"page_size\":200,"
	               "\"empty_page_every\":0}}");
}

static void small_files(void)
{
	static const char hello[] = "hello world\n";
	const char *name = "a‛：b ＊ é👍.txt";
	struct graph_prepared p = { 0 };
	char hash[QUICKXOR_TEXT], id[256], old[256];

	CHECK_EQ(run(&p,
	             graph_prepare_put_new(w.g, w.root, name, hello, 12, &p)),
	         0);
	quickxor_to_text(w.hash, hash);
	CHECK_STR(hash, "aCgDG9jwBhDc4Q1ybAMZFAAAAAA=");
	strcpy(id, w.id);
	strcpy(old, w.etag);
	CHECK_EQ(run(&p,
	             graph_prepare_put_new(w.g, w.root, name, hello, 12, &p)),
	         -EEXIST);
	CHECK_EQ(w.verdict, RETRY_LOOK);
	CHECK_EQ(run(&p, graph_prepare_get_child(w.g, w.root, name, &p)), 0);
	CHECK_STR(w.id, id);
	CHECK_EQ(run(&p, graph_prepare_put(w.g, id, old, "new", 3, &p)), 0);
	CHECK_EQ(
		run(&p, graph_prepare_patch(w.g, id, old, NULL, "x", NULL, &p)),
		-ESTALE);
	CHECK_EQ(w.verdict, RETRY_LOOK);
	CHECK_EQ(run(&p, graph_prepare_patch(w.g, id, w.etag, w.root, "x", NULL,
	                                     &p)),
	         0);
	CHECK_EQ(run(&p, graph_prepare_get_child(w.g, w.root, name, &p)),
	         -ENOENT);
	CHECK_EQ(run(&p,
	             graph_prepare_put_new(w.g, w.root, "empty", NULL, 0, &p)),
	         0);
	CHECK_EQ(run(&p, graph_prepare_versions(w.g, id, &p)), 0);
	CHECK_EQ(run(&p, graph_prepare_delete(w.g, id, w.etag, &p)), -ESTALE);
	CHECK_EQ(run(&p, graph_prepare_get_item(w.g, id, &p)), 0);
	CHECK_EQ(run(&p, graph_prepare_delete(w.g, id, w.etag, &p)), 0);
	CHECK_EQ(run(&p, graph_prepare_get_item(w.g, id, &p)), -ENOENT);
}

/* ---- content ------------------------------------------------------------- */

static char byte_at(uint64_t off)
{
	return (char)(off * 2654435761u >> 13);
}

static int read_some(void *arg, void *buf, size_t len, uint64_t off)
{
	char *to = buf;

	(void)arg;
	for (size_t i = 0; i < len; i++)
		to[i] = byte_at(off + i);
	return 0;
}

static int note(void *arg, const char *url, uint64_t next)
{
	(void)arg;
	pthread_mutex_lock(&w.lock);
	snprintf(w.url, sizeof(w.url), "%s", url);
	w.next = next;
	pthread_mutex_unlock(&w.lock);
	return 0;
}

static void uploaded(void *arg, const struct upload_end *end)
{
	(void)arg;
	pthread_mutex_lock(&w.lock);
	w.rc = end->rc;
	w.verdict = end->verdict;
	w.has_item = end->item != NULL;
	if (end->item) {
		snprintf(w.id, sizeof(w.id), "%s", end->item->id);
		snprintf(w.etag, sizeof(w.etag), "%s", end->item->etag);
		memcpy(w.hash, end->item->hash, sizeof(w.hash));
		w.mtime_ns = end->item->mtime_ns;
	}
	end_locked();
	pthread_mutex_unlock(&w.lock);
}

static struct upload_spec new_spec(uint64_t total)
{
	return (struct upload_spec){ .graph = w.g,
		                     .work = w.work,
		                     .total = total,
		                     .prio = HTTP_PRIO_BULK,
		                     .read = read_some,
		                     .note = note,
		                     .done = uploaded };
}

static void send(const struct upload_spec *spec)
{
	struct upload *u;

	CHECK_EQ(upload_start(spec, &u), 0);
	wait_ends(1);
	upload_free(u);
}

static void check_hash(uint64_t total)
{
	static char piece[65536];
	uint8_t hash[QUICKXOR_SIZE];
	struct quickxor q;

	quickxor_init(&q);
	for (uint64_t off = 0; off < total; off += sizeof(piece)) {
		uint64_t left = total - off;
		size_t len = left < sizeof(piece) ? left : sizeof(piece);

		read_some(NULL, piece, len, off);
		quickxor_update(&q, piece, len);
	}
	quickxor_final(&q, hash);
	CHECK_MEM(w.hash, hash, sizeof(hash));
}

/* Each happens to one fragment. */
static const char upload_faults[] =
	"[{\"match\":{\"class\":\"fragment\"},\"times\":1,"
	"\"do\":{\"drop\":\"after\"}},"
	"{\"match\":{\"class\":\"fragment\"},\"skip\":1,\"times\":1,"
	"\"do\":{\"drop\":\"before\",\"drop_at\":3000000,"
	"\"reset\":true}},"
	"{\"match\":{\"class\":\"fragment\"},\"skip\":2,\"times\":1,"
	"\"do\":{\"status\":503,\"retry_after\":1}},"
	"{\"match\":{\"class\":\"session_status\"},\"times\":1,"
	"\"do\":{\"status\":500,\"body\":\"html\"}}]";

static void upload_big(bool faults)
{
	struct upload_spec spec = new_spec(BIG);

	if (faults)
		command("faults", upload_faults);
	spec.parent_id = w.root;
	spec.name = "big #1.bin";
	spec.has_mtime = true;
	spec.mtime_ns = INT64_C(1795341312000000000);
	send(&spec);
	CHECK_EQ(w.rc, 0);
	CHECK(w.has_item);
	CHECK_EQ(w.mtime_ns, spec.mtime_ns);
	check_hash(BIG);
}

/* By id with the tag of now; the first time the session itself moves the tag
 * where the service does that, and it has to be looked at. */
static void replace_in_two_steps(void)
{
	struct upload_spec spec = new_spec(1000);
	struct graph_prepared p = { 0 };
	char id[256];

	strcpy(id, w.id);
	spec.item_id = id;
	spec.etag = "\"stale\"";
	send(&spec);
	CHECK_EQ(w.rc, -ESTALE);
	CHECK_EQ(w.verdict, RETRY_LOOK);
	CHECK_EQ(run(&p, graph_prepare_get_item(w.g, id, &p)), 0);
	spec.etag = w.etag;
	spec.defer_commit = true;
	send(&spec);
	CHECK_EQ(w.rc, 0);
	CHECK(!w.has_item);
	CHECK_EQ(upload_commit(w.g, w.url, w.root, "big #1.bin", true, NULL,
	                       count_end, NULL),
	         0);
	wait_ends(1);
	CHECK_EQ(w.wrong, 0);
	CHECK_EQ(run(&p, graph_prepare_get_item(w.g, id, &p)), 0);
	CHECK_STR(w.id, id);
	check_hash(1000);
}

struct part {
	uint64_t off, end;
	int rc;
};

static int take(void *arg, uint64_t off, const void *data, size_t len)
{
	struct part *p = arg;
	const char *bytes = data;
	unsigned wrong = off != p->off;

	for (size_t i = 0; i < len; i++)
		wrong += bytes[i] != byte_at(off + i);
	p->off += len;
	pthread_mutex_lock(&w.lock);
	w.wrong += wrong;
	pthread_mutex_unlock(&w.lock);
	return 0;
}

static void downloaded(void *arg, int rc)
{
	struct part *p = arg;

	pthread_mutex_lock(&w.lock);
	p->rc = rc;
	end_locked();
	pthread_mutex_unlock(&w.lock);
}

static void fetch(uint64_t size, const char *etag, const char *version, int rc)
{
	struct part parts[5];
	struct download *d;

	CHECK_EQ(download_new(w.g, w.id, etag, size, NULL, version, &d), 0);
	for (unsigned i = 0; i < 5; i++) {
		parts[i] =
			(struct part){ size / 5 * i,
			               i < 4 ? size / 5 * (i + 1) : size, 1 };
		CHECK_EQ(download_start(d, parts[i].off,
		                        parts[i].end - parts[i].off,
		                        HTTP_PRIO_USER, 60000, take, downloaded,
		                        &parts[i], NULL),
		         0);
	}
	wait_ends(5);
	download_free(d);
	for (unsigned i = 0; i < 5; i++) {
		CHECK_EQ(parts[i].rc, rc);
		if (rc == 0)
			CHECK_EQ(parts[i].off, parts[i].end);
	}
	CHECK_EQ(w.wrong, 0);
}

static const char download_faults[] =
	"[{\"match\":{\"class\":\"download\"},\"times\":1,"
	"\"do\":{\"truncate\":100000}},"
	"{\"match\":{\"class\":\"download\"},\"skip\":1,\"times\":1,"
	"\"do\":{\"range\":\"ignore\"}},"
	"{\"match\":{\"class\":\"download\"},\"skip\":2,\"times\":1,"
	"\"do\":{\"expire\":\"url\"}},"
	"{\"match\":{\"class\":\"download\"},\"skip\":3,\"times\":1,"
	"\"do\":{\"status\":502,\"body\":\"html\"}}]";

static void download_big(bool faults)
{
	if (faults)
		command("faults", download_faults);
	fetch(BIG, w.etag, NULL, 0);
	command("set", "{\"quirks\":{\"no_download_url\":1}}");
	fetch(BIG, w.etag, NULL, 0);
	fetch(BIG, NULL, NULL, 0);
	command("set", "{\"quirks\":{\"no_download_url\":0}}");
	fetch(BIG, "\"another\"", NULL, -ESTALE);
	fetch(BIG + 5, w.etag, NULL, -ESTALE);
}

static void old_version(void)
{
	struct graph_prepared p = { 0 };
	struct graph_result res;
	struct graph_page page;
	char version[64];

	CHECK_EQ(graph_prepare_versions(w.g, w.id, &p), 0);
	CHECK_EQ(graph_wait(w.g, &p.c, &res), 0);
	CHECK_EQ(graph_parse_page(w.g, res.answer.json, &page), 0);
	snprintf(
		version, sizeof(version), "%s",
		json_str(cJSON_GetArrayItem(page.value,
	                                    cJSON_GetArraySize(page.value) - 1),
	                 "id"));
	graph_result_done(&res);
	graph_prepared_done(&p);
	fetch(BIG, NULL, version, 0);
}

/* ---- what is known by its hash only ---------------------------------------
 */

/* What graphd makes of a size and a seed (control.h). */
static void made_hash(unsigned size, unsigned seed, uint8_t out[QUICKXOR_SIZE])
{
	struct quickxor q;

	quickxor_init(&q);
	for (unsigned i = 0; i < size; i++) {
		uint8_t byte = (uint8_t)(seed + i * 131 + i / 251);

		quickxor_update(&q, &byte, 1);
	}
	quickxor_final(&q, out);
}

static void put_made(unsigned size, unsigned seed)
{
	char body[200];

	snprintf(body, sizeof(body),
	         "{\"op\":\"put\",\"path\":\"/made\",\"size\":%u,\"seed\":%u}",
	         size, seed);
	command("change", body);
}

static void was_found(void *arg, int rc, const struct version_found *found)
{
	(void)arg;
	pthread_mutex_lock(&w.lock);
	w.rc = rc;
	w.etag[0] = w.url[0] = '\0';
	if (rc == 0 && found->etag)
		snprintf(w.etag, sizeof(w.etag), "%s", found->etag);
	if (rc == 0 && found->version_id)
		snprintf(w.url, sizeof(w.url), "%s", found->version_id);
	end_locked();
	pthread_mutex_unlock(&w.lock);
}

static void was_read(void *arg, int rc, const uint8_t hash[GRAPH_HASH_SIZE])
{
	(void)arg;
	pthread_mutex_lock(&w.lock);
	w.rc = rc;
	memcpy(w.hash, hash, sizeof(w.hash));
	end_locked();
	pthread_mutex_unlock(&w.lock);
}

/* The version holds that content. */
static void check_version(unsigned size, const uint8_t hash[QUICKXOR_SIZE])
{
	struct readback_what what = { .item_id = w.id,
		                      .version_id = w.url,
		                      .size = size };
	struct readback *r;

	CHECK_EQ(readback_start(w.g, &what, was_read, NULL, &r), 0);
	wait_ends(1);
	CHECK_EQ(w.rc, 0);
	CHECK(!memcmp(hash, w.hash, QUICKXOR_SIZE));
}

static void find_made(void)
{
	static const struct {
		unsigned size, seed;
		int rc;
		bool current;
	} cases[] = {
		{ 100000, 1, 0, false },      { 100000, 2, 0, false },
		{ 70000, 3, 0, false },       { 100000, 5, 0, true },
		{ 100000, 4, 0, false },      { 100000, 9, -ENOENT, false },
		{ 99999, 1, -ENOENT, false },
	};
	struct graph_prepared p = { 0 };

	for (unsigned seed = 1; seed <= 5; seed++)
		put_made(seed == 3 ? 70000 : 100000, seed);
	CHECK_EQ(run(&p, graph_prepare_get_child(w.g, w.root, "made", &p)), 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint8_t hash[QUICKXOR_SIZE];
		struct version_find *v;

		check_row("%u of seed %u", cases[i].size, cases[i].seed);
		made_hash(cases[i].size, cases[i].seed, hash);
		CHECK_EQ(version_find_start(w.g, w.id, cases[i].size, hash,
		                            was_found, NULL, &v),
		         0);
		wait_ends(1);
		CHECK_EQ(w.rc, cases[i].rc);
		CHECK_EQ(w.etag[0] != '\0', cases[i].current);
		CHECK_EQ(w.url[0] != '\0', w.rc == 0 && !cases[i].current);
		if (w.url[0])
			check_version(cases[i].size, hash);
	}
}

static void cancel_search(void)
{
	uint8_t hash[QUICKXOR_SIZE];
	struct version_find *v;

	command("faults", "{\"match\":{\"class\":\"download\"},\"times\":0,"
	                  "\"do\":{\"stall_ms\":60000}}");
	made_hash(100000, 1, hash);
	CHECK_EQ(version_find_start(w.g, w.id, 100000, hash, was_found, NULL,
	                            &v),
	         0);
	cJSON_Delete(control("GET", "wait?class=download&count=1", NULL));
	version_find_cancel(v);
	wait_ends(1);
	CHECK_EQ(w.rc, -ECANCELED);
	CHECK_EQ(version_find_start(w.g, "nothing", 100000, hash, was_found,
	                            NULL, &v),
	         0);
	wait_ends(1);
	CHECK_EQ(w.rc, -ENOENT);
}

static void test_versions(void)
{
	for (int kind = 0; kind < 3; kind++) {
		check_row("kind %d", kind);
		world_start((enum drive_kind)kind, false);
		learn_drive();
		find_made();
		check_manners();
		command("reset", "{}"); /* counts downloads anew */
		cancel_search();
		world_stop();
	}
}

static void test_kinds(void)
{
	for (int kind = 0; kind < 3; kind++) {
		check_row("kind %d", kind);
		world_start((enum drive_kind)kind, false);
		learn_drive();
		make_directories();
		list_in_pages();
		small_files();
		upload_big(kind == DRIVE_BUSINESS);
		download_big(kind == DRIVE_BUSINESS);
		replace_in_two_steps();
		old_version();
		world_stop();
	}
}

/* The cloud in China wants names as a parameter. */
static void test_china(void)
{
	struct graph_prepared p = { 0 };
	char id[256];

	world_start(DRIVE_BUSINESS, true);
	command("set", "{\"quirks\":{\"china\":1}}");
	learn_drive();
	CHECK_EQ(run(&p,
	             graph_prepare_put_new(w.g, w.root, "it's #1", "x", 1, &p)),
	         0);
	strcpy(id, w.id);
	CHECK_EQ(run(&p, graph_prepare_get_child(w.g, w.root, "it's #1", &p)),
	         0);
	CHECK_STR(w.id, id);
	world_stop();
}

static void test_throttled_burst(void)
{
	world_start(DRIVE_BUSINESS, false);
	learn_drive();
	command("faults",
	        "[{\"match\":{\"class\":\"batch\"},\"times\":1,"
	        "\"do\":{\"status\":429,\"retry_after\":1}},"
	        "{\"match\":{\"class\":\"create\"},\"skip\":3,\"times\":2,"
	        "\"do\":{\"status\":429,\"retry_after\":1}},"
	        "{\"match\":{\"class\":\"create\"},\"skip\":7,\"times\":1,"
	        "\"do\":{\"status\":503}}]");
	w.dirs = 12;
	CHECK_EQ(http_call_later(w.http, 0, start_mkdirs, NULL, NULL), 0);
	wait_ends(12);
	CHECK(w.wrong <= 1); /* the 503: a creation is looked at first */
	world_stop();
}

int main(void)
{
	log_set_level(LOG_LEVEL_ERROR);
	RUN(test_kinds);
	RUN(test_versions);
	RUN(test_china);
	RUN(test_throttled_burst);
	return check_report();
}
