#include "fs/readers.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "fs/lock.h"
#include "net/clock.h"
#include "net/log.h"

#define COMM_MAX  15 /* bytes that the kernel keeps (TASK_COMM_LEN) */
#define ARGS_MAX  4096
#define SAID_MAX  32
#define SAID_MS   (60 * 60 * 1000)
#define SEPARATOR ", \t"

/* What desktops and distributions run over every file by themselves. */
static const char list_default[] =
	/* thumbnails: Xfce; GNOME and who uses its thumbnailers; KDE */
	"tumblerd gnome-thumbnail* evince-thumbnailer papers-thumbnailer "
	"atril-thumbnailer xreader-thumbnailer totem-video-thumbnailer "
	"gst-video-thumbnailer gst-audio-thumbnailer gdk-pixbuf-thumbnailer "
	"glycin-thumbnailer gsf-office-thumbnailer gnome-epub-thumbnailer "
	"mate-thumbnail* ffmpegthumbnailer raw-thumbnailer "
	"thumbnail.so kioworker/thumbnail kioslave5/thumbnail "
	/* indexes */
	"tracker-extract* tracker-miner-fs* localsearch* "
	"baloo_file baloo_file_extractor recollindex "
	"updatedb updatedb.plocate updatedb.mlocate mlocate plocate-build";

struct entry {
	char comm[COMM_MAX + 1];
	bool prefix;   /* and whatever follows */
	char word[32]; /* "": whatever its arguments */
};

struct readers {
	struct entry *entry;
	size_t n;
	pthread_mutex_t lock; /* LOCK_LEAF: below */
	struct {
		char comm[COMM_MAX + 2];
		int64_t ms; /* 0: free */
	} said[SAID_MAX];
};

/* ---- the list ------------------------------------------------------------ */

static bool is_word(const char *s, size_t len, const char *word)
{
	return len == strlen(word) && !strncasecmp(s, word, len);
}

static int parse_entry(const char *s, size_t len, struct entry *out)
{
	const char *slash = memchr(s, '/', len);
	size_t name = slash ? (size_t)(slash - s) : len;
	size_t word = slash ? len - name - 1 : 0;
	struct entry e = { .prefix = name && s[name - 1] == '*' };

	name -= e.prefix;
	if (!name || memchr(s, '*', name) || (slash && !word) ||
	    word >= sizeof(e.word))
		return -EINVAL;
	if (name >= COMM_MAX) {
		name = COMM_MAX;
		e.prefix = false;
	}
	memcpy(e.comm, s, name);
	if (slash)
		memcpy(e.word, slash + 1, word);
	*out = e;
	return 0;
}

/* NULL: just looked at. */
static int add_entry(struct readers *r, const char *s, size_t len)
{
	struct entry e, *more;
	int rc = parse_entry(s, len, &e);

	if (rc < 0 || !r)
		return rc;
	more = realloc(r->entry, (r->n + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	r->entry = more;
	r->entry[r->n++] = e;
	return 0;
}

static int add_list(struct readers *r, const char *list)
{
	int rc = 0;

	while (rc == 0) {
		size_t len;

		list += strspn(list, SEPARATOR);
		len = strcspn(list, SEPARATOR);
		if (!len)
			break;
		if (is_word(list, len, "default"))
			rc = add_list(r, list_default);
		else if (!is_word(list, len, "off"))
			rc = add_entry(r, list, len);
		list += len;
	}
	return rc;
}

int readers_new(const char *list, struct readers **out_r)
{
	struct readers *r = calloc(1, sizeof(*r));
	int rc;

	if (!r)
		return -ENOMEM;
	pthread_mutex_init(&r->lock, NULL);
	rc = add_list(r, list);
	if (rc < 0) {
		readers_free(r);
		return rc;
	}
	*out_r = r;
	return 0;
}

void readers_free(struct readers *r)
{
	if (!r)
		return;
	free(r->entry);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

int readers_check(const char *list)
{
	return add_list(NULL, list);
}

/* ---- one reader ---------------------------------------------------------- */

static bool has_word(const char *word, const char *args, size_t len)
{
	size_t n = strlen(word);

	for (size_t at = 0; at < len; at += strnlen(args + at, len - at) + 1) {
		const char *arg = args + at;
		size_t arg_len = strnlen(arg, len - at);
		const char *slash = memrchr(arg, '/', arg_len);

		if (arg_len >= n && !strncmp(arg, word, n))
			return true;
		if (slash && (size_t)(arg + arg_len - slash - 1) >= n &&
		    !strncmp(slash + 1, word, n))
			return true;
	}
	return false;
}

bool readers_match(const struct readers *r, const char *comm, const char *args,
                   size_t args_len)
{
	for (size_t i = 0; i < r->n; i++) {
		const struct entry *e = &r->entry[i];
		size_t len = e->prefix ? strlen(e->comm) : COMM_MAX;

		if (strncmp(e->comm, comm, len) != 0)
			continue;
		if (!e->word[0] || has_word(e->word, args, args_len))
			return true;
	}
	return false;
}

/* Of /proc/<id>/<name>, NUL-terminated; 0 if there is nothing to see. */
static size_t read_proc(pid_t id, const char *name, char *out, size_t size)
{
	char path[64];
	ssize_t n;
	int fd;

	out[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%d/%s", (int)id, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, out, size - 1);
	close(fd);
	out[n > 0 ? n : 0] = '\0';
	return n > 0 ? (size_t)n : 0;
}

static void read_comm(pid_t id, char out[COMM_MAX + 2])
{
	read_proc(id, "comm", out, COMM_MAX + 2);
	out[strcspn(out, "\n")] = '\0';
}

/* The process that the thread belongs to. */
static pid_t process_of(pid_t tid)
{
	char status[1024];
	const char *at;

	read_proc(tid, "status", status, sizeof(status));
	at = strstr(status, "\nTgid:");
	return at ? (pid_t)strtol(at + 6, NULL, 10) : tid;
}

static bool should_say(struct readers *r, const char *comm, int64_t now)
{
	size_t oldest = 0;
	bool say = true;

	lock_take(&r->lock, LOCK_LEAF);
	for (size_t i = 0; i < SAID_MAX; i++) {
		if (r->said[i].ms && !strcmp(r->said[i].comm, comm)) {
			oldest = i;
			say = now - r->said[i].ms >= SAID_MS;
			break;
		}
		if (r->said[i].ms < r->said[oldest].ms)
			oldest = i;
	}
	if (say) {
		snprintf(r->said[oldest].comm, sizeof(r->said[oldest].comm),
		         "%s", comm);
		r->said[oldest].ms = now;
	}
	lock_drop(&r->lock, LOCK_LEAF);
	return say;
}

bool readers_refuse(struct readers *r, pid_t tid)
{
	char comm[COMM_MAX + 2], leader[COMM_MAX + 2], args[ARGS_MAX];
	size_t args_len;
	pid_t pid;

	if (!r || !r->n || tid <= 0)
		return false;
	read_comm(tid, comm);
	if (!comm[0])
		return false;
	pid = process_of(tid);
	read_comm(pid, leader);
	args_len = read_proc(pid, "cmdline", args, sizeof(args));
	if (!readers_match(r, comm, args, args_len) &&
	    !readers_match(r, leader, args, args_len))
		return false;
	if (should_say(r, leader, clock_mono_ms()))
		log_info(
			"read refused name=\"%s\" pid=%d: it reads whatever it "
			"sees, and this is not here (--deny-readers)",
			leader, (int)pid);
	return true;
}
