#include "fs/sdnotify.h"
#include "fs/service.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fs/engine.h"
#include "tests/unit/check.h"

/* ---- words --------------------------------------------------------------- */

static const struct {
	struct engine_status st;
	const char *words;
} words[] = {
	{ { .state = ENGINE_IDLE }, "all is on the server" },
	{ { .state = ENGINE_SYNCING,
	    .pending_nodes = 3,
	    .pending_files = 2,
	    .pending_bytes = 1234567 },
	  "syncing: 2 files, 1.2 MB to send" },
	{ { .state = ENGINE_OFFLINE, .pending_nodes = 1 },
	  "offline: 1 changes to send" },
	{ { .state = ENGINE_OFFLINE }, "offline: nothing to send" },
	{ { .state = ENGINE_SIGNED_OUT, .pending_nodes = 1 },
	  "signed out: run nmbackupfs auth; 1 changes to send" },
	{ { .state = ENGINE_IDLE, .pending_nodes = 1, .blocked = 1 },
	  "idle: 1 changes to send; 1 refused, 0 held: see nmbackupfs "
	  "status" },
	{ { .state = ENGINE_SYNCING,
	    .pending_nodes = UINT64_MAX,
	    .pending_files = UINT64_MAX,
	    .pending_bytes = 123 },
	  "syncing: 18446744073709551615 files, 123 B to send" },
};

static void test_words(void)
{
	char out[256];

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		check_row("%zu", i);
		service_words(&words[i].st, out, sizeof(out));
		CHECK_STR(out, words[i].words);
	}
}

/* ---- the protocol -------------------------------------------------------- */

static int listen_at(const char *name, socklen_t len)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	memcpy(addr.sun_path, name, len);
	CHECK_EQ(
		bind(fd, (struct sockaddr *)&addr,
	             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
		0);
	return fd;
}

static void check_sent(const char *variable, int fd)
{
	struct sdnotify n;
	char got[64] = "";

	setenv("NOTIFY_SOCKET", variable, 1);
	CHECK_EQ(sdnotify_init(&n), 0);
	CHECK_EQ(sdnotify_send(&n, "READY=1"), 0);
	CHECK_EQ(recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT), 7);
	CHECK_STR(got, "READY=1");
	sdnotify_done(&n);
	close(fd);
}

static void test_sockets(void)
{
	char path[] = "/tmp/nmb-notify-XXXXXX", name[64], abstract[64];

	CHECK(mkdtemp(path));
	snprintf(name, sizeof(name), "%s/s", path);
	check_sent(name, listen_at(name, (socklen_t)strlen(name) + 1));
	unlink(name);
	rmdir(path);
	snprintf(abstract, sizeof(abstract), "@%s", path);
	memcpy(name, abstract, sizeof(name));
	name[0] = '\0';
	check_sent(abstract, listen_at(name, (socklen_t)strlen(abstract)));
}

static void test_nobody_listens(void)
{
	char too_long[300] = "/";
	struct sdnotify n;

	unsetenv("NOTIFY_SOCKET");
	CHECK_EQ(sdnotify_init(&n), -ENOENT);
	CHECK_EQ(sdnotify_send(&n, "READY=1"), 0);
	setenv("NOTIFY_SOCKET", "", 1);
	CHECK_EQ(sdnotify_init(&n), -ENOENT);
	setenv("NOTIFY_SOCKET", "vsock:2:1", 1);
	CHECK_EQ(sdnotify_init(&n), -EINVAL);
	CHECK_EQ(sdnotify_send(&n, "READY=1"), 0);
	memset(too_long + 1, 'a', sizeof(too_long) - 2);
	setenv("NOTIFY_SOCKET", too_long, 1);
	CHECK_EQ(sdnotify_init(&n), -EINVAL);
	setenv("NOTIFY_SOCKET", "/nowhere/at/all", 1);
	CHECK_EQ(sdnotify_init(&n), 0);
	CHECK_EQ(sdnotify_send(&n, "READY=1"), -ENOENT);
	sdnotify_done(&n);
}

static void test_watchdog(void)
{
	static const struct {
		const char *us, *pid;
		int64_t ms;
	} rows[] = {
		{ "180000000", "", 180000 },
		{ "180000000", "me", 180000 },
		{ "180000000", "1", 0 },
		{ "0", "", 0 },
		{ "-1", "", 0 },
		{ "1e6", "", 0 },
		{ "999", "", 0 },
		{ "99999999999999999999", "", 0 },
	};
	char me[32];

	snprintf(me, sizeof(me), "%d", (int)getpid());
	setenv("NOTIFY_SOCKET", "/nowhere", 1);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct sdnotify n;

		check_row("%s", rows[i].us);
		setenv("WATCHDOG_USEC", rows[i].us, 1);
		setenv("WATCHDOG_PID",
		       !strcmp(rows[i].pid, "me") ? me : rows[i].pid, 1);
		CHECK_EQ(sdnotify_init(&n), 0);
		CHECK_EQ(n.watchdog_ms, rows[i].ms);
		sdnotify_done(&n);
	}
}

int main(void)
{
	RUN(test_words);
	RUN(test_sockets);
	RUN(test_nobody_listens);
	RUN(test_watchdog);
	return check_report();
}
