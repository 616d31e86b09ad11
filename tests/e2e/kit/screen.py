"""A terminal of our own: a program in a pty, and what it shows there.

Knows what fs/watch_term.c writes and nothing else: whatever else would move the
cursor, change a colour or come out of a file's name is an error."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import threading
import unicodedata

from . import proc

ESCAPE = re.compile(r"\x1b\[(\?\d+[hl]|[HJK]|2J)")


def width(char):
    if unicodedata.combining(char) or unicodedata.category(char) == "Mn":
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


class Screen:
    def __init__(self, cols, rows):
        self.cols, self.rows = cols, rows
        self.modes = set()
        self.lines = [""] * rows
        self.row = 0
        self.settled = False  # a picture of this size has come
        self.wrong = None     # what does not fit in the picture under way

    def feed(self, text):
        """Returns what is no whole sequence yet."""
        while text:
            if text[0] == "\x1b":
                found = ESCAPE.match(text)
                if not found:
                    assert len(text) < 10, f"unknown: {text[:20]!r}"
                    return text
                self._obey(found[1])
                text = text[found.end():]
            elif text[0] == "\r":
                text = text[1:]
            elif text[0] == "\n":
                self.row += 1
                if self.row >= self.rows:
                    self.wrong = "it scrolled"
                    self.row = 0
                self.lines[self.row] = ""
                text = text[1:]
            else:
                assert unicodedata.category(text[0]) not in ("Cc", "Cf"), \
                    f"{text[0]!r} on the terminal"
                self.lines[self.row] += text[0]
                if sum(map(width, self.lines[self.row])) >= max(2, self.cols):
                    self.wrong = f"too long: {self.lines[self.row]}"
                text = text[1:]
        return ""

    def _obey(self, what):
        if what == "H":
            self.row = 0
            self.lines[0] = ""
        elif what in ("J", "2J"):
            self.lines[self.row + 1:] = [""] * (self.rows - self.row - 1)
        elif what != "K":
            (self.modes.add if what[-1] == "h" else self.modes.discard)(
                what[:-1])

    def end_frame(self):
        """Whether it fits. One of the old size may still be on its way."""
        wrong, self.wrong = self.wrong, None
        assert not (wrong and self.settled), wrong
        self.settled |= not wrong
        return not wrong


class Terminal:
    """The program's standard input and output; `picture()` is the last whole
    one."""

    def __init__(self, machine, *args, cols=80, rows=24):
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        self._set_size(cols, rows)
        self.screen = Screen(cols, rows)
        self.whole = ("", 0)
        self.trouble = None
        self.process = machine.popen(
            *args, stdin=self.slave, stdout=self.slave,
            stderr=subprocess.PIPE, text=True, start_new_session=True)
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _set_size(self, cols, rows):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ,
                    struct.pack("HHHH", rows, cols, 0, 0))

    def resize(self, cols, rows):
        modes = self.screen.modes
        self.screen = Screen(cols, rows)
        self.screen.modes = modes
        self._set_size(cols, rows)
        os.kill(self.process.pid, 28)  # SIGWINCH: it is no controlling terminal

    def _read(self):
        text, left = b"", ""
        try:
            while True:
                text += os.read(self.master, 65536)
                known = text.decode(errors="ignore")
                text = text[len(known.encode()):]
                screen = self.screen
                for piece in re.split(r"(?<=\x1b\[\?2026l)", left + known):
                    left = screen.feed(piece)
                    if piece.endswith("\x1b[?2026l") and screen.end_frame():
                        self.whole = ("\n".join(
                            line.rstrip() for line in screen.lines), screen)
        except OSError:
            pass
        except AssertionError as e:
            self.trouble = e

    def picture(self):
        assert self.trouble is None, self.trouble
        text, screen = self.whole
        return text if screen is self.screen else ""

    def wait(self, *words):
        try:
            proc.wait_until(
                lambda: all(w in self.picture() for w in words), 20, "it")
        except AssertionError:
            raise AssertionError(
                f"not shown: {words} in\n{self.whole[0]}") from None
        return self.picture()

    def press(self, keys):
        os.write(self.master, keys)

    def end(self):
        """Its exit status, once it has given the terminal back."""
        status = self.process.wait(proc.patience(20))
        assert termios.tcgetattr(self.slave) == self.before
        os.close(self.slave)
        self.thread.join(proc.patience(20))
        os.close(self.master)
        self.process.stderr.close()
        assert self.trouble is None, self.trouble
        assert self.screen.modes == {"?7", "?25"}, self.screen.modes
        return status
