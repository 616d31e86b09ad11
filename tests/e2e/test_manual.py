"""The manual says what the program says, renders without a warning, and is
installed where it belongs."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

from kit import proc, program

ROOT = proc.ROOT
MAKE_PAGE = ROOT / "contrib/man/make-page"
FRAME = ROOT / "contrib/man/nmbackupfs.1.in"
ENV = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}

# A program that knows what no program should say to a typesetter.
ODD = r"""#!/bin/sh
case $* in
--version) echo "nmbackupfs 7.1" ;;
--help) cat <<'X'
usage: nmbackupfs [options] MOUNTPOINT

Mounts it, or:
  one [WHAT]                   the first
  two-words A VERY LONG LIST OF ARGUMENTS
                               the second

Options, also as NMBACKUPFS_NAME:
  --odd TEXT                   .dot, 'quote', \back ^ ~ `tick` [it's]

Signals:
  HUP  nothing

Exit status:
  0  done
  142 odd
X
;;
"one --help") cat <<'X'
usage: nmbackupfs one [WHAT]
       nmbackupfs one --none

.TH starts no heading, 'nor does this. A sentence ends.
'br neither; a \ is one, and `code that
goes on` goes on -- it's so.

    example --of it

  sub COMMAND    Each has its own --help.
X
;;
"one sub --help") echo "usage: nmbackupfs one sub" ;;
"two-words --help") echo "${SAYS-usage: nmbackupfs two-words}" ;;
*) exit 2 ;;
esac
"""


def make_page(binary, frame=FRAME, **env):
    return subprocess.run([*program.SETARCH, MAKE_PAGE, binary, frame],
                          cwd=ROOT, text=True, env={**ENV, **env},
                          capture_output=True, timeout=proc.patience(60),
                          check=False)


def plain(roff):
    """What roff shows, roughly: the words of it."""
    text = re.sub(r"(?m)^\.[A-Za-z]+", "", roff)
    text = re.sub(r"\\f[BIRP]|\\&", "", text)
    for name, char in (("-", "-"), ("e", "\\"), ("(aq", "'"), ("(ga", "`"),
                       ("(ha", "^"), ("(ti", "~"), ("(dq", '"')):
        text = text.replace("\\" + name, char)
    return " ".join(text.split())


def help_of(binary, *words):
    done = subprocess.run([*program.SETARCH, binary, *words, "--help"],
                          env={**ENV, "NMBACKUPFS_CONFIG": "/dev/null"},
                          text=True, capture_output=True,
                          timeout=proc.patience(20), check=True)
    return done.stdout


def items(text):
    return re.findall(r"(?m)^  ([a-z][a-z0-9-]*)", text)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    done = make_page(program.BINARY)
    assert done.returncode == 0, done.stderr
    path = tmp_path_factory.mktemp("man") / "nmbackupfs.1"
    path.write_text(done.stdout)
    return path


@pytest.fixture
def odd(tmp_path):
    path = tmp_path / "odd"
    path.write_text(ODD)
    path.chmod(0o755)
    return path


def warnings_of(page):
    """What each formatter that is here has to say."""
    said = ""
    for command in (["groff", "-ww", "-z", "-man", "-Kutf8", "-Tutf8"],
                    ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"],
                    ["mandoc", "-Tlint", "-W", "warning"]):
        if shutil.which(command[0]):
            done = subprocess.run(
                [*command, page], env={**ENV, "LC_ALL": "C.UTF-8"}, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                timeout=proc.patience(60))
            said += done.stderr
            if command[0] == "mandoc":
                said += done.stdout
    return said


def test_it_says_all_that_help_says(page):
    shown = plain(page.read_text())
    top = help_of(program.BINARY)
    for option, text in re.findall(r"(?m)^  (--\S.*?)  +(\S.*)", top):
        text = re.sub(r" \[.*\]$", "", text)
        assert f"{option} {text}" in shown
    for number, text in re.findall(r"(?m)^  (\d+) +(.*)", top):
        assert f"{number} {text}" in shown
        assert f".TP\n\\fB{number}\\fR\n" in page.read_text() or \
            f".TP\n{number}\n" in page.read_text()
    todo = [[c] for c in items(top.split("\n\n")[1])]
    assert len(todo) > 10
    for words in todo:
        said = help_of(program.BINARY, *words)
        section = shown.partition(f"nmbackupfs {' '.join(words)} ")[2]
        at = 0
        for word in said.replace("`", "").split()[1:]:
            found = section.find(word, at)
            assert found >= 0, (words, word)
            at = found
        if "Each has its own --help" in said:
            todo += [[*words, sub] for sub in dict.fromkeys(items(said))]


