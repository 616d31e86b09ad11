/* tests/unit/signin_fixture.h -- a sign-in service that says what a test told
 * it to say, and remembers what it was asked. */
#ifndef NMB_TESTS_SIGNIN_FIXTURE_H
#define NMB_TESTS_SIGNIN_FIXTURE_H

#include <stdbool.h>

#include "auth/cloud.h"

struct signin;

struct signin *signin_start(void);
void signin_stop(struct signin *s);

/* A cloud whose login_url is this server. */
void signin_cloud(struct signin *s, const char *account, struct cloud *out);

/* Adds an answer, one per request in this order; the last one is repeated, 503
 * comes before the first. Status 0: the connection is cut
 * without an answer. `headers`: lines that end with "\r\n", or NULL. */
void signin_say(struct signin *s, int status, const char *headers,
                const char *body);

/* The body of a token: access token "access-N", refresh token "refresh-N",
 * `expires_in` seconds; N < 0: no refresh token, access token "access-lone". */
void signin_say_token(struct signin *s, int n, int expires_in);

/* What a GET (of the drive) is answered: status 404 before the first call.
 * GETs are counted apart. */
void signin_say_drive(struct signin *s, int status, const char *body);
unsigned signin_gets(struct signin *s);

/* Answers wait while held; requests are still counted when they come in. */
void signin_hold(struct signin *s, bool hold);

unsigned signin_requests(struct signin *s);
void signin_wait_requests(struct signin *s, unsigned n);

/* What the n-th request (from 0) asked for: its path, its form. */
const char *signin_path(struct signin *s, unsigned n);
const char *signin_form(struct signin *s, unsigned n);

#endif
