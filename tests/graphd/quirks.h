/* tests/graphd/quirks.h -- the switches: how this service behaves.
 *
 * One switch per surprise of facts/graph.md; each has a default per kind of
 * drive that is the usual behaviour there. They are set by name, from JSON,
 * at any time: the member of the struct is the name. */
#ifndef NMB_TESTS_GRAPHD_QUIRKS_H
#define NMB_TESTS_GRAPHD_QUIRKS_H

#include <stdint.h>

#include <cjson/cJSON.h>

#include "tests/graphd/drive.h"

/* NAME, type (see quirks.c), default personal, migrated, business, meaning.
 * Times in ms or s by ending, counts and sizes as numbers, bools are 0 or 1. */
#define QUIRKS(X)                                                              \
	/* Listing, 2.2 */                                                     \
	X(page_size, 200, 200, 200)                                            \
	X(max_top, 1000, 1000, 1000)                                           \
	X(empty_page_every, 0, 0, 0) /* each n-th page is empty, has a next */ \
	X(list_limit, 100000, 100000,                                          \
	  100000)                  /* children: UnknownError above */          \
	X(short_drive_id, 1, 1, 0) /* parentReference loses a zero, 2.5 */     \
	X(encoded_path, 1, 0, 0)   /* parentReference.path, 2.3 */             \
	X(plus_is_space, 0, 0, 0)  /* a bare + in a path, 2.1 */               \
	X(china, 0, 0, 0)          /* items/{id}:/{name}: refused, 2.1 */      \
	X(folder_size_sign, 1, 1,                                              \
	  1)                        /* -1: folders have negative sizes, 2.3 */ \
	X(me_drives_empty, 0, 0, 0) /* 13 #44 */                               \
	/* Times and hashes, 2.3, 12 */                                        \
	X(time_digits, 3, 0, 0)        /* 0, 3 or 7 in what is shown */        \
	X(precision_ms, 1, 1000, 1000) /* stored client times are cut to it */ \
	X(hash_delay_ms, 0, 0, 0)      /* hashes appear that late */           \
	X(no_hash, 0, 0, 0)            /* for new contents */                  \
	X(hash_of_empty, 1, 0, 0)      /* empty files have the zero hash */    \
	X(enrich, 0, 0, 0) /* Office and HTML are rewritten, 5.6 */            \
	/* Tags, 2.4 */                                                        \
	X(settle_ms, 0, 0, 0)   /* a new item's eTag moves then, 13 #14 */     \
	X(tag_on_open, 0, 0, 1) /* 1: a session moves it; 2: and then          \
	                         * the last fragment fails, 5.3 */             \
	X(delete_if_match_412, 0, 0, 0) /* always, 13 #15 */                   \
	X(status_409_for_412, 0, 0, 0)  /* with resourceModified, 3.2 */       \
	/* Metadata, 3 */                                                      \
	X(case_rename_409, 0, 0, 0)  /* one-step case-only renames refused */  \
	X(version_on_mtime, 0, 0, 1) /* PATCH of times, 3.2 */                 \
	X(permanent_delete, 0, 0, 1)                                           \
	X(restore, 1, 1, 0)                                                    \
	X(description, 1, 1, 0)                                                \
	X(delete_versions, 0, 0, 1)                                            \
	X(version_urls, 1, 1, 0) /* downloadUrl in version lists */            \
	X(copy_polls, 1, 1, 1)   /* "inProgress" that often */                 \
	X(approot, 1, 1, 1)      /* 0: 403, 1.8 */                             \
	/* Uploads, 4, 5 */                                                    \
	X(put_max_bytes, 250000000, 250000000, 250000000)                      \
	X(multipart, 1, 1, 0)                                                  \
	X(fragment_max_bytes, 62914559, 62914559, 262144000)                   \
	X(session_life_s, 604800, 604800, 900)                                 \
	X(session_url_life_s, 0, 0, 86400) /* 0: as long as the session */     \
	X(second_session_409, 0, 0, 1)                                         \
	X(session_quota, 1, 1, 0) /* fileSize is checked at opening */         \
	X(commit_put, 1, 1, 0)    /* recovery by sourceUrl, 5.4 */             \
	X(omit_ranges, 0, 0, 0)   /* no nextExpectedRanges at opening */       \
	X(final_answer, 0, 0, 0)  /* 0 item, 1 nothing, 2 session without      \
	                           * id, 3 item without hash and eTag */       \
	/* Downloads, 6 */                                                     \
	X(download_life_s, 3600, 3600, 3600)                                   \
	X(download_refusal, 401, 401, 401) /* status of an old URL */          \
	X(pin_downloads, 0, 0, 0)          /* a URL stays with its version */  \
	X(no_download_url, 0, 0, 0)        /* left out of items */             \
	X(ignore_range, 0, 0, 0)                                               \
	/* Delta, 7 */                                                         \
	X(folder_delta, 1, 1, 0)                                               \
	X(delta_lag_ms, 0, 0, 0)                                               \
	X(delta_stale, 0, 0, 0)       /* within the lag, show the old state */ \
	X(delta_repeat, 0, 0, 0)      /* each n-th item comes twice */         \
	X(delta_child_first, 0, 0, 0) /* parents after their children */       \
	X(delta_no_tombstones, 0, 0, 0)                                        \
	X(delta_tombstones_below, 1, 1, 0) /* for what was in a folder too */  \
	X(delta_path, 0, 0, 0)        /* parentReference.path there, 15 */     \
	X(delta_url, 0, 0, 0)         /* downloadUrl there */                  \
	X(delta_no_location, 0, 0, 0) /* 410 without the header */             \
	X(delta_unchanged, 0, 0, 0) /* that many unchanged items come along */ \
	/* Quota shown, 2.6: 0 true, 1 missing, 2 zeros, 3 negative            \
	 * remaining, 4 strings */                                             \
	X(quota_shape, 0, 0, 0)                                                \
	/* Names, 11 */                                                        \
	X(weightless, 0, 0, 0)                                                 \
	X(strip_trailing, 0, 0, 0)                                             \
	X(reserved_with_extension, 0, 0, 0)                                    \
	X(path_units, 400, 400, 400)                                           \
	/* Real clients, 15 */                                                 \
	X(tolerant, 0, 0, 0) /* a bearer is served on content URLs */          \
	X(freeze_grace_ms, 300, 300, 300) /* after a Retry-After was sent */   \
	X(batch_shuffle, 1, 1, 1) /* parts run and answer in any order */

struct quirks {
#define X(name, p, m, b) int64_t name;
	QUIRKS(X)
#undef X
};

void quirks_init(struct quirks *q, enum drive_kind kind);

/* Sets one; value is a number or a bool. 0, -ENOENT (name), -EINVAL. */
int quirks_set(struct quirks *q, const char *name, const cJSON *value);

cJSON *quirks_dump(const struct quirks *q);

#endif
