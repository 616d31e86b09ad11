/* tests/posix/posix.h -- what a table of POSIX rows needs.
 *
 * The program works in a directory that it is given: on a mount, or on a plain
 * file system as reference. A row says what it is about with row() and judges
 * with is_code() or is_num(); each judgement counts as one row. Every group
 * of rows has an empty working directory of its own, that it need not clear.
 *
 * Where the mount differs from the reference by design, the row says so, with
 * the reason: differs(). There is no other list of exceptions.
 *
 * Rows about owners need root and are not run without. */
#ifndef NMB_TESTS_POSIX_H
#define NMB_TESTS_POSIX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* ---- judging ------------------------------------------------------------- */

void row(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* An errno, 0 for success; printed by name. */
void is_code(int got, int want);
void is_num(int64_t got, int64_t want);
void is_true(bool cond, const char *what);

/* The errno of a call that returns -1 on failure, 0 if it worked. */
#define CODE(call) ((call) < 0 ? errno : 0)

/* What is right here: `ours` on the mount, `reference` elsewhere. */
int differs(int reference, int ours, const char *why);
/* Rows that only the mount (or only the reference) can judge. */
bool on_mount(void);

/* What must work for a row to mean anything: ends the program if not. */
void need(bool cond, const char *what);
#define NEED(call) need((call) >= 0, #call)

/* ---- nodes ----------------------------------------------------------------
 */

enum kind { REG, DIRECTORY, LNK, FIFO, SOCK, CHR, BLK, NKINDS };

const char *kind_name(enum kind k);
mode_t kind_fmt(enum kind k); /* S_IFREG and so on */
bool can_make(enum kind k);   /* devices take root */

/* Mode 0644 (a directory 0755); a file has "0123456789", a link leads to
 * "target", which need not be there. */
void make(enum kind k, const char *name);
void make_file(const char *name, const char *text);
void make_dir(const char *name);
void make_full_dir(const char *name); /* with a file "child" */
void clear(void);                     /* empties the working directory */

ino_t ino_of(const char *name); /* of a link itself; 0: not there */
off_t size_of(const char *name);
mode_t perm_of(const char *name); /* 07777, of a link itself */
int make_open(const char *path, int flags, mode_t mode); /* closes; errno */

#define EACH_KIND(k)                                                           \
	for (enum kind k = 0; k < NKINDS; k++)                                 \
		if (can_make(k))

/* ---- somebody else --------------------------------------------------------
 */

enum who { ROOT, OWNER, MEMBER, MATE, STRANGER, NWHO };
/* OWNER has its own group; MEMBER has that as its main group, MATE among its
 * other groups; STRANGER has nothing to do with them. */
uid_t uid_of(enum who w);
gid_t gid_of(enum who w);
const char *who_name(enum who w);
bool is_root(void);
/* Effective ids of this process, from here to become(ROOT). */
void become(enum who w);

/* ---- time -----------------------------------------------------------------
 */

/* Until the clock by which kernels stamp files, which lags, is past now. */
void tick(void);

/* ---- groups ---------------------------------------------------------------
 */

void group_rename(void);
void group_make(void);
void group_open(void);
void group_paths(void);
void group_times(void);
void group_modes(void);
void group_owners(void);
void group_content(void);
void group_extents(void);
void group_shared(void);
void group_dirs(void);
void group_attrs(void);

#endif
