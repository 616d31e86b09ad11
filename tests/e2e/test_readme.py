"""Goal: what the texts for people tell them to type exists: commands, options,
targets of make, files, links, keys of the configuration."""

import os
import re
import shlex
import subprocess

import pytest

from kit import proc, program

ROOT = proc.ROOT
TEXTS = sorted([ROOT / "README.md", ROOT / "contrib/README.md",
                *ROOT.glob("contrib/recipes/*.md"), *ROOT.glob("tests/live/*.md")])
SCRIPTS = sorted(ROOT.glob("contrib/recipes/*.sh"))
# Words of ours that take a command of their own after them.
GROUPS = ("vault", "key")
# Options of other programs that the texts name.
OTHERS = ("--vfs-cache-mode", "--link-dest")
ENV = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"}


def help_of(*words, known={}):
    """What `nmbackupfs WORDS --help` says; None: there is no such command."""
    if words not in known:
        done = subprocess.run(
            [*program.SETARCH, str(program.BINARY), *words, "--help"], env=ENV,
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=proc.patience(20), check=False)
        good = done.returncode == 0 and done.stdout.startswith("usage: ")
        known[words] = done.stdout if good else None
    return known[words]


def commands():
    lines = help_of().partition("Options, also")[0].splitlines()
    return {m[1] for m in (re.match(r"  ([a-z]+) ", line) for line in lines)
            if m}


def typed(text):
    """Command lines in a text or script: indented or in backquotes."""
    text = re.sub(r"\\\n\s*", " ", text)
    quoted = re.findall(r"`([^`]+)`", re.sub(r"(?m)^    .*$", "", text))
    lines = [re.sub(r"^\s*(\$ )?", "", line) for line in text.splitlines()
             if line.startswith("    ")] + [" ".join(q.split()) for q in quoted]
    for line in lines:
        for found in re.finditer(r"(?:^|[;&|(!] ?|\|\| )(?:exec |sudo )?"
                                 r"nmbackupfs (?=[a-z~\[$.\"'/-])(.*)", line):
            yield re.split(r"\s#|\s\s+[a-z]|[;|&>)`]", found[1])[0].strip()


def takes_value(option):
    return option.startswith("--") and re.search(rf"{option} [A-Z]", help_of())


def check_line(line, all_commands):
    """What is wrong with one, or None."""
    try:
        words = shlex.split(line.replace("...", ""))
    except ValueError:
        words = line.split()
    plain = [w for before, w in zip([""] + words, words)
             if not w.startswith("-") and not takes_value(before)]
    command = next((w for w in plain if w in all_commands), None)
    if command is None:
        first = plain[0] if plain else ""
        if re.fullmatch(r"[a-z]{3,}", first) and first not in ("options",):
            return f"there is no command {first}"
        help_text = help_of()
    else:
        chain = [command]
        after = plain[plain.index(command) + 1:]
        if command in GROUPS and after and re.fullmatch("[a-z]+", after[0]):
            chain.append(after[0])
        help_text = help_of(*chain)
        if help_text is None:
            return f"there is no {' '.join(chain)}"
        help_text += help_of()
    for word in words:
        option = word.split("=")[0]
        if option.startswith("--") and option != "--help" and \
                not has_option(help_text, option):
            return f"{option} is not in its --help"
    return None


def has_option(text, option):
    negated = option.replace("--no-", "--", 1)
    return re.search(rf"{option}(?![\w-])", text) or \
        option != negated and re.search(rf"{negated}(?![\w-])", text)


def test_commands_exist():
    all_commands = commands()
    assert len(all_commands) > 15
    wrong = []
    for path in TEXTS + SCRIPTS:
        text = path.read_text()
        if path in SCRIPTS:
            text = re.sub(r"(?m)^", "    ", text)
        wrong += [f"{path}: nmbackupfs {line}: {why}" for line in typed(text)
                  if (why := check_line(line, all_commands))]
    assert not wrong, "\n".join(wrong)


def test_the_check_would_see_it():
    """It finds commands, and what is wrong with them."""
    assert len(list(typed((ROOT / "README.md").read_text()))) > 30
    all_commands = commands()
    for line, why in (("mount ~/x", "no command"), ("vault invite", "no vault"),
                      ("put --recursive x", "--recursive"),
                      ("flush --no-wait", "--no-wait"),
                      ("--cash-size 3 ~/x", "--cash-size")):
        assert why in (check_line(line, all_commands) or ""), line
    for line in ("~/x", "--no-recovery-key ~/x", "vault add age1... --label a",
                 "put FILE... [--as NAME]", "status --watch"):
        assert check_line(line, all_commands) is None, line


def anchors_of(path):
    heads = re.findall(r"(?m)^#+ (.*)$", path.read_text())
    return [re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in heads]


def wrong_links(path):
    for link in re.findall(r"\]\(([^)]+)\)", path.read_text()):
        name, _, anchor = link.partition("#")
        if link.startswith("http"):
            continue
        there = path.parent / name if name else path
        if not there.exists() or anchor and anchor not in anchors_of(there):
            yield link


def test_options_and_files_exist():
    """Options named alone, keys of the configuration, links, scripts, targets."""
    every = "".join(filter(None, [
        help_of(), *map(help_of, commands()),
        *(help_of(g, w) for g in GROUPS
          for w in re.findall(r"(?m)^  ([a-z]+)", help_of(g)))]))
    rules = (ROOT / "Makefile").read_text()
    wrong = []
    for path in TEXTS:
        text = path.read_text()
        wrong += [(path.name, o) for o in
                  re.findall(r"`(--[a-z][a-z0-9-]+)", text)
                  if o not in OTHERS and not has_option(every, o)]
        for key in re.findall(r"(?m)^ +([a-z_]+) = \S|`([a-z_]+) = ", text):
            option = "--" + "".join(key).replace("_", "-")
            wrong += [(path.name, key)] * (not has_option(every, option))
        wrong += [(path.name, link) for link in wrong_links(path)]
        wrong += [(path.name, s) for s in
                  re.findall(r"contrib/[\w/.-]*\w", text)
                  if not (ROOT / s).exists()]
        wrong += [(path.name, "make " + t) for t in
                  re.findall(r"(?:^ +|`)make ([a-z-]+)", text)
                  if not re.search(rf"(?m)^{t}:", rules)]
    assert not wrong


def test_recording_can_be_made_anew():
    """README.md shows what tests/recording says is typed, in that order."""
    recording = (ROOT / "tests/recording").read_text()
    session = re.search(r'SESSION = """\\\n(.*?)"""', recording, re.S)[1]
    lines = [line if line.startswith("#") else "$ " + line
             for line in session.splitlines()]
    block = re.search(r"<!-- session: .*?<!-- end -->",
                      (ROOT / "README.md").read_text(), re.S)[0]
    assert re.findall(r"(?m)^    ((?:\$|#) .*)$", block) == lines


@pytest.mark.skipif(not os.environ.get("NMB_TEST_FULL") or proc.SLOW > 1,
                    reason="takes 20 s, and shows how fast it is")
def test_recording_runs():
    done = subprocess.run([str(ROOT / "tests/recording")], text=True,
                          capture_output=True, timeout=proc.patience(110),
                          check=False, stdin=subprocess.DEVNULL,
                          preexec_fn=proc.die_with_parent,
                          env={**os.environ, "NMB_TEST_SLOW": str(proc.SLOW)})
    assert done.returncode == 0, done.stderr[-3000:]
    for word in ("Signed in", "becomes a vault", "idle: everything is on the",
                 "is a member of the vault", "uploading  [", "blocked "):
        assert word in done.stdout, word
