#include "fs/config.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/config_file.h"
#include "fs/paths.h"
#include "tests/unit/alloc.h"
#include "tests/unit/check.h"

static char dir[64], why[512];

/* An empty home, and no options of the person who runs this. */
static void set_up(void)
{
	for (size_t i = 0; environ[i];) {
		char name[128];

		snprintf(name, sizeof(name), "%.*s",
		         (int)strcspn(environ[i], "="), environ[i]);
		if (strncmp(name, "NMBACKUPFS_", 11) == 0)
			unsetenv(name);
		else
			i++;
	}
	strcpy(dir, "/tmp/nmb-config-XXXXXX");
	CHECK(mkdtemp(dir) != NULL);
	setenv("HOME", dir, 1);
	setenv("XDG_CONFIG_HOME", dir, 1);
	unsetenv("XDG_STATE_HOME");
	why[0] = '\0';
}

static void tear_down(void)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	CHECK_EQ(system(cmd), 0);
}

static void write_config(const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/nmbackupfs", dir);
	mkdir(path, 0700);
	strcat(path, "/config");
	f = fopen(path, "w");
	CHECK(f != NULL);
	fputs(text, f);
	fclose(f);
}

static void expect_file(const char *text)
{
	char path[128], got[16384];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "%s/nmbackupfs/config", dir);
	f = fopen(path, "r");
	CHECK(f != NULL);
	n = fread(got, 1, sizeof(got) - 1, f);
	got[n] = '\0';
	fclose(f);
	CHECK_STR(got, text);
}

static bool is_command(const char *word)
{
	return strcmp(word, "put") == 0;
}

