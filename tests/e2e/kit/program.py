"""The program under test on a machine of its own: home, sign-in, mounts."""

import contextlib
import errno
import json
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import threading
import time

from . import proc

BINARY = pathlib.Path(os.environ.get("NMB_TEST_BIN")
                      or proc.ROOT / "build/gcc/nmbackupfs").resolve()
# Exit statuses (fs/exit.h).
FAILED, USAGE, SIGN_IN, NO_MEMBER, UNFINISHED, HELD, BUSY = \
    1, 2, 3, 4, 5, 6, 7
NO_TERMINAL = 9

CLIENT_ID = "11111111-2222-3333-4444-555555555555"

# TSan needs address-space randomisation off on recent kernels.
SETARCH = ["setarch", "-R"] if "thread" in BINARY.parent.name else []
VALGRIND = ["valgrind", "-q", "--leak-check=full", "--error-exitcode=99",
            "--show-leak-kinds=definite,indirect",
            "--errors-for-leak-kinds=definite,indirect",
            f"--suppressions={proc.ROOT}/tests/valgrind.supp"] \
    if os.environ.get("NMB_TEST_VALGRIND") else []

# Seconds after which a hung mount is killed, so that the test that hangs in
# it gets an error and the rest can go on.
WATCHDOG_S = float(os.environ.get("NMB_TEST_WATCHDOG") or proc.patience(90))


def help_text():
    return subprocess.run([*SETARCH, str(BINARY), "--help"],
                          capture_output=True, text=True,
                          timeout=proc.patience(20), check=False).stdout


class Machine:
    """One computer: a home directory and what is configured there.

    Everything the program writes lies below `base`; `log` collects standard
    error of all its runs."""

    def __init__(self, base, graphd, name="home", vault=False):
        self.base = pathlib.Path(base)
        self.graphd = graphd
        self.home = self.base / name
        self.state = self.home / "state"
        self.config = self.home / "config"
        self.runtime = self.home / "run"
        self.log = self.base / f"{name}.log"
        self.sanitizer_log = self.base / f"{name}.san"
        for folder in (self.home, self.state, self.config, self.runtime):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.log.touch()
        self.mounts = []
        self.binary = BINARY
        self.wrap = []  # in front of the program: another network
        self.recovery_key = self.base / f"{name}.recovery"
        self.env = self._environment()
        if vault:
            self.env.update(
                NMBACKUPFS_PLAIN="no", NMBACKUPFS_LABEL=name,
                NMBACKUPFS_RECOVERY_KEY_OUT=str(self.recovery_key))

    def _environment(self):
        env = {k: v for k, v in os.environ.items()
               if not k.startswith(("XDG_", "NMBACKUPFS_"))
               and k.lower() not in ("http_proxy", "https_proxy", "all_proxy")}
        san = f"log_path={self.sanitizer_log}:exitcode=99"
        env.update(
            HOME=str(self.home), LC_ALL="C.UTF-8", NO_COLOR="1",
            XDG_STATE_HOME=str(self.state), XDG_CONFIG_HOME=str(self.config),
            XDG_RUNTIME_DIR=str(self.runtime),
            **self.graphd.client_env(),
            NMBACKUPFS_CLIENT_ID=CLIENT_ID,
            NMBACKUPFS_ACCOUNT=self.graphd.account,
            NMBACKUPFS_KEYSTORE="file",
            NMBACKUPFS_PLAIN="yes",
            NMBACKUPFS_WRITE_BACK_DELAY="100ms",
            NMBACKUPFS_POLL_INTERVAL="1s",
            # Most tests remove what they made; test_hold.py is about this.
            NMBACKUPFS_HOLD_AFTER="off",
            NMBACKUPFS_LOG_LEVEL="debug",
            ASAN_OPTIONS=san + ":detect_leaks=1:disable_coredump=1",
            UBSAN_OPTIONS=san + ":print_stacktrace=1",
            TSAN_OPTIONS=san + ":halt_on_error=0:second_deadlock_stack=1"
            f":suppressions={proc.ROOT}/tests/tsan.supp")
        return env

    # -- commands ---------------------------------------------------------

    def command(self, *args):
        wrap = VALGRIND and [*VALGRIND, f"--log-file={self.sanitizer_log}.%p"]
        return [*self.wrap, *SETARCH, *wrap, str(self.binary),
                *map(str, args)]

    def popen(self, *args, env=None, **kw):
        kw.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(self.command(*args),
                                env={**self.env, **(env or {})},
                                preexec_fn=proc.die_with_parent, **kw)

    def run(self, *args, timeout=60, env=None, check=None, **kw):
        """Runs a command to its end; `check` is the exit status it must have."""
        done = subprocess.run(self.command(*args),
                              timeout=proc.patience(timeout),
                              env={**self.env, **(env or {})},
                              stdin=kw.pop("stdin", subprocess.DEVNULL),
                              capture_output=True, text=True, check=False,
                              errors="replace", **kw)
        with self.log.open("a") as f:
            f.write(f"$ nmbackupfs {' '.join(map(str, args))}"
                    f" -> {done.returncode}\n{done.stdout}{done.stderr}")
        if check is not None:
            assert done.returncode == check, \
                (f"nmbackupfs {args} ended with {done.returncode}, not {check}:"
                 f"\n{done.stdout}{done.stderr}")
        return done

    def sign_in(self):
        """`nmbackupfs auth`, with the code approved at graphd."""
        self.graphd.login(mode="approve", interval_s=0)
        return self.run("auth", check=0)

    def status(self, *args):
        done = self.run("status", "--json", *args, check=0)
        return json.loads(done.stdout)

    def flush(self, *args, timeout=60):
        """Waits until all is on the server; AssertionError if it is not."""
        return self.run("flush", "--timeout", int(proc.patience(timeout)),
                        *args, timeout=timeout + 20, check=0)

    def wait_status(self, ready, timeout=20.0, what="the status"):
        return proc.wait_until(lambda: (s := self.status()) and ready(s) and s,
                               timeout, what, every=0.05)

    # -- mounts -----------------------------------------------------------

    def mount(self, *options, name="mnt", env=None, wait=True):
        mount = Mount(self, self.base / name, options, env)
        self.mounts.append(mount)
        mount.start()
        if wait:
            mount.wait_mounted()
        return mount

    def age_ledger(self, hours=2):
        """As if all that was sent had been sent that long ago."""
        for path in self.state.rglob("state.db"):
            with contextlib.closing(sqlite3.connect(path, timeout=20)) as db:
                db.execute("UPDATE ledger SET time=time-?",
                           (hours * 3600 * 10**9,))
                db.commit()

    def wipe(self):
        """Loses all local state; configuration and tokens stay."""
        assert not any(m.is_running() for m in self.mounts)
        shutil.rmtree(self.state)
        self.state.mkdir(mode=0o700)

    def clean_up(self):
        for mount in self.mounts:
            mount.clean_up()
        proc.unmount_all(self.base)
        for pid in proc.children():
            if str(self.binary) in proc.command_of(pid):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)

    def sanitizer_reports(self):
        logs = sorted(self.base.glob(self.sanitizer_log.name + ".*"))
        return "\n".join(proc.tail(p, 80) for p in logs).strip()


