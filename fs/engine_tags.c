#include "fs/engine_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "fs/store.h"

/* Tags of the sealed chunks that were made for an attempt, kept with it: when
 * it is resumed by another process, the same chunks must come out, or the
 * upload starts over with another file key (facts/age.md 13). */

static uint64_t last_group(const struct job *j)
{
	uint64_t chunks = j->attempt->plain_size / CHUNK_SIZE + 1;

	return (chunks - 1) / ATTEMPT_GROUP;
}

int engine_note_tags(struct job *j, struct db *db)
{
	const struct codec_ops *ops = j->e->opt.codec->ops;
	uint8_t(*tags)[CODEC_TAG];
	size_t n = ATTEMPT_GROUP;
	int rc = 0;

	if (!ops->writer_tags || !j->writer)
		return 0;
	tags = malloc(ATTEMPT_GROUP * CODEC_TAG);
	if (!tags)
		return -ENOMEM;
	/* The last group noted may have grown. */
	while (rc == 0 && n == ATTEMPT_GROUP && j->tag_group <= last_group(j)) {
		n = ops->writer_tags(j->writer, j->tag_group * ATTEMPT_GROUP,
		                     ATTEMPT_GROUP, tags);
		if (n)
			rc = attempt_set_tags(db, j->attempt->aid, j->tag_group,
			                      tags, n);
		if (n == ATTEMPT_GROUP)
			j->tag_group++;
	}
	free(tags);
	return rc;
}

int engine_load_tags(struct job *j)
{
	const struct codec_ops *ops = j->e->opt.codec->ops;
	uint8_t(*tags)[CODEC_TAG];
	struct db *db;
	size_t n = ATTEMPT_GROUP;
	int rc;

	if (!ops->writer_expect)
		return 0;
	tags = malloc(ATTEMPT_GROUP * CODEC_TAG);
	if (!tags)
		return -ENOMEM;
	rc = store_reader(j->e->opt.store, &db);
	if (rc < 0) {
		free(tags);
		return rc;
	}
	for (uint64_t g = 0; rc == 0 && n == ATTEMPT_GROUP; g++) {
		rc = attempt_get_tags(db, j->attempt->aid, g, tags, &n);
		if (rc == 0)
			rc = ops->writer_expect(j->writer, g * ATTEMPT_GROUP, n,
			                        tags);
	}
	store_reader_done(j->e->opt.store, db);
	free(tags);
	return rc;
}
