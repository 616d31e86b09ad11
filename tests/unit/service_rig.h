/* tests/unit/service_rig.h -- every kind of request that net/ sends, each case
 * on an account of its own.
 *
 * All cases share one graphd and one network thread and run at once, so that a
 * thousand of them wait no longer than the slowest; a fault is aimed at one
 * case by its bearer, or on the content hosts, which get none, by the name of
 * its file. Threads: the test's own starts and waits. */
#ifndef NMB_TESTS_SERVICE_RIG_H
#define NMB_TESTS_SERVICE_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "net/graph.h"
#include "tests/unit/drive_rig.h"

struct download;
struct download_range;
struct service_case;
struct upload;
struct work;

/* What a request is to who sent it: which column of the table holds for it. */
enum service_group {
	SERVICE_READ,
	SERVICE_PAGE,     /* by a link: it may be the link that is wrong */
	SERVICE_WRITE,    /* may be sent again */
	SERVICE_CREATE,   /* may not */
	SERVICE_FRAGMENT, /* an upload URL; net/upload sees to it by itself */
	SERVICE_ASK,      /* how far an upload is */
	SERVICE_DOWNLOAD, /* a download URL */
	SERVICE_BATCH,    /* of two folders to be made */
	SERVICE_GROUPS,
};

struct service_kind {
	const char *name;
	enum service_group group;
	const char *class; /* of graphd */
	bool by_name;      /* no bearer there */
	void (*start)(struct service_case *c);
};

extern const struct service_kind service_kinds[];
extern const unsigned service_nkinds;

struct service_rig {
	struct drive_rig drive;
	struct work *work;
	pthread_mutex_t lock;
	pthread_cond_t ended;
	unsigned nended; /* lock */
};

struct service_case {
	struct service_rig *rig;
	const struct service_kind *kind;
	unsigned nr;
	int64_t patience_ms; /* as in struct graph_call; an upload that would
	                      * go on for ever is cancelled by the test */
	struct graph *g;
	char bearer[512], name[32], id[256], etag[256], url[2048], version[64];
	struct graph_prepared call;
	struct upload *upload;
	struct download *download;
	struct download_range *range;
	unsigned parts;
	bool uploads; /* goes on until it is cancelled */
	bool counts;  /* service_wait() waits for it; set by the test */

	/* The end: rig.lock. */
	bool ended;
	int rc;
	enum retry_verdict verdict;
	long status;
	bool has_json, has_item;
	int64_t began_ms, took_ms;
};

void service_rig_start(struct service_rig *r, enum drive_kind kind);
void service_rig_stop(struct service_rig *r);

/* Makes a file (and whatever else its kind needs) and the account. */
void service_case_make(struct service_rig *r, unsigned nr,
                       const struct service_kind *kind, struct service_case *c);
void service_case_start(struct service_case *c);
/* Waits until `n` of them have ended, or so long. False: it was too long. */
bool service_wait(struct service_rig *r, unsigned n, int64_t ms);
void service_case_done(struct service_case *c);

/* The rule of graphd that befalls the case: "match" without its braces. */
void service_case_match(const struct service_case *c, char *out, size_t size);

#endif
