/* auth/age_header_internal.h -- shared by auth/age_header.c (opens),
 * auth/age_header_parse.c and auth/age_header_build.c. */
#ifndef NMB_AGE_HEADER_INTERNAL_H
#define NMB_AGE_HEADER_INTERNAL_H

#include "auth/age_header.h"

#define AGE_VERSION_LINE "age-encryption.org/v1\n"
#define AGE_FOOTER       "---"

struct age_header {
	uint8_t *raw; /* the header as it was received */
	size_t len;
	size_t mac_len; /* of `raw` that the MAC covers: through "---" */
	uint8_t mac[AGE_MAC_SIZE];
	char *arena; /* what the stanzas point into */
	size_t count;
	struct age_stanza stanzas[AGE_STANZAS_MAX];
};

/* Of the first `len` bytes of a header. */
void age_header_make_mac(const uint8_t file_key[AGE_FILE_KEY_SIZE],
                         const void *raw, size_t len,
                         uint8_t out[AGE_MAC_SIZE]);

#endif
