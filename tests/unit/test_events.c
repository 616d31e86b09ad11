#include "fs/events.h"

#include "tests/unit/check.h"

static void wake(void *arg)
{
	++*(unsigned *)arg;
}

static void test_nobody_wants(void)
{
	struct events *ev;
	unsigned woken = 0;
	uint64_t lost;

	events_put(NULL, EVENT_QUEUED, 2, NULL, NULL, NULL);
	events_touch(NULL);
	CHECK(!events_wanted(NULL));
	CHECK_EQ(events_new(&ev), 0);
	events_listen(ev, wake, &woken);
	events_put(ev, EVENT_QUEUED, 2, NULL, NULL, NULL);
	events_touch(ev);
	CHECK_EQ(woken, 2);
	CHECK_EQ(events_count(ev, EVENT_QUEUED), 1);
	CHECK_EQ(events_count(ev, EVENT_FAILED), 0);
	CHECK(!events_take(ev, &lost));
	CHECK_EQ(lost, 0);
	events_free(ev);
}

static void test_in_order(void)
{
	struct event *e, *next;
	struct events *ev;
	uint64_t lost;

	CHECK_EQ(events_new(&ev), 0);
	events_want(ev, true);
	events_put(ev, EVENT_QUEUED, 2, NULL, NULL, NULL);
	events_put(ev, EVENT_UPLOADED, 2, "/a", "ID!1", "");
	e = events_take(ev, &lost);
	CHECK_EQ(lost, 0);
	CHECK_EQ(e->kind, EVENT_QUEUED);
	CHECK_EQ(e->ino, 2);
	CHECK_STR(e->path, "");
	next = e->next;
	event_free(e);
	CHECK_EQ(next->kind, EVENT_UPLOADED);
	CHECK_STR(next->path, "/a");
	CHECK_STR(next->id, "ID!1");
	CHECK(!next->next);
	event_free(next);
	events_put(ev, EVENT_REMOTE, 3, "/b", NULL, "new");
	events_want(ev, false);
	CHECK(!events_take(ev, &lost));
	events_free(ev);
}

static void test_too_many(void)
{
	struct event *e, *next;
	struct events *ev;
	uint64_t lost, n = 0;

	CHECK_EQ(events_new(&ev), 0);
	events_want(ev, true);
	for (uint64_t i = 1; i <= 5000; i++)
		events_put(ev, EVENT_QUEUED, i, NULL, NULL, NULL);
	for (e = events_take(ev, &lost); e; e = next) {
		CHECK_EQ(e->ino, ++n); /* the oldest are kept */
		next = e->next;
		event_free(e);
	}
	CHECK(n > 0);
	CHECK_EQ(n + lost, 5000);
	CHECK(!events_take(ev, &lost));
	CHECK_EQ(lost, 0);
	events_put(ev, EVENT_QUEUED, 1, NULL, NULL, NULL);
	events_free(ev);
}

int main(void)
{
	RUN(test_nobody_wants);
	RUN(test_in_order);
	RUN(test_too_many);
	return check_report();
}
