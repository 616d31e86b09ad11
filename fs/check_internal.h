/* fs/check_internal.h -- shared by the check*.c files only. */
#ifndef NMB_CHECK_INTERNAL_H
#define NMB_CHECK_INTERNAL_H

#include <limits.h>

#include "fs/check.h"

struct db;

struct check {
	const struct check_options *opt;
	struct check_result done;
	struct db *db; /* in a transaction if opt->repair */
	int dirfd;     /* the state directory */
	bool clean;    /* the last run ended in order */
	bool touched;  /* rows were changed: the server is to be asked anew */
};

/* Reports one; `text` as printf. */
void check_found(struct check *c, const struct check_finding *f,
                 const char *text, ...) __attribute__((format(printf, 3, 4)));

/* The path of a node, or "#INO" where the rows don't lead to the root. */
void check_path(struct check *c, uint64_t ino, char out[PATH_MAX]);

/* check_rows.c: rows that contradict each other. */
int check_rows(struct check *c);

/* check_tree.c: every node has a way to the root. */
int check_tree(struct check *c);

/* check_content.c: content files, as the rows have them. */
int check_content(struct check *c);

/* check_strays.c: files of no row (c->db NULL: of none at all); what is in
 * quarantine/. */
int check_strays(struct check *c);
int check_quarantine(struct check *c);

#endif
