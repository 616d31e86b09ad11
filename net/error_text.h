/* net/error_text.h -- what an error is called before people.
 *
 * The codes that net/ and fs/ return have names in the C library that are about
 * something else ("Key was rejected by service": a certificate). Threads: any.
 */
#ifndef NMB_ERROR_TEXT_H
#define NMB_ERROR_TEXT_H

/* `rc`: -Exxx. Static, or as long as what strerror() returns. */
const char *error_text(int rc);

#endif
