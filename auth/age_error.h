/* auth/age_error.h -- what can be wrong with an age file, each kind its own.
 *
 * These are negative errnos with a second name; functions of auth/age_*.h
 * return them beside -ENOMEM, -EINVAL (the caller's fault) and what callbacks
 * return. Whoever serves a file to somebody turns all of them into EIO or
 * EACCES; the log says which it was. */
#ifndef NMB_AGE_ERROR_H
#define NMB_AGE_ERROR_H

#include <errno.h>

enum age_error {
	AGE_BAD_HEADER = -EPROTO,   /* not an age file, or a damaged header */
	AGE_BAD_ARMOR = -EILSEQ,    /* the same of the text around it */
	AGE_NO_MATCH = -EACCES,     /* none of the keys opens it */
	AGE_BAD_MAC = -EBADE,       /* a key opens it: the header was changed */
	AGE_BAD_CONTENT = -EBADMSG, /* header fine; content damaged, cut short,
	                             * too long, or of an impossible size */
	AGE_NEED_PASSPHRASE = -ENOKEY, /* sealed with one, none was given */
	AGE_BAD_PASSPHRASE = -EKEYREJECTED,
	AGE_WORK_TOO_HIGH = -ERANGE, /* its scrypt would take minutes */
	AGE_NO_MEMORY = -ENOMEM,     /* also: not enough for its scrypt */
	AGE_BAD_KEY = -EINVAL,       /* a key's text is none, or mistyped */
	AGE_FOREIGN_KEY = -ENOTSUP,  /* a key of a kind that is not ours: post-
	                              * quantum, plug-in, SSH */
};

/* One line without a full stop, for people; of other errnos strerror()'s. */
const char *age_strerror(int rc);

#endif
