"""Programs that work on the mount without a pause while it is killed, again
and again: each keeps a record of what it was told, outside of the mount."""

import contextlib
import random
import threading

from . import proc, promises

FILES = 10  # of each program, not many more
SIZES = (0, 1, 40, 900, 4096, 4097, 9000, 70_000)


class Program(threading.Thread):
    """Random calls in a folder of its own until the mount dies."""

    def __init__(self, root, number, seed):
        super().__init__(daemon=True)
        self.home = f"program {number}"
        self.rnd = random.Random(seed)
        self.does = promises.Promises(root)
        self.made = 0
        self.failed = None

    def again(self):
        """A thread for the next life, with the same memory."""
        other = Program.__new__(Program)
        threading.Thread.__init__(other, daemon=True)
        for name in ("home", "rnd", "does", "made"):
            setattr(other, name, getattr(self, name))
        other.failed = None
        return other

    def run(self):
        try:
            if self.home not in self.does.files:
                self.does.mkdir(self.home)
            while True:
                self.step()
        except promises.Died:
            pass
        except Exception as e:  # pylint: disable=broad-except
            self.failed = e

    def _files(self):
        return sorted(n for n, c in self.does.files.items()
                      if c is not promises.DIR)

    def _folders(self):
        return sorted(n for n, c in self.does.files.items()
                      if c is promises.DIR)

    def _new_name(self):
        self.made += 1
        return f"{self.rnd.choice(self._folders())}/{self.made}"

    def _data(self):
        return self.rnd.randbytes(self.rnd.choice(SIZES))

    def step(self):
        """One call, or a few that belong together."""
        files, does, rnd = self._files(), self.does, self.rnd
        if len(files) < 3:
            does.write(self._new_name(), self._data())
            return
        if len(files) > FILES:
            does.unlink(rnd.choice(files))
            return
        name, other = rnd.sample(files, 2)
        rnd.choice((
            lambda: does.write(self._new_name(), self._data(),
                               fsync=rnd.random() < 0.3),
            lambda: does.write(name, self._data(), fsync=rnd.random() < 0.3),
            lambda: self._change(name),
            lambda: does.truncate(name, rnd.randrange(100_000)),
            lambda: does.rename(name, self._new_name()),
            lambda: does.rename(name, other),
            lambda: does.exchange(name, other),
            lambda: self._replace(name),
            lambda: does.set_times(name, rnd.randrange(2**60), 0o640),
            self._folder))()

    def _change(self, name):
        size = len(self.does.files[name])
        self.does.edit(name, self.rnd.randrange(size + 5000),
                       self._data() or b"x",
                       fsync=self.rnd.random() < 0.3)

    def _replace(self, name):
        """As editors save."""
        temporary = self._new_name()
        self.does.write(temporary, self._data(), fsync=self.rnd.random() < 0.5)
        self.does.rename(temporary, name)

    def _folder(self):
        folders = self._folders()
        empty = [f for f in folders[1:] if not self.does.has_below(f)]
        if empty:
            self.does.rmdir(empty[0])
        elif len(folders) < 3:
            self.does.mkdir(self._new_name())
        else:
            self.does.rename(folders[-1], f"{self.home}/{self.made}-moved")
            self.made += 1


class Storm:
    """`patient` (kit/crash.py) lives and dies under `programs` programs."""

    def __init__(self, patient, seed, programs=3):
        self.patient = patient
        self.rnd = random.Random(seed)
        root = patient.machine.base / "mnt"
        self.programs = [Program(root, i, (seed << 8) + i)
                         for i in range(programs)]
        self.kills = self.checks = 0

    @property
    def calls(self):
        return sum(p.does.calls for p in self.programs)

    def life(self):
        """From a start to a kill, at a random moment or a random place."""
        p, at = self.patient, None
        p.disarm()
        if self.rnd.random() < 0.5:
            at = p.arm("*", 1 + int(self.rnd.expovariate(1 / 150)))
        p.mount(wait=False)
        if self._is_up() and self._check():
            self._work()
        if at is None or not p.has_died():
            p.mnt.kill()
        p.mnt.clean_up_dead()
        for program in self.programs:
            if program.is_alive():
                program.join(proc.patience(20))
                assert not program.is_alive(), "a call hangs in a dead mount"
            if program.failed:
                raise program.failed
        self.kills += 1

    def _is_up(self):
        """False: it died before."""
        p = self.patient
        with contextlib.suppress(AssertionError):
            p.mnt.wait_mounted()
            return True
        assert p.has_died() and p.is_marked(), proc.tail(p.machine.log, 20)
        return False

    def _work(self):
        self.programs = [p.again() for p in self.programs]
        for program in self.programs:
            program.start()
        end = threading.Event()
        end.wait(self.rnd.uniform(0, 0.25))

    def _check(self):
        """Everything that the programs were told is true. False: it died
        before that could be seen."""
        try:
            found = self.patient.look()
            for program in self.programs:
                program.does.check({n: c for n, c in found.items()
                                    if n.split("/")[0] == program.home})
        except OSError:  # it died while it was looked at
            proc.wait_until(self.patient.has_died, what="its death")
            return False
        self.checks += 1
        return True

    def settle(self, versions=True):
        """No more kills for a moment: all of it is on the server, once."""
        p = self.patient
        p.disarm()
        p.mount()
        assert self._check()
        p.does.files = {}
        p.does.versions = set()
        for program in self.programs:
            p.does.files.update(program.does.files)
            p.does.versions |= program.does.versions
        p.check_server()
        if versions:
            p.check_content(sorted(p.does.files))
        p.mnt.kill()
        p.mnt.clean_up_dead()
