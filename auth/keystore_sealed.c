/* The keystore backend "sealed": DIR/secrets.sealed, all blobs of the profile
 * in one file under a passphrase (auth/sealed_box.h).
 *
 * The passphrase is asked for when the keystore is opened, or at the first put
 * of a profile that is new; after that the key stays in memory, and a change
 * reads, opens, edits, seals and replaces the file under the directory's lock.
 * A file that another process made anew meanwhile needs its own passphrase:
 * passphrase_command is asked again, a person is not. */
#include "auth/keystore_backend.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "auth/keyfile.h"
#include "auth/keystore.h"
#include "auth/passphrase.h"
#include "auth/sealed_box.h"
#include "net/log.h"

#define FILE_NAME "secrets.sealed"
#define TRIES     3

/* libsodium's "moderate": 0.7 s and 256 MiB; where that much memory isn't to
 * be had, "interactive". */
static const struct {
	uint32_t passes, mem_kib;
} costs[] = {
	{ crypto_pwhash_OPSLIMIT_MODERATE,
	  crypto_pwhash_MEMLIMIT_MODERATE / 1024 },
	{ crypto_pwhash_OPSLIMIT_INTERACTIVE,
	  crypto_pwhash_MEMLIMIT_INTERACTIVE / 1024 },
};

struct sealed {
	int dir_fd;
	char *where, *command;
	struct sealed_key key; /* .key NULL: none yet */
};

/* Buffers of one call; sodium_malloc(). */
struct work {
	uint8_t *file, *text;
	size_t file_len, text_len;
};

static int work_init(struct work *w)
{
	*w = (struct work){
		.file = sodium_malloc(SEALED_MAX),
		.text = sodium_malloc(SEALED_MAX_TEXT),
	};
	return w->file && w->text ? 0 : -ENOMEM;
}

static void work_done(struct work *w)
{
	sodium_free(w->file);
	sodium_free(w->text);
}

static int read_file(const struct sealed *s, struct work *w)
{
	int rc = keyfile_read(s->dir_fd, FILE_NAME, w->file, SEALED_MAX,
	                      &w->file_len);

	return rc == -EFBIG ? -EBADMSG : rc;
}

/* ---- the passphrase ------------------------------------------------------ */

static int unlock_once(struct sealed *s, const struct work *w, char *passphrase,
                       char *why, size_t why_size)
{
	struct sealed_key key;
	size_t len;
	int rc;

	rc = passphrase_get(s->command, s->where, false, passphrase, &len, why,
	                    why_size);
	if (rc < 0)
		return rc;
	rc = sealed_key_of(w->file, w->file_len, passphrase, len, &key);
	if (rc == -EKEYREJECTED)
		snprintf(why, why_size, "wrong passphrase for %s", s->where);
	else if (rc == -EBADMSG)
		snprintf(why, why_size, "%s is damaged", s->where);
	else if (rc < 0)
		snprintf(why, why_size, "%s: %s", s->where, strerror(-rc));
	if (rc < 0)
		return rc;
	sealed_key_done(&s->key);
	s->key = key;
	return 0;
}

/* A person may try again; a command would say the same. */
static int unlock(struct sealed *s, const struct work *w, char *why,
                  size_t why_size)
{
	char *passphrase = sodium_malloc(PASSPHRASE_MAX);
	int rc = passphrase ? -EKEYREJECTED : -ENOMEM;

	for (int i = 0; i < TRIES && rc == -EKEYREJECTED; i++) {
		if (i)
			fprintf(stderr, "Wrong passphrase.\n");
		rc = unlock_once(s, w, passphrase, why, why_size);
		if (s->command)
			break;
	}
	sodium_free(passphrase);
	return rc;
}

static int create(struct sealed *s, char *why, size_t why_size)
{
	char *passphrase = sodium_malloc(PASSPHRASE_MAX);
	size_t len;
	int rc = -ENOMEM;

	if (passphrase)
		rc = passphrase_get(s->command, s->where, true, passphrase,
		                    &len, why, why_size);
	if (rc == 0) {
		rc = -ENOMEM;
		for (size_t i = 0; rc == -ENOMEM && i < 2; i++)
			rc = sealed_key_new(passphrase, len, costs[i].passes,
			                    costs[i].mem_kib, &s->key);
		if (rc < 0)
			snprintf(why, why_size, "no memory");
	}
	sodium_free(passphrase);
	return rc;
}

/* ---- the file ------------------------------------------------------------ */

/* The blobs are in w->text. -ENOENT: no file. */
static int load(struct sealed *s, struct work *w)
{
	char why[256];
	int rc = read_file(s, w);

	if (rc < 0)
		return rc;
	rc = s->key.key ? sealed_open(&s->key, w->file, w->file_len, w->text,
	                              &w->text_len)
	                : -EKEYREJECTED;
	if (rc != -EKEYREJECTED || !s->command)
		return rc;
	rc = unlock(s, w, why, sizeof(why));
	if (rc < 0) {
		log_warn("keystore place=\"%s\" error=\"%s\"", s->where, why);
		return rc;
	}
	return sealed_open(&s->key, w->file, w->file_len, w->text,
	                   &w->text_len);
}