def test_options_in_its_own_words_exist(page):
    known = set(re.findall(r"--[a-z][a-z0-9-]*", plain(page.read_text())))
    frame = FRAME.read_text()
    for option in re.findall(r"\\-\\-([a-z][a-z\\-]*[a-z])\b", frame):
        assert option == "no" or "--" + option.replace("\\-", "-") in known
    assert not re.findall(r"@[A-Z]+@", page.read_text())


def test_no_formatter_warns(page):
    assert warnings_of(page) == ""


def test_odd_words_are_shown_as_they_are(odd, tmp_path):
    done = make_page(odd, SOURCE_DATE_EPOCH="86400")
    assert done.returncode == 0, done.stderr
    (tmp_path / "odd.1").write_text(done.stdout)
    assert warnings_of(tmp_path / "odd.1") == ""
    shown = plain(done.stdout)
    for text in (".TH starts no heading, 'nor does this. A sentence ends.",
                 "'br neither; a \\ is one, and code that goes on goes on "
                 "-- it's so.",
                 "nmbackupfs one --none", "example --of it", "HUP nothing",
                 "two-words A VERY LONG LIST OF ARGUMENTS the second",
                 "--odd TEXT .dot, 'quote', \\back ^ ~ tick. Default: it's.",
                 "142 odd", "nmbackupfs one sub", "1970-01-02",
                 '"nmbackupfs 7.1"'):
        assert text in shown, text
    assert done.stdout == make_page(odd, SOURCE_DATE_EPOCH="86400").stdout
    assert ".SS nmbackupfs one sub\n" in done.stdout
    assert ".SS nmbackupfs two-words\n" in done.stdout


@pytest.mark.parametrize("says", ["", "unknown command", "usage: nmbackupfs"])
def test_a_command_without_a_usage_is_an_error(odd, says):
    done = make_page(odd, SAYS=says)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "two-words --help' does not begin with its usage" in done.stderr


def test_no_configuration_has_a_say(page):
    done = make_page(program.BINARY, NMBACKUPFS_CACHE_SIZE="nonsense",
                     HOME="/nonexistent", LC_ALL="tr_TR.UTF-8",
                     TZ="Pacific/Kiritimati")
    assert done.returncode == 0, done.stderr
    assert done.stdout == page.read_text()


def files_in(top):
    return {str(p.relative_to(top)) for p in top.rglob("*") if not p.is_dir()}


@pytest.mark.skipif("NMB_TEST_BIN" in os.environ, reason="of another build")
def test_install_and_uninstall(tmp_path):
    """Every file where its variable says, nothing elsewhere, and gone again."""
    def make(target, *variables):
        subprocess.run(["make", "-s", target, f"DESTDIR={tmp_path}",
                        *variables], cwd=ROOT, env=ENV, check=True,
                       timeout=proc.patience(100), stdout=subprocess.DEVNULL)

    for variables, prefix, man in (
            ([], "usr/local", "usr/local/share/man"),
            (["PREFIX=/usr", "MANDIR=/usr/man"], "usr", "usr/man")):
        make("install", *variables)
        there = files_in(tmp_path)
        assert {f"{prefix}/bin/nmbackupfs", f"{man}/man1/nmbackupfs.1",
                f"{prefix}/share/doc/nmbackupfs/LICENSE",
                f"{prefix}/share/nmbackupfs/unseal-names.py"} <= there
        assert all(p.startswith((prefix + "/", man + "/")) for p in there)
        for path in there:
            mode = (tmp_path / path).stat().st_mode & 0o777
            assert mode in (0o644, 0o755)
            if path.endswith((".1", ".5", ".md")):
                assert mode == 0o644
                text = (tmp_path / path).read_bytes()
                assert os.fsencode(tmp_path) not in text
        make("uninstall", *variables)
        assert files_in(tmp_path) == set()


def test_readme_names_no_file_that_is_not_installed():
    """What it says of files of the package is where make install puts it."""
    makefile = (ROOT / "Makefile").read_text()
    for path in re.findall(r"/usr/local/share/nmbackupfs/([\w.-]+)",
                           (ROOT / "README.md").read_text()):
        assert pathlib.Path("contrib", path).as_posix() in makefile
