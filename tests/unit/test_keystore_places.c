/* The keystore beyond plain files: a sealed file, an external command, which
 * of them a profile's secrets are in, and moving from one to the other. (The
 * Secret Service has test_keystore_service.) */
#include "auth/keystore.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "auth/sealed_box.h"
#include "net/log.h"
#include "tests/unit/alloc.h"
#include "tests/unit/check.h"

static char base[64], dir[96], key_command[600];

/* ---- helpers ------------------------------------------------------------- */

/* The command keeps files in base/vault, and counts its calls. */
static void make_base(void)
{
	char path[96];

	strcpy(base, "/tmp/nmb-places-XXXXXX");
	CHECK(mkdtemp(base) != NULL);
	snprintf(dir, sizeof(dir), "%s/p.keys", base);
	snprintf(path, sizeof(path), "%s/vault", base);
	CHECK_EQ(mkdir(path, 0700), 0);
	snprintf(key_command, sizeof(key_command),
	         "f='%s'/\"$NMBACKUPFS_KEY_PROFILE.$NMBACKUPFS_KEY_NAME\"\n"
	         "case $NMBACKUPFS_KEY_ACTION in\n"
	         "get) test -e \"$f\" || exit 66; cat \"$f\" ;;\n"
	         "put) cat > \"$f\"; echo kept ;;\n"
	         "delete) test -e \"$f\" || exit 66; rm \"$f\" ;;\n"
	         "esac",
	         path);
}

static void remove_base(void)
{
	char cmd[96];

	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", base);
	CHECK_EQ(system(cmd), 0);
}

