#include "fs/engine.h"

const char *engine_state_name(enum engine_state s)
{
	static const char *const names[] = {
		[ENGINE_IDLE] = "idle",
		[ENGINE_SYNCING] = "syncing",
		[ENGINE_OFFLINE] = "offline",
		[ENGINE_THROTTLED] = "throttled",
		[ENGINE_FULL] = "full",
		[ENGINE_SIGNED_OUT] = "signed-out",
		[ENGINE_HELD] = "held",
		[ENGINE_PAUSED] = "paused",
	};

	return names[s];
}
