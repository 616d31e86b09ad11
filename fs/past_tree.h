/* fs/past_tree.h -- a tree as it was, made again in a directory.
 *
 * Files several at a time. What could not be restored, or not for certain, is
 * said on standard error, a line each. Threads: one; signals are the
 * caller's. */
#ifndef NMB_PAST_TREE_H
#define NMB_PAST_TREE_H

#include <stdbool.h>
#include <stdint.h>

struct direct;
struct past;
struct past_deletes;

struct past_tree {
	struct direct *direct;
	struct past *past;
	const struct past_deletes *deletes;
	int64_t at;
	const char *path; /* what of it; "": all */
	int dest;         /* a directory, new or empty */
	bool leave_bin;   /* take nothing out of the recycle bin */
};

struct past_counts {
	uint64_t files, folders, bytes;
	uint64_t unsure;  /* of the files: maybe not what they were */
	uint64_t missing; /* could not be restored: not kept, or deleted */
	uint64_t failed;  /* could not be restored, and may another time */
	uint64_t in_bin;  /* of the missing ones: the browser gives them back */
	bool interrupted;
};

/* 0; -ENOENT: there was nothing at that path then; -ENOMEM and the like, with
 * the line in direct->why. What failed file by file is in *out. */
int past_tree_restore(const struct past_tree *t, struct past_counts *out);

/* "2026-11-24T... : another device changed it": why that is not certain; ""
 * if it is. */
const char *past_doubt_text(unsigned doubts);

#endif
