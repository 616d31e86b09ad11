#include "net/names.h"

#include <errno.h>
#include <fcntl.h>
#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/alloc.h"
#include "tests/unit/check.h"

#define REMOTE_SIZE 1024

/* facts/graph.md 11.2: every row of the table and every example, and what the
 * rules say where ends meet. */
static const struct {
	const char *plain, *remote;
} pairs[] = {
	{ "plain.txt", "plain.txt" },
	{ "\"q\"", "＂q＂" },
	{ "*", "＊" },
	{ "a:b", "a：b" },
	{ "<a>", "＜a＞" },
	{ "a?", "a？" },
	{ "a\\b", "a＼b" },
	{ "a|b", "a｜b" },
	{ "~x", "～x" },
	{ "x~", "x~" },
	{ "~", "～" },
	{ "x ", "x␠" },
	{ " x", "␠x" },
	{ " ", "␠" },
	{ "  ", "␠␠" },
	{ "   ", "␠ ␠" },
	{ "a  ", "a ␠" },
	{ "a..", "a.．" },
	{ "a.", "a．" },
	{ ". ", ".␠" },
	{ " .", "␠．" },
	{ "...", "..．" },
	{ ".hidden", ".hidden" },
	{ "\x01", "␁" },
	{ "a\nb", "a␊b" },
	{ "\x1f", "␟" },
	{ "\x7f", "␡" },
	{ "a\xff", "a‛FF" },
	{ "\xed\xa0\x80", "‛ED‛A0‛80" }, /* a surrogate */
	{ "\xc0\xaf", "‛C0‛AF" },        /* overlong */
	{ "\xf4\x90\x80\x80", "‛F4‛90‛80‛80" },
	{ "\xe2\x82", "‛E2‛82" },
	{ "\xe2\x82x", "‛E2‛82x" },
	/* what the mapping itself makes is quoted */
	{ "a：b", "a‛：b" },
	{ "＂＊／：＜＞？＼｜", "‛＂‛＊‛／‛：‛＜‛＞‛？‛＼‛｜" },
	{ "␀␁␟␡", "‛␀‛␁‛␟‛␡" },
	{ "‛", "‛‛" },
	{ "‛41", "‛‛41" },
	{ "␠x", "‛␠x" },
	{ "x␠", "x‛␠" },
	{ "a␠b", "a␠b" },
	{ "～x", "‛～x" },
	{ "a～", "a～" },
	{ "a．", "a‛．" },
	{ "a．b", "a．b" },
	{ "．", "‛．" },
	{ "．．", "‛．‛．" },
	{ "．．．", "．．‛．" },
	{ "．.", "．．" },
	{ ".．", ".‛．" },
	{ "‛.", "‛‛．" },
	{ "‛．", "‛‛‛．" },
	{ "‛‛ ", "‛‛‛‛␠" },
	{ "‛．‛．", "‛‛．‛‛‛．" },
	{ "\xef\xbf\xbd", "\xef\xbf\xbd" }, /* U+FFFD is no invalid byte */
	{ "\xef\xbf\xbe", "\xef\xbf\xbe" }, /* nor is a noncharacter */
	/* not mapped, by design the same as rclone */
	{ "#%", "#%" },
	{ "CON", "CON" },
	{ "_vti_", "_vti_" },
	{ "x~$", "x~$" },
	{ "Ünïcödé 日本 👍", "Ünïcödé 日本 👍" },
};

static void test_pairs(void)
{
	char out[REMOTE_SIZE];

	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		check_row("'%s'", pairs[i].plain);
		CHECK_EQ(names_to_remote(pairs[i].plain, out, sizeof(out)), 0);
		CHECK_STR(out, pairs[i].remote);
		CHECK_EQ(names_from_remote(pairs[i].remote, out, sizeof(out)),
		         0);
		CHECK_STR(out, pairs[i].plain);
	}
}

/* Remote names that no name typed here would have made. */
static void test_no_plain_form(void)
{
	static const char *const names[] = {
		"",    ".",     "..",    "．",  "a／b", "／",   "a␀b",  "~x",
		" x",  "x ",    "x.",    "a:b", "a*",   "a\tb", "‛",    "a‛b",
		"‛41", "a‛ffb", "a\xff", "␊‛",  "／..", "‛2F",  "a‛00",
	};
	char out[REMOTE_SIZE] = "untouched", longest[900] = "";

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		check_row("'%s'", names[i]);
		CHECK_EQ(names_from_remote(names[i], out, sizeof(out)),
		         -EINVAL);
	}
	memset(longest, 'x', 256);
	CHECK_EQ(names_from_remote(longest, out, sizeof(out)), -EINVAL);
	CHECK_STR(out, "untouched");
	longest[255] = '\0';
	CHECK_EQ(names_from_remote(longest, out, sizeof(out)), 0);
}