/* The words are split at blanks; what is left comes back joined. */
static int take(struct config *c, const char *line, char *left, size_t size)
{
	char text[512], *argv[32], *save;
	int argc = 0, rc;

	snprintf(text, sizeof(text), "prog %s", line);
	for (char *w = strtok_r(text, " ", &save); w;
	     w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	argv[argc] = NULL;
	rc = config_take_args(c, &argc, argv, is_command, why, sizeof(why));
	left[0] = '\0';
	for (int i = 1; rc == 0 && i < argc; i++) {
		size_t len = strlen(left);

		snprintf(left + len, size - len, "%s%s", i > 1 ? " " : "",
		         argv[i]);
	}
	CHECK(rc < 0 || !argv[argc]);
	return rc;
}

static int load(struct config *c, const char *flags)
{
	char left[256];
	int rc = take(c, flags, left, sizeof(left));

	return rc < 0 ? rc : config_load(c, why, sizeof(why));
}

/* ---- values ------------------------------------------------------------ */

static const struct {
	const char *flag;
	enum config_key key;
	int rc;
	int64_t number;
} numbers[] = {
	{ "--cache-size=0", CONFIG_CACHE_SIZE, 0, 0 },
	{ "--cache-size=123", CONFIG_CACHE_SIZE, 0, 123 },
	{ "--cache-size=123B", CONFIG_CACHE_SIZE, 0, 123 },
	{ "--cache-size=2k", CONFIG_CACHE_SIZE, 0, 2048 },
	{ "--cache-size=2KiB", CONFIG_CACHE_SIZE, 0, 2048 },
	{ "--cache-size=3M", CONFIG_CACHE_SIZE, 0, 3 << 20 },
	{ "--cache-size=20G", CONFIG_CACHE_SIZE, 0, INT64_C(20) << 30 },
	{ "--cache-size=1T", CONFIG_CACHE_SIZE, 0, INT64_C(1) << 40 },
	{ "--cache-size=", CONFIG_CACHE_SIZE, -EINVAL, 0 },
	{ "--cache-size=G", CONFIG_CACHE_SIZE, -EINVAL, 0 },
	{ "--cache-size=-1", CONFIG_CACHE_SIZE, -EINVAL, 0 },
	{ "--cache-size=+1", CONFIG_CACHE_SIZE, -EINVAL, 0 },
	{ "--cache-size=1.5G", CONFIG_CACHE_SIZE, -EINVAL, 0 },
	{ "--cache-size=1X", CONFIG_CACHE_SIZE, -EINVAL, 0 },
	{ "--cache-size=0x10", CONFIG_CACHE_SIZE, -EINVAL, 0 },
	{ "--cache-size=9000000T", CONFIG_CACHE_SIZE, -EINVAL, 0 },
	{ "--cache-size=99999999999999999999", CONFIG_CACHE_SIZE, -EINVAL, 0 },
	{ "--bwlimit-up=500K", CONFIG_BWLIMIT_UP, 0, 512000 },
	{ "--deadline=0", CONFIG_DEADLINE, 0, 0 },
	{ "--deadline=30", CONFIG_DEADLINE, 0, 30000 },
	{ "--deadline=250ms", CONFIG_DEADLINE, 0, 250 },
	{ "--deadline=2s", CONFIG_DEADLINE, 0, 2000 },
	{ "--deadline=5m", CONFIG_DEADLINE, 0, 300000 },
	{ "--deadline=1h", CONFIG_DEADLINE, 0, 3600000 },
	{ "--deadline=1d", CONFIG_DEADLINE, 0, 86400000 },
	{ "--deadline=1y", CONFIG_DEADLINE, -EINVAL, 0 },
	{ "--deadline=1_h", CONFIG_DEADLINE, -EINVAL, 0 },
	{ "--plain", CONFIG_PLAIN, 0, 1 },
	{ "--plain=yes", CONFIG_PLAIN, 0, 1 },
	{ "--plain=ON", CONFIG_PLAIN, 0, 1 },
	{ "--plain=false", CONFIG_PLAIN, 0, 0 },
	{ "--plain=0", CONFIG_PLAIN, 0, 0 },
	{ "--no-plain", CONFIG_PLAIN, 0, 0 },
	{ "--plain --no-plain", CONFIG_PLAIN, 0, 0 },
	{ "--no-plain --plain", CONFIG_PLAIN, 0, 1 },
	{ "--plain=maybe", CONFIG_PLAIN, -EINVAL, 0 },
	{ "--plain=", CONFIG_PLAIN, -EINVAL, 0 },
	{ "--read_only", CONFIG_READ_ONLY, 0, 1 },
	{ "-f", CONFIG_FOREGROUND, 0, 1 },
	{ "-o ro", CONFIG_READ_ONLY, 0, 1 },
	{ "-oread-only=no", CONFIG_READ_ONLY, 0, 0 },
	{ "-o cache_size=1M,plain", CONFIG_CACHE_SIZE, 0, 1 << 20 },
	{ "-o cache-size=1M,plain", CONFIG_PLAIN, 0, 1 },
	{ "-o cache_size=x", CONFIG_CACHE_SIZE, -EINVAL, 0 },
	{ "-o", CONFIG_CACHE_SIZE, -EINVAL, 0 },
	{ "--cache-size", CONFIG_CACHE_SIZE, -EINVAL, 0 },
};

static void test_numbers(void)
{
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		struct config *c;

		check_row("%s", numbers[i].flag);
		set_up();
		CHECK_EQ(config_new(&c), 0);
		CHECK_EQ(load(c, numbers[i].flag), numbers[i].rc);
		CHECK((numbers[i].rc < 0) == (why[0] != '\0'));
		CHECK(!strchr(why, '\n'));
		if (numbers[i].rc == 0)
			CHECK_EQ(config_number(c, numbers[i].key),
			         numbers[i].number);
		config_free(c);
		tear_down();
	}
}