static int store(struct sealed *s, struct work *w)
{
	int rc;

	if (!w->text_len)
		return keyfile_remove(s->dir_fd, FILE_NAME);
	rc = sealed_close(&s->key, w->text, w->text_len, w->file, &w->file_len);
	return rc < 0 ? rc
	              : keyfile_write(s->dir_fd, FILE_NAME, w->file,
	                              w->file_len);
}

/* `blob` NULL: takes it out. */
static int edit_locked(struct sealed *s, const char *name, const void *blob,
                       size_t len)
{
	struct work w;
	int rc = work_init(&w);

	if (rc == 0)
		rc = load(s, &w);
	if (rc == -ENOENT && blob) {
		w.text_len = 0;
		rc = 0;
	}
	if (rc == 0)
		rc = sealed_edit(w.text, &w.text_len, name, blob, len);
	if (rc == 0)
		rc = store(s, &w);
	work_done(&w);
	return rc;
}

static int edit(struct sealed *s, const char *name, const void *blob,
                size_t len)
{
	int lock = keydir_lock(s->dir_fd), rc;

	if (lock < 0)
		return lock;
	rc = edit_locked(s, name, blob, len);
	close(lock);
	return rc;
}

/* ---- the backend --------------------------------------------------------- */

static bool sealed_holds(const struct keystore_options *opt)
{
	struct stat st;
	char *path;
	bool there;

	if (asprintf(&path, "%s/" FILE_NAME, opt->dir) < 0)
		return false;
	there = lstat(path, &st) == 0;
	free(path);
	return there;
}

static void sealed_free(void *self)
{
	struct sealed *s = self;

	if (s->dir_fd >= 0)
		close(s->dir_fd);
	sealed_key_done(&s->key);
	free(s->where);
	free(s->command);
	free(s);
}

/* Proves the passphrase and the file as a whole. */
static int unlock_at_open(struct sealed *s, char *why, size_t why_size)
{
	struct work w;
	int rc = work_init(&w);

	if (rc == 0)
		rc = read_file(s, &w);
	if (rc == 0)
		rc = unlock(s, &w, why, why_size);
	if (rc == 0)
		rc = sealed_open(&s->key, w.file, w.file_len, w.text,
		                 &w.text_len);
	work_done(&w);
	if (rc == -EBADMSG)
		snprintf(why, why_size, "%s is damaged", s->where);
	else if (rc == -EPERM)
		snprintf(why, why_size,
		         "%s is open to other users: run chmod 600 on it",
		         s->where);
	return rc == -ENOENT ? 0 : rc;
}

static int sealed_new(const struct keystore_options *opt, void **out_self,
                      char *why, size_t why_size)
{
	struct sealed *s = calloc(1, sizeof(*s));
	int rc = 0;

	if (!s)
		return -ENOMEM;
	s->dir_fd = -1;
	if (asprintf(&s->where, "sealed file %s/" FILE_NAME, opt->dir) < 0) {
		s->where = NULL;
		rc = -ENOMEM;
	}
	if (rc == 0 && opt->passphrase_command && *opt->passphrase_command) {
		s->command = strdup(opt->passphrase_command);
		rc = s->command ? 0 : -ENOMEM;
	}
	if (rc == 0) {
		s->dir_fd = keydir_open(opt->dir, why, why_size);
		rc = s->dir_fd < 0 ? s->dir_fd : 0;
	}
	if (rc == 0)
		rc = unlock_at_open(s, why, why_size);
	if (rc < 0) {
		sealed_free(s);
		return rc;
	}
	*out_self = s;
	return 0;
}

static const char *sealed_where(const void *self)
{
	const struct sealed *s = self;

	return s->where;
}

static int sealed_get(void *self, const char *name, void *buf, size_t *out_len)
{
	const uint8_t *blob;
	struct work w;
	size_t len;
	int rc = work_init(&w);

	if (rc == 0)
		rc = load(self, &w);
	if (rc == 0)
		rc = sealed_find(w.text, w.text_len, name, &blob, &len);
	if (rc == 0) {
		memcpy(buf, blob, len);
		*out_len = len;
	}
	work_done(&w);
	return rc;
}

/* The first one makes the file: a person at the terminal is asked before the
 * lock is taken. */
static int sealed_put(void *self, const char *name, const void *secret,
                      size_t len)
{
	struct sealed *s = self;
	char why[256] = "";
	int rc = 0;

	if (!s->key.key && faccessat(s->dir_fd, FILE_NAME, F_OK, 0) < 0) {
		rc = errno == ENOENT ? create(s, why, sizeof(why)) : -errno;
		if (rc < 0)
			log_error("keystore place=\"%s\" error=\"%s\"",
			          s->where, why);
	}
	return rc < 0 ? rc : edit(s, name, secret ? secret : "", len);
}

static int sealed_del(void *self, const char *name)
{
	int rc = edit(self, name, NULL, 0);

	return rc == -ENOENT ? 0 : rc;
}

const struct keystore_backend keystore_sealed = {
	.name = "sealed",
	.open = sealed_new,
	.close = sealed_free,
	.where = sealed_where,
	.holds = sealed_holds,
	.get = sealed_get,
	.put = sealed_put,
	.del = sealed_del,
};
