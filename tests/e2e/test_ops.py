"""Goal: the mount behaves like a local file system, operation by operation.

What programs may count on: the errno of every refusal, sizes, times, modes,
offsets of directories, locks. None of it needs the network, so each test also
proves that by running with any latency of the service."""

import ctypes
import errno
import fcntl
import mmap
import os
import socket
import stat
import struct
import subprocess
import threading

import pytest

from kit import proc, trees
from kit.marks import needs_root

pytestmark = pytest.mark.configs("personal-60")

libc = ctypes.CDLL(None, use_errno=True)
RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2
FALLOC_KEEP_SIZE, FALLOC_PUNCH_HOLE, FALLOC_ZERO_RANGE = 1, 2, 16


def renameat2(old, new, flags):
    if libc.renameat2(-100, os.fsencode(old), -100, os.fsencode(new), flags):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def fallocate(fd, mode, offset, length):
    off = ctypes.c_int64
    if libc.fallocate(fd, mode, off(offset), off(length)):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def code_of(function, *args):
    """The errno of a call, 0 if it works."""
    try:
        function(*args)
    except OSError as e:
        return e.errno
    return 0


def open_close(path, flags, mode=0o644):
    os.close(os.open(path, flags, mode))


@pytest.fixture
def here(mnt):
    """A directory with one of each kind."""
    top = mnt / "top"
    (top / "empty").mkdir(parents=True)
    (top / "full").mkdir()
    (top / "full/child").write_bytes(b"child")
    (top / "file").write_bytes(b"0123456789")
    (top / "other").write_bytes(b"other")
    (top / "link").symlink_to("file")
    (top / "dangling").symlink_to("nowhere")
    os.mkfifo(top / "fifo")
    return top


REFUSALS = [
    # what                       call                              errno
    ("open absent", lambda d: os.open(d / "no", os.O_RDONLY), errno.ENOENT),
    ("open below a file", lambda d: os.open(d / "file/x", 0), errno.ENOTDIR),
    ("create exclusively", lambda d: os.open(
        d / "file", os.O_CREAT | os.O_EXCL | os.O_WRONLY), errno.EEXIST),
    ("write a directory", lambda d: os.open(d / "full", os.O_WRONLY),
     errno.EISDIR),
    ("open a file as directory", lambda d: os.open(
        d / "file", os.O_DIRECTORY), errno.ENOTDIR),
    ("open a link, not followed", lambda d: os.open(
        d / "link", os.O_NOFOLLOW), errno.ELOOP),
    ("open through a dangling link", lambda d: os.open(d / "dangling", 0),
     errno.ENOENT),
    ("name of 256 bytes", lambda d: open_close(
        d / ("n" * 256), os.O_CREAT | os.O_WRONLY), errno.ENAMETOOLONG),
    ("stat of 256 bytes", lambda d: os.stat(d / ("n" * 256)),
     errno.ENAMETOOLONG),
    ("mkdir of 256 bytes", lambda d: os.mkdir(d / ("n" * 256)),
     errno.ENAMETOOLONG),
    ("mkdir taken by a file", lambda d: os.mkdir(d / "file"), errno.EEXIST),
    ("mkdir taken by a directory", lambda d: os.mkdir(d / "full"),
     errno.EEXIST),
    ("mkdir below absent", lambda d: os.mkdir(d / "no/x"), errno.ENOENT),
    ("rmdir of a full one", lambda d: os.rmdir(d / "full"), errno.ENOTEMPTY),
    ("rmdir of a file", lambda d: os.rmdir(d / "file"), errno.ENOTDIR),
    ("rmdir absent", lambda d: os.rmdir(d / "no"), errno.ENOENT),
    ("unlink a directory", lambda d: os.unlink(d / "empty"), errno.EISDIR),
    ("unlink absent", lambda d: os.unlink(d / "no"), errno.ENOENT),
    ("hard link", lambda d: os.link(d / "file", d / "hard"), errno.EPERM),
    ("symlink taken", lambda d: os.symlink("x", d / "file"), errno.EEXIST),
    ("readlink of a file", lambda d: os.readlink(d / "file"), errno.EINVAL),
    ("mkfifo taken", lambda d: os.mkfifo(d / "file"), errno.EEXIST),
    ("rename absent", lambda d: os.rename(d / "no", d / "x"), errno.ENOENT),
    ("rename into absent", lambda d: os.rename(d / "file", d / "no/x"),
     errno.ENOENT),
    ("rename file over directory", lambda d: os.rename(
        d / "file", d / "empty"), errno.EISDIR),
    ("rename directory over file", lambda d: os.rename(
        d / "full", d / "file"), errno.ENOTDIR),
    ("rename over a full directory", lambda d: os.rename(
        d / "empty", d / "full"), errno.ENOTEMPTY),
    ("rename into itself", lambda d: os.rename(d / "full", d / "full/in"),
     errno.EINVAL),
    ("rename to 256 bytes", lambda d: os.rename(d / "file", d / ("n" * 256)),
     errno.ENAMETOOLONG),
    ("rename, not replacing", lambda d: renameat2(
        d / "file", d / "other", RENAME_NOREPLACE), errno.EEXIST),
    ("exchange with absent", lambda d: renameat2(
        d / "file", d / "no", RENAME_EXCHANGE), errno.ENOENT),
    ("rename, flags unknown", lambda d: renameat2(
        d / "file", d / "x", 1 << 20), errno.EINVAL),
    ("truncate a directory", lambda d: os.truncate(d / "full", 0),
     errno.EISDIR),
    ("truncate to less than 0", lambda d: os.truncate(d / "file", -1),
     errno.EINVAL),
    ("listdir of a file", lambda d: os.listdir(d / "file"), errno.ENOTDIR),
    ("xattr unknown", lambda d: os.getxattr(d / "file", "user.nope"),
     errno.ENODATA),
    ("xattr set by us only", lambda d: os.setxattr(
        d / "file", "user.nmbackupfs.state", b"x"),
     (errno.EPERM, errno.EACCES, errno.ENOTSUP)),
]


