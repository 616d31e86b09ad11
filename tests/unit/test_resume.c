#include "fs/resume.h"

#include <poll.h>

#include "tests/unit/check.h"

static void test_clocks(void)
{
	static const struct {
		const char *what;
		int64_t boot_ms, mono_ms;
		bool slept;
	} looks[] = {
		{ "slept before the start", 90000, 20000, true },
		{ "not since", 91000, 21000, false },
		{ "an hour", 3692000, 22000, true },
		{ "a clock that was set", 3693000, 23000, false },
		{ "a nap", 3698000, 24000, false },
		{ "no sleep for a day", 90098000, 86424000, false },
		{ "and again", 90108000, 86425000, true },
	};
	struct resume r = { .fd = -1 };

	for (size_t i = 0; i < ARRAY_LEN(looks); i++) {
		check_row("%s", looks[i].what);
		CHECK_EQ(resume_note(&r, looks[i].boot_ms, looks[i].mono_ms),
		         looks[i].slept);
	}
}

/* A timer that nothing has cancelled is silent, and has not slept. */
static void test_timer(void)
{
	struct resume r;
	struct pollfd p;

	resume_init(&r);
	CHECK(r.fd >= 0);
	p = (struct pollfd){ .fd = r.fd, .events = POLLIN };
	CHECK_EQ(poll(&p, 1, 20), 0);
	CHECK(!resume_has_slept(&r));
	CHECK(r.fd >= 0);
	resume_done(&r);
	CHECK_EQ(r.fd, -1);
	resume_done(&r);
}

int main(void)
{
	RUN(test_clocks);
	RUN(test_timer);
	return check_report();
}
