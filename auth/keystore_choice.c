#include "auth/keystore_choice.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "auth/keyfile.h"
#include "auth/keystore.h"
#include "auth/keystore_backend.h"

#define NOTE_NAME "keystore.name"

static const struct keystore_backend *const backends[] = {
#ifdef HAVE_LIBSECRET
	&keystore_service,
#endif
	&keystore_file,
	&keystore_sealed,
	&keystore_command,
};

#define BACKENDS (sizeof(backends) / sizeof(*backends))

const struct keystore_backend *keystore_backend_named(const char *name)
{
	for (size_t i = 0; i < BACKENDS; i++) {
		if (!strcmp(backends[i]->name, name))
			return backends[i];
	}
	return NULL;
}

/* ---- the note ------------------------------------------------------------ */

static int read_note(const struct keystore_options *opt, char *out, size_t size,
                     char *why, size_t why_size)
{
	int fd = keydir_open(opt->dir, why, why_size), rc;
	size_t len = 0;

	if (fd < 0)
		return fd;
	rc = keyfile_read(fd, NOTE_NAME, out, size - 1, &len);
	close(fd);
	if (rc < 0)
		return rc;
	out[len] = '\0';
	if (!len || strcspn(out, "\n") != len - 1)
		return -EBADMSG;
	out[len - 1] = '\0';
	return 0;
}

/* The backend that the note names; *out NULL: there is no note. */
static int find_noted(const struct keystore_options *opt,
                      const struct keystore_backend **out, char *why,
                      size_t why_size)
{
	char name[40];
	int rc;

	*out = NULL;
	why[0] = '\0';
	rc = read_note(opt, name, sizeof(name), why, why_size);
	if (rc == -ENOENT)
		return 0;
	if (rc < 0 && !why[0])
		snprintf(why, why_size, "%s/" NOTE_NAME ": %s", opt->dir,
		         rc == -EBADMSG || rc == -EFBIG ? "damaged"
		                                        : strerror(-rc));
	if (rc < 0)
		return rc == -EFBIG ? -EBADMSG : rc;
	*out = keystore_backend_named(name);
	if (*out)
		return 0;
	snprintf(why, why_size,
	         "the secrets of this profile are in \"%s\" (%s/" NOTE_NAME
	         "), which this build of nmbackupfs does not have",
	         name, opt->dir);
	return -ENOTSUP;
}

int keystore_note_backend(const struct keystore_options *opt,
                          const struct keystore_backend *b)
{
	char line[64], why[256];

	snprintf(line, sizeof(line), "%s\n", b->name);
	return keyfile_put(opt->dir, NOTE_NAME, line, strlen(line), why,
	                   sizeof(why));
}

int keystore_unnote_backend(const struct keystore_options *opt,
                            const struct keystore_backend *b)
{
	char name[40], why[256];
	int fd = keydir_open(opt->dir, why, sizeof(why)), lock, rc;

	if (fd < 0)
		return fd;
	lock = keydir_lock(fd);
	rc = lock;
	if (lock >= 0) {
		rc = read_note(opt, name, sizeof(name), why, sizeof(why));
		if (rc == 0 && !strcmp(name, b->name))
			rc = keyfile_remove(fd, NOTE_NAME);
		close(lock);
	}
	close(fd);
	return rc == -ENOENT ? 0 : rc;
}

/* ---- the choice ---------------------------------------------------------- */

int keystore_find(const struct keystore_options *opt,
                  const struct keystore_backend **out, char *why,
                  size_t why_size)
{
	int rc = find_noted(opt, out, why, why_size);

	for (size_t i = 0; rc == 0 && !*out && i < BACKENDS; i++) {
		if (backends[i]->holds && backends[i]->holds(opt))
			*out = backends[i];
	}
	return rc;
}

int keystore_find_place(const struct keystore_options *opt,
                        const char **out_name, char *why, size_t why_size)
{
	const struct keystore_backend *b;
	int rc = keystore_find(opt, &b, why, why_size);

	if (rc == 0)
		*out_name = b ? b->name : NULL;
	return rc;
}

static void choose_new(struct keystore_choice *out)
{
	char why[160] = "this build has no libsecret";

#ifdef HAVE_LIBSECRET
	if (keystore_service_answers(why, sizeof(why))) {
		out->backend = &keystore_service;
		return;
	}
#endif
	out->backend = &keystore_file;
	snprintf(out->note, sizeof(out->note),
	         "There is no keyring to use (%s): the secrets lie in a plain "
	         "file, which protects them from other users, but not from "
	         "who gets the disk or a backup of it. --keystore sealed asks "
	         "for a passphrase.",
	         why);
}

static const char *excuse(const char *name)
{
	return strcmp(name, "secret-service")
	               ? ""
	               : ": this nmbackupfs was built without libsecret";
}

int keystore_choose(const struct keystore_options *opt,
                    struct keystore_choice *out, char *why, size_t why_size)
{
	const struct keystore_backend *asked = NULL, *found;
	int rc;

	memset(out, 0, sizeof(*out));
	if (opt->backend && *opt->backend) {
		asked = keystore_backend_named(opt->backend);
		if (!asked) {
			snprintf(why, why_size, "unknown keystore \"%.40s\"%s",
			         opt->backend, excuse(opt->backend));
			return -EINVAL;
		}
	}
	rc = keystore_find(opt, &found, why, why_size);
	if (rc < 0)
		return rc;
	if (asked && found && asked != found) {
		snprintf(why, why_size,
		         "the secrets of this profile are in \"%s\", not in "
		         "\"%s\": `nmbackupfs keystore move %s` moves them",
		         found->name, asked->name, asked->name);
		return -EEXIST;
	}
	out->found = found;
	if (asked || found)
		out->backend = found ? found : asked;
	else
		choose_new(out);
	return 0;
}
