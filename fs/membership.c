#include "fs/membership.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "auth/age_key.h"
#include "auth/keyfile.h"
#include "auth/keystore.h"
#include "net/buf.h"
#include "net/crashpoint.h"
#include "net/log.h"

static int say(char *why, int rc, const char *text)
{
	snprintf(why, MEMBERSHIP_WHY, "%s", text);
	return rc;
}

/* ---- identity ------------------------------------------------------------ */

static int load_identity(struct membership *m, char *why)
{
	void *text;
	size_t len;
	int rc = keystore_get(m->keystore, MEMBERSHIP_IDENTITY, &text, &len);

	if (rc == -ENOENT)
		return 0;
	if (rc < 0) {
		snprintf(why, MEMBERSHIP_WHY,
		         "the key of this device can't be read (%s): %s",
		         keystore_where(m->keystore), strerror(-rc));
		return rc;
	}
	rc = age_identity_parse(text, len, &m->id);
	sodium_free(text);
	if (rc < 0)
		snprintf(why, MEMBERSHIP_WHY,
		         "the key of this device is damaged (%s); bring it "
		         "back with nmbackupfs key import FILE",
		         keystore_where(m->keystore));
	return rc < 0 ? -EBADMSG : 0;
}

int membership_need_identity(struct membership *m, char *why)
{
	struct age_identity *id;
	char *text;
	int rc;

	if (m->id)
		return 0;
	text = sodium_malloc(AGE_IDENTITY_TEXT);
	rc = text ? age_identity_new(&id) : -ENOMEM;
	if (rc < 0) {
		sodium_free(text);
		return say(why, rc, "no memory for a key");
	}
	age_identity_format(id, text);
	rc = keystore_put(m->keystore, MEMBERSHIP_IDENTITY, text, strlen(text));
	CRASH_POINT("identity-kept");
	sodium_free(text);
	if (rc < 0) {
		age_identity_free(id);
		snprintf(why, MEMBERSHIP_WHY,
		         "the key of this device can't be kept (%s): %s",
		         keystore_where(m->keystore), strerror(-rc));
		return rc;
	}
	m->id = id;
	return 0;
}

/* ---- open, close --------------------------------------------------------- */

int membership_open(struct keystore *k, const char *state_dir,
                    struct membership *m, char *why)
{
	int rc;

	memset(m, 0, sizeof(*m));
	m->keystore = k;
	rc = vault_slot_init(&m->slot);
	if (rc < 0)
		return say(why, rc, "no memory");
	snprintf(m->state_dir, sizeof(m->state_dir), "%s", state_dir);
	rc = load_identity(m, why);
	if (rc == 0) {
		rc = pin_load(k, &m->pin);
		m->pinned = rc == 0;
		if (rc == -ENOENT)
			rc = 0;
		if (rc < 0)
			snprintf(why, MEMBERSHIP_WHY,
			         "what this device remembers of its vault "
			         "can't be read (%s): %s",
			         keystore_where(k), strerror(-rc));
	}
	if (rc < 0)
		membership_close(m);
	return rc;
}

void membership_close(struct membership *m)
{
	vault_slot_done(&m->slot);
	descriptor_free(m->descriptor);
	age_identity_free(m->id);
	memset(m, 0, sizeof(*m));
}

struct age_keys membership_keys(const struct membership *m)
{
	return (struct age_keys){ .ids = &m->id, .id_count = m->id != NULL };
}

const struct pin *membership_pin(const struct membership *m)
{
	return m->pinned ? &m->pin : NULL;
}

/* ---- the descriptor ------------------------------------------------------ */

static int save_file(const struct membership *m, const void *data, size_t len,
                     char *why)
{
	int rc;

	why[0] = '\0';
	rc = keyfile_put(m->state_dir, MEMBERSHIP_FILE, data, len, why,
	                 MEMBERSHIP_WHY);
	if (rc < 0 && !why[0])
		snprintf(why, MEMBERSHIP_WHY, "%.900s/" MEMBERSHIP_FILE ": %s",
		         m->state_dir, strerror(-rc));
	return rc;
}