static const struct {
	const char *flag;
	enum config_key key;
	const char *text; /* NULL: refused */
} texts[] = {
	{ "--folder=a/b", CONFIG_FOLDER, "a/b" },
	{ "--folder a", CONFIG_FOLDER, "a" },
	{ "--folder a --folder b", CONFIG_FOLDER, "b" },
	{ "--folder=", CONFIG_FOLDER, "" },
	{ "--profile=work.2", CONFIG_PROFILE, "work.2" },
	{ "--profile=../x", CONFIG_PROFILE, NULL },
	{ "--profile=a/b", CONFIG_PROFILE, NULL },
	{ "--profile=.", CONFIG_PROFILE, NULL },
	{ "--profile=", CONFIG_PROFILE, NULL },
	{ "--log-level=debug", CONFIG_LOG_LEVEL, "debug" },
	{ "--log-level=loud", CONFIG_LOG_LEVEL, NULL },
	{ "--graph-url=https://g.example/v1.0", CONFIG_GRAPH_URL,
	  "https://g.example/v1.0" },
	{ "--graph-url=http://127.0.0.1:8080/v1.0", CONFIG_GRAPH_URL,
	  "http://127.0.0.1:8080/v1.0" },
	{ "--graph-url=http://localhost:1/v1.0", CONFIG_GRAPH_URL,
	  "http://localhost:1/v1.0" },
	{ "--graph-url=http://[::1]:1/v1.0", CONFIG_GRAPH_URL,
	  "http://[::1]:1/v1.0" },
	{ "--graph-url=http://g.example/v1.0", CONFIG_GRAPH_URL, NULL },
	{ "--graph-url=http://127.0.0.1.evil.example/", CONFIG_GRAPH_URL,
	  NULL },
	{ "--login-url=http://localhost@evil.example/", CONFIG_LOGIN_URL,
	  NULL },
	{ "--login-url=ftp://127.0.0.1/", CONFIG_LOGIN_URL, NULL },
};

static void test_texts(void)
{
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct config *c;

		check_row("%s", texts[i].flag);
		set_up();
		CHECK_EQ(config_new(&c), 0);
		CHECK_EQ(load(c, texts[i].flag), texts[i].text ? 0 : -EINVAL);
		if (texts[i].text)
			CHECK_STR(config_text(c, texts[i].key), texts[i].text);
		config_free(c);
		tear_down();
	}
}

/* ---- arguments --------------------------------------------------------- */

static const struct {
	const char *line, *left, *fuse;
} lines[] = {
	{ "", "", "" },
	{ "/mnt", "/mnt", "" },
	{ "--plain /mnt --folder x", "/mnt", "" },
	{ "/mnt -o allow_root,plain,max_read=4096", "/mnt",
	  "allow_root,max_read=4096" },
	{ "/mnt -o dev,,suid,", "/mnt", "dev,suid" },
	/* A flag that wants a value has none here: not ours. */
	{ "-o folder /mnt", "/mnt", "folder" },
	{ "--unknown /mnt", "--unknown /mnt", "" },
	{ "--no-unknown /mnt", "--no-unknown /mnt", "" },
	{ "--no-folder /mnt", "--no-folder /mnt", "" },
	{ "--help", "--help", "" },
	{ "-h", "-h", "" },
	{ "- /mnt", "- /mnt", "" },
	{ "-- --plain -f", "--plain -f", "" },
	/* Short options of a command are its own. */
	{ "put -o x file", "put -o x file", "" },
	{ "--plain put -f file", "put -f file", "" },
	{ "put --folder f file", "put file", "" },
	{ "put -- --folder", "put -- --folder", "" },
	{ "--recovery-key /mnt", "/mnt", "" },
	{ "put --recovery-key f", "put --recovery-key f", "" },
	{ "put --recovery-key=f", "put --recovery-key=f", "" },
	{ "put --no-recovery-key --recovery-key-out=f", "put", "" },
};

static void test_arguments(void)
{
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		char left[256];
		struct config *c;

		check_row("%s", lines[i].line);
		set_up();
		CHECK_EQ(config_new(&c), 0);
		CHECK_EQ(take(c, lines[i].line, left, sizeof(left)), 0);
		CHECK_STR(left, lines[i].left);
		CHECK_STR(config_fuse_options(c), lines[i].fuse);
		config_free(c);
		tear_down();
	}
}

/* ---- who wins ---------------------------------------------------------- */

static const struct {
	const char *name, *file, *env, *flag, *want;
} origins[] = {
	{ "default", "", NULL, "", "nmbackupfs" },
	{ "file", "folder = f\n", NULL, "", "f" },
	{ "profile", "folder = f\n[p]\nfolder = p\n", NULL, "--profile p",
	  "p" },
	{ "profile first", "[p]\nfolder = p\n", NULL, "--profile=p", "p" },
	{ "other profile", "folder = f\n[q]\nfolder = q\n", NULL, "--profile p",
	  "f" },
	{ "environment", "folder = f\n[p]\nfolder = p\n", "e", "--profile p",
	  "e" },
	{ "empty environment", "folder = f\n", "", "", "" },
	{ "flag", "folder = f\n", "e", "--folder x", "x" },
	{ "-o", "folder = f\n", "e", "-o folder=o", "o" },
	{ "last line", "folder = f\nfolder = g\n", NULL, "", "g" },
	{ "blanks", "  folder\t=  a b  \r\n", NULL, "", "a b" },
	{ "comments", "# folder = a\n;folder = b\n\nfolder=c", NULL, "", "c" },
	{ "in the value", "folder = a # b = c\n", NULL, "", "a # b = c" },
	{ "dashes", "[default]\nfolder = d\n", NULL, "", "d" },
};

