/* tests/sim/sim.h -- the whole mount but FUSE and HTTP, simulated: planner,
 * merger, engine, store and content of one or more devices against a model of
 * the service, all of it in one thread, on a clock of its own, from a seed.
 *
 *	service.c  the model of the drive
 *	net.c      net/graph, net/upload, net/work and the clock, replaced
 *	device.c   one device: its parts, what programs do on it, its death
 *	crash.c    its death in the middle of something
 *	run.c      one run: steps, their end, what must be true then
 *	mutants.c  deliberate mistakes, which it must find
 *	main.c     many runs, the minimiser
 *
 * Threads: one. */
#ifndef NMB_TESTS_SIM_H
#define NMB_TESTS_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>

struct contents;
struct engine;
struct graph;
struct handle;
struct store;
struct tree;

/* ---- chance: everything random comes from here ---- */

uint32_t sim_random(void);
uint32_t sim_below(uint32_t n); /* 0..n-1 */
bool sim_chance(unsigned percent);
/* A name: few, so that they clash; capitals, which the service holds equal, in
 * some runs. */
char sim_letter(void);

/* Deliberate mistakes, to see that they are found (main.c: --break). */
extern const char *sim_broken;
bool sim_breaks(const char *what);
extern const struct sim_mutant {
	const char *what; /* NULL: the end */
	uint64_t seed;    /* that found it once: tried first; 0: rare */
} sim_mutants[];
extern bool sim_verbose;
/* What happens, if --verbose. `sim_acting`: the device whose log it is. */
extern int sim_acting;
void sim_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Ends the run. */
_Noreturn void sim_fail(const char *fmt, ...)
	__attribute__((format(printf, 1, 2)));

/* ---- contents: each is unique, known by the first bytes of its hash ---- */

uint64_t sim_key(const void *data, size_t len); /* 0: empty */
/* A program closed a file that holds it: from now on it may not get lost... */
void sim_acknowledged(uint64_t key, const char *who, const char *path);
/* ...until somebody who had it replaced or deleted it. */
void sim_superseded(uint64_t key);
/* The same if the device dies before the next call of it, 0. */
void sim_risk(uint64_t key);
void sim_died(void);

/* ---- service.c ---- */

#define SERVICE_MAX 2000
#define SIM_DEVICES 3

struct blob {
	size_t len;
	uint64_t key;
	uint8_t hash[20];
	unsigned char data[];
};

struct thing_state { /* what changes of one */
	struct thing *parent;
	char name[128];
	struct blob *blob;
	unsigned etag;
	int64_t mtime;
};

struct thing { /* a driveItem */
	char id[24];
	struct thing *parent;
	char name[128];
	bool folder, deleted;
	bool untold; /* the feed never says that it is gone */
	struct blob *blob;
	unsigned etag;
	uint64_t seq;  /* place in the list of changes */
	uint64_t came; /* the same, when it came into its folder... */
	uint64_t born; /* ...and when it was made */
	int64_t mtime, created;
	struct blob *of_tag[64];        /* content by eTag, modulo */
	struct thing_state before;      /* its last change; no etag: none */
	int64_t looked_ms[SIM_DEVICES]; /* when each last got it by GET */
};

struct service {
	struct thing *things[SERVICE_MAX];
	size_t n;
	uint64_t seq;
	uint64_t lag;       /* the feed does not show the last ones yet */
	bool calm;          /* no trouble any more */
	bool tombs_for_all; /* a recursive delete names each of them */
	bool tags_move;     /* eTags move for no reason */
	bool hides_hashes;  /* hashes come late, or never */
	bool loses_tombs;   /* of some deletes nothing is told */
	bool feed_is_old;   /* it tells what was before the last change */
	unsigned trouble;   /* percent */
	int64_t now_ns;
};
extern struct service service;

void service_start(void);
bool service_is_below(const struct thing *t, const struct thing *folder);
struct thing *service_root(void);
struct thing *service_find(const char *id); /* NULL: not there, or deleted */
struct thing *service_child(const struct thing *parent, const char *name);
struct thing *service_add(struct thing *parent, const char *name, bool folder,
                          struct blob *b);
void service_write(struct thing *t, struct blob *b);
/* False: into itself. */
bool service_move(struct thing *t, struct thing *parent, const char *name);
void service_delete(struct thing *t);
void service_move_tag(struct thing *t);
struct blob *service_blob(const void *data, size_t len);
struct blob *service_version(const char *id, const char *etag);
void service_etag(const struct thing *t, char out[48]);
cJSON *service_json(const struct thing *t);
/* A page of the feed from `link` (NULL: from the start). */
cJSON *service_delta(const char *link);
cJSON *service_list(const struct thing *folder);
/* Somebody at the web page does something in our folder. */
void service_visitor(struct thing *box);

/* ---- net.c ---- */

struct graph *net_new(int device);
/* Requests under way of all devices. */
size_t net_count(void);
/* Lets one of them go a step further; `effect` may come long before the
 * answer. */
void net_step(void);
/* The device died: what is under way arrives, or not; no answer does. */
void net_drop(struct graph *g);

extern int64_t sim_now_ms;
extern int64_t sim_wall_ns; /* by how much wall clocks are wrong */

/* ---- device.c ---- */

#define SIM_RECONCILE_MS 300000

struct device {
	int num;
	char dir[64];
	struct store *store;
	struct contents *contents;
	struct tree *tree;
	struct engine *engine;
	struct graph *graph;
	struct handle *open; /* a program that takes its time */
	bool open_gone;      /* ...with a file that was removed since */
	bool open_idle;      /* ...and has not written anything yet */
};

/* ---- run.c ---- */

/* How many steps the run of a seed has; the run itself, of those `steps` that
 * are set (NULL: all), on files below `dir`. Returns if all is well. A whole
 * run has at least so many operations, and one crash. */
#define SIM_OPERATIONS 50
#define SIM_STEPS      660
unsigned sim_steps(uint64_t seed);
void sim_run(uint64_t seed, const char *dir, const bool *steps);

/* ---- crash.c ---- */

/* The device dies at its n-th commit from now on, if that comes before
 * crash_disarm(). crash_run(): runs a step in which it may. */
extern unsigned crash_count; /* of this run */
void crash_arm(struct device *d, unsigned commits);
void crash_disarm(void);
void crash_run(void (*step)(void));

/* ---- device.c ---- */

extern bool sim_on_disk; /* the database, too */
extern bool sim_holds;   /* mass changes wait for a person */
/* A person lets go what is held, or takes it back. */
void device_decide(struct device *d, bool undo);

void device_start(struct device *d, int num, const char *dir);
void device_crash(struct device *d);
void device_turn(struct device *d);
void device_sync(struct device *d);
void device_poll(struct device *d);
/* One random thing that a program does. */
void device_work(struct device *d);
void device_close(struct device *d);
/* What a person does who reads the status. Nothing else may stay blocked. */
void device_unblock(struct device *d);
bool device_is_calm(struct device *d);
/* It may take that along with a folder that it deletes: a program here removed
 * it, as it is; or its news came too late. */
bool device_may_take(struct device *d, const struct thing *t,
                     const struct thing *folder);
struct device *sim_device(int num);
void device_explain(struct device *d);
/* Everything below the root, sorted: "path key". malloc'ed. */
char *device_list(struct device *d);
char *service_listing(void);

#endif
