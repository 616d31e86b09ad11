/* auth/age_payload.h -- the content of an age file, chunk by chunk, and the
 * arithmetic of its sizes.
 *
 *     header (auth/age_header.h) | nonce, 16 bytes | chunk 0 | chunk 1 | ...
 *
 * A chunk is up to 64 KiB of plaintext, sealed, and a tag of 16 bytes behind
 * it; all but the last are full, and only an empty file has an empty one. Which
 * chunk is the last is part of what the tags say, so a reader at random places
 * decides by position alone: last if and only if it is number count - 1.
 * Source: C2SP age.md, "Payload"; facts/age.md 6, 7.
 *
 * NEVER seal different plaintext under one (file key, nonce): it gives away
 * both. A file key belongs to one content that doesn't change any more.
 *
 * A size computed from a length that a server named is a claim until the header
 * was opened and the last chunk too, as the last one.
 *
 * Pure; threads: any. Sizes and offsets in bytes. Errors: auth/age_error.h. */
#ifndef NMB_AGE_PAYLOAD_H
#define NMB_AGE_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/age_error.h"
#include "auth/age_header.h"

#define AGE_NONCE_SIZE  16
#define AGE_TAG_SIZE    16
#define AGE_CHUNK       65536 /* plaintext of a full chunk */
#define AGE_CHUNK_SEAL  (AGE_CHUNK + AGE_TAG_SIZE)
#define AGE_PAYLOAD_KEY 32

/* The largest plaintext whose sealed size we calculate with: 2^62. */
#define AGE_PLAIN_MAX (UINT64_C(1) << 62)

/* A secret: `out` belongs into sodium_malloc() memory, or gets wiped. */
void age_payload_key(const uint8_t file_key[AGE_FILE_KEY_SIZE],
                     const uint8_t nonce[AGE_NONCE_SIZE],
                     uint8_t out[AGE_PAYLOAD_KEY]);

/* Writes len + AGE_TAG_SIZE bytes; the tag is the last AGE_TAG_SIZE of them.
 * `len` is at most AGE_CHUNK. In place is fine. */
void age_chunk_seal(const uint8_t key[AGE_PAYLOAD_KEY], uint64_t idx, bool last,
                    const void *plain, size_t len, void *out);

/* `len` counts the tag; writes len - AGE_TAG_SIZE bytes, or zeros if the chunk
 * isn't genuine. 0 or AGE_BAD_CONTENT, also for a length that can't stand at
 * that place. In place is fine. */
int age_chunk_open(const uint8_t key[AGE_PAYLOAD_KEY], uint64_t idx, bool last,
                   const void *sealed, size_t len, void *out);

/* ---- sizes; `header` is the length of the header ------------------------- */

/* Chunks of a plaintext: at least 1. */
uint64_t age_chunk_count(uint64_t plain);

/* plain <= AGE_PLAIN_MAX */
uint64_t age_sealed_size(size_t header, uint64_t plain);

/* 0, or AGE_BAD_CONTENT: no plaintext has that sealed size. */
int age_plain_size(size_t header, uint64_t sealed, uint64_t *out_plain);

/* Where chunk `idx` of a file of `plain` bytes lies; idx < its chunk count. */
void age_chunk_range(size_t header, uint64_t plain, uint64_t idx,
                     uint64_t *out_off, size_t *out_len);

#endif
