#include "tests/unit/vault_rig.h"

#include <sodium.h>

#include "net/buf.h"
#include "tests/unit/check.h"

#define VAULT_PATH "/backup"

struct vault_rig vr;

void vault_rig_post(const char *path, const char *body)
{
	drive_rig_post(&vr.drive, path, body);
}

struct vault_store *vault_rig_store(void)
{
	struct vault_store *s = NULL;

	CHECK_EQ(vault_store_new(vr.drive.g, vr.folder_id, 20000, &s), 0);
	return s;
}

bool vault_rig_init(void)
{
	return sodium_init() >= 0 && age_identity_new(&vr.laptop) == 0 &&
	       age_identity_new(&vr.phone) == 0 &&
	       age_identity_new(&vr.paper) == 0 &&
	       age_identity_new(&vr.stranger) == 0;
}

void vault_rig_done(void)
{
	age_identity_free(vr.laptop);
	age_identity_free(vr.phone);
	age_identity_free(vr.paper);
	age_identity_free(vr.stranger);
}

void vault_rig_stop(void)
{
	drive_rig_stop(&vr.drive);
}

void vault_rig_start(int kind)
{
	struct object dir;

	drive_rig_start(&vr.drive, (enum drive_kind)kind);
	vr.calls =
		(struct objects){ .graph = vr.drive.g, .patience_ms = 20000 };
	CHECK_EQ(objects_mkdir(&vr.calls, vr.drive.root, "backup", &dir), 0);
	strcpy(vr.folder_id, dir.id);
}

struct descriptor *vault_rig_descriptor(struct age_identity *id,
                                        const char *label)
{
	struct descriptor *d;

	CHECK_EQ(descriptor_new(NAME_TEXT_CJK14, 7, label, &d), 0);
	CHECK_EQ(descriptor_add(d, label, DESCRIPTOR_DEVICE, &id->recipient),
	         0);
	CHECK_EQ(descriptor_add(d, "paper", DESCRIPTOR_RECOVERY,
	                        &vr.paper->recipient),
	         0);
	CHECK_EQ(descriptor_finish(d, 0), 0);
	return d;
}

enum vault_found vault_rig_find(struct vault_store *s)
{
	enum vault_found f = VAULT_FOUND_LOST;

	CHECK_EQ(vault_store_find(s, &f, vr.why), 0);
	CHECK_EQ(vr.why[0] != '\0',
	         f == VAULT_FOUND_FILES || f == VAULT_FOUND_LOST);
	return f;
}

int vault_rig_load(struct vault_store *s, struct age_identity *id,
                   const struct pin *pin, struct descriptor **out_d,
                   struct pin *out_pin)
{
	struct age_keys keys = { .ids = &id, .id_count = 1 };
	int rc = vault_store_load(s, &keys, pin, out_d, out_pin, vr.why);

	if (rc < 0)
		CHECK(vr.why[0]);
	return rc;
}

int vault_rig_try(struct age_identity *id, struct pin *pin)
{
	struct vault_store *s = vault_rig_store();
	struct descriptor *d;
	struct pin next;
	int rc = vault_rig_load(s, id, pin, &d, &next);

	if (rc == 0)
		descriptor_free(d);
	if (rc == 0 && pin)
		*pin = next;
	vault_store_free(s);
	return rc;
}

struct descriptor *vault_rig_next(const struct descriptor *d, enum change c)
{
	struct descriptor *next;

	CHECK_EQ(descriptor_next(d, "laptop", &next), 0);
	if (c == CHANGE_ROTATE)
		CHECK_EQ(descriptor_rotate(next), 0);
	if (c == CHANGE_AUTH) {
		CHECK_EQ(descriptor_add(next, "gone", DESCRIPTOR_DEVICE,
		                        &vr.stranger->recipient),
		         0);
		CHECK_EQ(descriptor_remove(next, "gone"), 0);
	}
	CHECK_EQ(descriptor_finish(next, 0), 0);
	return next;
}

void vault_rig_replace(struct vault_store *s, struct descriptor **d,
                       enum change c)
{
	struct descriptor *next = vault_rig_next(*d, c);

	CHECK_EQ(vault_store_replace(s, next, vr.why), 0);
	descriptor_free(*d);
	*d = next;
}

struct vault_store *vault_rig_make(struct descriptor **out_d,
                                   struct pin *out_pin)
{
	struct vault_store *s = vault_rig_store();

	*out_d = vault_rig_descriptor(vr.laptop, "laptop");
	CHECK_EQ(vault_store_create(s, *out_d, vr.why), 0);
	pin_of(*out_d, out_pin);
	return s;
}

/* ---- what lies there ----------------------------------------------------- */

static bool exists(const char *name)
{
	cJSON *json = drive_rig_get(&vr.drive, "dump");
	const cJSON *it;
	char path[128];
	bool found = false;

	snprintf(path, sizeof(path), VAULT_PATH "%s%s", *name ? "/" : "", name);
	cJSON_ArrayForEach (it, json_arr(json, "items")) {
		const char *p = json_str(it, "path");

		found = found || (p && !strcmp(p, path));
	}
	cJSON_Delete(json);
	return found;
}

bool vault_rig_has(const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), VAULT_STORE_FOLDER "/%s", name);
	return exists(path);
}

unsigned vault_rig_items(void)
{
	cJSON *json = drive_rig_get(&vr.drive, "dump");
	unsigned n = (unsigned)cJSON_GetArraySize(json_arr(json, "items"));

	cJSON_Delete(json);
	return n;
}

static void find_own(const char *name, struct object *out)
{
	struct object dir;

	CHECK_EQ(
		objects_find(&vr.calls, vr.folder_id, VAULT_STORE_FOLDER, &dir),
		0);
	CHECK_EQ(objects_find(&vr.calls, dir.id, name, out), 0);
}

void vault_rig_read(const char *name, struct buf *out)
{
	struct object file;

	find_own(name, &file);
	CHECK_EQ(objects_read(&vr.calls, &file, DESCRIPTOR_SEAL_MAX, out), 0);
}

void vault_rig_put(const char *name, const struct buf *data)
{
	struct object file, out;

	find_own(name, &file);
	CHECK_EQ(objects_replace(&vr.calls, &file, data->data, data->len, &out),
	         0);
}
