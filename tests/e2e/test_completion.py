"""What the shells offer: commands, options, their values and names of files, by
the program's own help. bash, zsh and fish are asked themselves."""

import os
import pty
import re
import shutil
import subprocess

import pytest

from kit import proc, program

DIR = proc.ROOT / "contrib/completions"
COMPLETE = DIR / "complete"


class Place:
    """A directory to complete in, with the program in the PATH."""

    def __init__(self, base):
        self.dir = base / "here"
        (self.dir / "sub dir").mkdir(parents=True)
        (self.dir / "file.txt").touch()
        (base / "bin").mkdir()
        program_link = base / "bin/nmbackupfs"
        program_link.write_text('#!/bin/sh\nexec %s "$@"\n' % " ".join(
            [*program.SETARCH, str(program.BINARY)]))
        program_link.chmod(0o755)
        self.base = base
        (base / "state/nmbackupfs/second").mkdir(parents=True)
        self.env = {"PATH": f"{base}/bin:{os.environ['PATH']}",
                    "HOME": str(base), "LC_ALL": "C.UTF-8", "TERM": "vt100",
                    "XDG_STATE_HOME": str(base / "state"),
                    "XDG_CONFIG_HOME": str(base / "config"),
                    "XDG_DATA_HOME": str(base / "data"),
                    # No configuration has a say in it.
                    "NMBACKUPFS_CACHE_SIZE": "nonsense"}

    def script(self, shell):
        """As make install has it, but for the path."""
        text = (DIR / f"nmbackupfs.{shell}").read_text()
        path = self.base / ("_nmbackupfs" if shell == "zsh" else shell)
        path.write_text(text.replace("@COMPLETE@", str(COMPLETE)))
        return path

    def run(self, *command, **kw):
        return subprocess.run(command, cwd=self.dir, env=self.env, text=True,
                              capture_output=True, check=True,
                              timeout=proc.patience(30), **kw).stdout


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def offered(place, *words):
    """What the script itself says, without the descriptions."""
    said = place.run(COMPLETE, "nmbackupfs", *words)
    return [line.partition("\t")[0] for line in said.splitlines()]


