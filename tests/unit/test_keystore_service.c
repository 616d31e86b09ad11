/* The keystore backend "secret-service" against gnome-keyring on a bus of its
 * own: the program starts itself anew under dbus-run-session, with a home
 * directory made for it. Skipped where these are missing. */
#include "auth/keystore.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sodium.h>

#include "net/clock.h"
#include "tests/unit/check.h"

#define MARK "NMB_TEST_KEYRING_HOME"

static char keys[128];

static void set_dir(const char *name)
{
	snprintf(keys, sizeof(keys), "%s/%s.keys", getenv(MARK), name);
}

static int try_open(const char *backend, struct keystore **out, char *why,
                    size_t size)
{
	struct keystore_options opt = { .backend = backend,
		                        .profile = "p",
		                        .dir = keys };

	why[0] = '\0';
	return keystore_open(&opt, out, why, size);
}

static struct keystore *open_store(const char *backend)
{
	struct keystore *k = NULL;
	char why[300];

	CHECK_EQ(try_open(backend, &k, why, sizeof(why)), 0);
	CHECK_STR(why, "");
	if (!k)
		exit(check_report());
	return k;
}

static int get_rc(struct keystore *k, const char *name)
{
	void *p = NULL;
	size_t len;
	int rc = keystore_get(k, name, &p, &len);

	sodium_free(p);
	return rc;
}

static void check_blob(struct keystore *k, const char *name, const void *want,
                       size_t want_len)
{
	void *p = NULL;
	size_t len = 0;

	CHECK_EQ(keystore_get(k, name, &p, &len), 0);
	CHECK_EQ(len, want_len);
	if (p && len == want_len)
		CHECK_MEM(p, want, len);
	sodium_free(p);
}

static bool is_noted(void)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/keystore.name", keys);
	return access(path, F_OK) == 0;
}

static void shell(const char *command)
{
	CHECK_EQ(system(command), 0);
}

static void test_default_is_the_keyring(void)
{
	struct keystore *k;

	set_dir("default");
	k = open_store(NULL);
	CHECK(strstr(keystore_where(k), "Secret Service") != NULL);
	CHECK_STR(keystore_note(k), "");
	CHECK_EQ(get_rc(k, "token"), -ENOENT);
	CHECK(!is_noted());
	CHECK_EQ(keystore_put(k, "token", "one", 3), 0);
	CHECK(is_noted());
	check_blob(k, "token", "one", 3);
	keystore_close(k);

	k = open_store(NULL);
	check_blob(k, "token", "one", 3);
	CHECK_EQ(keystore_delete(k, "token"), 0);
	CHECK(!is_noted());
	keystore_close(k);
}

static void test_blobs(void)
{
	static unsigned char big[KEYSTORE_MAX_BLOB];
	struct keystore *k;

	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (unsigned char)(i * 7);
	set_dir("blobs");
	k = open_store("secret-service");
	CHECK_EQ(keystore_put(k, "token", big, sizeof(big)), 0);
	check_blob(k, "token", big, sizeof(big));
	CHECK_EQ(keystore_put(k, "token", "", 0), 0);
	check_blob(k, "token", "", 0);
	CHECK_EQ(keystore_put(k, "identity", "\0\377\n", 3), 0);
	check_blob(k, "identity", "\0\377\n", 3);
	check_blob(k, "token", "", 0);
	CHECK_EQ(get_rc(k, "pin"), -ENOENT);
	CHECK_EQ(keystore_delete(k, "pin"), 0);
	CHECK_EQ(keystore_delete(k, "token"), 0);
	CHECK(is_noted());
	CHECK_EQ(keystore_delete(k, "identity"), 0);
	CHECK(!is_noted());
	keystore_close(k);
}

/* What is stored there is what other tools show. */
static void test_attributes(void)
{
	struct keystore *k;

	set_dir("attributes");
	k = open_store("secret-service");
	CHECK_EQ(keystore_put(k, "token", "text", 4), 0);
	if (system("command -v secret-tool >/dev/null") == 0)
		shell("test \"$(secret-tool lookup application nmbackupfs "
		      "profile p name token)\" = dGV4dA==");
	CHECK_EQ(keystore_delete(k, "token"), 0);
	keystore_close(k);
}

static void test_move(void)
{
	struct keystore_options opt = { .profile = "p", .dir = keys };
	struct keystore *k;
	char why[300];

	set_dir("move");
	k = open_store("file");
	CHECK_EQ(keystore_put(k, "token", "t", 1), 0);
	CHECK_EQ(keystore_put(k, "pin", "p", 1), 0);
	keystore_close(k);
	opt.backend = "secret-service";
	CHECK_EQ(keystore_move(&opt, why, sizeof(why)), 0);
	CHECK(is_noted());
	k = open_store(NULL);
	CHECK(strstr(keystore_where(k), "Secret Service") != NULL);
	check_blob(k, "token", "t", 1);
	check_blob(k, "pin", "p", 1);
	keystore_close(k);
	opt.backend = "file";
	CHECK_EQ(keystore_move(&opt, why, sizeof(why)), 0);
	CHECK(!is_noted());
	k = open_store(NULL);
	CHECK(strstr(keystore_where(k), "file ") != NULL);
	check_blob(k, "token", "t", 1);
	keystore_close(k);
	k = open_store("file");
	CHECK_EQ(keystore_delete(k, "token"), 0);
	CHECK_EQ(keystore_delete(k, "pin"), 0);
	keystore_close(k);
}

