#include "fs/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "auth/age.h"
#include "auth/passphrase.h"
#include "net/fdio.h"

/* ---- reading ------------------------------------------------------------- */

static int read_all(int fd, char *data, size_t size, size_t *out_len)
{
	size_t len = 0;
	ssize_t n;

	while ((n = read(fd, data + len, size - len)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		len += (size_t)n;
		if (len == size)
			return -EINVAL;
	}
	*out_len = len;
	return 0;
}

int secret_file_read(const char *path, char **out, size_t *out_len, char *why,
                     size_t why_size)
{
	int fd = STDIN_FILENO, rc = 0;
	size_t len = 0;
	char *data;

	if (strcmp(path, "-") != 0)
		fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		rc = -errno;
		snprintf(why, why_size, "%s: %s", path, strerror(-rc));
		return rc;
	}
	data = sodium_malloc(SECRET_FILE_MAX + 2);
	rc = data ? read_all(fd, data, SECRET_FILE_MAX + 1, &len) : -ENOMEM;
	if (fd != STDIN_FILENO)
		close(fd);
	if (rc < 0) {
		sodium_free(data);
		snprintf(why, why_size, "%s: %s", path,
		         rc == -EINVAL ? "it is too long to be a key"
		                       : strerror(-rc));
		return rc;
	}
	data[len] = '\0';
	*out = data;
	*out_len = len;
	return 0;
}

/* ---- writing ------------------------------------------------------------- */

static int write_new(const char *path, const void *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int rc;

	if (fd < 0)
		return -errno;
	rc = fdio_write_all(fd, data, len);
	if (rc == 0 && fsync(fd) < 0)
		rc = -errno;
	close(fd);
	if (rc < 0)
		unlink(path);
	return rc;
}

int secret_file_write(const char *path, const char *what, const void *data,
                      size_t len, char *why, size_t why_size)
{
	int rc = strcmp(path, "-") ? write_new(path, data, len)
	                           : fdio_write_all(STDOUT_FILENO, data, len);

	if (rc < 0)
		snprintf(why, why_size, "%s %s: %s", what, path,
		         rc == -EEXIST ? "it is there already, and is not "
		                         "overwritten"
		                       : strerror(-rc));
	return rc == -EEXIST ? -EINVAL : rc;
}

/* ---- identities ---------------------------------------------------------- */

static int ask_passphrase(const char *path, const char *from, char *out,
                          char *why, size_t why_size)
{
	size_t len;
	int rc = passphrase_get(from, path, false, out, &len, why, why_size);

	if (rc == 0)
		out[len] = '\0';
	return rc;
}

static int say_bad(const char *path, int rc, unsigned line, char *why,
                   size_t why_size)
{
	if (line)
		snprintf(why, why_size, "%s: line %u: %s", path, line,
		         age_strerror(rc));
	else if (rc == AGE_BAD_KEY)
		snprintf(why, why_size, "%s: there is no key in it", path);
	else
		snprintf(why, why_size, "%s: %s", path, age_strerror(rc));
	return rc == AGE_BAD_PASSPHRASE || rc == -ENOMEM ? rc : -EINVAL;
}

int secret_file_identities(const char *path, const char *passphrase_from,
                           struct age_identities *out, char *why,
                           size_t why_size)
{
	char *data, *passphrase = NULL;
	unsigned line = 0;
	size_t len;
	int rc = secret_file_read(path, &data, &len, why, why_size);

	if (rc < 0)
		return rc == -ENOENT ? -EINVAL : rc;
	rc = age_identities_read(data, len, NULL, out, &line);
	if (rc == AGE_NEED_PASSPHRASE) {
		passphrase = sodium_malloc(PASSPHRASE_MAX + 1);
		rc = passphrase ? ask_passphrase(path, passphrase_from,
		                                 passphrase, why, why_size)
		                : -ENOMEM;
		if (rc < 0) {
			sodium_free(data);
			sodium_free(passphrase);
			return rc;
		}
		rc = age_identities_read(data, len, passphrase, out, &line);
	}
	sodium_free(data);
	sodium_free(passphrase);
	return rc < 0 ? say_bad(path, rc, line, why, why_size) : 0;
}
