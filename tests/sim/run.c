#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/clock.h"
#include "net/log.h"
#include "net/quickxor.h"

#define MAX_KEYS   4096
#define OP_EVERY   3 /* steps; the first of them is an operation */
#define CALM_TURNS 1000
#define CALM_MS    10000 /* each */
#define QUIET_MS   80000 /* a poll came and brought nothing */

int sim_acting;
bool sim_verbose;
static uint64_t seed, state;
static bool capitals; /* names that differ in case only */

/* ---- chance -------------------------------------------------------------- */

/* splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number
 * generators", 2014. */
uint32_t sim_random(void)
{
	uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (uint32_t)((z ^ (z >> 31)) >> 16);
}

uint32_t sim_below(uint32_t n)
{
	return sim_random() % n;
}

bool sim_chance(unsigned percent)
{
	return sim_below(100) < percent;
}

char sim_letter(void)
{
	char c = (char)('a' + sim_below(6));

	return capitals && sim_chance(25) ? (char)(c - 'a' + 'A') : c;
}

void sim_say(const char *fmt, ...)
{
	va_list ap;

	if (!sim_verbose)
		return;
	va_start(ap, fmt);
	printf("%8.1f  ", (double)sim_now_ms / 1000);
	vprintf(fmt, ap);
	putchar('\n');
	va_end(ap);
}

static void log_line(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	if (sim_verbose)
		printf("          dev%d: %s\n", sim_acting, line);
}

void sim_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	printf("FAIL seed=%llu: ", (unsigned long long)seed);
	vprintf(fmt, ap);
	putchar('\n');
	va_end(ap);
	fflush(stdout);
	_exit(1);
}

/* ---- contents that must not get lost --------------------------------------
 */

static struct known {
	uint64_t key;
	bool superseded, must_live;
	char what[48];
} known[MAX_KEYS];
static size_t nknown;
static uint64_t at_risk;

uint64_t sim_key(const void *data, size_t len)
{
	uint8_t hash[QUICKXOR_SIZE];
	struct quickxor q;
	uint64_t key = 0;

	if (!len)
		return 0;
	quickxor_init(&q);
	quickxor_update(&q, data, len);
	quickxor_final(&q, hash);
	memcpy(&key, hash, sizeof(key));
	return key;
}

static struct known *find(uint64_t key)
{
	for (size_t i = 0; i < nknown; i++) {
		if (known[i].key == key)
			return &known[i];
	}
	if (nknown == MAX_KEYS)
		sim_fail("too many contents");
	known[nknown].key = key;
	return &known[nknown++];
}

void sim_acknowledged(uint64_t key, const char *who, const char *path)
{
	struct known *k = find(key);

	k->must_live = true;
	snprintf(k->what, sizeof(k->what), "%s: %s", who, path);
	sim_say("acknowledged %016llx", (unsigned long long)key);
}

void sim_superseded(uint64_t key)
{
	if (key)
		find(key)->superseded = true;
}

void sim_risk(uint64_t key)
{
	at_risk = key;
}

void sim_died(void)
{
	sim_superseded(at_risk);
	at_risk = 0;
}

static void check_lives(const char *listing)
{
	for (size_t i = 0; i < nknown; i++) {
		char text[32];

		if (!known[i].must_live || known[i].superseded)
			continue;
		snprintf(text, sizeof(text), "%016llx",
		         (unsigned long long)known[i].key);
		if (!strstr(listing, text))
			sim_fail("lost: %s (%s); there is\n%s", text,
			         known[i].what, listing);
	}
}

/* ---- a run --------------------------------------------------------------- */

static struct device devices[SIM_DEVICES];
static int ndevices;
static struct device *device; /* whose step it is */
static bool alone, jumps, crashes, deaths, visits;
static bool surprised; /* somebody died with requests under way */
static unsigned step_no, operations;

static void pass(int64_t ms)
{
	sim_now_ms += ms;
	service.now_ns += ms * 1000000;
}

static void jump(void)
{
	int64_t s = sim_below(366 * 86400);

	sim_wall_ns += (sim_chance(50) ? s : -s) * NS_PER_SEC;
	sim_say("the clocks jump");
}

/* What a program does here, or somebody at the web page. */
static void operation(struct device *d)
{
	struct thing *box = service_child(service_root(), "box");

	operations++;
	if (box && visits && sim_chance(17))
		service_visitor(box);
	else
		device_work(d);
}

/* A folder whose making is not noted by then is taken for a stranger's
 * afterwards. */
static void crash(struct device *d)
{
	if (alone)
		device_turn(d);
	surprised |= net_count() != 0;
	device_crash(d);
}

/* What else happens. */
static void event(struct device *d)
{
	switch (sim_below(9)) {
	case 0:
	case 1:
		for (unsigned i = sim_below(6); i; i--)
			net_step();
		break;
	case 2:
	case 3:
		device_turn(d);
		break;
	case 4:
		pass(sim_below(3000));
		if (jumps && sim_chance(10))
			jump();
		break;
	case 5:
	case 6:
		if (sim_holds && sim_chance(8))
			device_decide(d, sim_chance(50));
		else if (sim_chance(50))
			device_close(d);
		else
			device_sync(d);
		break;
	case 7:
		if (crashes && sim_chance(12))
			crash(d);
		break;
	case 8:
		if (sim_chance(30))
			device_poll(d);
		service.lag = sim_chance(50) ? 0 : sim_below(4);
		if (service.lag > service.seq)
			service.lag = 0;
		break;
	}
}

