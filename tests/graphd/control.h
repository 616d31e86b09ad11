/* tests/graphd/control.h -- how a test steers graphd and looks into it.
 *
 * HTTP on graphd's own port, below /graphd/. Bodies and answers are JSON; a
 * member that isn't known is an error (400, {"error": "..."}), so that a
 * misspelt fault is not a test that proves nothing. Control requests are not
 * counted, delayed, limited or hit by faults.
 *
 *   GET  /graphd/info       {"graph_url", "login_url", "content_url", "kind",
 *                           "drive_id", "root_id", "now_ms"}
 *   POST /graphd/token      {"account"?, "scope"?} -> {"access_token",
 *                           "refresh_token"}: signed in without a code.
 *                           Accounts: ann@personal.example, ann@work.example,
 *                           and bob@ of the drive's kind. The drive belongs to
 *                           the ann of its kind; others see an empty drive
 *
 *   POST /graphd/set        any of:
 *     "latency_ms": {"*": n, "connect": n, "<class>": n}   per request; connect
 *                           is added to the first request of a connection
 *     "bandwidth": {"up": bytes/s, "down": bytes/s}         of all together
 *     "quirks": {"<name>": n}         quirks.h
 *     "login": {...}                  login_set(), login.h
 *     "throttle": {...}               throttle_set(), throttle.h
 *     "quota_bytes": n                0: unlimited
 *     "advance_ms": n                 the service's clock jumps by n
 *     "delta_gone": "apply"|"upload"  delta tokens so far get 410
 *     "expire": "sessions"|"session_tokens"|"urls"|"access"|"refresh"
 *
 *   POST /graphd/faults     a rule or an array of rules (fault.h):
 *     {"name": "f1",
 *      "match": {"class": "fragment", "method": "PUT",
 *                "path": "text in the decoded path",
 *                "target": "text in the URL as sent", "name": "item's name",
 *                "header": "there is this header",
 *                "bearer": "text in Authorization" (not of a batch's parts),
 *                "token": true},
 *      "skip": 2, "times": 1,         0 times: for ever
 *      "do": {...}}
 *     All members of "match" are optional and must all fit. Classes: route.h.
 *     What "do" may hold, also together:
 *       "status": 503, "code", "inner"  instead of doing it; "effect": true:
 *                           it is done all the same
 *       "retry_after": 5 or "text", "headers": {"Name": "value"}
 *       "body": "html" | "empty" | "huge" | "deep" | "gzip" (a bomb: with
 *               headers Content-Encoding) | "endless" (goes on until the
 *               client hangs up) | text | JSON, with
 *               "type", "size" (huge, gzip once unpacked: bytes; deep:
 *               levels); status 200
 *       "wire": "garbage" | "half_header" | "stall_header" | "endless_header"
 *               | "endless_line" | "bad_chunk" | "endless_chunks" instead of
 *               doing it; "long_length" | "short_length": the true answer
 *               behind a wrong Content-Length. The connection ends with it.
 *               Over TLS graphd can only cut the connection
 *       "drop": "before" | "after"      the connection is cut before or after
 *               the effect; "drop_at": n (with before) after n bytes of the
 *               request's body; "reset": true: with RST
 *       "delay_ms": n                   more latency
 *       "stall_ms": n                   before the header, or "stall_at": byte
 *                           of the answer's body
 *       "truncate": n                   the body ends after n bytes
 *       "corrupt": n                    one bit of byte n is wrong
 *       "bytes_per_s": n                this answer only
 *       "expire": "session"|"session_token"|"url"|"access"   before it is done
 *       "hash": "none" | "wrong"        in the answer's items
 *       "range": "ignore" | "shift"     200 with all; bytes one too early
 *       "bump_tag": true                the item's eTag moves first
 *       "items": {"member": value}      in the answer's items: null takes the
 *                           member away, {"raw": text} and {"base64": bytes}
 *                           are put there as they are. "only": of that name
 *       "answer": {"member": value}     the same at the top of the answer
 *       "link": "self" | URL            the answer has that nextLink
 *     A fault of a part of a $batch that is one of its connection ("drop",
 *     "stall_ms", "truncate", "wire"...) is that of the whole batch; the other
 *     parts take effect.
 *   GET    /graphd/faults   rules with "seen" (matched) and "fired"
 *   DELETE /graphd/faults   all, or ?name=; ends all stalls under way: those
 *                           requests go on
 *
 *   POST /graphd/change     what another device does; one or an array of:
 *     {"op": "put", "path": "/A/b", "text": "..." | "size": n, "seed": n |
 *                   "base64": "...", "mtime": RFC 3339}  makes parents
 *     {"op": "mkdir" | "delete" | "destroy" | "touch", "path"}
 *     {"op": "trim", "path"}     its old versions are kept no longer
 *     {"op": "give_back", "path": "/"}   a person empties the recycle bin into
 *                           the folders that its items were in
 *     {"op": "move", "path", "to": "/B/c"}               also renames
 *     {"op": "set", "path", "malware" | "locked" | "no_hash" | "wrong_hash" |
 *                   "no_tombstone" | "remote": bool}
 *     {"op": "fill", "path", "files": n, content as of put}   a folder with
 *                           files f0000000 and so on, all of one content
 *     {"op": "package", "path"}                          a OneNote notebook
 *     -> {"items": [{"path", "id", ...}]}; rules of names do not apply
 *     Content of size and seed: byte i = (seed + i * 131 + i / 251) mod 256.
 *
 *   GET /graphd/stats       stats.h; with "throttle", "login", "clock_ms"
 *   POST /graphd/reset      counters and faults start anew; quirks, latency,
 *                           bandwidth get their defaults; the drive stays
 *   GET /graphd/dump        {"items": [...], "sessions": [...]}: live items:
 *                           path, id, type, eTag, size, quickXorHash, mtime,
 *                           versions (number of old ones); ?bin=1: all
 *   GET /graphd/content?path=|id=[&version=n]   the bytes; of the nth of the
 *                           old versions that are left, the oldest being 1
 *   GET /graphd/wait?...    answers when all given conditions hold, or 408
 *                           after timeout_ms (default 10,000):
 *       class=<class>&count=n   begun; &done=n answered
 *       path=/A/b[&size=n][&hash=base64][&etag_not=...]   exists so
 *       gone=/A/b               doesn't exist
 *       items=n                 live items, root included
 *       fired=<fault>           has fired; &times=n
 *       idle_ms=n               no request under way nor for that long */
#ifndef NMB_TESTS_GRAPHD_CONTROL_H
#define NMB_TESTS_GRAPHD_CONTROL_H

#include "tests/graphd/graphd.h"

/* Takes the lock by itself. */
void control_handle(struct graphd *g, const struct request *req,
                    struct answer *out);

#endif
