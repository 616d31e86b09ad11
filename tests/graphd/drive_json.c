#include "tests/graphd/drive_json.h"

#include <stdio.h>

#include "net/clock.h"

#define APP_NAME "nmbackupfs"

void drive_json_time(struct graphd *g, cJSON *obj, const char *name, int64_t ns)
{
	char text[CLOCK_RFC3339_SIZE];
	int digits = (int)g->quirks.time_digits;

	/* Whole seconds come without a fraction everywhere (2.3). */
	if (ns % NS_PER_SEC == 0)
		digits = 0;
	clock_format_rfc3339(ns, digits, text);
	cJSON_AddStringToObject(obj, name, text);
}

cJSON *drive_json_user(struct graphd *g, bool with_application)
{
	bool business = g->opt.kind == DRIVE_BUSINESS;
	cJSON *set = cJSON_CreateObject();
	cJSON *user, *app;

	if (with_application && !business) {
		app = cJSON_AddObjectToObject(set, "application");
		cJSON_AddStringToObject(app, "displayName", APP_NAME);
		cJSON_AddStringToObject(app, "id", "44018c9a");
	}
	user = cJSON_AddObjectToObject(set, "user");
	cJSON_AddStringToObject(user, "displayName", "Some One");
	if (business)
		cJSON_AddStringToObject(user, "email",
		                        "some.one@contoso.example");
	cJSON_AddStringToObject(user, "id",
	                        business ? g->user_guid : g->drive->id);
	return set;
}

static void add_quota_number(struct graphd *g, cJSON *quota, const char *name,
                             int64_t v)
{
	char text[32];

	if (g->quirks.quota_shape == 4) {
		snprintf(text, sizeof(text), "%lld", (long long)v);
		cJSON_AddStringToObject(quota, name, text);
	} else {
		cJSON_AddNumberToObject(quota, name,
		                        g->quirks.quota_shape == 2 ? 0
		                                                   : (double)v);
	}
}

static const char *quota_state(int64_t total, int64_t remaining)
{
	if (remaining <= 0)
		return "exceeded";
	if (remaining < total / 100)
		return "critical";
	return remaining < total / 10 ? "nearing" : "normal";
}

#define SHOWN_UNLIMITED (INT64_C(5) << 40) /* what a large plan shows */

static void add_quota(struct graphd *g, cJSON *drive)
{
	const struct drive *d = g->drive;
	int64_t total = d->quota_bytes > 0 ? d->quota_bytes : SHOWN_UNLIMITED;
	int64_t used = d->used_bytes + d->binned_bytes;
	int64_t remaining = total - used;
	cJSON *quota;

	if (g->quirks.quota_shape == 1)
		return;
	if (remaining < 0)
		remaining = 0;
	quota = cJSON_AddObjectToObject(drive, "quota");
	add_quota_number(g, quota, "deleted", d->binned_bytes);
	add_quota_number(g, quota, "remaining",
	                 g->quirks.quota_shape == 3 ? -1 : remaining);
	add_quota_number(g, quota, "total", total);
	add_quota_number(g, quota, "used", used);
	if (g->quirks.quota_shape != 2)
		cJSON_AddStringToObject(quota, "state",
		                        quota_state(total, remaining));
	if (g->opt.kind == DRIVE_BUSINESS && g->quirks.quota_shape == 0)
		cJSON_AddNumberToObject(quota, "fileCount", (double)d->nlive);
}

cJSON *drive_json(struct graphd *g)
{
	bool business = g->opt.kind == DRIVE_BUSINESS;
	const struct drive *d = g->drive;
	cJSON *drive = cJSON_CreateObject();

	cJSON_AddStringToObject(drive, "id", d->id);
	cJSON_AddStringToObject(drive, "driveType",
	                        business ? "business" : "personal");
	cJSON_AddStringToObject(drive, "name", "OneDrive");
	drive_json_time(g, drive, "createdDateTime", d->root->created_ns);
	drive_json_time(g, drive, "lastModifiedDateTime", d->root->below_ns);
	cJSON_AddStringToObject(
		drive, "webUrl",
		business ? "https://contoso-my.sharepoint.com/personal/"
			   "some_one_contoso_example/Documents"
			 : "https://onedrive.live.com/");
	cJSON_AddItemToObject(drive, "owner", drive_json_user(g, false));
	add_quota(g, drive);
	return drive;
}
