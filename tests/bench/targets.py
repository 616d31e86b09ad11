"""What must be reached: each row of the table "target, measured, met?".

A row looks into report.Results and gives what was measured and whether that is
enough; None if what it needs was not measured."""

LINE = 125_000_000 / 1e6  # MB/s of 1 Gbit/s


class Look:
    """Medians by line, contender and metric."""

    def __init__(self, results, extra):
        self.results = results
        self.speed = extra.get("speed")

    def __call__(self, line, who, metric):
        return self.results.median(line, who, metric)


def _at_most(value, limit, text):
    if value is None or limit is None:
        return None
    return text.format(value=value, limit=limit), value <= limit


def _at_least(value, limit, text):
    if value is None or limit is None:
        return None
    return text.format(value=value, limit=limit), value >= limit


def _times(value, factor):
    return None if value is None else value * factor


def _both(line, metric, rule):
    """A row for the plain folder and one for the vault."""
    def of(who):
        return lambda look: rule(look, who, look(line, who, metric))
    return (("plain", of("plain")), ("vault", of("vault")))


def _rows(title, target, line, metric, rule):
    return [(f"{title} ({who})", target, row)
            for who, row in _both(line, metric, rule)]


def _against(line, metric, who, factor, text, higher=False):
    """`factor` times what that one has, or better."""
    check = _at_least if higher else _at_most
    return lambda look, _, value: check(
        value, _times(look(line, who, metric), factor), text)


def _limit(limit, text, higher=False):
    check = _at_least if higher else _at_most
    return lambda _look, _who, value: check(value, limit, text)


def _ceiling(metric, of_speed):
    """Four fifths of what curl gets, or one core seals or opens."""
    def rule(look, who, value):
        curl = look("60 ms", "curl", metric)
        if curl is None:
            return None
        best = curl
        if who == "vault" and look.speed:
            best = min(best, look.speed[of_speed] / 1e6)
        return _at_least(value, 0.8 * best,
                         "{value:.0f} MB/s, needs {limit:.0f}")
    return rule


def _of_line(percent):
    return _limit(percent / 100 * LINE, "{value:.0f} MB/s of 125, needs "
                                        "{limit:.0f}", higher=True)


def _speed(name, other, factor):
    def row(look):
        if not look.speed:
            return None
        need = factor * (look.speed[other] if other else 1)
        return _at_least(look.speed[name] / 1e9, need / 1e9,
                         "{value:.2f} GB/s, needs {limit:.2f}")
    return row


def _pages(look):
    return _at_most(look("60 ms", "plain", "listing"),
                    _times(look("60 ms", "curl", "pages"), 1.25),
                    "{value:.2f} s, needs {limit:.2f} (pages alone and a "
                    "quarter)")


def _value(line, who, metric, limit, text, higher=False):
    rule = _limit(limit, text, higher)
    return lambda look: rule(look, who, look(line, who, metric))


MS = "{value:.0f} ms, needs {limit:.0f}"
S = "{value:.2f} s, needs {limit:.2f}"
N = "{value:.3g}, needs {limit:.3g}"