def test_refusals(here):
    """One mount for the whole table; nothing of it may change the tree."""
    before = trees.describe(here)
    wrong = []
    for what, call, want in REFUSALS:
        got = code_of(call, here)
        if got not in (want if isinstance(want, tuple) else (want,)):
            wrong.append(f"{what}: {errno.errorcode.get(got, got)}, "
                         f"should be {want}")
    assert not wrong, "\n".join(wrong)
    assert trees.describe(here) == before


def test_every_kind_of_node(here):
    os.mknod(here / "plain", stat.S_IFREG | 0o640)
    with socket.socket(socket.AF_UNIX) as s:
        os.chdir(here)
        try:
            s.bind("sock")
        finally:
            os.chdir("/")
    kinds = {p.name: stat.S_IFMT(p.lstat().st_mode) for p in here.iterdir()}
    assert kinds == {
        "empty": stat.S_IFDIR, "full": stat.S_IFDIR, "file": stat.S_IFREG,
        "other": stat.S_IFREG, "plain": stat.S_IFREG, "link": stat.S_IFLNK,
        "dangling": stat.S_IFLNK, "fifo": stat.S_IFIFO, "sock": stat.S_IFSOCK}
    assert os.readlink(here / "dangling") == "nowhere"
    assert (here / "link").read_bytes() == b"0123456789"
    long_target = "t" * 4000
    os.symlink(long_target, here / "long")
    assert os.readlink(here / "long") == long_target


def test_fifo_carries_data(here):
    got = []
    reader = threading.Thread(
        target=lambda: got.append((here / "fifo").read_bytes()))
    reader.start()
    (here / "fifo").write_bytes(b"through the pipe")
    reader.join(10)
    assert got == [b"through the pipe"]


