/* tests/unit/ops_fixture.h -- a real mount over a real tree, with stand-ins for
 * what talks to the service: fetch, space and engine do what the test says.
 *
 * The mount is served by this process; what touches it runs in threads or
 * children of it. Skips where /dev/fuse can't be used. */
#ifndef NMB_TESTS_OPS_FIXTURE_H
#define NMB_TESTS_OPS_FIXTURE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "fs/nmb.h"
#include "fs/tree.h"

struct rig {
	struct nmb nmb;
	char dir[64]; /* state and mnt lie in it */
	char mnt[96];

	/* What the stand-ins do. */
	atomic_bool stuck; /* a fetch wakes nobody before its deadline */
	_Atomic(const char *)
		remote;     /* bytes that a fetch brings, in chunk 0 */
	atomic_bool full;   /* no room: writers wait */
	atomic_int list_rc; /* of a listing; 0: the folder becomes known */
	atomic_uint fetches, lists, waiting, hydrations;
};

extern struct rig rig;

/* False: this machine can't mount, the test is skipped. */
bool rig_mount(int64_t deadline_ms);
void rig_unmount(void);

/* A child that only uses the mount. */
pid_t rig_fork(void);

/* Path in the mount; four at a time. */
const char *at(const char *name);

/* A file the server has and this machine has not; its ino. */
uint64_t rig_add_remote(const char *name, uint64_t size);

/* The server has another version of it now. */
void rig_new_version(uint64_t ino, uint64_t size);

void rig_set_flags(uint64_t ino, uint32_t set, uint32_t clear);

/* Waits until `n` (at least) reached `count`; false after ten seconds. */
bool rig_wait(const atomic_uint *n, unsigned count);

#endif
