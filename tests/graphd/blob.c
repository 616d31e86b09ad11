#include "tests/graphd/blob.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gnutls/crypto.h>

#include "tests/graphd/must.h"

#define PIECE 262144

struct blob_store {
	char *dir;
	bool temporary, sha1, frozen;
	_Atomic uint64_t next_num;
};

struct draft {
	atomic_uint refs;
	struct blob_store *store;
	uint64_t num;
	int fd;
	pthread_mutex_t lock;
	unsigned ticket; /* of the writer that counts */
	uint64_t size, kept;
	bool taken; /* the file is a blob's now */
	struct quickxor now, at_kept;
};

static char *path_of(const struct blob_store *s, uint64_t num)
{
	return must_printf("%s/%llx", s->dir, (unsigned long long)num);
}

/* Numbers go on after the highest one that is there. */
static void scan_numbers(struct blob_store *s)
{
	DIR *d = opendir(s->dir);

	for (struct dirent *e; d && (e = readdir(d));) {
		char *end;
		uint64_t n = strtoull(e->d_name, &end, 16);

		if (!*end && n >= s->next_num)
			s->next_num = n + 1;
	}
	if (d)
		closedir(d);
}

int blob_store_open(const char *dir, bool sha1, struct blob_store **out_s)
{
	struct blob_store *s = must_alloc(sizeof(*s));
	const char *tmp = getenv("TMPDIR");
	int rc = 0;

	s->sha1 = sha1;
	s->next_num = 1;
	s->temporary = !dir;
	s->dir = dir ? must_copy(dir)
	             : must_printf("%s/graphd.XXXXXX", tmp ? tmp : "/tmp");
	if (dir ? mkdir(dir, 0700) < 0 && errno != EEXIST : !mkdtemp(s->dir))
		rc = -errno;
	if (rc < 0) {
		free(s->dir);
		free(s);
		return rc;
	}
	scan_numbers(s);
	*out_s = s;
	return 0;
}

static void remove_tree(const char *dir)
{
	DIR *d = opendir(dir);

	for (struct dirent *e; d && (e = readdir(d));) {
		if (e->d_name[0] != '.')
			unlinkat(dirfd(d), e->d_name, 0);
	}
	if (d)
		closedir(d);
	rmdir(dir);
}

void blob_store_close(struct blob_store *s)
{
	if (!s)
		return;
	if (s->temporary)
		remove_tree(s->dir);
	free(s->dir);
	free(s);
}

void blob_store_freeze(struct blob_store *s)
{
	s->frozen = true;
}

const char *blob_store_dir(const struct blob_store *s)
{
	return s->dir;
}

struct blob *blob_adopt(struct blob_store *s, uint64_t num, uint64_t size,
                        const char *quickxor, const char *sha1)
{
	struct blob *b = must_alloc(sizeof(*b));

	b->num = num;
	b->size = size;
	snprintf(b->quickxor, sizeof(b->quickxor), "%s", quickxor);
	snprintf(b->sha1, sizeof(b->sha1), "%s", sha1);
	if (num >= s->next_num)
		s->next_num = num + 1;
	return b;
}

struct blob *blob_ref(struct blob *b)
{
	if (b)
		b->refs++;
	return b;
}

static void remove_file(struct blob_store *s, uint64_t num)
{
	char *path;

	if (s->frozen)
		return;
	path = path_of(s, num);
	unlink(path);
	free(path);
}

void blob_unref(struct blob_store *s, struct blob *b)
{
	if (!b || --b->refs)
		return;
	remove_file(s, b->num);
	free(b);
}

int blob_open(const struct blob_store *s, const struct blob *b)
{
	char *path = path_of(s, b->num);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		fd = -errno;
	free(path);
	return fd;
}

struct blob *blob_from(struct blob_store *s, const void *data, size_t len)
{
	unsigned ticket;
	struct draft *d;
	struct blob *b;

	must_ok(draft_new(s, &d), "content file");
	ticket = draft_claim(d);
	must_ok(draft_write(d, ticket, data, len), "content file");
	must_ok(draft_keep(d, ticket), "content file");
	b = draft_take(d);
	draft_free(d);
	return b;
}

static int open_draft(struct blob_store *s, uint64_t num, int flags,
                      struct draft **out_d)
{
	struct draft *d = must_alloc(sizeof(*d));
	char *path = path_of(s, num);
	int rc;

	d->refs = 1;
	d->store = s;
	d->num = num;
	d->fd = open(path, O_RDWR | O_CLOEXEC | flags, 0600);
	rc = d->fd < 0 ? -errno : 0;
	free(path);
	if (rc < 0) {
		free(d);
		return rc;
	}
	pthread_mutex_init(&d->lock, NULL);
	quickxor_init(&d->now);
	d->at_kept = d->now;
	*out_d = d;
	return 0;
}

int draft_new(struct blob_store *s, struct draft **out_d)
{
	uint64_t num = atomic_fetch_add(&s->next_num, 1);

	return open_draft(s, num, O_CREAT | O_TRUNC, out_d);
}