static char *path_of(const char *name)
{
	static char path[160];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static bool is_there(const char *name)
{
	return access(path_of(name), F_OK) == 0;
}

static void put_file(const char *name, const void *data, size_t len)
{
	int fd;

	mkdir(dir, 0700);
	fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
	CHECK_EQ(write(fd, data, len), len);
	close(fd);
}

static int try_open(const char *backend, const char *passphrase,
                    struct keystore **out, char *why, size_t size)
{
	char line[96];
	struct keystore_options opt = {
		.backend = backend,
		.profile = "p",
		.dir = dir,
		.passphrase_command = passphrase ? line : NULL,
		.key_command = key_command,
	};

	snprintf(line, sizeof(line), "echo '%s'", passphrase ? passphrase : "");
	why[0] = '\0';
	return keystore_open(&opt, out, why, size);
}

static struct keystore *open_in(const char *backend)
{
	struct keystore *k = NULL;
	char why[300];

	CHECK_EQ(try_open(backend, "hunter2", &k, why, sizeof(why)), 0);
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

static void check_blob(struct keystore *k, const char *name, const char *want)
{
	void *p = NULL;
	size_t len = 0;

	CHECK_EQ(keystore_get(k, name, &p, &len), 0);
	CHECK_EQ(len, strlen(want));
	if (p && len == strlen(want))
		CHECK_MEM(p, want, len);
	sodium_free(p);
}

/* Opening costs no 256 MiB then. */
static void make_cheap_sealed(void)
{
	static uint8_t text[SEALED_MAX_TEXT], file[SEALED_MAX];
	struct sealed_key key;
	size_t len = 0;

	CHECK_EQ(sealed_key_new("hunter2", 7, 1, 8, &key), 0);
	CHECK_EQ(sealed_edit(text, &len, "token", "one", 3), 0);
	CHECK_EQ(sealed_close(&key, text, len, file, &len), 0);
	sealed_key_done(&key);
	put_file("secrets.sealed", file, len);
}

/* ---- sealed -------------------------------------------------------------- */

static void test_sealed_life(void)
{
	struct keystore *k;
	struct stat st;

	make_base();
	k = open_in("sealed");
	CHECK_EQ(get_rc(k, "token"), -ENOENT);
	CHECK(!is_there("secrets.sealed"));
	CHECK_EQ(keystore_put(k, "token", "one", 3), 0);
	CHECK_EQ(stat(path_of("secrets.sealed"), &st), 0);
	CHECK_EQ(st.st_mode & 0777, 0600);
	CHECK_EQ(keystore_put(k, "pin", "", 0), 0);
	check_blob(k, "token", "one");
	check_blob(k, "pin", "");
	keystore_close(k);

	k = open_in(NULL); /* found, not asked for */
	CHECK(strncmp(keystore_where(k), "sealed file ", 12) == 0);
	check_blob(k, "token", "one");
	CHECK_EQ(get_rc(k, "identity"), -ENOENT);
	CHECK_EQ(keystore_put(k, "token", "two", 3), 0);
	CHECK_EQ(keystore_delete(k, "pin"), 0);
	CHECK_EQ(keystore_delete(k, "identity"), 0);
	check_blob(k, "token", "two");
	CHECK_EQ(keystore_delete(k, "token"), 0);
	CHECK(!is_there("secrets.sealed"));
	CHECK_EQ(get_rc(k, "token"), -ENOENT);
	keystore_close(k);
	remove_base();
}

static void test_sealed_refusals(void)
{
	struct keystore *k = NULL;
	char why[300];

	make_base();
	make_cheap_sealed();
	CHECK_EQ(try_open(NULL, "hunter3", &k, why, sizeof(why)),
	         -EKEYREJECTED);
	CHECK(strstr(why, "wrong passphrase") != NULL);
	CHECK(!strstr(why, "hunter"));
	CHECK_EQ(try_open(NULL, "", &k, why, sizeof(why)), -EINVAL);
	CHECK_EQ(try_open(NULL, NULL, &k, why, sizeof(why)), -ENOTTY);
	CHECK_EQ(try_open("file", "hunter2", &k, why, sizeof(why)), -EEXIST);

	CHECK_EQ(chmod(path_of("secrets.sealed"), 0640), 0);
	CHECK_EQ(try_open(NULL, "hunter2", &k, why, sizeof(why)), -EPERM);
	CHECK_EQ(chmod(path_of("secrets.sealed"), 0600), 0);
	CHECK_EQ(truncate(path_of("secrets.sealed"), 100), 0);
	CHECK_EQ(try_open(NULL, "hunter2", &k, why, sizeof(why)), -EBADMSG);
	CHECK(strstr(why, "damaged") != NULL);
	CHECK_EQ(truncate(path_of("secrets.sealed"), 0), 0);
	CHECK_EQ(try_open(NULL, "hunter2", &k, why, sizeof(why)), -EBADMSG);
	CHECK_EQ(truncate(path_of("secrets.sealed"), 1 << 24), 0);
	CHECK_EQ(try_open(NULL, "hunter2", &k, why, sizeof(why)), -EBADMSG);
	CHECK_EQ(unlink(path_of("secrets.sealed")), 0);
	CHECK_EQ(symlink("/etc/passwd", path_of("secrets.sealed")), 0);
	CHECK_EQ(try_open(NULL, "hunter2", &k, why, sizeof(why)), -EPERM);
	remove_base();
}

/* Another program changes the file, or makes it anew, meanwhile. */
static void test_sealed_shared(void)
{
	struct keystore *a, *b, *early;

	make_base();
	early = open_in("sealed"); /* there was no file yet */
	make_cheap_sealed();
	check_blob(early, "token", "one");
	keystore_close(early);
	a = open_in(NULL);
	b = open_in(NULL);
	CHECK_EQ(keystore_put(a, "pin", "by a", 4), 0);
	CHECK_EQ(keystore_put(b, "identity", "by b", 4), 0);
	check_blob(a, "identity", "by b");
	check_blob(b, "pin", "by a");
	make_cheap_sealed(); /* another salt */
	check_blob(a, "token", "one");
	CHECK_EQ(keystore_put(b, "token", "two", 3), 0);
	check_blob(a, "token", "two");
	keystore_close(b);
	CHECK_EQ(truncate(path_of("secrets.sealed"), 100), 0);
	CHECK_EQ(get_rc(a, "token"), -EBADMSG);
	CHECK_EQ(keystore_put(a, "token", "three", 5), -EBADMSG);
	keystore_close(a);
	remove_base();
}

static void test_sealed_no_memory(void)
{
	make_base();
	make_cheap_sealed();
	for (unsigned n = 1; alloc_fail_at(n); n++) {
		struct keystore *k = NULL;
		char why[300];
		int rc = try_open(NULL, "hunter2", &k, why, sizeof(why));

		check_row("allocation %u", n);
		CHECK(rc == 0 || rc == -ENOMEM);
		if (rc == 0) {
			rc = keystore_put(k, "token", "x", 1);
			CHECK(rc == 0 || rc == -ENOMEM);
			rc = get_rc(k, "token");
			CHECK(rc == 0 || rc == -ENOMEM);
		}
		keystore_close(k);
	}
	alloc_fail_off();
	remove_base();
}

/* ---- command ------------------------------------------------------------- */

static void test_command_life(void)
{
	struct keystore *k;

	make_base();
	k = open_in("command");
	CHECK_EQ(get_rc(k, "token"), -ENOENT);
	CHECK(!is_there("keystore.name"));
	CHECK_EQ(keystore_put(k, "token", "one", 3), 0);
	CHECK(is_there("keystore.name"));
	check_blob(k, "token", "one");
	CHECK_EQ(keystore_put(k, "token", "", 0), 0);
	check_blob(k, "token", "");
	CHECK_EQ(keystore_put(k, "token", "\377\1", 2), 0);
	keystore_close(k);
	k = open_in(NULL);
	check_blob(k, "token", "\377\1");
	CHECK_EQ(keystore_delete(k, "pin"), 0);
	CHECK(is_there("keystore.name"));
	CHECK_EQ(keystore_delete(k, "token"), 0);
	CHECK(!is_there("keystore.name"));
	keystore_close(k);
	remove_base();
}

static void test_command_big(void)
{
	static char big[KEYSTORE_MAX_BLOB + 1];
	struct keystore *k;

	make_base();
	memset(big, 'b', KEYSTORE_MAX_BLOB);
	k = open_in("command");
	CHECK_EQ(keystore_put(k, "token", big, KEYSTORE_MAX_BLOB), 0);
	check_blob(k, "token", big);
	keystore_close(k);
	remove_base();
}

/* What a command may do wrong is never "there is none". */
static void test_command_misbehaves(void)
{
	static const struct {
		const char *line;
		int get, put, del;
	} rows[] = {
		{ "exit 1", -EREMOTEIO, -EREMOTEIO, -EREMOTEIO },
		{ "exit 127", -EREMOTEIO, -EREMOTEIO, -EREMOTEIO },
		{ "exit 66", -ENOENT, -EREMOTEIO, 0 },
		{ "kill -9 $$", -EREMOTEIO, -EREMOTEIO, -EREMOTEIO },
		{ "echo 'not base64!'", -EBADMSG, 0, 0 },
		{ "printf b25lb", -EBADMSG, 0, 0 },
		{ "printf ' b2\\r\\n5l\\n\\n'", 0, 0, 0 },
		{ "yes YWFh", -EFBIG, 0, 0 },
	};

	make_base();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct keystore *k;

		check_row("%s", rows[i].line);
		snprintf(key_command, sizeof(key_command), "%s", rows[i].line);
		if (!strncmp(rows[i].line, "yes", 3))
			snprintf(key_command, sizeof(key_command),
			         "test $NMBACKUPFS_KEY_ACTION != get || %s",
			         rows[i].line);
		k = open_in("command");
		CHECK_EQ(get_rc(k, "token"), rows[i].get);
		CHECK_EQ(keystore_put(k, "token", "one", 3), rows[i].put);
		CHECK_EQ(keystore_delete(k, "token"), rows[i].del);
		keystore_close(k);
		unlink(path_of("keystore.name"));
	}
	remove_base();
}

static void test_command_no_memory(void)
{
	make_base();
	for (unsigned n = 1; alloc_fail_at(n); n++) {
		struct keystore *k = NULL;
		char why[300];
		int rc = try_open("command", NULL, &k, why, sizeof(why));

		check_row("allocation %u", n);
		CHECK(rc == 0 || rc == -ENOMEM);
		if (rc == 0) {
			rc = keystore_put(k, "token", "x", 1);
			CHECK(rc == 0 || rc == -ENOMEM);
			rc = get_rc(k, "token");
			CHECK(rc == 0 || rc == -ENOMEM || rc == -ENOENT);
		}
		keystore_close(k);
	}
	alloc_fail_off();
	remove_base();
}

/* ---- which place --------------------------------------------------------- */

static void test_choice(void)
{
	static const struct {
		const char *note; /* NULL: none */
		bool file, sealed;
		const char *asked;
		int rc;
		const char *where; /* begins with */
	} rows[] = {
		{ NULL, false, false, NULL, 0, "file " },
		{ NULL, false, false, "sealed", 0, "sealed " },
		{ NULL, false, false, "command", 0, "the place " },
		{ NULL, false, false, "tape", -EINVAL, NULL },
		{ NULL, true, false, NULL, 0, "file " },
		{ NULL, true, false, "file", 0, "file " },
		{ NULL, true, false, "sealed", -EEXIST, NULL },
		{ NULL, true, false, "command", -EEXIST, NULL },
		{ NULL, false, true, NULL, 0, "sealed " },
		{ NULL, false, true, "file", -EEXIST, NULL },
		{ "command\n", false, false, NULL, 0, "the place " },
		{ "command\n", true, true, NULL, 0, "the place " },
		{ "command\n", true, false, "file", -EEXIST, NULL },
		{ "sealed\n", true, true, NULL, 0, "sealed " },
		{ "file\n", true, true, NULL, 0, "file " },
		{ "tape\n", true, false, NULL, -ENOTSUP, NULL },
		{ "", true, false, NULL, -EBADMSG, NULL },
		{ "command", true, false, NULL, -EBADMSG, NULL },
		{ "command\nx", true, false, NULL, -EBADMSG, NULL },
		{ "a name that is longer than any that there can be\n", true,
		  false, NULL, -EBADMSG, NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct keystore *k = NULL;
		char why[300];
		int rc;

		check_row("%zu", i);
		make_base();
		if (rows[i].note)
			put_file("keystore.name", rows[i].note,
			         strlen(rows[i].note));
		if (rows[i].file)
			put_file("token", "x", 1);
		if (rows[i].sealed)
			make_cheap_sealed();
		rc = try_open(rows[i].asked, "hunter2", &k, why, sizeof(why));
		CHECK_EQ(rc, rows[i].rc);
		CHECK_EQ(why[0] != '\0', rc < 0);
		if (rc == 0)
			CHECK(!strncmp(keystore_where(k), rows[i].where,
			               strlen(rows[i].where)));
		if (rc == 0) /* only a default needs a word */
			CHECK_EQ(keystore_note(k)[0] != '\0', i == 0);
		keystore_close(k);
		remove_base();
	}
}

static void test_no_key_command(void)
{
	struct keystore *k = NULL;
	char why[300];

	make_base();
	put_file("keystore.name", "command\n", 8);
	key_command[0] = '\0';
	CHECK_EQ(try_open(NULL, NULL, &k, why, sizeof(why)), -EINVAL);
	CHECK(strstr(why, "key_command") != NULL);
	remove_base();
}

/* The first put fails: the profile is as free as before. */
static void test_first_put_fails(void)
{
	struct keystore *k;

	make_base();
	strcpy(key_command, "test $NMBACKUPFS_KEY_ACTION = get && exit 66; "
	                    "exit 1");
	k = open_in("command");
	CHECK_EQ(keystore_put(k, "token", "x", 1), -EREMOTEIO);
	CHECK(!is_there("keystore.name"));
	strcpy(key_command, "exit 1"); /* who knows what is there */
	keystore_close(k);
	k = open_in("command");
	CHECK_EQ(keystore_put(k, "token", "x", 1), -EREMOTEIO);
	CHECK(is_there("keystore.name"));
	keystore_close(k);
	remove_base();
}

/* ---- moving -------------------------------------------------------------- */

static int move_to(const char *backend, char *why, size_t size)
{
	struct keystore_options opt = {
		.backend = backend,
		.profile = "p",
		.dir = dir,
		.passphrase_command = "echo hunter2",
		.key_command = key_command,
	};

	why[0] = '\0';
	return keystore_move(&opt, why, size);
}

static void test_move_around(void)
{
	static const char *const places[] = { "sealed",  "command", "file",
		                              "command", "sealed",  "file" };
	struct keystore *k;
	char why[300];

	make_base();
	CHECK_EQ(move_to("sealed", why, sizeof(why)), -ENOENT);
	CHECK_EQ(move_to("tape", why, sizeof(why)), -EINVAL);
	k = open_in("file");
	CHECK_EQ(keystore_put(k, "token", "one", 3), 0);
	CHECK_EQ(keystore_put(k, "identity", "two", 3), 0);
	keystore_close(k);
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		check_row("to %s", places[i]);
		CHECK_EQ(move_to(places[i], why, sizeof(why)), 0);
		CHECK_EQ(move_to(places[i], why, sizeof(why)), 0);
		CHECK_EQ(is_there("secrets.sealed"),
		         !strcmp(places[i], "sealed"));
		CHECK_EQ(is_there("keystore.name"),
		         !strcmp(places[i], "command"));
		CHECK_EQ(is_there("token"), !strcmp(places[i], "file"));
		k = open_in(NULL);
		check_blob(k, "token", "one");
		check_blob(k, "identity", "two");
		CHECK_EQ(get_rc(k, "pin"), -ENOENT);
		keystore_close(k);
	}
	remove_base();
}

/* Whatever fails on the way: all is where it was, and is found there. */
static void test_move_fails(void)
{
	static const char *const lines[] = {
		"exit 1",
		"test $NMBACKUPFS_KEY_ACTION = put", /* get: nothing */
		"test $NMBACKUPFS_KEY_ACTION = get && echo AAAA; exit 0",
		"test \"$NMBACKUPFS_KEY_NAME\" = token || exit 1; "
		"test $NMBACKUPFS_KEY_ACTION = put || echo b25l",
	};

	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		struct keystore *k;
		char why[300];

		check_row("%s", lines[i]);
		make_base();
		k = open_in("file");
		CHECK_EQ(keystore_put(k, "token", "one", 3), 0);
		CHECK_EQ(keystore_put(k, "identity", "two", 3), 0);
		keystore_close(k);
		strcpy(key_command, lines[i]);
		CHECK(move_to("command", why, sizeof(why)) < 0);
		CHECK(why[0] != '\0');
		k = open_in(NULL);
		CHECK(!strncmp(keystore_where(k), "file ", 5));
		check_blob(k, "token", "one");
		check_blob(k, "identity", "two");
		keystore_close(k);
		remove_base();
	}
}

int main(void)
{
	int null = open("/dev/null", O_RDWR);

	/* No terminal and no bus, also where a person runs this. */
	if (sodium_init() < 0 || null < 0 || dup2(null, STDIN_FILENO) < 0)
		return 1;
	close(null);
	unsetenv("DBUS_SESSION_BUS_ADDRESS");
	unsetenv("XDG_RUNTIME_DIR");
	log_set_level(LOG_LEVEL_ERROR);
	RUN(test_sealed_life);
	RUN(test_sealed_refusals);
	RUN(test_sealed_shared);
	RUN(test_sealed_no_memory);
	RUN(test_command_life);
	RUN(test_command_big);
	RUN(test_command_misbehaves);
	RUN(test_command_no_memory);
	RUN(test_choice);
	RUN(test_no_key_command);
	RUN(test_first_put_fails);
	RUN(test_move_around);
	RUN(test_move_fails);
	return check_report();
}
