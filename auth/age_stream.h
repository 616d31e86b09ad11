/* auth/age_stream.h -- seals and opens age files of any length in one go.
 *
 * Filters: what is fed comes out at a sink, chunk by chunk. A writer or reader
 * that failed stays failed and says the same again. For random access:
 * auth/age_payload.h.
 *
 * A reader hands out chunks that are genuine before it has seen the end: who
 * keeps what came must wait for age_reader_finish() to say 0.
 *
 * Errors: auth/age_error.h, and what the sink returns. Threads: none; an object
 * belongs to one thread at a time. */
#ifndef NMB_AGE_STREAM_H
#define NMB_AGE_STREAM_H

#include <stdbool.h>
#include <stddef.h>

#include "auth/age_armor.h"
#include "auth/age_error.h"
#include "auth/age_header.h"

struct age_writer; /* opaque */
struct age_reader; /* opaque */

/* Makes the header, with a fresh file key; `to` is not needed any more when
 * this returns. Errors as age_header_build(). The sink is first called while
 * feeding or finishing. */
int age_writer_new(const struct age_target *to, bool armor, age_sink_fn *sink,
                   void *arg, struct age_writer **out_w);
int age_writer_feed(struct age_writer *w, const void *data, size_t len);
int age_writer_finish(struct age_writer *w); /* seals the last chunk */
void age_writer_free(struct age_writer *w);  /* takes NULL */

/* Takes binary files and armored ones. `keys`, and what it points to, are
 * borrowed until age_reader_free(). A passphrase is tried as soon as the header
 * is there: that takes a second. */
int age_reader_new(const struct age_keys *keys, age_sink_fn *sink, void *arg,
                   struct age_reader **out_r);
int age_reader_feed(struct age_reader *r, const void *data, size_t len);
int age_reader_finish(struct age_reader *r); /* that was the end of the file */
void age_reader_free(struct age_reader *r);  /* takes NULL */

#endif
