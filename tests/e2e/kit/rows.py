#!/usr/bin/python3
"""Which tests prove which row of ../README.md.

Run by itself it prints every row with its tests; the exit status is 1 if a
row has none."""

import pathlib
import re
import sys

TESTS = pathlib.Path(__file__).resolve().parents[2]
ROW = re.compile(r"^(\d+)\. (.*)", re.M)
MARK = re.compile(r"(?:mark\.fault\(|/\* fault |^ \* fault )([\d,\s]+)", re.M)


def rows():
    """Number -> text of the first line."""
    text = (TESTS / "e2e" / "README.md").read_text()
    return {int(n): what for n, what in ROW.findall(text)}


def proofs():
    """Number -> files, with the line of the mark."""
    found = {}
    for path in sorted([*TESTS.rglob("*.py"), *TESTS.rglob("*.c")]):
        if path == pathlib.Path(__file__).resolve():
            continue
        text = path.read_text(errors="replace")
        for mark in MARK.finditer(text):
            line = text.count("\n", 0, mark.start()) + 1
            for number in re.findall(r"\d+", mark.group(1)):
                found.setdefault(int(number), []).append(
                    f"{path.relative_to(TESTS)}:{line}")
    return found


def main():
    proven = proofs()
    for number, what in rows().items():
        print(f"{number:3} {what}")
        for where in proven.get(number, ["-"]):
            print(f"      {where}")
    return any(number not in proven for number in rows())


if __name__ == "__main__":
    sys.exit(main())
