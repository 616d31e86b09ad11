#include "tests/graphd/login_internal.h"

static void add_escaped(struct buf *b, const char *s)
{
	for (; *s; s++) {
		switch (*s) {
		case '&':
			buf_add_str(b, "&amp;");
			break;
		case '<':
			buf_add_str(b, "&lt;");
			break;
		case '>':
			buf_add_str(b, "&gt;");
			break;
		case '"':
			buf_add_str(b, "&quot;");
			break;
		default:
			buf_add_char(b, *s);
		}
	}
}

static void add_accounts(const struct login *l, struct buf *b)
{
	buf_add_str(b, "<p><label>Account <select name=\"account\">\n"
	               "<option value=\"\">the first that fits</option>\n");
	for (size_t i = 0; i < l->naccounts; i++) {
		buf_add_str(b, "<option>");
		add_escaped(b, l->accounts[i].name);
		buf_add_str(b, "</option>\n");
	}
	buf_add_str(b, "</select></label></p>\n");
}

void login_page(const struct login *l, const char *prefill, const char *note,
                struct login_reply *reply)
{
	struct buf *b = &reply->body;

	buf_add_str(b, "<!DOCTYPE html>\n<html lang=\"en\">\n"
	               "<meta charset=\"utf-8\">\n<title>Sign in</title>\n"
	               "<style>body{font:16px sans-serif;max-width:30em;"
	               "margin:4em auto}input[name=user_code]{font-size:1.5em;"
	               "text-transform:uppercase}</style>\n"
	               "<h1>Enter the code</h1>\n");
	if (note) {
		buf_add_str(b, "<p role=\"status\"><strong>");
		add_escaped(b, note);
		buf_add_str(b, "</strong></p>\n");
	}
	buf_add_str(b, "<form method=\"post\" action=\"/devicelogin\">\n"
	               "<p><label>Code <input name=\"user_code\" required "
	               "autofocus autocomplete=\"off\" value=\"");
	add_escaped(b, prefill ? prefill : "");
	buf_add_str(b, "\"></label></p>\n");
	add_accounts(l, b);
	buf_add_str(b, "<p><button name=\"action\" value=\"approve\">Approve"
	               "</button>\n<button name=\"action\" value=\"decline\">"
	               "Decline</button></p>\n</form>\n"
	               "<p>This is graphd, an emulator for tests. Nobody's "
	               "account is involved.</p>\n</html>\n");
	reply->status = 200;
	reply->content_type = "text/html; charset=utf-8";
	login_reply_header(reply, "Cache-Control", "no-store, no-cache");
}
