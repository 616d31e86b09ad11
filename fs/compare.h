/* fs/compare.h -- what the service says of an item, against what it confirmed
 * when it was sent.
 *
 * Pure. Threads: any. */
#ifndef NMB_COMPARE_H
#define NMB_COMPARE_H

struct item;
struct node;

enum compare_verdict {
	COMPARE_SAME,
	COMPARE_UNHASHED, /* the sizes agree, a hash is not known on both sides:
	                   * its content could not be compared */
	COMPARE_MISSING,
	COMPARE_CHANGED, /* another content under another tag: somebody sent
	                  * it, and it was not taken in here yet */
	COMPARE_DAMAGED, /* another content under the tag it had: nobody did */
	COMPARE_UNREADABLE, /* by fs/sample.h: the service does not give it */
};

/* "same", "unhashed", "missing"...: for scripts, they stay. */
const char *compare_name(enum compare_verdict v);

/* `there` NULL: nothing is. Of a folder only whether it is there. */
enum compare_verdict compare_item(const struct node *n,
                                  const struct item *there);

#endif
