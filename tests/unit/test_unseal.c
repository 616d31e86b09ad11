/* contrib/unseal-names.py, which was written apart from auth/seal_names and
 * shares nothing with it but the description of the format, opens what that
 * one seals. Runs in the top directory, as all tests do. */
#include "auth/seal_names.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sodium.h>

#include "net/buf.h"
#include "tests/unit/check.h"

#define SCRIPT "contrib/unseal-names.py"
#define NAMES  150

/* Exit status of the script, 127 if there is no Python. */
static int run_script(const char *descriptor, const char *in, const char *out)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		int from = open(in, O_RDONLY);
		int to = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600);

		if (from < 0 || to < 0 || dup2(from, 0) < 0 || dup2(to, 1) < 0)
			_exit(126);
		execlp("python3", "python3", SCRIPT, "-0", "-l", descriptor,
		       NULL);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void write_file(const char *path, const void *data, size_t len)
{
	FILE *f = fopen(path, "w");

	CHECK(f != NULL);
	if (!f)
		return;
	CHECK_EQ(fwrite(data, 1, len, f), len);
	CHECK_EQ(fclose(f), 0);
}

static void read_file(const char *path, struct buf *b)
{
	FILE *f = fopen(path, "r");
	char part[4096];
	size_t n;

	CHECK(f != NULL);
	while (f && (n = fread(part, 1, sizeof(part), f)) > 0)
		CHECK_EQ(buf_add(b, part, n), 0);
	if (f)
		fclose(f);
}

static void write_descriptor(const char *path, enum name_text text,
                             unsigned pad,
                             const uint8_t key[SEAL_NAMES_KEY_SIZE])
{
	struct buf b = BUF_INIT;
	char hex[2 * SEAL_NAMES_KEY_SIZE + 1];

	sodium_bin2hex(hex, sizeof(hex), key, SEAL_NAMES_KEY_SIZE);
	buf_addf(&b,
	         "{\"format\":\"nmbackupfs-vault\",\"version\":1,\"names\":"
	         "{\"cipher\":\"siv-blake2b-xchacha20\",\"text\":\"%s\","
	         "\"pad\":%u,\"key\":\"%s\"}}",
	         name_text_label(text), pad, hex);
	write_file(path, b.data, b.len);
	buf_done(&b);
}

/* Anything that the kernel could give, odd bytes preferred. */
static void random_text(char *out, size_t max, char never)
{
	size_t len = 2 + randombytes_uniform((uint32_t)max - 1);

	for (size_t i = 0; i < len; i++) {
		out[i] = (char)(1 + randombytes_uniform(255));
		if (out[i] == never)
			out[i] = '\n';
	}
	out[0] = out[0] == '.' ? '_' : out[0];
	out[len] = '\0';
}

/* Adds the sealed name to `in`, and what the script should print to `want`. */
static void add_name(const struct seal_names *s, unsigned i, struct buf *in,
                     struct buf *want)
{
	char name[SEAL_NAMES_NAME_MAX + 1], attributes[64] = "";
	char sealed[SEAL_NAMES_TEXT_MAX + 1];

	random_text(name, i % 10 ? 20 : 70, '/');
	if (i % 3)
		random_text(attributes, 60, '\0');
	CHECK_EQ(seal_names_seal(s, name, attributes, sealed), 0);
	buf_add(in, sealed, strlen(sealed) + 1);
	buf_addf(want, "%s\t%s", name, attributes);
	buf_add(want, "", 1);
}

static const char *const files[] = { "descriptor", "in", "out" };

static void check_vault(const char *dir, enum name_text text, unsigned pad)
{
	struct buf in = BUF_INIT, want = BUF_INIT, got = BUF_INIT;
	uint8_t key[SEAL_NAMES_KEY_SIZE];
	char path[3][64];
	struct seal_names *s;

	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		snprintf(path[i], sizeof(path[i]), "%s/%s", dir, files[i]);
	check_row("%s pad %u", name_text_label(text), pad);
	randombytes_buf(key, sizeof(key));
	CHECK_EQ(seal_names_new(key, text, pad, &s), 0);
	for (unsigned i = 0; i < NAMES; i++)
		add_name(s, i, &in, &want);
	write_descriptor(path[0], text, pad, key);
	write_file(path[1], in.data, in.len);
	CHECK_EQ(run_script(path[0], path[1], path[2]), 0);
	read_file(path[2], &got);
	CHECK_EQ(got.len, want.len);
	if (got.len == want.len)
		CHECK_MEM(got.data, want.data, want.len);
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		unlink(path[i]);
	seal_names_free(s);
	buf_done(&in);
	buf_done(&want);
	buf_done(&got);
}

static void test_script_opens(void)
{
	static const struct {
		enum name_text text;
		unsigned pad;
	} vaults[] = {
		{ NAME_TEXT_CJK14, 7 },
		{ NAME_TEXT_CJK14, 28 },
		{ NAME_TEXT_BASE32, 7 },
		{ NAME_TEXT_BASE32, 77 },
	};
	char dir[] = "/tmp/test_unseal.XXXXXX";

	if (access(SCRIPT, R_OK) < 0)
		SKIP(SCRIPT " is not here");
	if (system("python3 -c '' 2>/dev/null") != 0)
		SKIP("no python3");
	CHECK(mkdtemp(dir) != NULL);
	for (size_t i = 0; i < ARRAY_LEN(vaults); i++)
		check_vault(dir, vaults[i].text, vaults[i].pad);
	CHECK_EQ(rmdir(dir), 0);
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	RUN(test_script_opens);
	return check_report();
}
