#include "fs/rest.h"

#include <pthread.h>
#include <stdbool.h>

#include "fs/engine.h"
#include "fs/fetch.h"
#include "fs/lock.h"
#include "fs/nmb.h"
#include "fs/park.h"
#include "fs/session.h"
#include "net/http.h"
#include "net/log.h"

struct turn {
	pthread_mutex_t lock; /* LOCK_LEAF */
	pthread_cond_t passed;
	bool done;
};

static void on_turn(void *arg)
{
	struct turn *t = arg;

	lock_take(&t->lock, LOCK_LEAF);
	t->done = true;
	pthread_cond_signal(&t->passed);
	lock_drop(&t->lock, LOCK_LEAF);
}

/* Until the network thread has read its mail: timers come after that. */
static void wait_for_network(struct http *http)
{
	struct turn t = { .lock = PTHREAD_MUTEX_INITIALIZER };

	lock_cond_init(&t.passed);
	if (http_call_later(http, 0, on_turn, &t, NULL) == 0) {
		lock_take(&t.lock, LOCK_LEAF);
		while (!t.done)
			lock_wait(&t.passed, &t.lock);
		lock_drop(&t.lock, LOCK_LEAF);
	}
	pthread_cond_destroy(&t.passed);
	pthread_mutex_destroy(&t.lock);
}

void rest_begin(struct nmb *nmb)
{
	park_rest(nmb->park, true);
	http_set_rest(nmb->session->http, true);
	wait_for_network(nmb->session->http);
	log_info("sleep is announced: waits ended, connections closed");
}

void rest_end(struct nmb *nmb)
{
	log_info("sleep is over");
	http_set_rest(nmb->session->http, false);
	park_rest(nmb->park, false);
	session_kick(nmb->session);
	engine_kick(nmb->engine);
	fetch_kick(nmb->fetch);
}
