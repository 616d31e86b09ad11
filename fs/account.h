/* fs/account.h -- signing in with a person at hand, and whose account it is.
 *
 * Speaks to the person on standard error. Whoever signs in is looked up
 * (GET /me/drive) before anything is stored: a profile belongs to one drive,
 * and what waits to be sent must never go to another one (faults 50).
 * Blocking; one call at a time per process (SIGINT and SIGTERM cancel it, their
 * handlers are put back). Errors: see account_sign_in(). */
#ifndef NMB_ACCOUNT_H
#define NMB_ACCOUNT_H

#include <stdbool.h>
#include <stddef.h>

struct config;
struct session;

#define ACCOUNT_DRIVE_MAX 255

/* Device-code flow in the foreground; the service's own words go to standard
 * error, on a terminal with a QR code. `profile_drive`: the drive the profile's
 * state belongs to, or "". 0: signed in, stored durably; -EINVAL: the app
 * registration or the config is wrong; -EACCES: refused, declined or not typed
 * in time; -EXDEV: another account; -ECANCELED: Ctrl-C; -Exxx. On an error
 * nothing was changed and `why` has one line for people. */
int account_sign_in(struct session *s, const char *profile_drive, char *why,
                    size_t why_size);

/* The same from a token cache of MSAL for Python (auth/msal.h). */
int account_import(struct session *s, const char *path,
                   const char *profile_drive, char *why, size_t why_size);

/* The drive a profile's state belongs to; "" if there is no state or it doesn't
 * say. 0, or -Exxx: the state can't be read. A mount may be running. */
int account_profile_drive(const char *state_dir, char *out, size_t size);

/* What `nmbackupfs auth` and the mount do first. A client id is configured: 0.
 * Else explains in five lines how to get one, and on a terminal asks for it and
 * stores it in the config file. -EINVAL: there is none; -Exxx: it
 * can't be stored. `why`: one line. */
int account_need_client_id(struct config *cfg, char *why, size_t why_size);

/* What the mount does next. Somebody is signed in: 0. Nobody yet, and a person
 * is at the terminal: account_sign_in(). Else -EACCES, `why` names the command
 * to run. */
int account_need_sign_in(struct session *s, const char *profile_drive,
                         char *why, size_t why_size);

/* Asks on standard error for a line and reads it from standard input, without
 * white space around it. False at its end, and for an empty line. */
bool account_ask(const char *question, char *out, size_t size);

#endif