static void fill(char *s, const char *piece, size_t times)
{
	for (*s = '\0'; times; times--)
		strcat(s, piece);
}

static void test_lengths(void)
{
	static const struct {
		const char *piece;
		size_t times, size;
		int rc;
	} cases[] = {
		{ "a", 255, REMOTE_SIZE, 0 },
		{ "a", 256, REMOTE_SIZE, -ENAMETOOLONG },
		{ "a", 3, 4, 0 },
		{ "a", 4, 4, -ENAMETOOLONG },
		{ ":", 255, REMOTE_SIZE, 0 },   /* 765 bytes there */
		{ "\xff", 85, REMOTE_SIZE, 0 }, /* three units each */
		{ "\xff", 86, REMOTE_SIZE, -ENAMETOOLONG },
		{ "👍", 63, REMOTE_SIZE, 0 },
		{ "👍", 128, REMOTE_SIZE, -ENAMETOOLONG }, /* 256 units */
		{ "‛", 128, REMOTE_SIZE, -ENAMETOOLONG },
		{ "a", 5000, REMOTE_SIZE, -ENAMETOOLONG },
	};
	char in[6000], out[REMOTE_SIZE];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		fill(in, cases[i].piece, cases[i].times);
		check_row("%zu times %s", cases[i].times, cases[i].piece);
		CHECK_EQ(names_to_remote(in, out, cases[i].size), cases[i].rc);
	}
}

static void test_utf16_len(void)
{
	CHECK_EQ(names_utf16_len(""), 0);
	CHECK_EQ(names_utf16_len("aé€"), 3);
	CHECK_EQ(names_utf16_len("👍"), 2);
	CHECK_EQ(names_utf16_len("a\xff\xfe"), 3);
}

/* Names of pieces that matter to some rule; returns false if it is none. */
static bool random_name(char *out, unsigned seed_round)
{
	static const char *const pieces[] = {
		"a",  ".",  " ", "~",    "␠",    "．",   "～", "‛", "：",
		":",  "␀",  "␁", "\x01", "\x7f", "␡",    "F",  "4", "\xff",
		"／", "\\", "é", "\xe2", "\x80", "\x9b", "$",  "👍", "␊",
	};
	unsigned count = 1 + (unsigned)rand() % (seed_round % 10 ? 6 : 40);

	for (*out = '\0'; count; count--)
		strcat(out, pieces[(size_t)rand() % ARRAY_LEN(pieces)]);
	return strlen(out) <= 255 && strcmp(out, ".") && strcmp(out, "..");
}

/* Every name that can be typed comes back, and the service takes it. */
static void test_round_trip(void)
{
	char plain[400], remote[REMOTE_SIZE], back[256];
	const char *why;

	srand(7);
	for (unsigned i = 0; i < 300000; i++) {
		int rc;

		if (!random_name(plain, i))
			continue;
		rc = names_to_remote(plain, remote, sizeof(remote));
		if (rc == -ENAMETOOLONG)
			continue;
		check_row("%u '%s' -> '%s'", i, plain, remote);
		CHECK_EQ(rc, 0);
		CHECK_EQ(names_from_remote(remote, back, sizeof(back)), 0);
		CHECK_STR(back, plain);
		CHECK_EQ(names_check(remote, true, true, &why), 0);
	}
}

static void test_check(void)
{
	static const struct {
		const char *name;
		bool business, folder;
		int rc;
	} cases[] = {
		{ "fine.txt", true, false, 0 },
		{ "#%&'+,;=@^`{}", true, true, 0 },
		{ "con", false, false, -EINVAL },
		{ "CON.txt", false, false, 0 }, /* abr's rule only */
		{ "CONS", false, false, 0 },
		{ "com9", false, false, -EINVAL },
		{ "LPT0", false, true, -EINVAL },
		{ ".lock", false, false, -EINVAL },
		{ "Desktop.ini", false, false, -EINVAL },
		{ "a_vti_b", false, false, -EINVAL },
		{ "~$doc", false, false, -EINVAL },
		{ "~x", true, true, -EINVAL },
		{ "~x", true, false, 0 },
		{ "~x", false, true, 0 },
		{ "a:b", false, false, -EINVAL },
		{ "a\x7f", false, false, -EINVAL },
		{ " a", false, false, -EINVAL },
		{ "a ", false, false, -EINVAL },
		{ "a.", false, false, -EINVAL },
		{ "", false, false, -EINVAL },
		{ "..", false, false, -EINVAL },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *why = NULL;

		check_row("'%s'", cases[i].name);
		CHECK_EQ(names_check(cases[i].name, cases[i].business,
		                     cases[i].folder, &why),
		         cases[i].rc);
		CHECK_EQ(why != NULL, cases[i].rc < 0);
	}
}