static void one_step(void)
{
	if (step_no % OP_EVERY == 0)
		operation(device);
	else
		event(device);
}

/* Who works alone never meets a conflict: not even with what it sent itself and
 * whose answer it did not get. */
static void check_alone(const char *listing)
{
	if (alone && !surprised && !sim_holds && /* undo finds names taken */
	    (strstr(listing, " (conflict") || strstr(listing, " (item")))
		sim_fail("a conflict with itself; there is\n%s", listing);
}

static bool all_calm(void)
{
	if (net_count())
		return false;
	for (int i = 0; i < ndevices; i++) {
		if (!device_is_calm(&devices[i]))
			return false;
	}
	return true;
}

static bool all_equal(char **out_service, char **out_dev, int *out_i)
{
	*out_service = service_listing();
	for (int i = 0; i < ndevices; i++) {
		*out_dev = device_list(&devices[i]);
		*out_i = i;
		if (strcmp(*out_service, *out_dev) != 0)
			return false;
	}
	return true;
}

static void calm_down(void)
{
	char *there = NULL, *here = NULL;
	int i, quiet = 0, which = 0;
	/* What nobody told is found when all is listed anew. */
	int enough = (QUIET_MS + (service.loses_tombs ? SIM_RECONCILE_MS : 0)) /
	             CALM_MS;
	uint64_t seq;

	service.calm = true;
	sim_say("---- calm");
	for (int n = 0; n < CALM_TURNS; n++) {
		seq = service.seq;
		for (i = 0; i < ndevices; i++) {
			if (!n)
				device_close(&devices[i]);
			device_turn(&devices[i]);
			if (n % 3 == 0)
				device_sync(&devices[i]);
			if (n % 16 == 8 && sim_holds)
				device_decide(&devices[i], false);
			if (n % 32 == 31) /* what lasts */
				device_unblock(&devices[i]);
		}
		while (net_count()) {
			net_step();
			for (i = 0; i < ndevices; i++)
				device_turn(&devices[i]);
		}
		pass(CALM_MS);
		quiet = seq == service.seq && all_calm() ? quiet + 1 : 0;
		if (quiet == enough) {
			if (all_equal(&there, &here, &which))
				break;
			sim_fail("dev%d differs; there is\n%shere is\n%s",
			         which, there, here);
		}
	}
	if (quiet < enough) {
		for (i = 0; i < ndevices; i++)
			device_explain(&devices[i]);
		all_equal(&there, &here, &which);
		sim_fail("never calm; there is\n%s dev%d\n%s", there, which,
		         here);
	}
	check_lives(there);
	check_alone(there);
}

/* Each step draws from a stream of its own, so that leaving one out (the
 * minimiser) does not change what the others do. */
static void stream(uint64_t n)
{
	state = (seed * UINT64_C(0xd1342543de82ef95) + n) *
	                UINT64_C(0x9e3779b97f4a7c15) +
	        1;
	sim_random();
}

static void set_world(void)
{
	unsigned many = sim_below(100);

	alone = sim_chance(12);
	ndevices = alone || many < 30 ? 1 : many < 85 ? 2 : 3;
	service.tombs_for_all = sim_chance(50);
	service.tags_move = sim_chance(20);
	service.hides_hashes = sim_chance(10);
	service.trouble = sim_chance(50) ? sim_below(15) : 0;
	service.feed_is_old = sim_chance(20);
	service.loses_tombs = sim_chance(10);
	capitals = sim_chance(25);
	visits = !alone && sim_chance(90);
	jumps = sim_chance(15);
	crashes = sim_chance(85);
	deaths = !alone && crashes && sim_chance(60);
}

struct device *sim_device(int num)
{
	return &devices[num];
}

unsigned sim_steps(uint64_t s)
{
	seed = s;
	stream(1);
	return OP_EVERY * SIM_OPERATIONS + sim_below(sim_chance(85) ? 90 : 510);
}

void sim_run(uint64_t s, const char *dir, const bool *steps)
{
	unsigned n = sim_steps(s), last;

	log_set_sink(log_line, NULL);
	log_set_level(sim_verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
	stream(2);
	service_start();
	set_world();
	for (int i = 0; i < ndevices; i++)
		device_start(&devices[i], i, dir);
	last = sim_below(n); /* one crash at least, then */
	for (step_no = 0; step_no < n; step_no++) {
		if (steps && !steps[step_no])
			continue;
		sim_say("---- step %u", step_no);
		stream(16 + step_no);
		device = &devices[sim_below((uint32_t)ndevices)];
		if (deaths && sim_chance(4))
			crash_arm(device, 1 + sim_below(6));
		crash_run(one_step);
		crash_disarm();
		if (!crash_count && step_no >= last && !(alone && net_count()))
			crash(device);
	}
	for (unsigned i = 0; alone && net_count() && i < 500; i++) {
		net_step();
		device_turn(device);
	}
	if (!crash_count && !steps)
		crash(device);
	if (!steps && (operations < SIM_OPERATIONS || !crash_count))
		sim_fail("%u operations, %u crashes: too few to mean anything",
		         operations, crash_count);
	stream(3);
	calm_down();
	if (sim_verbose)
		printf("ok, there is\n%s", service_listing());
}