def ask_bash(place, *words):
    """COMPREPLY after the tab key; bash has cut the words at "="."""
    cut = [w for word in words for w in re.split("(=)", word)
           if w or "=" not in word]
    text = f"""
        source {place.script('bash')}
        function=$(complete -p nmbackupfs | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
        COMP_WORDS=(nmbackupfs "$@") COMP_CWORD=$#
        $function nmbackupfs
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    return place.run("bash", "--norc", "-c", text, "bash",
                     *cut).splitlines()


def ask_fish(place, *words):
    quoted = " ".join(["nmbackupfs", *(w.replace(" ", "\\ ") for w in words)])
    said = place.run("fish", "--no-config", "-c",
                     f"source {place.script('fish')}; "
                     f"complete -C '{quoted}'")
    return [line.partition("\t")[0] for line in said.splitlines()]


ZSH = r"""
fpath=({dir} $fpath)
autoload -Uz compinit && compinit -u -D
zstyle ':completion:*' list-separator '#'
zstyle ':completion:*' list-colors
setopt no_beep
# Instead of inserting them: all that would match, a line each.
compadd() {{
    local -a hits
    if [[ ${{@[(I)-(O|A|D)]}} -gt 0 ]]; then builtin compadd "$@"; return; fi
    builtin compadd -O hits "$@"
    (($#hits)) && print -rl -- "HIT "${{^hits}} >>{out}
    builtin compadd "$@"
}}
PS1='READY> '
bindkey '^I' complete-word
"""


def ask_zsh(place, *words):
    """In a terminal of its own, since zsh completes only there."""
    out = place.base / "hits"
    out.unlink(missing_ok=True)
    place.script("zsh")
    (place.base / ".zshrc").write_text(ZSH.format(dir=place.base, out=out))
    typed = " ".join(["nmbackupfs", *(w.replace(" ", "\\ ") for w in words)])
    ours, theirs = pty.openpty()
    shell = subprocess.Popen(["zsh", "-i"], cwd=place.dir,
                             env={**place.env, "ZDOTDIR": str(place.base)},
                             stdin=theirs, stdout=theirs, stderr=theirs,
                             start_new_session=True,
                             preexec_fn=proc.die_with_parent)
    os.close(theirs)
    try:
        wait_for(ours, b"READY> ")
        os.write(ours, typed.encode() + b"\t")
        proc.wait_until(lambda: out.exists() and "HIT" in out.read_text(), 20,
                        "what zsh offers", every=0.02)
        os.write(ours, b"\x15exit\n")
        shell.wait(proc.patience(20))
    finally:
        proc.stop(shell, timeout=5)
        os.close(ours)
    return list(dict.fromkeys(line[4:].replace("\\ ", " ") for line in
                              out.read_text().splitlines()))


def wait_for(terminal, text):
    seen = b""
    while text not in seen:
        seen += os.read(terminal, 4096)


SHELLS = [pytest.param(ask, id=name, marks=pytest.mark.skipif(
    not shutil.which(name), reason=f"{name} is not installed"))
    for name, ask in (("bash", ask_bash), ("zsh", ask_zsh),
                      ("fish", ask_fish))]


# Words, what must be offered, what must not.
ROWS = [
    ([""], ["auth", "status", "umount", "vault", ":dirs"], ["move", ":files"]),
    (["-f", "--cache-size", "5G", ""], ["status", ":dirs"], []),
    (["mnt", ""], [], ["status", ":dirs"]),
    (["--"], ["--cache-size", "--profile", "-o", "--help", "--version"],
     ["--json", "--no-plain"]),
    (["--no"], ["--no-plain", "--no-recovery-key"], ["--no-cache-size"]),
    (["status", "-"], ["--json", "--watch", "--check", "--profile", "--help"],
     ["--cache-size"]),
    (["status", "--cac"], ["--cache-size"], []),
    (["--profile", "status", "flush", "--"], ["--timeout"], ["--json"]),
    (["status", ""], [":files"], ["auth"]),
    (["umount", "-"], ["--no-wait", "--help"], []),
    (["put", "x", "--as", ""], [], [":files"]),
    (["get", "-o", ""], [":files"], []),
    (["vault", ""], ["join", "members", "reseal"], ["auth", ":files"]),
    (["vault", "join", "--"], ["--code", "--recovery-key"], ["--yes"]),
    (["vault", "join", "--recovery-key", ""], [":files"], []),
    (["vault", "add", ""], [], ["add", ":files"]),
    (["keystore", ""], ["move"], []),
    (["keystore", "move", ""], ["sealed", "file", "command"], ["move"]),
    (["--keystore="], ["sealed", "file", "secret-service"], [":files"]),
    (["--log-level", ""], ["error", "warn", "info", "debug"], ["auth"]),
    (["--metered", ""], ["pause", "ignore"], ["auth"]),
    (["--config", ""], [":files"], ["auth"]),
    (["--profile", ""], ["default", "second"], ["auth"]),
    (["approve", "--dry-run", ""], ["incoming", "outgoing"], [":files"]),
    (["--", ""], [":dirs"], ["auth"]),
    (["nonsense", "--json", ""], [], ["auth"]),
]


def test_what_is_offered(place):
    for words, some, none in ROWS:
        got = offered(place, *words)
        assert set(some) <= set(got), (words, got)
        assert not set(none) & set(got), (words, got)
        assert len(got) == len(set(got)), (words, got)


def test_every_command_and_option_is_offered(place):
    """Also those that came after this test."""
    top = program.help_text()
    commands = re.findall(r"(?m)^  ([a-z][a-z0-9-]*)", top.split("\n\n")[1])
    assert len(commands) > 10
    assert set(commands) <= set(offered(place, ""))
    options = re.findall(r"(?m)^  (--[a-z0-9-]+)", top)
    assert set(options) <= set(offered(place, "--"))
    for command in commands:
        said = subprocess.run(
            [*program.SETARCH, program.BINARY, command, "--help"], text=True,
            check=True, stdout=subprocess.PIPE,
            timeout=proc.patience(20)).stdout
        own = re.findall(r"(?m)^  (--[a-z0-9-]+)", said)
        assert set(own) <= set(offered(place, command, "--")), command


def test_without_the_program_nothing_is_offered(place):
    place.env["PATH"] = "/usr/bin:/bin"
    assert place.run(COMPLETE, "./no-such-program", "") == ""


def test_a_mount_is_offered_by_its_name(place, tmp_path):
    """From the table of mounts, where a blank is written as \\040."""
    text = COMPLETE.read_text()
    table = tmp_path / "mounts"
    table.write_text("x /proc proc rw 0 0\n"
                     "n /home/a\\040b/m\\134x fuse.nmbackupfs rw 0 0\n")
    changed = tmp_path / "complete"
    changed.write_text(text.replace("/proc/self/mounts", str(table)))
    changed.chmod(0o755)
    said = place.run(changed, "nmbackupfs", "umount", "")
    assert said == "/home/a b/m\\x\n"


@pytest.mark.parametrize("ask", SHELLS)
def test_shells_offer_it(place, ask):
    assert set(ask(place, "st")) == {"status"}
    got = ask(place, "status", "--")
    assert {"--json", "--check"} <= set(got)


@pytest.mark.parametrize("ask", SHELLS)
def test_shells_offer_values_and_names(place, ask):
    got = ask(place, "--log-level", "")
    assert {"error", "warn", "info", "debug"} == set(got)
    got = ask(place, "--keystore=s")
    assert {g.rpartition("=")[2] for g in got} == {"sealed", "secret-service"}


@pytest.mark.parametrize("ask", SHELLS)
def test_shells_offer_names_of_files(place, ask):
    assert [g.rstrip("/") for g in ask(place, "put", "fi")] == ["file.txt"]
    assert [g.rstrip("/") for g in ask(place, "sub")] == ["sub dir"]