static void test_fold(void)
{
	static const struct {
		const char *a, *b;
		bool equal;
	} cases[] = {
		{ "README", "readme", true },
		{ "a", "b", false },
		{ "Ä", "ä", true },
		{ "Ä", "a\xcc\x88", true },    /* composed or not */
		{ "\xe2\x84\xab", "å", true }, /* the Angstrom sign */
		{ "Straße", "STRASSE", true },
		{ "ÆON", "aeon", true }, /* facts 3.2 */
		{ "ǣ", "ae\xcc\x84", true },
		{ "œ", "oe", false },
		{ "ﬁ", "fi", true }, /* full folding */
		{ "a b", "a  b", false },
		{ "Σ", "ς", true },
		{ "\u1fb4", "\u03b1\u0345\u0301", true },
		{ "é", "e", false },
		{ "A\xff", "a\xff", false },                /* no text: bytes */
		{ "가", "\xe1\x84\x80\xe1\x85\xa1", true }, /* Hangul */
		{ "a", "ａ", false }, /* compatibility only */
		{ "＊", "*", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char *a = names_fold(cases[i].a), *b = names_fold(cases[i].b);

		check_row("'%s' '%s'", cases[i].a, cases[i].b);
		CHECK_EQ(!strcmp(a, b), cases[i].equal);
		free(a);
		free(b);
	}
}

static void test_alias(void)
{
	static const struct {
		const char *remote, *stem, *ext;
	} cases[] = {
		{ "~x.txt", "~x (item ", ").txt" },
		{ "", "(item ", ")" },
		{ "..", ". (item ", ")." },
		{ "a/b\n", "a_b_ (item ", ")" },
		{ ".profile", ".profile (item ", ")" },
		{ "x\xff.c", "x_ (item ", ").c" },
		{ "v1.0 of a thing that is not an extension",
		  "v1.0 of a thing that is not an extension (item ", ")" },
	};
	char out[256], other[256], longest[10001] = "";

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t stem = strlen(cases[i].stem);

		check_row("'%s'", cases[i].remote);
		names_alias(cases[i].remote, "ID!1", out, sizeof(out));
		CHECK(!strncmp(out, cases[i].stem, stem));
		CHECK_STR(out + stem + 8, cases[i].ext);
		names_alias(cases[i].remote, "ID!2", other, sizeof(other));
		CHECK(strcmp(out, other) != 0);
	}
	for (size_t i = 0; i + 4 < sizeof(longest); i += 3)
		strcpy(longest + i, "日");
	strcpy(longest + 9990, ".txt");
	names_alias(longest, "ID", out, sizeof(out));
	CHECK(strlen(out) > 245 && strlen(out) <= 255);
	CHECK_STR(out + strlen(out) - 5, ").txt");
	CHECK(names_utf16_len(out) < 110); /* cut between characters */
}

static void test_out_of_memory(void)
{
	for (unsigned n = 1; alloc_fail_at(n); n++) {
		char out[256];

		free(names_fold("A\xff"));
		names_alias("~x.txt", "ID", out, sizeof(out));
		CHECK(!strncmp(strchr(out, '('), "(item ", 6));
	}
	alloc_fail_off();
}

/* ---- the real rclone ----------------------------------------------------- */

#define ONEDRIVE_ENCODING                                                      \
	"Slash,LtGt,DoubleQuote,Colon,Question,Asterisk,Pipe,BackSlash,Del,"   \
	"Ctl,LeftSpace,LeftTilde,RightSpace,RightPeriod,InvalidUtf8,Dot"

/* rclone's handling of *local* names changes these first (facts 11.2). */
static bool rclone_alters(const char *plain)
{
	return strstr(plain, "‛") || strstr(plain, "␀") ||
	       strstr(plain, "／") || !strcmp(plain, "．") ||
	       !strcmp(plain, "．．");
}

static void touch(const char *dir, const char *name)
{
	char path[2048];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	CHECK(fd >= 0);
	if (fd >= 0)
		close(fd);
}

