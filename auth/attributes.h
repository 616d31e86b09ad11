/* auth/attributes.h -- what POSIX needs besides name and content, as the text
 * that rides in a sealed name (auth/seal_names).
 *
 *	text  = "" | field *("," field)
 *	field = one letter A-Z a-z, value
 *
 * Letters ascend in ASCII order, each at most once; a value has no comma, but
 * that of `z`, the last letter, runs to the end. No NUL anywhere.
 *
 *	g, u  gid, uid in decimal; only if somebody set them
 *	k     kind, if neither regular file nor directory: p fifo, s socket,
 *	      cMAJ:MIN and bMAJ:MIN devices in decimal, l symlink whose
 *	      target is the item's content
 *	m     permission bits in octal, if not 644 (directories: 755); never of
 *	      symlinks
 *	t     mtime in ns since 1970, lower-case hex, "-" in front if before;
 *	      not of directories
 *	z     symlink target; then no k
 *
 * Numbers have no leading zeros. A field that is not understood, be it of an
 * unknown letter or of a value that breaks these rules (also: m644 of a file, t
 * of a directory, z beside k), counts as absent and is *kept*: formatting
 * gives it back, unless there is a value of ours for its letter. So a text that
 * parses comes out of parse and format as it went in.
 *
 * Pure; threads: any. */
#ifndef NMB_ATTRIBUTES_H
#define NMB_ATTRIBUTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Longest text: what a sealed name has room for beside a name of one byte. */
#define ATTRIBUTES_MAX 423

/* The longest device numbers that Linux has. */
#define ATTRIBUTES_MAJOR_MAX 0xfff
#define ATTRIBUTES_MINOR_MAX 0xfffff

struct attributes {
	mode_t mode; /* with the type bits; 0777 for symlinks */
	bool has_uid, has_gid, has_mtime;
	uid_t uid;
	gid_t gid;
	uint64_t rdev;      /* of devices, as makedev() makes it */
	int64_t mtime;      /* ns since 1970 */
	const char *target; /* of symlinks, borrowed; NULL: in the content */
	char kept[ATTRIBUTES_MAX + 1]; /* fields not understood, as a text */
};

/* What an item without attributes is: 0755 or 0644, nothing else set. */
void attributes_init(struct attributes *a, bool dir);

/* Sets all of *a. `dir`: the item is a folder. a->target points into `text`.
 * -EINVAL: no text of this shape; *a is as attributes_init() leaves it, and
 * the item is shown like that, its text lost at the next local change. */
int attributes_parse(struct attributes *a, bool dir, const char *text);

/* Writes the text and a NUL into `size` bytes. -ENAMETOOLONG: it doesn't fit
 * (a symlink's target may have to go into the content); -EINVAL: what a name
 * can't hold (another file type, an empty target, larger device numbers). */
int attributes_format(const struct attributes *a, char *out, size_t size);

#endif
