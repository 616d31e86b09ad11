"""Goal: packages that build, from a clean export, the same each time, and that
the tools of each distribution have nothing to say about."""

import hashlib
import os
import platform
import re
import shutil
import tarfile

import pytest

from conftest import ROOT, need, run


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_source_is_the_same_each_time(dist, tmp_path):
    """From the same commit: whenever, whoever, and from its own content."""
    first = digest(dist)
    with tarfile.open(dist) as f:
        members = f.getmembers()
        f.extractall(tmp_path)
    assert all(m.uid == m.gid == 0 and not m.uname for m in members)
    assert len({m.mtime for m in members}) == 1
    assert [m.name for m in members] == sorted(m.name for m in members)
    (top,) = tmp_path.iterdir()
    assert not (top / "build").exists()
    old = os.umask(0o077)
    try:
        run("make", "-s", "dist", LANG="C.UTF-8", TZ="Asia/Tokyo")
        assert digest(dist) == first
        # Without git, and from what was unpacked with other permissions.
        run("make", "-s", "dist", cwd=top)
    finally:
        os.umask(old)
    assert digest(top / "build/dist" / dist.name) == first
    run("make", "-s", "dist", cwd=top, SOURCE_DATE_EPOCH="86400")
    with tarfile.open(top / "build/dist" / dist.name) as f:
        assert {m.mtime for m in f.getmembers()} == {86400}


def test_lintian_accepts_it(debs):
    need("lintian")
    (changes,) = debs.glob("*.changes")
    said = run("lintian", "--fail-on", "error,warning",
               "--tag-display-limit", "0", changes)
    assert not re.search(r"(?m)^[EW]: ", said), said


def test_the_same_package_in_another_place(debs, dist, tmp_path):
    """Another directory, umask, time zone and locale; bit by bit the same."""
    there = tmp_path / "a-much-longer-name-of-a-directory" / "deb"
    old = os.umask(0o077)
    try:
        run("contrib/make-deb",
            re.search(r"nmbackupfs-(.*)\.tar\.gz", dist.name)[1], dist, there,
            "-b", TZ="Asia/Tokyo", LC_ALL="C.UTF-8", HOME=str(tmp_path))
    finally:
        os.umask(old)
    built = sorted(debs.glob("*.deb"))
    assert len(built) == 2
    for deb in built:
        assert digest(there / deb.name) == digest(deb), deb.name


def test_the_same_program_from_another_directory(dist, tmp_path):
    """make alone, as for an install by hand: program and manual."""
    made = []
    for name in ("a", "a-much-longer-name/of-a/directory"):
        top = tmp_path / name
        top.mkdir(parents=True)
        with tarfile.open(dist) as f:
            f.extractall(top)
        (top,) = top.iterdir()
        run("make", "-s", f"-j{os.cpu_count()}", "WERROR=", cwd=top,
            CFLAGS="-O1 -g")
        built = top / "build/gcc"
        made.append({p.name: digest(p) for p in [
            built / "nmbackupfs", *built.glob("man/*")]})
        assert os.fsencode(top) not in (built / "nmbackupfs").read_bytes()
    assert len(made[0]) == 3
    assert made[0] == made[1]


def test_rpm(dist, tmp_path):
    need("rpmbuild", "rpmspec")
    spec = ROOT / "contrib/nmbackupfs.spec"
    run("rpmspec", "-P", spec)
    version = re.search(r"nmbackupfs-(.*)\.tar\.gz", dist.name)[1]
    assert re.search(rf"(?m)^Version: +{re.escape(version)}$",
                     spec.read_text())
    if shutil.which("rpmlint"):
        said = run("rpmlint", spec)
        assert re.search(r"\b0 errors", said), said
    # Without dependencies: Debian's rpm doesn't know what is installed.
    run("rpmbuild", "-tb", "--nodeps", "--define", f"_topdir {tmp_path}", dist)
    (rpm,) = [p for p in tmp_path.rglob("nmbackupfs-[0-9]*.rpm")]
    files = set(run("rpm", "-qlp", rpm).split())
    assert {"/usr/bin/nmbackupfs",
            "/usr/share/nmbackupfs/unseal-names.py"} <= files
    assert any(f.startswith("/usr/share/man/man5/nmbackupfs-format.5")
               for f in files)
    assert not [f for f in files if str(tmp_path) in f]


@pytest.fixture(scope="module")
def tarball():
    run("make", "-s", "tarball")
    (path,) = (ROOT / "build/tarball").glob("*.tar.gz")
    return path


def test_the_tarball_needs_what_it_says(tarball):
    program = ROOT / "build/tarball/stage/usr/local/bin/nmbackupfs"
    needed = set(re.findall(r"NEEDED.*\[(.*)\]",
                            run("readelf", "-d", program)))
    with tarfile.open(tarball) as f:
        names = f.getnames()
        (page,) = [n for n in names if n.endswith("/TARBALL.md")]
        text = f.extractfile(page).read().decode()
    assert "@" not in text
    says = re.search(r"\*\*From the system:\*\* (.*)", text)[1].split()
    bundled = {n.rpartition("/")[2] for n in names if "/lib/nmbackupfs/" in n}
    assert needed == set(says) | bundled
    assert {"libcurl.so.4", "libc.so.6"} <= set(says)
    assert {s.partition(".")[0] for s in says} <= {"libc", "libcurl", "libm"}
    for name in bundled:
        assert name in text
    assert any(n.endswith("/licenses/libfuse3") for n in names)
    assert tarball.name.endswith(platform.machine() + ".tar.gz")


def test_the_tarball_runs(tarball, debian, graphd):
    """On a system that has never seen a compiler, put there and removed as
    its page says."""
    text = (ROOT / "contrib/tarball.md").read_text()
    put, *remove = [line.strip().replace("sudo ", "").replace(
        "@NAME@", tarball.name[:-len(".tar.gz")])
        for line in re.findall(r"(?m)^ {4}(.*)", text)]
    debian.run("apt-get update -q && apt-get install -qy "
               "--no-install-recommends fuse3 ca-certificates libcurl4 && "
               "useradd --create-home bob")
    shutil.copy(tarball, debian.root / "root" / tarball.name)
    before = debian.run("find /usr/local")
    debian.run(put)
    assert "version" not in debian.run("nmbackupfs --version")
    env = graphd.client_env()
    options = "--client-id 11111111-2222-3333-4444-555555555555 " + " ".join(
        f"--{name[11:].lower().replace('_', '-')} {value}"
        for name, value in env.items())
    graphd.login(mode="approve", interval_s=0)
    debian.run(f"nmbackupfs auth {options}", "bob")
    debian.run(f"mkdir m && nmbackupfs {options} --recovery-key-out key m && "
               "echo x >m/file && nmbackupfs flush && "
               "nmbackupfs umount m && rm -r .local", "bob")
    said = debian.run(f"nmbackupfs rescue {options} nmbackupfs out "
                      "--recovery-key key >&2; cat out/file", "bob")
    assert said.endswith("x\n")
    for command in remove:
        debian.run(command)
    left = debian.run("find /usr/local").split()
    assert not [p for p in left if "nmbackupfs" in p]
    assert not set(before.split()) - set(left)
    debian.run(f"rm {tarball.name}")