static void test_origins(void)
{
	for (size_t i = 0; i < ARRAY_LEN(origins); i++) {
		struct config *c;

		check_row("%s", origins[i].name);
		set_up();
		write_config(origins[i].file);
		if (origins[i].env)
			setenv("NMBACKUPFS_FOLDER", origins[i].env, 1);
		CHECK_EQ(config_new(&c), 0);
		CHECK_EQ(load(c, origins[i].flag), 0);
		CHECK_STR(why, "");
		CHECK_STR(config_text(c, CONFIG_FOLDER), origins[i].want);
		config_free(c);
		tear_down();
	}
}

/* The profile itself may come from the environment. */
static void test_profile_from_environment(void)
{
	struct config *c;

	set_up();
	write_config("[p]\nplain = yes\nwrite-back-delay = 3s\n");
	setenv("NMBACKUPFS_PROFILE", "p", 1);
	setenv("NMBACKUPFS_CACHE_SIZE", "5M", 1);
	CHECK_EQ(config_new(&c), 0);
	CHECK_EQ(load(c, ""), 0);
	CHECK(config_bool(c, CONFIG_PLAIN));
	CHECK_EQ(config_number(c, CONFIG_WRITE_BACK_DELAY), 3000);
	CHECK_EQ(config_number(c, CONFIG_CACHE_SIZE), 5 << 20);
	config_free(c);
	tear_down();
}

/* Each names the place, so that one knows what to change. */
static const struct {
	const char *file, *env, *part;
} errors[] = {
	{ "plain = yes\ncache_size = lots\n", NULL, "config:2: cache_size" },
	{ "nonsense = 1\n", NULL, "config:1: nonsense" },
	{ "profile = x\n", NULL, "config:1: profile" },
	{ "[p]\nfolder\n", NULL, "config:2: should be" },
	{ "[p\n", NULL, "config:1: should be" },
	{ "", "lots", "NMBACKUPFS_CACHE_SIZE: \"lots\" should be a size" },
};

static void test_errors(void)
{
	for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
		struct config *c;

		check_row("%zu", i);
		set_up();
		write_config(errors[i].file);
		if (errors[i].env)
			setenv("NMBACKUPFS_CACHE_SIZE", errors[i].env, 1);
		CHECK_EQ(config_new(&c), 0);
		CHECK_EQ(load(c, ""), -EINVAL);
		if (!strstr(why, errors[i].part))
			check_fail(__FILE__, __LINE__, "%s", why);
		config_free(c);
		tear_down();
	}
}

static void test_which_file(void)
{
	char flag[160];
	struct config *c;

	set_up();
	CHECK_EQ(config_new(&c), 0);
	CHECK_EQ(load(c, ""), 0); /* none is fine */
	CHECK(strstr(config_path(c), "/nmbackupfs/config") != NULL);
	config_free(c);

	snprintf(flag, sizeof(flag), "--config %s/absent", dir);
	CHECK_EQ(config_new(&c), 0);
	CHECK_EQ(load(c, flag), -ENOENT);
	CHECK(strstr(why, "absent") != NULL);
	config_free(c);

	write_config("plain = yes\n");
	snprintf(flag, sizeof(flag), "--config %s/nmbackupfs/config", dir);
	setenv("XDG_CONFIG_HOME", "/nowhere", 1);
	CHECK_EQ(config_new(&c), 0);
	CHECK_EQ(load(c, flag), 0);
	CHECK(config_bool(c, CONFIG_PLAIN));
	config_free(c);

	setenv("HOME", "relative", 1);
	setenv("XDG_CONFIG_HOME", "relative", 1);
	CHECK_EQ(config_new(&c), 0);
	CHECK_EQ(load(c, ""), -ENOENT);
	CHECK(strstr(why, "HOME") != NULL);
	config_free(c);
	tear_down();
}