static int use(struct membership *m, struct descriptor *d, char *why)
{
	struct vault *v;
	int rc = vault_new(d, NULL, &v);

	if (rc < 0)
		return say(why, rc, vault_strerror(rc));
	vault_slot_set(&m->slot, v);
	if (m->descriptor != d)
		descriptor_free(m->descriptor);
	m->descriptor = d;
	return 0;
}

/* The pin first: with a pin that knows more than the file, the file is fetched
 * again; the other way round it would look as if somebody put it there. */
static int remember(struct membership *m, const struct descriptor *d,
                    const struct pin *pin, char *why)
{
	struct buf file = BUF_INIT;
	int rc = 0;

	if (!m->pinned || memcmp(pin, &m->pin, sizeof(*pin)) != 0)
		rc = pin_save(m->keystore, pin);
	CRASH_POINT("pin-kept");
	if (rc < 0) {
		snprintf(why, MEMBERSHIP_WHY,
		         "what is known of the vault can't be kept (%s): %s",
		         keystore_where(m->keystore), strerror(-rc));
		return rc;
	}
	m->pin = *pin;
	m->pinned = true;
	rc = descriptor_seal(d, &file);
	if (rc == 0)
		rc = save_file(m, file.data, file.len, why);
	else
		say(why, rc, strerror(-rc));
	buf_done(&file);
	return rc;
}

int membership_adopt(struct membership *m, struct descriptor *d,
                     const struct pin *pin, char *why)
{
	int rc = remember(m, d, pin, why);

	return rc < 0 ? rc : use(m, d, why);
}

static int read_file(const struct membership *m, uint8_t **out, size_t *out_len)
{
	uint8_t *data = malloc(DESCRIPTOR_SEAL_MAX);
	char why[MEMBERSHIP_WHY];
	int rc = -ENOMEM, dir;

	dir = data ? keydir_open(m->state_dir, why, sizeof(why)) : -ENOMEM;
	if (dir >= 0) {
		rc = keyfile_read(dir, MEMBERSHIP_FILE, data,
		                  DESCRIPTOR_SEAL_MAX, out_len);
		close(dir);
	}
	if (dir < 0 || rc < 0) {
		free(data);
		return dir < 0 ? dir : rc;
	}
	*out = data;
	return 0;
}

/* A copy that the pin does not take (an older state directory brought back, or
 * a damaged file) is no harm: the drive has the current one. */
int membership_load(struct membership *m, char *why)
{
	struct age_keys keys = membership_keys(m);
	char said[DESCRIPTOR_WHY] = "";
	struct descriptor *d;
	uint8_t *file;
	size_t len;
	int rc = read_file(m, &file, &len);

	if (rc == -ENOENT || (rc == 0 && !m->pinned)) {
		if (rc == 0)
			free(file);
		return -ENOENT;
	}
	if (rc < 0) {
		log_warn("%s/" MEMBERSHIP_FILE ": %s; asking the drive",
		         m->state_dir, strerror(-rc));
		return -ENOENT;
	}
	rc = descriptor_open(file, len, &keys, &d, said);
	free(file);
	if (rc == 0) {
		rc = pin_verdict_rc(pin_check(&m->pin, d, NULL));
		if (rc == 0)
			rc = use(m, d, why);
		if (rc < 0)
			descriptor_free(d);
	}
	if (rc < 0 && rc != -ENOMEM) {
		log_warn("%s/" MEMBERSHIP_FILE ": %s; asking the drive",
		         m->state_dir, said[0] ? said : vault_strerror(rc));
		rc = -ENOENT;
	}
	return rc;
}

int membership_enrol(struct membership *m, const struct pin *pin, char *why)
{
	int rc;

	if (m->pinned &&
	    memcmp(m->pin.vault_id, pin->vault_id, sizeof(pin->vault_id)) != 0)
		return say(why, -EXDEV,
		           "this profile belongs to another vault; use "
		           "another --profile");
	if (m->pinned)
		return 0;
	rc = pin_save(m->keystore, pin);
	if (rc < 0) {
		snprintf(why, MEMBERSHIP_WHY, "%s: %s",
		         keystore_where(m->keystore), strerror(-rc));
		return rc;
	}
	m->pin = *pin;
	m->pinned = true;
	return 0;
}