@needs_root
def test_devices(here):
    os.mknod(here / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    info = os.lstat(here / "null")
    assert stat.S_ISCHR(info.st_mode) and info.st_rdev == os.makedev(1, 3)


def test_write_read_truncate(here):
    path = here / "rw"
    fd = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    assert os.read(fd, 10) == b""
    assert os.pwrite(fd, b"abc", 100_000) == 3
    assert os.fstat(fd).st_size == 100_003
    assert os.pread(fd, 100_003, 0) == bytes(100_000) + b"abc"
    assert os.pread(fd, 10, 100_003) == b"" == os.pread(fd, 10, 2**40)
    assert os.pread(fd, 10, 100_001) == b"bc"
    os.ftruncate(fd, 5)
    os.ftruncate(fd, 70_000)
    assert os.pread(fd, 70_000, 0) == bytes(70_000)
    os.pwrite(fd, b"x", 69_999)
    os.fsync(fd)
    os.close(fd)
    assert path.read_bytes() == bytes(69_999) + b"x"
    os.truncate(path, 0)
    assert path.stat().st_size == 0 and path.read_bytes() == b""


def test_open_flags(here):
    path = here / "file"
    with open(path, "ab") as f:
        f.write(b"more")
    assert path.read_bytes() == b"0123456789more"
    reader = os.open(path, os.O_RDONLY)
    writer = os.open(path, os.O_WRONLY | os.O_TRUNC)
    assert os.fstat(reader).st_size == 0 and os.read(reader, 9) == b""
    os.write(writer, b"new")
    assert os.pread(reader, 9, 0) == b"new"
    assert code_of(os.write, reader, b"x") == errno.EBADF
    assert code_of(os.read, writer, 1) == errno.EBADF
    os.close(writer)
    os.close(reader)


@pytest.mark.fault(94)
def test_two_appenders_lose_no_line(here):
    script = ("import os,sys\nf=os.open(sys.argv[1],os.O_WRONLY|os.O_APPEND|"
              "os.O_CREAT)\nos.write(1,b'!'); os.read(0,1)\n"
              "for i in range(2000): "
              "os.write(f,b'%s %04d\\n'%(sys.argv[2].encode(),i))")
    both = [subprocess.Popen(["/usr/bin/python3", "-c", script,
                              here / "log", who], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE)
            for who in ("left", "right")]
    for p in both:
        assert p.stdout.read(1) == b"!"
    for p in both:
        p.stdin.close()
    assert [p.wait(proc.patience(30)) for p in both] == [0, 0]
    for p in both:
        p.stdout.close()
    lines = (here / "log").read_bytes().splitlines()
    for who in (b"left", b"right"):
        assert [ln for ln in lines if ln.startswith(who)] == \
            [b"%s %04d" % (who, i) for i in range(2000)]
    turns = sum(a[:1] != b[:1] for a, b in zip(lines, lines[1:]))
    assert turns > 1, "they did not write at the same time"


def test_unlinked_file_lives_while_open(here):
    fd = os.open(here / "file", os.O_RDWR)
    os.unlink(here / "file")
    assert not (here / "file").exists()
    assert "file" not in os.listdir(here)
    os.pwrite(fd, b"Z", 0)
    assert os.pread(fd, 20, 0) == b"Z123456789"
    assert os.fstat(fd).st_nlink == 0
    (here / "file").write_bytes(b"second")
    assert os.pread(fd, 20, 0) == b"Z123456789"
    os.close(fd)
    assert (here / "file").read_bytes() == b"second"


def test_rename(here):
    ino = (here / "file").stat().st_ino
    os.rename(here / "file", here / "full/moved")
    assert (here / "full/moved").stat().st_ino == ino
    assert not (here / "file").exists()
    os.rename(here / "full/moved", here / "other")
    assert (here / "other").read_bytes() == b"0123456789"
    assert os.listdir(here / "full") == ["child"]
    os.rename(here / "full", here / "empty")
    assert (here / "empty/child").read_bytes() == b"child"
    assert not (here / "full").exists()
    os.rename(here / "other", here / "other")
    assert (here / "other").exists()
    with open(here / "empty/child", "rb") as f:
        os.rename(here / "other", here / "empty/child")
        assert f.read() == b"child"  # an open file stays what it was
    assert (here / "empty/child").read_bytes() == b"0123456789"


def test_rename_flags(here):
    renameat2(here / "file", here / "fresh", RENAME_NOREPLACE)
    assert (here / "fresh").read_bytes() == b"0123456789"
    renameat2(here / "fresh", here / "other", RENAME_EXCHANGE)
    assert (here / "fresh").read_bytes() == b"other"
    assert (here / "other").read_bytes() == b"0123456789"
    renameat2(here / "full", here / "fresh", RENAME_EXCHANGE)
    assert (here / "fresh/child").read_bytes() == b"child"
    assert (here / "full").read_bytes() == b"other"


def test_modes_owners_times(here):
    path = here / "file"
    os.chmod(path, 0o4751)
    assert stat.S_IMODE(path.stat().st_mode) == 0o4751
    os.chmod(here / "full", 0o1777)
    assert stat.S_IMODE((here / "full").stat().st_mode) == 0o1777
    when = 1_234_567_890_123_456_789
    os.utime(path, ns=(when + 1, when))
    assert path.stat().st_mtime_ns == when
    assert path.stat().st_atime_ns in (when + 1, when)
    for odd in (0, 1, -10**9, 2**31 * 10**9, 4_200_000_000 * 10**9 + 999_999_999):
        os.utime(path, ns=(odd, odd))
        assert path.stat().st_mtime_ns == odd
    os.utime(here / "link", ns=(when, when), follow_symlinks=False)
    assert os.lstat(here / "link").st_mtime_ns == when
    info = path.stat()
    assert (info.st_uid, info.st_gid) == (os.getuid(), os.getgid())
    if os.geteuid() == 0:
        os.chown(path, 1234, 5678)
        info = path.stat()
        assert (info.st_uid, info.st_gid) == (1234, 5678)


def test_times_move_as_they_should(here):
    old = 10**18
    for p in (here, here / "file"):
        os.utime(p, ns=(old, old))
    (here / "file").read_bytes()
    assert (here / "file").stat().st_mtime_ns == old
    (here / "file").write_bytes(b"x")
    assert (here / "file").stat().st_mtime_ns > old
    assert here.stat().st_mtime_ns == old  # nothing in the directory changed
    (here / "new").touch()
    made = here.stat().st_mtime_ns
    assert made > old
    ctime = (here / "file").stat().st_ctime_ns
    os.chmod(here / "file", 0o600)
    assert (here / "file").stat().st_ctime_ns >= ctime


def test_umask_and_setgid(here):
    old = os.umask(0o027)
    try:
        open_close(here / "masked", os.O_CREAT | os.O_WRONLY, 0o666)
        os.mkdir(here / "masked dir", 0o777)
    finally:
        os.umask(old)
    assert stat.S_IMODE((here / "masked").stat().st_mode) == 0o640
    assert stat.S_IMODE((here / "masked dir").stat().st_mode) == 0o750


@needs_root
@pytest.mark.mount_options("-o", "allow_other")
def test_permissions_are_checked(mnt):
    """default_permissions: another user gets what the mode says."""
    for above in mnt.path.parents[:-2]:  # pytest's directories are private
        os.chmod(above, above.stat().st_mode | 0o011)
    os.chmod(mnt.path, 0o755)
    (mnt / "secret").write_bytes(b"s")
    os.chmod(mnt / "secret", 0o600)
    (mnt / "open").write_bytes(b"o")
    os.chmod(mnt / "open", 0o644)
    (mnt / "shared").mkdir()
    os.chmod(mnt / "shared", 0o1777)
    (mnt / "shared/mine").write_bytes(b"m")
    script = f"""
import os
os.setgroups([]); os.setgid(65534); os.setuid(65534)
def code(f, *a):
    try: f(*a)
    except OSError as e: return e.errno
    return 0
root = {str(mnt.path)!r}
print(code(open, root + "/secret"), code(open, root + "/open"),
      code(open, root + "/open", "r+"), code(os.mkdir, root + "/x"),
      code(os.mkdir, root + "/shared/theirs"),
      code(os.unlink, root + "/shared/mine"),
      code(os.chmod, root + "/open", 0o777))
"""
    out = subprocess.run(["/usr/bin/python3", "-c", script], text=True,
                         capture_output=True, timeout=proc.patience(20),
                         check=False)
    assert out.stdout.split() == [str(c) for c in (
        errno.EACCES, 0, errno.EACCES, errno.EACCES, 0, errno.EPERM,
        errno.EPERM)], out.stderr
    info = (mnt / "shared/theirs").stat()
    assert (info.st_uid, info.st_gid) == (65534, 65534)


def test_link_counts_and_inodes(here):
    assert (here / "file").stat().st_nlink == 1
    assert here.stat().st_nlink == 1  # nobody counts, as on btrfs
    inos = {p.name: p.lstat().st_ino for p in here.iterdir()}
    assert len(set(inos.values())) == len(inos)
    assert {e.name: e.inode() for e in os.scandir(here)} == inos
    assert {e.name: stat.S_IFMT(e.stat(follow_symlinks=False).st_mode)
            for e in os.scandir(here)} == \
        {p.name: stat.S_IFMT(p.lstat().st_mode) for p in here.iterdir()}


def test_readdir_while_it_changes(mnt):
    """Offsets are stable: what stays is listed exactly once."""
    big = mnt / "big"
    big.mkdir()
    for i in range(600):
        (big / f"{i:04d}").touch()
    seen = []
    with os.scandir(big) as entries:
        for n, entry in enumerate(entries):
            seen.append(entry.name)
            if n % 3 == 0:
                victim = f"{(n * 7) % 600:04d}"
                if victim not in seen and (big / victim).exists():
                    os.unlink(big / victim)
                (big / f"new-{n:04d}").touch()
    stayed = {p.name for p in big.iterdir() if not p.name.startswith("new")}
    assert len(seen) == len(set(seen))
    assert stayed <= set(seen)


def test_seekdir(mnt):
    """telldir/seekdir come back to the same place."""
    for i in range(100):
        (mnt / f"{i:03d}").touch()
    libc.opendir.restype = libc.readdir.restype = ctypes.c_void_p
    libc.telldir.restype = ctypes.c_long
    folder = ctypes.c_void_p(libc.opendir(os.fsencode(mnt.path)))

    def next_name():
        entry = libc.readdir(folder)
        return ctypes.string_at(entry + 19) if entry else None

    for _ in range(40):
        next_name()
    place = libc.telldir(folder)
    rest = []
    while name := next_name():
        rest.append(name)
    libc.seekdir(folder, ctypes.c_long(place))
    again = []
    while name := next_name():
        again.append(name)
    libc.closedir(folder)
    assert rest == again and len(rest) == 62


def test_mmap(here):
    path = here / "mapped"
    path.write_bytes(bytes(200_000))
    fd = os.open(path, os.O_RDWR)
    with mmap.mmap(fd, 200_000) as shared:
        os.close(fd)  # pages are written after the close
        shared[150_000:150_005] = b"after"
        shared[0] = 65
        shared.flush()
        shared[199_999] = 66
    data = path.read_bytes()
    assert (data[0], data[150_000:150_005], data[-1]) == (65, b"after", 66)
    with open(path, "rb") as f, mmap.mmap(f.fileno(), 0,
                                          prot=mmap.PROT_READ) as shared:
        assert shared[:] == data


def test_locks(here):
    with open(here / "file", "r+b") as a, open(here / "file", "r+b") as b:
        fcntl.flock(a, fcntl.LOCK_EX)
        assert code_of(fcntl.flock, b, fcntl.LOCK_EX | fcntl.LOCK_NB) == \
            errno.EWOULDBLOCK
        fcntl.flock(a, fcntl.LOCK_UN)
        fcntl.flock(b, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.lockf(a, fcntl.LOCK_EX, 4)
        query = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 4, 0)
        assert fcntl.fcntl(a, fcntl.F_GETLK, query)[:2] == \
            struct.pack("h", fcntl.F_UNLCK)  # our own lock is no obstacle


def test_fallocate(here):
    fd = os.open(here / "space", os.O_CREAT | os.O_RDWR)
    os.write(fd, b"x" * 200_000)
    fallocate(fd, FALLOC_KEEP_SIZE, 0, 400_000)
    assert os.fstat(fd).st_size == 200_000
    fallocate(fd, 0, 0, 300_000)
    assert os.fstat(fd).st_size == 300_000
    assert os.pread(fd, 10, 200_000) == bytes(10)
    for mode in (FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE, FALLOC_ZERO_RANGE):
        code = code_of(fallocate, fd, mode, 65_536, 1000)
        assert code in (0, errno.EOPNOTSUPP)
        if code == 0:
            assert os.pread(fd, 1002, 65_535) == b"x" + bytes(1000) + b"x"
            os.pwrite(fd, b"x" * 1000, 65_536)
    assert code_of(fallocate, fd, 0, 0, 0) == errno.EINVAL
    os.close(fd)


def test_holes_and_copy_file_range(here):
    fd = os.open(here / "sparse", os.O_CREAT | os.O_RDWR)
    os.pwrite(fd, b"end", 1_000_000)
    assert os.lseek(fd, 1_000_000, os.SEEK_DATA) == 1_000_000
    assert os.lseek(fd, 0, os.SEEK_HOLE) <= 1_000_003
    assert code_of(os.lseek, fd, 2_000_000, os.SEEK_DATA) == errno.ENXIO
    data = os.lseek(fd, 0, os.SEEK_DATA)
    assert os.pread(fd, 1_000_000 - data, data).strip(b"\0") == b""
    out = os.open(here / "copy", os.O_CREAT | os.O_RDWR)
    done = 0
    while done < 1_000_003:
        n = os.copy_file_range(fd, out, 1_000_003 - done, done, done)
        assert n > 0
        done += n
    os.close(fd)
    os.close(out)
    assert trees.sha(here / "copy") == trees.sha(here / "sparse")


def test_statvfs(mnt, graphd, signed_in):
    signed_in.wait_status(lambda s: s["quota"]["total"], what="the quota")
    info = os.statvfs(mnt.path)
    total = info.f_blocks * info.f_frsize
    assert info.f_namemax == 255
    assert total > 0 and info.f_bfree <= info.f_blocks
    quota = graphd.quota()
    if quota["total"] > 0:
        assert abs(total - quota["total"]) <= info.f_frsize


def test_xattrs(here, signed_in, graphd):
    signed_in.flush()
    path = here / "file"
    for name in ("user.nmbackupfs.state", "user.nmbackupfs.id",
                 "user.nmbackupfs.hash"):
        assert os.getxattr(path, name)
    assert os.listxattr(path) == []
    item = graphd.item("top/file")
    assert os.getxattr(path, "user.nmbackupfs.id").decode() == item["id"]
    assert os.getxattr(path, "user.nmbackupfs.hash").decode() == item["quickXorHash"]


def test_copies_with_attributes(here, base, signed_in):
    """What the mount knows of a file is not the file's: nothing to copy along,
    nothing to fail with, on the way out or in, the first time or again."""
    signed_in.flush()
    for copy in (["rsync", "-aX"], ["cp", "-aT"]):
        for n in range(2):
            for source, target in ((here, base / f"out {copy[0]}"),
                                   (base / f"out {copy[0]}",
                                    here.parent / f"in {copy[0]}")):
                done = subprocess.run(
                    [*copy, f"{source}/", f"{target}/"], text=True,
                    capture_output=True, timeout=proc.patience(30),
                    check=False)
                assert (done.returncode, done.stderr) == (0, ""), (copy, n)
                trees.assert_same(source, target)
        assert os.listxattr(base / f"out {copy[0]}/file") == []
    # What a file does have, and the mount can't keep, is said.
    try:
        os.setxattr(base / "out cp/file", "user.mine", b"1")
    except OSError:
        return  # an old tmpfs
    for copy, rc in ((["rsync", "-aX"], 23), (["cp", "-aT"], 0)):
        done = subprocess.run([*copy, f"{base}/out cp/", f"{here}/again/"],
                              capture_output=True, check=False,
                              timeout=proc.patience(30))
        assert done.returncode == rc
        assert trees.sha(here / "again/file") == trees.sha(here / "file")


def test_removed_but_in_use(mnt, signed_in):
    """A removed directory or fifo that is somebody's working directory or
    descriptor answers long after nobody else knows it."""
    (mnt / "d").mkdir()
    os.mkfifo(mnt / "f")
    fds = [os.open(mnt / "d", os.O_RDONLY), os.open(mnt / "f", os.O_RDWR)]
    os.rmdir(mnt / "d")
    os.unlink(mnt / "f")
    signed_in.flush()
    for fd, kind in zip(fds, (stat.S_IFDIR, stat.S_IFIFO)):
        os.fchmod(fd, 0o705)
        os.utime(fd, ns=(10**18, 2 * 10**18))
        info = os.fstat(fd)
        assert stat.S_IFMT(info.st_mode) == kind and info.st_nlink == 0
        assert stat.S_IMODE(info.st_mode) == 0o705
        assert info.st_mtime_ns == 2 * 10**18
        os.close(fd)


@pytest.mark.configs("personal", "work-vault")
def test_empty_file_grows(mnt, signed_in, graphd):
    """An empty file that is on the server has no content file here, and needs
    nothing from there when it grows: it was taken for one whose bytes are lost,
    and waited for what another version held."""
    calls = {
        "write": lambda fd: os.pwrite(fd, b"x" * 70_000, 0),
        "hole": lambda fd: os.pwrite(fd, b"x", 200_000),
        "truncate": lambda fd: os.ftruncate(fd, 150_000),
        "fallocate": lambda fd: fallocate(fd, 0, 0, 5000),
    }
    for name in calls:
        (mnt / name).touch()
        (mnt / f"{name} emptied").write_bytes(b"once")
    signed_in.flush()
    for name in calls:
        open(mnt / f"{name} emptied", "wb").close()
    signed_in.flush()
    graphd.stall("download")
    want = {}
    for name, call in calls.items():
        for path in (name, f"{name} emptied"):
            fd = os.open(mnt / path, os.O_RDWR)
            call(fd)
            os.close(fd)
            want[path] = (mnt / path).read_bytes()
    signed_in.flush()
    assert "missing" not in signed_in.log.read_text()
    graphd.unstall()
    mnt.unmount()
    signed_in.wipe()
    mnt = signed_in.mount()
    assert {p: (mnt / p).read_bytes() for p in want} == want


@pytest.mark.mount_options("--cache-size", "20M")
def test_times_near_the_limit(mnt):
    """Where files open past the kernel's pages it does not see that they
    change: it is told when the last one is closed, in whatever order."""
    old = 10**18
    for closed_last in ("writer", "other"):
        path = mnt / closed_last
        path.write_bytes(b"first")
        writer = os.open(path, os.O_RDWR)
        with pytest.raises(OSError):  # it is that kind of opening
            mmap.mmap(writer, 5)
        other = os.open(path, os.O_RDONLY)
        os.utime(path, ns=(old, old))
        os.pwrite(writer, b"later", 0)
        for fd in ((other, writer) if closed_last == "writer"
                   else (writer, other)):
            os.close(fd)
        proc.wait_until(lambda p=path: p.stat().st_mtime_ns > old, 10,
                        "the time of the write")
        assert path.read_bytes() == b"later"
    for n in range(50):  # what is set then is not lost on the way
        with open(path, "r+b") as f:
            f.write(b"%d" % n)
        os.utime(path, ns=(old, old))
        proc.wait_until(lambda: path.stat().st_mtime_ns == old, 1,
                        "the time that was set")


def test_read_only_mount(signed_in, graphd):
    graphd.put("there", b"from elsewhere")
    mnt = signed_in.mount("--read-only")
    assert (mnt / "there").read_bytes() == b"from elsewhere"
    for call in (lambda: (mnt / "new").touch(),
                 lambda: (mnt / "there").unlink(),
                 lambda: (mnt / "d").mkdir(),
                 lambda: os.chmod(mnt / "there", 0o600),
                 lambda: open(mnt / "there", "ab").close()):
        assert code_of(call) == errno.EROFS
