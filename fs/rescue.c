#include "fs/rescue.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/interrupt.h"
#include "fs/rescue_work.h"

/* Of folders in folders: descriptors are open all the way down. */
#define DEPTH_MAX 200

static void walk(struct rescue_source *s, struct rescue_work *w,
                 struct rescue_dir *dir, const char *id, int depth);

static void enter(struct rescue_source *s, struct rescue_work *w,
                  struct rescue_dir *dir, const struct rescue_entry *e,
                  int depth)
{
	struct rescue_dir *sub = NULL;
	int fd, rc = depth < DEPTH_MAX ? 0 : -ELOOP;

	if (rc == 0)
		rc = restore_enter(rescue_dir_fd(dir), &e->it, &fd);
	if (rc == 0) {
		sub = rescue_dir_new(w, dir, &e->it, fd);
		rc = sub ? 0 : -ENOMEM;
	}
	rescue_note(w, dir, &e->it, rc, NULL);
	if (rc < 0)
		return;
	walk(s, w, sub, e->id, depth + 1);
	rescue_dir_unref(w, sub);
}

static bool has_content(const struct rescue_entry *e)
{
	return S_ISREG(e->it.mode) || (S_ISLNK(e->it.mode) && !e->target);
}

/* Takes over `e`. */
static void take(struct rescue_source *s, struct rescue_work *w,
                 struct rescue_dir *dir, struct rescue_entry *e, int depth)
{
	if (!e->is_folder && has_content(e)) {
		rescue_work_add(w, dir, e);
		return;
	}
	if (e->is_folder)
		enter(s, w, dir, e, depth);
	else
		rescue_note(w, dir, &e->it,
		            restore_node(rescue_dir_fd(dir), &e->it), NULL);
	rescue_entry_free(e);
}

static void walk(struct rescue_source *s, struct rescue_work *w,
                 struct rescue_dir *dir, const char *id, int depth)
{
	struct restore_item here = { .name = "its list", .mode = S_IFDIR };
	struct rescue_list l;
	int rc = rescue_list(s, s->direct, id, &l);

	if (rc < 0) {
		rescue_note(w, dir, &here, rc, s->direct->why);
		return;
	}
	rescue_note_foreign(w, dir, l.foreign);
	for (size_t i = 0; i < l.n; i++) {
		struct rescue_entry *e = l.entries[i];

		l.entries[i] = NULL;
		if (rescue_stopped(w))
			rescue_entry_free(e);
		else
			take(s, w, dir, e, depth);
	}
	rescue_list_done(&l);
}

static int take_start(struct rescue_source *s, struct rescue_work *w,
                      struct rescue_dir *top)
{
	struct rescue_entry *e;
	int rc;

	if (s->start.kind == ITEM_FOLDER) {
		walk(s, w, top, s->start.id, 0);
		return 0;
	}
	rc = rescue_open_entry(s, &s->start, &e);
	if (rc == 0)
		take(s, w, top, e, 0);
	return rc;
}

int rescue_run(struct rescue_source *s, int dest, struct rescue_counts *out)
{
	int fd = fcntl(dest, F_DUPFD_CLOEXEC, 0);
	struct interrupt signals;
	struct rescue_work *w;
	struct rescue_dir *top;
	int rc;

	if (fd < 0)
		return -errno;
	rc = rescue_work_new(s, &w);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	interrupt_catch(&signals);
	top = rescue_dir_new(w, NULL, NULL, fd);
	rc = top ? take_start(s, w, top) : -ENOMEM;
	if (top)
		rescue_dir_unref(w, top);
	rescue_work_end(w, out);
	interrupt_release(&signals);
	/* All of it at once is cheaper than every file by itself. */
	if (syncfs(dest) < 0 && rc == 0)
		rc = -errno;
	return rc;
}