/* Nobody is there to unlock it: an error in time, and never "none". */
static void test_locked(void)
{
	struct keystore *k, *other = NULL;
	int64_t before;
	char why[300];

	set_dir("locked");
	k = open_store("secret-service");
	CHECK_EQ(keystore_put(k, "token", "one", 3), 0);
	shell("dbus-send --session --print-reply "
	      "--dest=org.freedesktop.secrets /org/freedesktop/secrets "
	      "org.freedesktop.Secret.Service.Lock "
	      "array:objpath:/org/freedesktop/secrets/collection/login "
	      ">/dev/null");
	before = clock_mono_ms();
	CHECK_EQ(get_rc(k, "token"), -ENOKEY);
	CHECK_EQ(get_rc(k, "pin"), -ENOKEY);
	CHECK_EQ(keystore_put(k, "token", "two", 3), -ENOKEY);
	CHECK_EQ(keystore_delete(k, "token"), -ENOKEY);
	CHECK_EQ(try_open(NULL, &other, why, sizeof(why)), -ENOKEY);
	CHECK(strstr(why, "locked") != NULL);
	CHECK(clock_mono_ms() - before < 10000);
	keystore_close(k);

	/* A profile without secrets goes elsewhere, and is told. */
	set_dir("locked-new");
	k = open_store(NULL);
	CHECK(strstr(keystore_where(k), "file ") != NULL);
	CHECK(strstr(keystore_note(k), "locked") != NULL);
	keystore_close(k);
}

/* Our daemon, not another one of that name. */
static pid_t service_pid(void)
{
	FILE *f = popen("dbus-send --session --print-reply=literal "
	                "--dest=org.freedesktop.DBus / "
	                "org.freedesktop.DBus.GetConnectionUnixProcessID "
	                "string:org.freedesktop.secrets",
	                "re");
	int pid = 0;

	CHECK(f && fscanf(f, " uint32 %d", &pid) == 1);
	if (f)
		pclose(f);
	return pid;
}

/* It answered once and is gone now, or hangs. */
static void test_hangs_and_gone(void)
{
	struct keystore *k = NULL;
	int64_t before;
	char why[300];
	pid_t pid = service_pid();

	if (pid <= 0)
		return;
	set_dir("locked");
	CHECK_EQ(kill(pid, SIGSTOP), 0);
	before = clock_mono_ms();
	CHECK_EQ(try_open(NULL, &k, why, sizeof(why)), -ETIMEDOUT);
	CHECK(clock_mono_ms() - before < 15000);
	before = clock_mono_ms();
	set_dir("hangs-new");
	k = open_store(NULL);
	CHECK(strstr(keystore_where(k), "file ") != NULL);
	CHECK(clock_mono_ms() - before < 4000);
	keystore_close(k);
	CHECK_EQ(kill(pid, SIGCONT), 0);

	setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus", 1);
	set_dir("locked");
	/* The connection of before may still serve for a moment. */
	for (int i = 0;
	     i < 100 && try_open(NULL, &k, why, sizeof(why)) == -ENOKEY; i++)
		nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
	CHECK_EQ(try_open(NULL, &k, why, sizeof(why)), -ENXIO);
	CHECK_EQ(try_open("file", &k, why, sizeof(why)), -EEXIST);
	CHECK(strstr(why, "keystore move file") != NULL);
	unsetenv("DBUS_SESSION_BUS_ADDRESS");
	unsetenv("XDG_RUNTIME_DIR");
	CHECK_EQ(try_open(NULL, &k, why, sizeof(why)), -ENXIO);
	CHECK(strstr(why, "no session bus") != NULL);
	set_dir("no-bus");
	k = open_store(NULL);
	CHECK(strstr(keystore_note(k), "no session bus") != NULL);
	keystore_close(k);
}

/* ---- a bus of our own ---------------------------------------------------- */

/* A directory goes with everything in it; the daemon ends with its bus. */
static int run_under_bus(char *self)
{
	static const char script[] =
		"printf secret | gnome-keyring-daemon --unlock "
		"--components=secrets >/dev/null 2>&1 && \"$0\"";
	char home[] = "/tmp/nmb-keyring-XXXXXX", cmd[64];
	int status;
	pid_t pid;

	if (!mkdtemp(home))
		return 1;
	pid = fork();
	if (pid == 0) {
		setenv("HOME", home, 1);
		setenv(MARK, home, 1);
		setenv("XDG_RUNTIME_DIR", home, 1);
		unsetenv("XDG_DATA_HOME");
		unsetenv("XDG_CONFIG_HOME");
		unsetenv("DISPLAY");
		unsetenv("WAYLAND_DISPLAY");
		execlp("dbus-run-session", "dbus-run-session", "--", "sh", "-c",
		       script, self, NULL);
		_exit(1);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", home);
	if (system(cmd) != 0)
		return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* GLib is not built for ThreadSanitizer: it sees races there that are none. */
#if !defined(HAVE_LIBSECRET) || defined(__SANITIZE_THREAD__)
#define POSSIBLE false
#else
#define POSSIBLE true
#endif

static void skip_all(void)
{
	SKIP("no libsecret, dbus-run-session or gnome-keyring-daemon, or "
	     "ThreadSanitizer");
}

int main(int argc, char **argv)
{
	(void)argc;
	if (!POSSIBLE || system("command -v dbus-run-session dbus-send "
	                        "gnome-keyring-daemon >/dev/null 2>&1") != 0) {
		RUN(skip_all);
		return check_report();
	}
	if (!getenv(MARK))
		return run_under_bus(argv[0]);
	RUN(test_default_is_the_keyring);
	RUN(test_blobs);
	RUN(test_attributes);
	RUN(test_move);
	RUN(test_locked);
	RUN(test_hangs_and_gone);
	return check_report();
}
