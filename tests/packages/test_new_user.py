"""Goal: somebody with a fresh Debian and the README has a backup, and gets it
back. What is typed comes out of the README itself; only the service is another
one."""

import re

import pytest

from kit import proc

CLIENT_ID = "11111111-2222-3333-4444-555555555555"
README = (proc.ROOT / "README.md").read_text()


def section(title):
    """From that heading to the next one of any rank."""
    return re.search(rf"(?ms)^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)",
                     README)[1]


def commands(text, indent=4):
    """The lines that are set as code, without their comments."""
    lines = re.findall(rf"(?m)^ {{{indent}}}(\S.*)$", text)
    return [re.sub(r"\s+#.*", "", line) for line in lines]


def with_prefix(word, among):
    (line,) = {c for c in among if c.startswith(word)}
    return line


@pytest.fixture(scope="module")
def installed(debian, debs):
    """The package, by apt, and a user."""
    (deb,) = [p for p in debs.glob("nmbackupfs_*.deb")]
    (debian.root / "tmp" / deb.name).write_bytes(deb.read_bytes())
    debian.run("apt-get update -q")
    debian.run(f"apt-get install -qy --no-install-recommends /tmp/{deb.name}")
    debian.run("useradd --create-home ann")
    yield debian
    debian.run("umount -l /home/ann/cloud-backups || true")
    debian.run("apt-get purge -qy nmbackupfs")
    left = debian.run("find / -xdev -iname '*nmbackupfs*' -not -path '/proc/*'"
                      " -not -path '/tmp/*' -not -path '/home/*'"
                      " -not -path '/var/cache/*' -not -path '/var/lib/apt/*'")
    assert left == "", "apt-get purge left " + left


def point_at(debian, graphd):
    """The one thing that is not as for everybody: the service."""
    env = graphd.client_env()
    debian.run("mkdir -p ~/.config/nmbackupfs && cat >~/.config/nmbackupfs/"
               f"config <<X\ngraph_url = {env['NMBACKUPFS_GRAPH_URL']}\n"
               f"login_url = {env['NMBACKUPFS_LOGIN_URL']}\nX", "ann")


class Person:
    """Sits at the terminal: knows the client id, notes the recovery key and
    types the end of it when asked, and has seen enough of a live picture."""

    key = None

    def __call__(self, said):
        found = re.search(r"AGE-SECRET-KEY-1[0-9A-Z]{58}", said)
        if found:
            self.key = found[0]
        for asks, answer in (("Client id: ", CLIENT_ID), ("q ends", "q"),
                             ("last 8 characters: ", (self.key or "")[-8:])):
            if asks in said:
                return answer
        return None


def test_from_the_package_to_the_first_restored_file(installed, graphd):
    debian, person = installed, Person()
    point_at(debian, graphd)
    debian.run("mkdir -p photos/2024 && cd photos && echo one >2024/'a b.jpg' "
               "&& head -c 300000 /dev/urandom >big && ln -s big link && "
               "chmod 600 big && touch -d '2001-02-03 4:5:6.789' 2024/*", "ann")

    # Of the numbered steps.
    setup = commands(section("With your own account"), 7)
    mount = with_prefix("nmbackupfs ~", setup)
    graphd.login(mode="approve", interval_s=0)
    for command in setup:
        debian.at_terminal(command, person, "ann")
    assert person.key

    shown = [c[2:] for c in commands(README.partition("\n## ")[0])
             if c.startswith("$ ")]
    back_up = with_prefix("cp -a ~/photos", shown)
    restore = with_prefix("cp -a ~/cloud", shown)
    debian.run(back_up, "ann")
    debian.run("nmbackupfs flush", "ann")
    status = debian.run("nmbackupfs status", "ann")
    assert "photos" not in str(graphd.files())
    assert len(graphd.files()) >= 4, status

    # All that this machine keeps is lost.
    debian.run("nmbackupfs umount ~/cloud-backups && "
               "rm -r ~/.local/state/nmbackupfs && mv photos before", "ann")
    debian.run(mount, "ann")
    debian.run(restore, "ann")
    # Folders have no times of their own on the drive.
    listing = "find . ! -type d -printf '%m %T@ %P %l\\n' | sort"
    same = "diff -r --no-dereference before photos && " \
        f"(cd before && {listing}) >1 && (cd photos && {listing}) >2 && " \
        "grep 981173106.789 1 && diff 1 2"
    debian.run(same, "ann")
    debian.run("nmbackupfs umount ~/cloud-backups", "ann")

    # And the machine itself: README, "Another machine".
    debian.run(f"umask 077 && rm -rf ~/.local/state/nmbackupfs photos && "
               f"rm -rf ~/.config/nmbackupfs/*.keys && "
               f"echo {person.key} >key.txt", "ann")
    graphd.login(mode="approve", interval_s=0)
    debian.run("nmbackupfs auth", "ann")
    rescue = re.search(r"`(nmbackupfs rescue [^`]* FILE)`",
                       section("Another machine"))[1]
    debian.run(rescue.replace("FILE", "key.txt"), "ann")
    debian.run("mv restored/photos photos && " + same, "ann")


def test_fstab(installed, graphd):
    """The line of the README, mounted by its user."""
    debian = installed
    point_at(debian, graphd)
    debian.run("rm -rf ~/.local/state/nmbackupfs ~/cloud-backups; "
               "mkdir ~/cloud-backups; echo 'plain = yes\nclient_id = "
               f"{CLIENT_ID}' >>~/.config/nmbackupfs/config", "ann")
    graphd.login(mode="approve", interval_s=0)
    debian.run("nmbackupfs auth", "ann")
    line = next(c for c in commands(section("Start it by itself"))
                if "fuse.nmbackupfs" in c)
    with (debian.root / "etc/fstab").open("a") as f:
        f.write(line + "\n")
    debian.run("mount ~/cloud-backups && echo x >~/cloud-backups/file && "
               "nmbackupfs umount ~/cloud-backups", "ann")
    assert list(graphd.files()) == ["file"]


def test_what_the_package_brings(installed):
    files = set(installed.run("dpkg -L nmbackupfs").split())
    assert {"/usr/bin/nmbackupfs",
            "/usr/share/man/man1/nmbackupfs.1.gz",
            "/usr/share/man/man5/nmbackupfs-format.5.gz",
            "/usr/share/bash-completion/completions/nmbackupfs",
            "/usr/share/zsh/vendor-completions/_nmbackupfs",
            "/usr/share/fish/vendor_completions.d/nmbackupfs.fish",
            "/usr/share/nmbackupfs/unseal-names.py",
            "/usr/share/doc/nmbackupfs/copyright"} <= files
    assert not [f for f in files if "/local/" in f or f.startswith("/build")]
    said = installed.run("/usr/share/nmbackupfs/complete nmbackupfs st", "ann")
    assert "status\t" in said
