/* tests/graphd/route.h -- from a request line to what it is about. Pure.
 *
 * The path is decoded first and split afterwards, because one client sends
 * "%2F" between folders and the service takes it (facts/graph.md 2.1). Names
 * never hold a colon, so the colons of path addressing are unambiguous.
 * Threads: any. */
#ifndef NMB_TESTS_GRAPHD_ROUTE_H
#define NMB_TESTS_GRAPHD_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

/* What a request is, for statistics, latencies and faults: NAME, resource
 * (enum throttle_op without its prefix). */
#define ROUTE_CLASSES(X)                                                       \
	X(other, FREE)                                                         \
	X(me, GET)                                                             \
	X(drive, GET)                                                          \
	X(drives, LIST)                                                        \
	X(item, GET)                                                           \
	X(children, LIST)                                                      \
	X(create, CREATE)                                                      \
	X(multipart, UPLOAD)                                                   \
	X(patch, UPDATE)                                                       \
	X(delete, DELETE)                                                      \
	X(permanent_delete, DELETE)                                            \
	X(restore, UPDATE)                                                     \
	X(copy, CREATE)                                                        \
	X(put, UPLOAD)                                                         \
	X(commit_put, UPLOAD)                                                  \
	X(session, UPLOAD)                                                     \
	X(fragment, UPLOAD)                                                    \
	X(session_status, FREE)                                                \
	X(session_cancel, FREE)                                                \
	X(session_commit, UPLOAD)                                              \
	X(content, GET)                                                        \
	X(download, DOWNLOAD)                                                  \
	X(monitor, FREE)                                                       \
	X(delta, DELTA)                                                        \
	X(versions, LIST)                                                      \
	X(version, GET)                                                        \
	X(version_content, GET)                                                \
	X(version_restore, UPDATE)                                             \
	X(version_delete, DELETE)                                              \
	X(search, LIST)                                                        \
	X(shared, LIST)                                                        \
	X(subscription, CREATE)                                                \
	X(permissions, PERMISSIONS)                                            \
	X(batch, FREE)                                                         \
	X(login, FREE)                                                         \
	X(control, FREE)

enum route_class {
#define X(name, op) CLASS_##name,
	ROUTE_CLASSES(X)
#undef X
		CLASS_COUNT,
};

const char *route_class_name(enum route_class class);
/* CLASS_COUNT: no such name. */
enum route_class route_class_of(const char *name);

enum route_place {
	PLACE_LOGIN,
	PLACE_CONTROL,  /* /graphd/{path} */
	PLACE_GRAPH,    /* needs a bearer */
	PLACE_SESSION,  /* upload URL */
	PLACE_DOWNLOAD, /* download URL */
	PLACE_MONITOR,  /* of a copy */
};

enum route_base {
	BASE_NONE, /* the drive itself, or no drive at all */
	BASE_ROOT,
	BASE_ID,
	BASE_SPECIAL,
};

struct route {
	enum route_place place;
	enum route_class class;
	char *drive; /* id; NULL: the user's own ("/me/drive") or none */
	bool has_drive;
	enum route_base base;
	char *id;   /* item id or special name; NULL */
	char *path; /* relative to the base, decoded; NULL: no colon */
	char *arg;  /* version id, search text, delta token, page of control */
	bool bad_form; /* such as "root:/:/children": 400 */
	bool raw_path; /* reserved characters were not escaped */
};

/* `target`: path and query as they came. Always fills *out; what is unknown
 * is class other. */
void route_parse(const char *method, const char *target, bool plus_is_space,
                 struct route *out);
void route_done(struct route *r);

/* Query: decoded, without the leading '$' of names. */
struct query {
	struct query_pair {
		char *name, *value;
	} * pairs;
	size_t n;
	bool mixed; /* "$" on some option names and not on others */
};

void query_parse(const char *target, struct query *out);
void query_done(struct query *q);
const char *query_get(const struct query *q, const char *name);

/* Percent-decodes `len` bytes. free(). */
char *route_decode(const char *s, size_t len, bool plus_is_space);

#endif