static int run_rclone(char *from, char *to)
{
	char config[] = "/dev/null", encoding[] = ONEDRIVE_ENCODING;
	char *argv[] = { (char[]){ "rclone" },
		         (char[]){ "--config" },
		         config,
		         (char[]){ "-q" },
		         (char[]){ "copy" },
		         from,
		         to,
		         (char[]){ "--local-encoding" },
		         encoding,
		         NULL };
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		execvp("rclone", argv);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static unsigned count_and_remove(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	unsigned n = 0;

	while ((e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		CHECK_EQ(unlinkat(dirfd(d), e->d_name, 0), 0);
		n++;
	}
	closedir(d);
	rmdir(dir);
	return n;
}

/* The source directory is read with the plain local encoding given in the
 * remote's own options, the target written with OneDrive's. */
static void test_same_as_rclone(void)
{
	char top[] = "/tmp/test_names.XXXXXX", from[80], source[128], to[80];
	char remote[REMOTE_SIZE], path[2048];
	unsigned made = 0;
	int status;

	CHECK(mkdtemp(top) != NULL);
	snprintf(from, sizeof(from), "%s/from", top);
	snprintf(to, sizeof(to), "%s/to", top);
	snprintf(source, sizeof(source), ":local,encoding=\"Slash,Dot\":%s",
	         from);
	mkdir(from, 0700);
	mkdir(to, 0700);
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
		if (!rclone_alters(pairs[i].plain)) {
			touch(from, pairs[i].plain);
			made++;
		}
	status = run_rclone(source, to);
	for (size_t i = 0; i < ARRAY_LEN(pairs) && status == 0; i++) {
		if (rclone_alters(pairs[i].plain))
			continue;
		names_to_remote(pairs[i].plain, remote, sizeof(remote));
		snprintf(path, sizeof(path), "%s/%s", to, remote);
		check_row("'%s' -> '%s'", pairs[i].plain, remote);
		CHECK_EQ(access(path, F_OK), 0);
	}
	CHECK_EQ(count_and_remove(from), made);
	if (status == 0)
		CHECK_EQ(count_and_remove(to), made);
	else
		count_and_remove(to);
	rmdir(top);
	if (status == 127)
		SKIP("no rclone here");
	CHECK_EQ(status, 0);
}

static void test_parts(void)
{
	static const char parts[] = "//a/b:c//";
	char too_long[300], out[1024];
	const char *path = parts;

	CHECK_EQ(names_next_part(&path, out, sizeof(out)), 1);
	CHECK_STR(out, "a");
	CHECK_EQ(names_next_part(&path, out, sizeof(out)), 1);
	CHECK_STR(out, "b\uff1ac");
	CHECK_EQ(names_next_part(&path, out, sizeof(out)), 0);
	path = "";
	CHECK_EQ(names_next_part(&path, out, sizeof(out)), 0);
	path = "../a";
	CHECK_EQ(names_next_part(&path, out, sizeof(out)), -EINVAL);
	CHECK_STR(path, "../a");
	path = ".";
	CHECK_EQ(names_next_part(&path, out, sizeof(out)), -EINVAL);
	path = "...";
	CHECK_EQ(names_next_part(&path, out, sizeof(out)), 1);
	memset(too_long, 'x', sizeof(too_long) - 1);
	too_long[sizeof(too_long) - 1] = '\0';
	path = too_long;
	CHECK_EQ(names_next_part(&path, out, sizeof(out)), -ENAMETOOLONG);

	too_long[255] = '\0';
	path = too_long;
	CHECK_EQ(names_next_plain(&path, out, 255), -ENAMETOOLONG);
	CHECK_EQ(names_next_plain(&path, out, 256), 1);
	CHECK_STR(out, too_long);
	path = "a:b/../c";
	CHECK_EQ(names_next_plain(&path, out, sizeof(out)), 1);
	CHECK_STR(out, "a:b");
	CHECK_EQ(names_next_plain(&path, out, sizeof(out)), -EINVAL);
	path = "..b";
	CHECK_EQ(names_next_plain(&path, out, sizeof(out)), 1);
	path = ".b";
	CHECK_EQ(names_next_plain(&path, out, sizeof(out)), 1);
	CHECK_STR(out, ".b");
}

int main(void)
{
	RUN(test_pairs);
	RUN(test_no_plain_form);
	RUN(test_lengths);
	RUN(test_utf16_len);
	RUN(test_round_trip);
	RUN(test_parts);
	RUN(test_check);
	RUN(test_fold);
	RUN(test_alias);
	RUN(test_out_of_memory);
	RUN(test_same_as_rclone);
	return check_report();
}