class Mount:
    """One run of the program in the foreground, mounted at `path`."""

    def __init__(self, machine, path, options, env):
        self.machine = machine
        self.path = pathlib.Path(path)
        self.options = options
        self.env = env
        self.process = None
        self.hung = None
        self._watchdog = None

    def start(self):
        with contextlib.suppress(FileExistsError):  # maybe a dead mount
            self.path.mkdir()
        log = self.machine.log.open("ab")
        log.write(f"$ nmbackupfs -f {self.options}\n".encode())
        log.flush()
        self.process = self.machine.popen(
            "-f", *self.options, self.path, env=self.env, stdout=log,
            stderr=log)
        log.close()
        self._watchdog = threading.Timer(WATCHDOG_S, self._bite)
        self._watchdog.daemon = True
        self._watchdog.start()

    def _bite(self):
        if self.is_running():
            self.hung = proc.stacks(self.process.pid)
            self.process.kill()

    def wait_mounted(self, timeout=20.0):
        def mounted():
            assert self.process.poll() is None, \
                (f"the program ended with {self.process.returncode}:\n"
                 + proc.tail(self.machine.log, 20))
            try:  # what is mounted there may be a dead predecessor
                os.statvfs(self.path)
            except OSError:
                return False
            return str(self.path) in proc.mounts_below(self.path)
        proc.wait_until(mounted, timeout, "the mount")

    def wait_listed(self):
        """A folder that was never listed is nothing to work in: from now on
        the network may go. It may take longer than the mount's deadline."""
        def listed():
            try:
                return os.listdir(self.path) is not None
            except OSError as e:
                if e.errno != errno.EIO:
                    raise
                return False
        proc.wait_until(listed, 30, "the listing")

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def __truediv__(self, name):
        return self.path / name

    def kill(self, sig=signal.SIGKILL):
        """kill -9; the dead mount stays, as after a real crash."""
        self.process.send_signal(sig)
        return self.wait(20)

    def wait(self, timeout=20.0):
        """The exit status once it has ended by itself."""
        return self.process.wait(proc.patience(timeout))

    def unmount(self, timeout=30.0, wait=True):
        """fusermount3 -u; then the program ends once all is uploaded."""
        done = subprocess.run(["fusermount3", "-u", str(self.path)],
                              capture_output=True, text=True,
                              timeout=proc.patience(timeout), check=False)
        assert done.returncode == 0, done.stderr
        return self.wait_end(timeout) if wait else None

    def wait_end(self, timeout=30.0):
        try:
            rc = self.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError("the program goes on after the unmount:\n"
                                 + self.describe_pending()) from None
        assert rc == 0, (f"the program ended with {rc} after the unmount:\n"
                         + proc.tail(self.machine.log, 20))
        return rc

    def describe_pending(self):
        """What it still has to do, by its status and in its own tables."""
        said = self.machine.run("status", "--json").stdout
        holders = proc.holders_of(self.path)
        if holders:
            said += f"mounted in the namespaces of {holders}: it can't end\n"
        for path in self.machine.state.rglob("state.db"):
            with contextlib.closing(sqlite3.connect(path)) as db:
                db.row_factory = sqlite3.Row
                said += "".join(f"{dict(row)}\n" for row in db.execute(
                    "SELECT * FROM node WHERE flags & 1 LIMIT 20"))
        return said

    def clean_up_dead(self):
        """After its death: nothing of it is left but what it wrote."""
        self._watchdog.cancel()
        self.machine.mounts.remove(self)

    def clean_up(self):
        if self._watchdog:
            self._watchdog.cancel()
        if self.is_running():
            proc.unmount_all(self.path)
            proc.stop(self.process, timeout=5)
        proc.unmount_all(self.path)


def elapsed(function, *args, **kw):
    """(seconds, result) of a call."""
    start = time.monotonic()
    result = function(*args, **kw)
    return time.monotonic() - start, result
