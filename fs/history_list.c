#include "fs/history_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/lock.h"
#include "net/clock.h"
#include "net/log.h"

#define KEEP_MS 5000
#define MOST    256 /* lists that are kept */

/* ---- names --------------------------------------------------------------- */

/* An id is the service's: only what is harmless in a name stays of it. */
static void add_id(char *name, const char *id)
{
	size_t len = strlen(name);

	for (; *id && len + 1 < HISTORY_NAME_MAX; id++)
		name[len++] = strchr("/\n", *id) || (*id & 0x80) ? '_' : *id;
	name[len] = '\0';
}

static int64_t second_of(const struct history_version *v)
{
	return v->v.time / NS_PER_SEC;
}

/* Pointers into one list: in its order within a second. */
static int by_second(const void *a, const void *b)
{
	const struct history_version *x = *(struct history_version *const *)a;
	const struct history_version *y = *(struct history_version *const *)b;

	if (second_of(x) != second_of(y))
		return second_of(x) < second_of(y) ? -1 : 1;
	return x < y ? -1 : x > y;
}

/* The oldest of a second has its bare name, whatever comes later. Times need
 * not grow with versions: on some accounts they are what clients set. */
static void make_names(struct history_version **sorted, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct history_version *v = sorted[i];

		if (v->v.time)
			when_format_name(v->v.time, v->name);
		else
			strcpy(v->name, "unknown");
		if (i && second_of(v) == second_of(sorted[i - 1])) {
			strcat(v->name, "-");
			add_id(v->name, v->v.id);
		}
	}
}

int history_name_versions(const struct version *v, size_t n,
                          struct history_version **out_v, size_t *out_n)
{
	struct history_version *list = calloc(n + 1, sizeof(*list));
	struct history_version **sorted = calloc(n + 1, sizeof(*sorted));

	if (!list || !sorted) {
		free(list);
		free(sorted);
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++) {
		list[i].v = v[n - 1 - i];
		sorted[i] = &list[i];
	}
	qsort(sorted, n, sizeof(*sorted), by_second);
	make_names(sorted, n);
	free(sorted);
	*out_v = list;
	*out_n = n;
	return 0;
}

/* ---- lists --------------------------------------------------------------- */

static struct history_list *find(struct history *h, const char *item_id)
{
	struct history_list *l = h->lists;

	while (l && strcmp(l->item_id, item_id) != 0)
		l = l->next;
	return l;
}

int history_find_list_locked(struct history *h, const char *item_id,
                             struct history_list **out_l)
{
	struct history_list *l = find(h, item_id);

	if (!l || !l->known || l->until_ms <= clock_mono_ms())
		return -EAGAIN;
	*out_l = l;
	return l->rc;
}

static void free_list(struct history_list *l)
{
	free(l->v);
	free(l);
}

static bool is_awaited(const struct history *h, const struct history_list *l)
{
	const struct history_wait *w = h->waits;

	while (w && w->list != l)
		w = w->next;
	return w != NULL;
}

/* The newest ones stay. */
static void drop_old_locked(struct history *h)
{
	struct history_list **at = &h->lists;
	unsigned n = 0;

	while (*at) {
		struct history_list *l = *at;

		if (++n > MOST && !l->asking && !is_awaited(h, l)) {
			*at = l->next;
			free_list(l);
		} else {
			at = &l->next;
		}
	}
}

void history_free_lists(struct history *h)
{
	while (h->lists) {
		struct history_list *l = h->lists;

		h->lists = l->next;
		free_list(l);
	}
}

/* ---- asking -------------------------------------------------------------- */

struct asking {
	struct history *h;
	struct history_list *list;
};

static bool waits_for(struct history_wait *w, void *arg)
{
	const struct history_list *l = arg;

	w->rc = l->rc == -ENOENT || l->rc == 0 ? 0 : -EIO;
	return w->list == l;
}

static void listed(void *arg, int rc, const struct version *v, size_t n)
{
	struct asking *a = arg;
	struct history *h = a->h;
	struct history_list *l = a->list;
	struct history_version *named = NULL;
	struct history_wait *waits;

	if (rc == 0)
		rc = history_name_versions(v, n, &named, &n);
	if (rc < 0 && rc != -ENOENT && rc != -ECANCELED)
		log_warn("versions id=%s: %s", l->item_id, strerror(-rc));
	lock_take(&h->lock, LOCK_LEAF);
	free(l->v);
	l->v = named;
	l->n = rc == 0 ? n : 0;
	l->rc = rc;
	l->asking = false;
	l->known = rc == 0 || rc == -ENOENT;
	l->until_ms = clock_mono_ms() + KEEP_MS;
	waits = history_take_waits_locked(h, waits_for, l);
	drop_old_locked(h);
	lock_drop(&h->lock, LOCK_LEAF);
	history_wake(waits);
	free(a);
	lock_take(&h->lock, LOCK_LEAF);
	history_done_locked(h);
	lock_drop(&h->lock, LOCK_LEAF);
}

static struct history_list *add_list_locked(struct history *h,
                                            const char *item_id)
{
	struct history_list *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	snprintf(l->item_id, sizeof(l->item_id), "%s", item_id);
	l->next = h->lists;
	h->lists = l;
	return l;
}

/* Without the lock: `done` may come before the call returns. */
static void ask(struct history *h, struct history_list *l)
{
	struct asking *a = malloc(sizeof(*a));
	int rc = -ENOMEM;

	if (a) {
		*a = (struct asking){ h, l };
		rc = versions_start(h->opt.graph, l->item_id,
		                    h->opt.deadline_ms, listed, a);
		if (rc == 0)
			return;
		listed(a, rc, NULL, 0);
		return;
	}
	lock_take(&h->lock, LOCK_LEAF);
	l->asking = false;
	history_done_locked(h); /* who waits for it is late, in time */
	lock_drop(&h->lock, LOCK_LEAF);
}

int history_ask_list(struct history *h, const char *item_id,
                     history_wake_fn *wake, void *arg)
{
	struct history_list *l;
	bool begin = false;
	int rc = -ENOMEM;

	lock_take(&h->lock, LOCK_LEAF);
	l = find(h, item_id);
	if (!l)
		l = add_list_locked(h, item_id);
	if (l)
		rc = history_add_wait_locked(
			h, &(struct history_wait){
				   .list = l, .wake = wake, .arg = arg });
	if (rc == 0 && !l->asking) {
		begin = l->asking = true;
		h->under_way++;
	}
	lock_drop(&h->lock, LOCK_LEAF);
	if (begin)
		ask(h, l);
	return rc;
}
