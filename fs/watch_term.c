#include "fs/watch_term.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "net/buf.h"
#include "net/clock.h"
#include "net/fdio.h"

/* ECMA-48 and what xterm added to it (ctlseqs, DEC private modes): 1049 the
 * alternate screen, 25 the cursor, 7 lines that are too long go on in the next
 * one; 2026 holds the picture back until it is complete, where it is known. */
#define ENTER "\033[?1049h\033[?25l\033[?7l\033[H\033[2J"
#define LEAVE "\033[?7h\033[?25h\033[?1049l"
#define BEGIN "\033[?2026h\033[H"
#define END   "\033[J\033[?2026l"

#define CTRL_D 4

static volatile sig_atomic_t resized;

static void on_resize(int signo)
{
	(void)signo;
	resized = 1;
}

static void fill(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGWINCH);
}

static void put(const char *text)
{
	/* If the terminal is gone there is nothing to give back. */
	(void)fdio_write_all(STDOUT_FILENO, text, strlen(text));
}

/* Ctrl-Z would leave the shell in the alternate screen. */
static void take_keys(struct watch_term *t)
{
	struct termios raw;

	t->keys = tcgetattr(STDIN_FILENO, &t->old) == 0;
	if (!t->keys)
		return;
	raw = t->old;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	raw.c_cc[VSUSP] = _POSIX_VDISABLE;
	tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
}

void watch_term_begin(struct watch_term *t)
{
	struct sigaction sa = { .sa_handler = on_resize };
	sigset_t set;

	*t = (struct watch_term){ .screen = isatty(STDOUT_FILENO) };
	fill(&set);
	sigprocmask(SIG_BLOCK, &set, &t->mask);
	interrupt_catch(&t->interrupt);
	if (!t->screen)
		return;
	sigaction(SIGWINCH, &sa, NULL);
	take_keys(t);
	put(ENTER);
}

void watch_term_end(struct watch_term *t)
{
	if (t->screen)
		put(LEAVE);
	if (t->keys)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &t->old);
	signal(SIGWINCH, SIG_DFL);
	interrupt_release(&t->interrupt);
	sigprocmask(SIG_SETMASK, &t->mask, NULL);
}

void watch_term_size(unsigned *out_cols, unsigned *out_rows)
{
	struct winsize ws = { 0 };

	ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws);
	*out_cols = ws.ws_col ? ws.ws_col : 80;
	*out_rows = ws.ws_row ? ws.ws_row : 24;
}

int watch_term_show(const struct buf *text)
{
	struct buf b = BUF_INIT;
	const char *at = text->data;
	const char *end = at + text->len, *eol;
	int rc;

	buf_add_str(&b, BEGIN);
	for (unsigned row = 0;
	     at < end && (eol = memchr(at, '\n', (size_t)(end - at)));
	     at = eol + 1) {
		if (row++)
			buf_add_str(&b, "\r\n");
		buf_add(&b, at, (size_t)(eol - at));
		buf_add_str(&b, "\033[K");
	}
	buf_add_str(&b, END);
	rc = b.failed ? -ENOMEM : fdio_write_all(STDOUT_FILENO, b.data, b.len);
	buf_done(&b);
	return rc;
}

static bool asks_for_end(void)
{
	char key;
	ssize_t n = read(STDIN_FILENO, &key, 1);

	return n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN) ||
	       (n > 0 && (key == 'q' || key == 'Q' || key == CTRL_D));
}

unsigned watch_term_wait(struct watch_term *t, int fd, int64_t until_ms)
{
	struct pollfd p[2] = { { .fd = fd, .events = POLLIN },
		               { .fd = t->keys ? STDIN_FILENO : -1,
		                 .events = POLLIN } };
	int64_t left = until_ms < 0 ? -1 : until_ms - clock_mono_ms();
	struct timespec ts;
	unsigned what = 0;

	if (left < 0 && until_ms >= 0)
		left = 0;
	ts = clock_ns_to_timespec(left < 0 ? 0 : left * 1000000);
	if (ppoll(p, 2, left < 0 ? NULL : &ts, &t->mask) > 0) {
		if (p[0].revents)
			what |= WATCH_FD;
		if (p[1].revents && asks_for_end())
			what |= WATCH_QUIT;
	}
	if (interrupt_seen())
		what |= WATCH_QUIT;
	if (resized)
		what |= WATCH_SIZE;
	resized = 0;
	return what;
}
