/* agetool -- auth/age* on the command line, for tests/interop and for trying
 * things out by hand. Not installed: passphrases are arguments here.
 *
 *   agetool key                        an identity file on standard output
 *   agetool recipient                  ... and the recipient of one, back
 *   agetool seal [-a] [-x] [-p PASSPHRASE] [-r RECIPIENT]...
 *   agetool open [-p PASSPHRASE] [-i IDENTITY-FILE]...
 *   agetool at   [-i IDENTITY-FILE]... FILE OFFSET LENGTH
 *
 * seal and open are filters; -a is armor, -x adds a stanza of our own; -p with
 * -i is for the identity file. `at` reads by random access: header, last chunk,
 * then the chunks it needs. Exit status 0; 1 with one line of why; 2 usage. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "auth/age.h"
#include "auth/age_payload.h"
#include "auth/age_stream.h"
#include "net/buf.h"

#define RECIPIENTS 8

struct options {
	bool armor, extra;
	const char *passphrase;
	struct age_recipient recipients[RECIPIENTS];
	size_t recipient_count;
	struct age_identities ids;
};

static int fail(const char *what, int rc)
{
	if (rc < 0)
		fprintf(stderr, "agetool: %s: %s\n", what, age_strerror(rc));
	return rc < 0 ? 1 : 0;
}

static int to_stdout(void *arg, const void *data, size_t len)
{
	(void)arg;
	return fwrite(data, 1, len, stdout) == len ? 0 : -EIO;
}

static int read_whole(FILE *f, struct buf *out)
{
	char part[65536];
	size_t n;

	while ((n = fread(part, 1, sizeof(part), f)) > 0)
		buf_add(out, part, n);
	if (ferror(f))
		return -EIO;
	return out->failed ? -ENOMEM : 0;
}

/* ---- keys ---------------------------------------------------------------- */

static int make_key(void)
{
	char secret[AGE_IDENTITY_TEXT], public[AGE_RECIPIENT_TEXT];
	struct age_identity *id;
	int rc = age_identity_new(&id);

	if (rc < 0)
		return fail("key", rc);
	age_identity_format(id, secret);
	age_recipient_format(&id->recipient, public);
	printf("# public key: %s\n%s\n", public, secret);
	age_identity_free(id);
	return 0;
}

static int add_identities(struct options *o, FILE *f)
{
	struct age_identities l;
	struct buf text = BUF_INIT;
	int rc = read_whole(f, &text);

	if (rc == 0)
		rc = age_identities_read(text.data, text.len, o->passphrase, &l,
		                         NULL);
	buf_done(&text);
	if (rc < 0)
		return rc;
	for (size_t i = 0; rc == 0 && i < l.count; i++) {
		rc = age_identities_add(&o->ids, l.ids[i]);
		l.ids[i] = NULL;
	}
	age_identities_done(&l);
	return rc;
}

static int add_identity_file(struct options *o, const char *path)
{
	FILE *f = fopen(path, "rb");
	int rc;

	if (!f)
		return -errno;
	rc = add_identities(o, f);
	(void)fclose(f);
	return rc;
}

static int show_recipient(struct options *o)
{
	char text[AGE_RECIPIENT_TEXT];
	int rc = add_identities(o, stdin);

	for (size_t i = 0; rc == 0 && i < o->ids.count; i++) {
		age_recipient_format(&o->ids.ids[i]->recipient, text);
		puts(text);
	}
	return fail("recipient", rc);
}

/* ---- filters ------------------------------------------------------------- */

static int seal(const struct options *o)
{
	static const uint8_t body[] = "a body of no multiple of 48 bytes";
	const struct age_stanza extra = { "nmbackupfs/test 1", body,
		                          sizeof(body) };
	const struct age_target to = {
		.recipients = o->recipients,
		.recipient_count = o->recipient_count,
		.passphrase = o->recipient_count ? NULL : o->passphrase,
		.extra = &extra,
		.extra_count = o->extra,
	};
	struct age_writer *w;
	char part[50000];
	size_t n;
	int rc = age_writer_new(&to, o->armor, to_stdout, NULL, &w);

	if (rc < 0)
		return fail("seal", rc);
	while ((n = fread(part, 1, sizeof(part), stdin)) > 0)
		(void)age_writer_feed(w, part, n); /* finish says the same */
	rc = age_writer_finish(w);
	age_writer_free(w);
	return fail("seal", rc);
}

static struct age_keys keys_of(const struct options *o)
{
	return (struct age_keys){
		.ids = o->ids.ids,
		.id_count = o->ids.count,
		.passphrase = o->passphrase,
	};
}

static int open_stream(const struct options *o)
{
	const struct age_keys keys = keys_of(o);
	struct age_reader *r;
	char part[50000];
	size_t n;
	int rc = age_reader_new(&keys, to_stdout, NULL, &r);

	if (rc < 0)
		return fail("open", rc);
	while ((n = fread(part, 1, sizeof(part), stdin)) > 0) {
		if (age_reader_feed(r, part, n) < 0)
			break;
	}
	rc = age_reader_finish(r);
	age_reader_free(r);
	return fail("open", rc);
}

/* ---- random access ------------------------------------------------------- */

