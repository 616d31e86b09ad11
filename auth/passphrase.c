#include "auth/passphrase.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include <sodium.h>

#include "auth/command.h"

#define COMMAND_LIMIT_MS 60000 /* it may ask a person */
#define CTRL_C           3

bool passphrase_can_ask(void)
{
	return isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

/* ---- the terminal -------------------------------------------------------- */

/* Ctrl-C must not leave a terminal without echo behind: it is a character here,
 * one that ends the line. */
static int hide(struct termios *old)
{
	struct termios hidden;

	if (tcgetattr(STDIN_FILENO, old) < 0)
		return -errno;
	hidden = *old;
	hidden.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL | ISIG);
	hidden.c_lflag |= ICANON;
	hidden.c_cc[VEOL] = CTRL_C;
	return tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden) < 0 ? -errno : 0;
}

/* One line without its end. */
static int read_line(char *out, size_t *out_len)
{
	size_t len = 0;
	ssize_t n;

	while (len < PASSPHRASE_MAX) {
		n = read(STDIN_FILENO, out + len, PASSPHRASE_MAX - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		len += (size_t)n;
		if (n == 0 || out[len - 1] == CTRL_C)
			return -ECANCELED;
		if (out[len - 1] == '\n') {
			*out_len = len - 1;
			return 0;
		}
	}
	return -EINVAL;
}

static int ask(const char *question, const char *what, char *out,
               size_t *out_len)
{
	struct termios old;
	int rc = hide(&old);

	if (rc < 0)
		return rc;
	fprintf(stderr, "%s%s: ", question, what);
	fflush(stderr);
	rc = read_line(out, out_len);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &old);
	fputc('\n', stderr);
	return rc;
}

static int ask_again(const char *first, size_t first_len)
{
	char *again = sodium_malloc(PASSPHRASE_MAX);
	size_t len;
	int rc = again ? ask("The same once more", "", again, &len) : -ENOMEM;

	if (rc == 0 && (len != first_len || sodium_memcmp(again, first, len)))
		rc = -EINVAL;
	sodium_free(again);
	return rc;
}

static int from_terminal(const char *what, bool twice, char *out,
                         size_t *out_len, char *why, size_t why_size)
{
	size_t len = 0;
	int rc;

	if (!passphrase_can_ask()) {
		snprintf(why, why_size,
		         "the passphrase for %s can't be asked for without a "
		         "terminal: set passphrase_command",
		         what);
		return -ENOTTY;
	}
	rc = ask(twice ? "New passphrase for " : "Passphrase for ", what, out,
	         &len);
	if (rc == 0 && len && twice) {
		rc = ask_again(out, len);
		if (rc == -EINVAL)
			snprintf(why, why_size,
			         "these were two different passphrases");
	}
	if (rc == 0)
		*out_len = len;
	else if (rc == -ECANCELED)
		snprintf(why, why_size, "canceled");
	else if (!why[0])
		snprintf(why, why_size, "reading the passphrase: %s",
		         strerror(-rc));
	return rc;
}

/* ---- the command --------------------------------------------------------- */

static int from_command(const char *line, char *out, size_t *out_len, char *why,
                        size_t why_size)
{
	const struct command c = { .line = line, .limit_ms = COMMAND_LIMIT_MS };
	size_t len;
	const char *end;
	int rc = command_run(&c, out, PASSPHRASE_MAX, &len);

	if (rc > 0)
		snprintf(why, why_size, "passphrase_command: exit status %d",
		         rc);
	else if (rc < 0)
		snprintf(why, why_size, "passphrase_command: %s",
		         rc == -ECHILD ? "ended by a signal" : strerror(-rc));
	if (rc)
		return rc > 0 || rc == -ECHILD ? -EINVAL : rc;
	end = memchr(out, '\n', len);
	*out_len = end ? (size_t)(end - out) : len;
	return 0;
}

int passphrase_get(const char *command, const char *what, bool twice, char *out,
                   size_t *out_len, char *why, size_t why_size)
{
	size_t len = 0;
	int rc;

	why[0] = '\0';
	rc = command && *command
	             ? from_command(command, out, &len, why, why_size)
	             : from_terminal(what, twice, out, &len, why, why_size);
	if (rc < 0)
		return rc;
	if (!len) {
		snprintf(why, why_size, "the passphrase is empty");
		return -EINVAL;
	}
	*out_len = len;
	return 0;
}