ROWS = [
    *_rows("1,000 small files: cp returns", "2 x passthrough", "60 ms",
           "small_copy", _against("60 ms", "small_copy", "passthrough_ll", 2,
                                  S)),
    *_rows("the same: all on the server", "rclone mount / 8", "60 ms",
           "small_sent", _against("60 ms", "small_sent", "rclone 1s", 1 / 8,
                                  S)),
    ("the same: requests per file (vault)", "1.1",
     _value("60 ms", "vault", "small_requests", 1.1, N)),
    *_rows("small files of 30 KB on the server", "> 250/s", "60 ms",
           "many_sent", _limit(250, "{value:.0f}/s", higher=True)),
    ("the same within a work account's budget", ">= 95 % of a minute's",
     _value("60 ms, work", "plain", "budget_used", 95, "{value:.1f} %",
            higher=True)),
    ("the same: requests refused", "no storm",
     _value("60 ms, work", "plain", "budget_refused", 8, "{value:.0f}")),
    *_rows("large file in, 1 Gbit/s, 0 ms", ">= 95 % of the line",
           "0 ms, 1 Gbit/s", "big_sent", _of_line(95)),
    *_rows("large file in, 1 Gbit/s, 60 ms", ">= 85 % of the line",
           "60 ms, 1 Gbit/s", "big_sent", _of_line(85)),
    *_rows("large file in, no limit", "0.8 x min(curl, sealing)", "60 ms",
           "big_sent", _ceiling("big_sent", "seal")),
    *_rows("large file out, cold, 1 Gbit/s, 60 ms", ">= 95 % of the line",
           "60 ms, 1 Gbit/s", "big_read", _of_line(95)),
    *_rows("large file out, cold, no limit", "0.8 x min(curl, opening)",
           "60 ms", "big_read", _ceiling("big_read", "open")),
    *_rows("first byte, no URL held", "2.2 round trips", "60 ms",
           "first_byte", _limit(2.2 * 60, MS)),
    *_rows("random 4 KiB, cold (URL held): median", "1.2 round trips",
           "60 ms", "random_read", _limit(1.2 * 60, MS)),
    *_rows("the same: fetched each", "<= 70 KiB", "60 ms", "random_bytes",
           _limit(70, "{value:.1f} KiB")),
    *_rows("read again, kernel cache empty", "0.9 x passthrough", "60 ms",
           "warm_read", _against("60 ms", "warm_read", "passthrough_ll", 0.9,
                                 "{value:.0f} MB/s, needs {limit:.0f}",
                                 higher=True)),
    *_rows("find over many files", "1.5 x passthrough", "60 ms", "find",
           _against("60 ms", "find", "passthrough_ll", 1.5, S)),
    *_rows("ls -lR over many files", "1.5 x passthrough", "60 ms", "ls",
           _against("60 ms", "ls", "passthrough_ll", 1.5, S)),
    *_rows("both: requests", "0", "60 ms", "walk_requests", _limit(0, N)),
    *_rows("rename of a directory", "10 ms", "60 ms", "rename",
           _limit(10, MS)),
    *_rows("the same: requests", "1", "60 ms", "rename_requests",
           _limit(1, N)),
    *_rows("rm -r of it", "3 x directory", "60 ms", "remove",
           _against("60 ms", "remove", "plain directory", 3, MS)),
    *_rows("the same: requests", "a delta call and a DELETE", "60 ms",
           "remove_requests", _limit(2, N)),
    ("first listing of many items", "as fast as pages arrive", _pages),
    ("mounted again, many nodes: ready", "200 ms",
     _value("60 ms", "plain", "million_ready", 200, MS)),
    ("the same: memory, idle", "64 MiB",
     _value("60 ms", "plain", "million_rss", 64, "{value:.0f} MiB")),
    *_rows("most memory, large file in", "256 MiB", "60 ms", "big_up_rss",
           _limit(256, "{value:.0f} MiB")),
    *_rows("most memory, large file out", "256 MiB", "60 ms",
           "big_down_rss", _limit(256, "{value:.0f} MiB")),
    ("sealing, one core", "0.9 x libsodium", _speed("seal", "aead_seal", .9)),
    ("opening, one core", "0.9 x libsodium", _speed("open", "aead_open", .9)),
    ("quickXorHash, one core", "5 GB/s", _speed("quickxor", None, 5e9)),
    *_rows("CPU per GB up", "less than rclone, unencrypted", "60 ms",
           "big_up_cpu", _against("60 ms", "big_up_cpu", "rclone 1s", 1, S)),
    *_rows("CPU per GB down", "less than rclone, unencrypted", "60 ms",
           "big_down_cpu", _against("60 ms", "big_down_cpu", "rclone 1s", 1,
                                    S)),
    ("idle: wake-ups", "the poll timer",
     _value("60 ms", "plain", "idle_wakeups", 2, "{value:.0f}")),
]


def rows(results, extra):
    """(title, target, measured, "yes", "no" or "not measured")."""
    look = Look(results, extra)
    for title, target, row in ROWS:
        found = row(look)
        if found is None:
            yield title, target, "", "not measured"
        else:
            yield title, target, found[0], "yes" if found[1] else "NO"