/* A line too long to hold is refused, not taken for two. */
static void test_long_line(void)
{
	static char text[10000];
	struct config *c;

	set_up();
	memset(text, 'x', sizeof(text) - 1);
	memcpy(text, "folder = ", 9);
	memcpy(text + 8000, "\nplain = yes\n", 14);
	write_config(text);
	CHECK_EQ(config_new(&c), 0);
	CHECK_EQ(load(c, ""), -EINVAL);
	CHECK(strstr(why, "config:1:") != NULL);
	CHECK_EQ(config_store(c, CONFIG_CLIENT_ID, "id"), -EINVAL);
	expect_file(text);
	config_free(c);
	tear_down();
}

/* ---- storing ----------------------------------------------------------- */

static const struct {
	const char *name, *flags, *before, *after;
} stores[] = {
	{ "no file", "", NULL, "client_id = ID\n" },
	{ "no file, profile", "--profile p", NULL, "[p]\nclient_id = ID\n" },
	{ "replace", "", "# mine\nclient_id=old\nplain = yes\n",
	  "# mine\nclient_id = ID\nplain = yes\n" },
	{ "before the sections", "", "plain = yes\n\n[p]\nclient_id = P\n",
	  "plain = yes\n\nclient_id = ID\n[p]\nclient_id = P\n" },
	{ "in the section", "--profile p", "[p]\nplain = yes\n[q]\n",
	  "[p]\nplain = yes\nclient_id = ID\n[q]\n" },
	{ "in the last section", "--profile p",
	  "client_id = G\n[p]\nplain = yes",
	  "client_id = G\n[p]\nplain = yes\nclient_id = ID\n" },
	{ "new section", "--profile p", "client_id = G\n",
	  "client_id = G\n[p]\nclient_id = ID\n" },
	{ "twice there", "", "client_id = a\nclient_id = b\n",
	  "client_id = ID\n" },
};

static void test_store(void)
{
	for (size_t i = 0; i < ARRAY_LEN(stores); i++) {
		struct config *c;

		check_row("%s", stores[i].name);
		set_up();
		if (stores[i].before)
			write_config(stores[i].before);
		CHECK_EQ(config_new(&c), 0);
		CHECK_EQ(load(c, stores[i].flags), 0);
		CHECK_EQ(config_store(c, CONFIG_CLIENT_ID, "ID"), 0);
		expect_file(stores[i].after);
		CHECK_STR(config_text(c, CONFIG_CLIENT_ID), "ID");
		config_free(c);

		CHECK_EQ(config_new(&c), 0);
		CHECK_EQ(load(c, stores[i].flags), 0);
		CHECK_STR(config_text(c, CONFIG_CLIENT_ID), "ID");
		config_free(c);
		tear_down();
	}
}

static void test_store_refuses(void)
{
	struct config *c;

	set_up();
	CHECK_EQ(config_new(&c), 0);
	CHECK_EQ(load(c, ""), 0);
	CHECK_EQ(config_store(c, CONFIG_CLIENT_ID, "a\nplain = yes"), -EINVAL);
	CHECK_EQ(config_store(c, CONFIG_CACHE_SIZE, "lots"), -EINVAL);
	CHECK_STR(config_text(c, CONFIG_CACHE_SIZE), "20G");
	config_free(c);
	tear_down();
}

/* ---- help -------------------------------------------------------------- */

static void test_help(void)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);
	unsigned lines_seen = 0;

	config_print_help(f);
	fclose(f);
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		CHECK(!strncmp(line, "  --", 4));
		CHECK(strlen(line) < 100);
		lines_seen++;
	}
	CHECK_EQ(lines_seen, CONFIG_KEYS);
	free(text);
}

static void test_no_memory(void)
{
	unsigned rounds = 0;

	set_up();
	for (unsigned n = 1; alloc_fail_at(n); n++, rounds++) {
		struct config *c;
		int rc = config_new(&c);

		if (rc == 0) {
			char left[64];

			rc = take(c, "-o plain,dev --folder x", left, 64);
			config_free(c);
		}
		CHECK(rc == 0 || rc == -ENOMEM);
	}
	CHECK(rounds > CONFIG_KEYS);
	tear_down();
}

