"""Medians, ratios, a table; JSON and a page for people."""

import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import time

from kit import program

import targets
from workloads import METRICS


def _first_line(*command):
    if not shutil.which(command[0]):
        return "not installed"
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).splitlines()[0].strip()


def _cpu():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def versions():
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{os.cpu_count()} x {_cpu()}, "
                   f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') >> 30} GiB",
        "kernel": platform.release(),
        "nmbackupfs": _first_line(str(program.BINARY), "--version"),
        "rclone": _first_line("rclone", "version"),
        "curl": _first_line("curl", "--version").split(" (")[0],
        "libfuse": _first_line("pkg-config", "--modversion", "fuse3"),
    }


def _latency(line):
    """"60 ms, 1 Gbit/s": the first part is per request."""
    return line.replace(" ms", " ms per request", 1) \
        .replace("work", "a work account")


def _number(value):
    if value is None:
        return ""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"


class Results:
    """values[line][contender][metric] = [one per run]"""

    def __init__(self, sizes, left_out):
        self.sizes = sizes
        self.left_out = left_out
        self.values = {}
        self.failed = []
        self.loads = []
        self.extra = {}  # what no contender was measured for

    def add(self, line, contender, metric, value):
        at = self.values.setdefault(line, {}).setdefault(contender, {})
        at.setdefault(metric, []).append(value)
        self.loads.append(os.getloadavg()[0])

    def median(self, line, contender, metric):
        values = self.values.get(line, {}).get(contender, {}).get(metric)
        return statistics.median(values) if values else None

    def ratio(self, line, contender, metric):
        """How many times better nmbackupfs is than that contender."""
        ours = self.median(line, "plain", metric)
        theirs = self.median(line, contender, metric)
        if not ours or not theirs or contender == "plain":
            return None
        lower = METRICS[metric][2] == "lower"
        return theirs / ours if lower else ours / theirs

    def title(self, metric):
        text, unit, _, _ = METRICS[metric]
        return text.format(**vars(self.sizes)) + (f" ({unit})" if unit else "")

    def _rows(self, line):
        names = list(self.values[line])
        yield ["", *names, "to reach"]
        for metric in METRICS:
            row = [self.median(line, n, metric) for n in names]
            if all(v is None for v in row):
                continue
            cells = []
            for name, value in zip(names, row):
                ratio = self.ratio(line, name, metric)
                cells.append(_number(value) + (
                    f" ({_number(ratio)}x)" if ratio else ""))
            yield [self.title(metric), *cells, METRICS[metric][3]]

    def table(self):
        """For a terminal."""
        out = []
        for line in self.values:
            rows = list(self._rows(line))
            widths = [max(map(len, column)) for column in zip(*rows)]
            out.append(f"\n{_latency(line)}")
            out += ["  ".join(c.ljust(w) for c, w in zip(r, widths)).rstrip()
                    for r in rows]
        return "\n".join(out)

    def targets(self):
        """For a terminal: what must be reached, and whether it is."""
        rows = [("target", "", "measured", "met?"),
                *targets.rows(self, self.extra)]
        widths = [max(map(len, column)) for column in zip(*rows)]
        return "\n".join(
            "  ".join(c.ljust(w) for c, w in zip(r, widths)).rstrip()
            for r in rows)

    def _targets_page(self):
        yield from ("", "## What must be reached", "",
                    "| what | target | measured | met? |", "|---|---|---|---|")
        for row in targets.rows(self, self.extra):
            yield "| " + " | ".join(row) + " |"

    def as_dict(self):
        return {
            **versions(),
            "runs": self.sizes.runs,
            "kind": self.sizes.kind,
            "load": self._load(),
            "left_out": self.left_out,
            "failed": self.failed,
            **self.extra,
            "targets": [list(r) for r in targets.rows(self, self.extra)],
            "lines": {
                line: {name: {metric: {
                    "median": self.median(line, name, metric),
                    "runs": runs,
                    "unit": METRICS[metric][1],
                    "better": METRICS[metric][2],
                    "ours_is_better_by": self.ratio(line, name, metric)}
                    for metric, runs in metrics.items()}
                    for name, metrics in who.items()}
                for line, who in self.values.items()}}

    def _load(self):
        """Of the machine while it ran: lowest, median, highest."""
        return [round(f(self.loads), 2) for f in
                (min, statistics.median, max)] if self.loads else []

    def write(self, json_path, markdown_path=None):
        """What there is so far; a long run may be ended."""
        self._write_json(pathlib.Path(json_path))
        if markdown_path:
            self._write_markdown(pathlib.Path(markdown_path))

    def _write_json(self, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.as_dict(), indent=1) + "\n")

    def _write_markdown(self, path):
        facts = versions()
        low, middle, high = self._load()
        page = [
            "# Side by side", "",
            "Written by `make bench` (tests/bench/bench). Medians of "
            f"{self.sizes.runs} run(s), contenders taking turns; in brackets "
            "how many times better nmbackupfs (plain) is.", "",
            f"{facts['date']}, {facts['machine']}, Linux {facts['kernel']}; "
            f"{facts['nmbackupfs']}, {facts['rclone']}, {facts['curl']}, "
            f"libfuse {facts['libfuse']}; a {self.sizes.kind} drive of graphd "
            "on the same machine, over TLS, with two more round trips per new "
            f"connection. Load average while it ran: {low} to {high}, median "
            f"{middle}" + (": busy with other work, so ratios say more than "
                           "figures." if middle > os.cpu_count() else "."),
            ""]
        page += [f"Left out: {name} ({why})." for name, why
                 in self.left_out.items()]
        page += [f"Failed: {what}." for what in self.failed]
        page += self._targets_page()
        for line in self.values:
            rows = list(self._rows(line))
            page += ["", f"## {_latency(line)}", ""]
            page.append("| " + " | ".join(rows[0]) + " |")
            page.append("|---|" + "--:|" * (len(rows[0]) - 2) + "---|")
            page += ["| " + " | ".join(r) + " |" for r in rows[1:]]
        path.write_text("\n".join(page) + "\n")
