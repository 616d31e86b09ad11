#include "net/graph_internal.h"

#include <string.h>
#include <strings.h>

#define MAX_DEPTH 16

/* facts/graph.md 10.2, with the inner codes; the spelling here is what callers
 * and net/retry compare with. */
static const char *const known_codes[] = {
	"accessDenied",
	"accessRestricted",
	"activityLimitReached",
	"BadRequest",
	"cannotSnapshotTree",
	"childItemCountExceeded",
	"conflict",
	"entityTagDoesNotMatch",
	"expiredToken",
	"fragmentLengthMismatch",
	"fragmentOutOfOrder",
	"fragmentOverlap",
	"generalException",
	"insufficientStorage",
	"InternalServerError",
	"InvalidAuthenticationToken",
	"invalidParameterFormat",
	"invalidPath",
	"invalidQueryOption",
	"invalidRange",
	"invalidRequest",
	"invalidStartIndex",
	"itemNotFound",
	"lockMismatch",
	"lockNotFoundOrAlreadyExpired",
	"lockOwnerMismatch",
	"malformedEntityTag",
	"malwareDetected",
	"maxDocumentCountExceeded",
	"maxFileSizeExceeded",
	"maxFolderCountExceeded",
	"maxItemCountExceeded",
	"maxStreamSizeExceeded",
	"nameAlreadyExists",
	"notAllowed",
	"notSupported",
	"pathIsTooLong",
	"pathTooDeep",
	"preconditionFailed",
	"propertyNotUpdateable",
	"provisioningNotAllowed",
	"quotaLimitReached",
	"resourceBeingProvisioned",
	"resourceLocked",
	"resourceModified",
	"ResourceNotFound",
	"resyncApplyDifferences",
	"resyncChangesApplyDifferences",
	"resyncChangesUploadDifferences",
	"resyncRequired",
	"resyncUploadDifferences",
	"serviceNotAvailable",
	"serviceReadOnly",
	"ServiceUnavailable",
	"similarRelationshipNameAlreadyExists",
	"syncStateNotFound",
	"throttledRequest",
	"tooManyRequests",
	"totalAffectedItemCountExceeded",
	"unauthenticated",
	"UnknownError",
	"uploadSessionNotFound",
	"virusSuspicious",
};

static const char *find_known(const char *code)
{
	for (size_t i = 0; i < sizeof(known_codes) / sizeof(known_codes[0]);
	     i++)
		if (!strcasecmp(code, known_codes[i]))
			return known_codes[i];
	return NULL;
}

/* A transient refusal on personal drives that only its text tells apart from
 * a bad token (facts 10.2, 13 #36). */
static bool is_rps_trouble(const cJSON *error)
{
	const char *message = json_str(error, "message");

	return message && strcasestr(message, "unable to initialize rps");
}

static const cJSON *inner_error(const cJSON *error)
{
	const cJSON *inner = json_obj(error, "innerError");

	return inner ? inner : json_obj(error, "innererror");
}

const char *graph_error_code(const cJSON *json)
{
	const cJSON *error = json_obj(json, "error");
	const char *best = json_str(error, "code"), *known = NULL;

	if (is_rps_trouble(error))
		return RETRY_CODE_RPS;
	if (!error)
		best = json_str(json, "error"); /* old hosts: a plain string */
	for (unsigned i = 0; error && i < MAX_DEPTH; i++) {
		const char *code = json_str(error, "code");
		const char *found = code ? find_known(code) : NULL;

		if (found)
			known = found;
		error = inner_error(error);
	}
	return known ? known : best ? best : "";
}