struct sealed_file {
	int fd;
	size_t header;
	uint64_t plain;
	uint8_t key[AGE_PAYLOAD_KEY];
	uint8_t chunk[AGE_CHUNK_SEAL];
};

static int open_header(struct sealed_file *f, const struct age_keys *keys)
{
	static uint8_t start[AGE_HEADER_MAX + AGE_NONCE_SIZE];
	uint8_t file_key[AGE_FILE_KEY_SIZE];
	struct age_header *h;
	ssize_t n = pread(f->fd, start, sizeof(start), 0);
	int rc;

	if (n < 0)
		return -errno;
	rc = age_header_parse(start, (size_t)n, &h);
	if (rc < 0)
		return rc == -EAGAIN ? AGE_BAD_HEADER : rc;
	f->header = age_header_len(h);
	rc = age_header_open(h, keys, file_key, NULL);
	age_header_free(h);
	if (rc == 0 && (size_t)n < f->header + AGE_NONCE_SIZE)
		rc = AGE_BAD_HEADER;
	if (rc == 0)
		age_payload_key(file_key, start + f->header, f->key);
	sodium_memzero(file_key, sizeof(file_key));
	return rc;
}

/* The plaintext is then in f->chunk. */
static int open_chunk(struct sealed_file *f, uint64_t idx, size_t *out_len)
{
	uint64_t off;
	size_t len;

	age_chunk_range(f->header, f->plain, idx, &off, &len);
	if (pread(f->fd, f->chunk, len, (off_t)off) != (ssize_t)len)
		return -EIO;
	*out_len = len - AGE_TAG_SIZE;
	return age_chunk_open(f->key, idx, idx == age_chunk_count(f->plain) - 1,
	                      f->chunk, len, f->chunk);
}

static int open_sealed(struct sealed_file *f, const struct age_keys *keys)
{
	struct stat st;
	size_t len;
	int rc = open_header(f, keys);

	if (rc < 0)
		return rc;
	if (fstat(f->fd, &st) < 0)
		return -errno;
	rc = age_plain_size(f->header, (uint64_t)st.st_size, &f->plain);
	if (rc < 0)
		return rc;
	/* Only with this one the size is more than a claim. */
	return open_chunk(f, age_chunk_count(f->plain) - 1, &len);
}

static int print_range(struct sealed_file *f, uint64_t off, uint64_t len)
{
	uint64_t end =
		off > f->plain || len > f->plain - off ? f->plain : off + len;

	while (off < end) {
		uint64_t idx = off / AGE_CHUNK;
		size_t from = off % AGE_CHUNK, n;
		int rc = open_chunk(f, idx, &n);

		if (rc < 0)
			return rc;
		if (end - idx * AGE_CHUNK < n)
			n = end - idx * AGE_CHUNK;
		(void)to_stdout(NULL, f->chunk + from, n - from);
		off += n - from;
	}
	return 0;
}

static int read_at(const struct options *o, char **args)
{
	static struct sealed_file f;
	const struct age_keys keys = keys_of(o);
	int rc;

	f.fd = open(args[0], O_RDONLY | O_CLOEXEC);
	if (f.fd < 0)
		return fail(args[0], -errno);
	rc = open_sealed(&f, &keys);
	if (rc == 0)
		rc = print_range(&f, strtoull(args[1], NULL, 10),
		                 strtoull(args[2], NULL, 10));
	close(f.fd);
	return fail(args[0], rc);
}

/* ---- the command line ---------------------------------------------------- */

static int take_option(struct options *o, int c)
{
	switch (c) {
	case 'a':
		o->armor = true;
		return 0;
	case 'x':
		o->extra = true;
		return 0;
	case 'p':
		o->passphrase = optarg;
		return 0;
	case 'i':
		return add_identity_file(o, optarg);
	case 'r':
		if (o->recipient_count == RECIPIENTS)
			return -E2BIG;
		return age_recipient_parse(
			optarg, strlen(optarg),
			&o->recipients[o->recipient_count++]);
	default:
		return -EINVAL;
	}
}

static int run(const char *command, struct options *o, char **args, int count)
{
	if (!strcmp(command, "key") && count == 0)
		return make_key();
	if (!strcmp(command, "recipient") && count == 0)
		return show_recipient(o);
	if (!strcmp(command, "seal") && count == 0)
		return seal(o);
	if (!strcmp(command, "open") && count == 0)
		return open_stream(o);
	if (!strcmp(command, "at") && count == 3)
		return read_at(o, args);
	fprintf(stderr, "agetool: see the top of tests/interop/agetool.c\n");
	return 2;
}

int main(int argc, char **argv)
{
	static struct options o;
	int c, status = 0;

	if (sodium_init() < 0)
		return 1;
	optind = 2;
	while (status == 0 && argc > 2 &&
	       (c = getopt(argc, argv, "axp:i:r:")) != -1)
		status = fail("option", take_option(&o, c));
	if (status == 0)
		status = run(argc > 1 ? argv[1] : "", &o, argv + optind,
		             argc > optind ? argc - optind : 0);
	if (fflush(stdout) != 0)
		status = 1;
	age_identities_done(&o.ids);
	return status;
}