/* ---- places ------------------------------------------------------------ */

static void test_places(void)
{
	char got[PATH_MAX], want[160];
	struct config *c;

	set_up();
	CHECK_EQ(config_new(&c), 0);
	CHECK_EQ(load(c, "--profile p"), 0);
	CHECK_EQ(paths_state_dir(c, got, sizeof(got)), 0);
	snprintf(want, sizeof(want), "%s/.local/state/nmbackupfs/p", dir);
	CHECK_STR(got, want);
	setenv("XDG_STATE_HOME", "/s", 1);
	CHECK_EQ(paths_state_dir(c, got, sizeof(got)), 0);
	CHECK_STR(got, "/s/nmbackupfs/p");
	setenv("XDG_STATE_HOME", "s", 1); /* relative: to be ignored */
	CHECK_EQ(paths_state_dir(c, got, sizeof(got)), 0);
	CHECK_STR(got, want);
	CHECK_EQ(paths_state_dir(c, got, 10), -ENAMETOOLONG);
	config_free(c);

	CHECK_EQ(config_new(&c), 0);
	CHECK_EQ(load(c, "--state-dir /x/y"), 0);
	CHECK_EQ(paths_state_dir(c, got, sizeof(got)), 0);
	CHECK_STR(got, "/x/y");
	config_free(c);
	tear_down();
}

/* mount.fuse(8) says HOME=/root to everybody, systemd says nothing. */
static void test_home_of_others(void)
{
	bool root = geteuid() == 0;
	struct passwd *pw;
	char got[PATH_MAX], want[PATH_MAX];

	set_up();
	unsetenv("XDG_CONFIG_HOME");
	setenv("HOME", "/root", 1);
	if (root) {
		CHECK_EQ(paths_config_dir(got, sizeof(got)), 0);
		CHECK_STR(got, "/root/.config/nmbackupfs");
		CHECK_EQ(seteuid(65534), 0);
	}
	pw = getpwuid(geteuid());
	for (int unset = 0; pw && unset < 2; unset++) {
		snprintf(want, sizeof(want), "%s/.config/nmbackupfs",
		         pw->pw_dir);
		CHECK_EQ(paths_config_dir(got, sizeof(got)), 0);
		CHECK_STR(got, want);
		unsetenv("HOME");
	}
	if (root)
		CHECK_EQ(seteuid(0), 0);
	tear_down();
}

static void test_private(void)
{
	char path[128];
	struct stat st;

	set_up();
	snprintf(path, sizeof(path), "%s/a/b/c", dir);
	CHECK_EQ(paths_make_private(path, why, sizeof(why)), 0);
	CHECK_EQ(stat(path, &st), 0);
	CHECK_EQ(st.st_mode & 07777, 0700);
	CHECK_EQ(paths_make_private(path, why, sizeof(why)), 0);
	CHECK_EQ(chmod(path, 0750), 0);
	CHECK_EQ(paths_make_private(path, why, sizeof(why)), -EPERM);
	CHECK(strstr(why, "chmod 700") != NULL);
	CHECK_EQ(stat(path, &st), 0);
	CHECK_EQ(st.st_mode & 07777, 0750); /* nothing was changed */
	if (geteuid() == 0) {
		CHECK_EQ(chmod(path, 0700), 0);
		CHECK_EQ(chown(path, 12345, 0), 0);
		CHECK_EQ(paths_make_private(path, why, sizeof(why)), -EPERM);
		CHECK(strstr(why, "another user") != NULL);
	}
	CHECK_EQ(rmdir(path), 0);
	CHECK_EQ(symlink("/tmp", path), 0); /* not ours to follow */
	CHECK_EQ(paths_make_private(path, why, sizeof(why)), -ENOTDIR);
	tear_down();
}

int main(void)
{
	RUN(test_numbers);
	RUN(test_texts);
	RUN(test_arguments);
	RUN(test_origins);
	RUN(test_profile_from_environment);
	RUN(test_errors);
	RUN(test_which_file);
	RUN(test_long_line);
	RUN(test_store);
	RUN(test_store_refuses);
	RUN(test_help);
	RUN(test_no_memory);
	RUN(test_places);
	RUN(test_home_of_others);
	RUN(test_private);
	return check_report();
}
