#include "net/error_text.h"

#include <errno.h>
#include <string.h>

const char *error_text(int rc)
{
	switch (-rc) {
	case EKEYREJECTED:
		return "the certificate there is not trusted (does a proxy "
		       "look into TLS? --ca-file says whom to trust)";
	case EPROTO:
		return "an answer that makes no sense (does this network want "
		       "a login first?)";
	case EBADMSG:
		return "what came does not make sense, or fails its check";
	case EUCLEAN:
		return "what is stored is damaged";
	case ESTALE:
		return "it changed there meanwhile";
	case ECANCELED:
		return "stopped";
	default:
		return strerror(-rc);
	}
}