/* Calls `add` with the first `len` bytes of a file. */
static int each_piece(int fd, uint64_t len,
                      void (*add)(void *arg, const void *data, size_t n),
                      void *arg)
{
	char *piece = must_alloc(PIECE);
	int rc = 0;

	for (uint64_t off = 0; off < len;) {
		size_t want = len - off < PIECE ? len - off : PIECE;
		ssize_t n = pread(fd, piece, want, (off_t)off);

		if (n <= 0) {
			rc = n < 0 ? -errno : -EIO;
			break;
		}
		add(arg, piece, (size_t)n);
		off += (uint64_t)n;
	}
	free(piece);
	return rc;
}

static void add_quickxor(void *arg, const void *data, size_t n)
{
	quickxor_update(arg, data, n);
}

int draft_adopt(struct blob_store *s, uint64_t num, uint64_t kept,
                struct draft **out_d)
{
	struct draft *d;
	int rc = open_draft(s, num, 0, &d);

	if (rc < 0)
		return rc;
	rc = each_piece(d->fd, kept, add_quickxor, &d->now);
	if (rc < 0) {
		draft_free(d);
		return rc;
	}
	d->at_kept = d->now;
	d->size = d->kept = kept;
	if (num >= s->next_num)
		s->next_num = num + 1;
	*out_d = d;
	return 0;
}

struct draft *draft_ref(struct draft *d)
{
	atomic_fetch_add(&d->refs, 1);
	return d;
}

void draft_free(struct draft *d)
{
	if (!d || atomic_fetch_sub(&d->refs, 1) > 1)
		return;
	if (!d->taken)
		remove_file(d->store, d->num);
	pthread_mutex_destroy(&d->lock);
	close(d->fd);
	free(d);
}

uint64_t draft_num(const struct draft *d)
{
	return d->num;
}

unsigned draft_claim(struct draft *d)
{
	unsigned ticket;

	pthread_mutex_lock(&d->lock);
	ticket = ++d->ticket;
	d->size = d->kept;
	d->now = d->at_kept;
	pthread_mutex_unlock(&d->lock);
	return ticket;
}

static int write_all(struct draft *d, const char *data, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = pwrite(d->fd, data + done, len - done,
		                   (off_t)(d->size + done));

		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	return 0;
}

int draft_write(struct draft *d, unsigned ticket, const void *data, size_t len)
{
	int rc;

	pthread_mutex_lock(&d->lock);
	rc = ticket == d->ticket ? write_all(d, data, len) : -ECANCELED;
	if (rc == 0) {
		quickxor_update(&d->now, data, len);
		d->size += len;
	}
	pthread_mutex_unlock(&d->lock);
	return rc;
}

uint64_t draft_size(struct draft *d)
{
	uint64_t size;

	pthread_mutex_lock(&d->lock);
	size = d->size;
	pthread_mutex_unlock(&d->lock);
	return size;
}

uint64_t draft_kept(struct draft *d)
{
	uint64_t kept;

	pthread_mutex_lock(&d->lock);
	kept = d->kept;
	pthread_mutex_unlock(&d->lock);
	return kept;
}

int draft_keep(struct draft *d, unsigned ticket)
{
	int rc = -ECANCELED;

	pthread_mutex_lock(&d->lock);
	if (ticket == d->ticket) {
		d->kept = d->size;
		d->at_kept = d->now;
		rc = 0;
	}
	pthread_mutex_unlock(&d->lock);
	return rc;
}

static void add_sha1(void *arg, const void *data, size_t n)
{
	gnutls_hash((gnutls_hash_hd_t)arg, data, n);
}

static void compute_sha1(int fd, uint64_t len, char out[41])
{
	gnutls_hash_hd_t h;
	uint8_t sum[20];

	if (gnutls_hash_init(&h, GNUTLS_DIG_SHA1) < 0)
		return;
	if (each_piece(fd, len, add_sha1, h) == 0) {
		gnutls_hash_output(h, sum);
		for (size_t i = 0; i < sizeof(sum); i++)
			snprintf(out + 2 * i, 3, "%02X", sum[i]);
	}
	gnutls_hash_deinit(h, NULL);
}

struct blob *draft_take(struct draft *d)
{
	struct blob *b = must_alloc(sizeof(*b));
	uint8_t hash[QUICKXOR_SIZE];

	pthread_mutex_lock(&d->lock);
	b->num = d->num;
	b->size = d->kept;
	b->refs = 1;
	/* Dropped fragments may have left more behind. */
	if (ftruncate(d->fd, (off_t)d->kept) < 0)
		must_ok(-errno, "content file");
	quickxor_final(&d->at_kept, hash);
	quickxor_to_text(hash, b->quickxor);
	if (d->store->sha1)
		compute_sha1(d->fd, d->kept, b->sha1);
	d->ticket++;
	d->taken = true;
	pthread_mutex_unlock(&d->lock);
	return b;
}
