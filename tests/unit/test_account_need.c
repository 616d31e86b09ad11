/* What is asked of a person, and what happens when nobody is there. */
#include "fs/account.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "fs/config.h"
#include "fs/session.h"
#include "tests/unit/check.h"

struct world {
	char base[64];
	struct config *cfg;
	int old_in, old_err;
	char why[256], told[4096];
};

static void load(struct world *w)
{
	CHECK_EQ(config_new(&w->cfg), 0);
	CHECK_EQ(config_load(w->cfg, w->why, sizeof(w->why)), 0);
}

static void begin(struct world *w)
{
	*w = (struct world){ .base = "/tmp/nmb-need-XXXXXX" };
	CHECK(mkdtemp(w->base) != NULL);
	setenv("XDG_CONFIG_HOME", w->base, 1);
	setenv("XDG_STATE_HOME", w->base, 1);
	setenv("NMBACKUPFS_KEYSTORE", "file", 1);
	unsetenv("NMBACKUPFS_CLIENT_ID");
	load(w);
}

static void end(struct world *w)
{
	char cmd[96];

	config_free(w->cfg);
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", w->base);
	CHECK_EQ(system(cmd), 0);
}

static void redirect(struct world *w, int in, int err)
{
	w->old_in = dup(0);
	w->old_err = dup(2);
	dup2(in, 0);
	dup2(err, 2);
}

static void restore(struct world *w)
{
	dup2(w->old_in, 0);
	dup2(w->old_err, 2);
	close(w->old_in);
	close(w->old_err);
}

#define ID "01234567-89ab-cdef-ABCD-0123456789ab"

static unsigned count_lines(const char *s)
{
	unsigned n = 0;

	for (; *s; s++)
		n += *s == '\n';
	return n;
}

static void test_nobody_there(void)
{
	struct world w;
	ssize_t n;
	int null, fd, rc;

	begin(&w);
	null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	fd = open(w.base, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	redirect(&w, null, fd);
	rc = account_need_client_id(w.cfg, w.why, sizeof(w.why));
	restore(&w);
	CHECK_EQ(rc, -EINVAL);
	CHECK_EQ(session_exit_status(rc), 2);
	n = pread(fd, w.told, sizeof(w.told) - 1, 0);
	w.told[n > 0 ? n : 0] = '\0';
	CHECK_EQ(count_lines(w.told), 5);
	CHECK(strstr(w.told, "client_id") != NULL);
	CHECK(strstr(w.told, config_path(w.cfg)) != NULL);
	close(fd);
	close(null);
	end(&w);
}

/* Types `answer` and returns what account_need_client_id() made of it. */
static int type(struct world *w, const char *answer)
{
	int master, slave, rc;

	if (openpty(&master, &slave, NULL, NULL, NULL) < 0)
		return 1;
	CHECK_EQ(write(master, answer, strlen(answer)), strlen(answer));
	redirect(w, slave, slave);
	rc = account_need_client_id(w->cfg, w->why, sizeof(w->why));
	restore(w);
	close(slave);
	close(master);
	clearerr(stdin);
	return rc;
}

static void test_asked_and_kept(void)
{
	struct world w;

	begin(&w);
	CHECK_EQ(type(&w, "\004"), -EINVAL); /* Ctrl-D */
	CHECK_EQ(type(&w, "\n"), -EINVAL);
	CHECK_EQ(type(&w, "1111-2222\n\004"), -EINVAL);
	CHECK_EQ(type(&w, "x\n" ID "0\n0" ID "\n" ID "\n"), -EINVAL);
	CHECK_EQ(type(&w, "mkdir -p x\n  " ID " \n"), 0);
	CHECK_STR(config_text(w.cfg, CONFIG_CLIENT_ID), ID);
	config_free(w.cfg);
	load(&w); /* the next run of the program */
	CHECK_STR(config_text(w.cfg, CONFIG_CLIENT_ID), ID);
	CHECK_EQ(account_need_client_id(w.cfg, w.why, sizeof(w.why)), 0);
	end(&w);
}

static void test_sign_in_without_a_terminal(void)
{
	struct session *s;
	struct world w;
	int null;

	begin(&w);
	CHECK_EQ(session_open(w.cfg, NULL, SESSION_ANY, &s, w.why,
	                      sizeof(w.why)),
	         0);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	redirect(&w, null, null);
	CHECK_EQ(account_need_sign_in(s, "", w.why, sizeof(w.why)), -EACCES);
	restore(&w);
	close(null);
	CHECK(strstr(w.why, "nmbackupfs auth") != NULL);
	session_close(s);
	end(&w);
}

int main(void)
{
	RUN(test_nobody_there);
	RUN(test_asked_and_kept);
	RUN(test_sign_in_without_a_terminal);
	return check_report();
}
