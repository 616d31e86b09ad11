"""logind and NetworkManager, as far as anybody here asks them; a program that
kit/sysbus.py runs. Orders are lines on standard input, each is answered by one
line: "sleep 1", "sleep 0" (announced, over), "metered N", "drop NAME", "take
NAME" (a name on the bus), "held" (inhibitors, as JSON)."""

import json
import os
import select
import sys

import dbus
import dbus.mainloop.glib
import dbus.service
from gi.repository import GLib

LOGIND = "org.freedesktop.login1"
MANAGER = LOGIND + ".Manager"
NM = "org.freedesktop.NetworkManager"


class Logind(dbus.service.Object):
    def __init__(self, bus):
        super().__init__(bus, "/org/freedesktop/login1")
        self.given = []

    @dbus.service.method(MANAGER, in_signature="ssss", out_signature="h")
    def Inhibit(self, what, who, why, mode):
        read, write = os.pipe()
        self.given.append((read, [str(what), str(who), str(mode)]))
        fd = dbus.types.UnixFd(write)
        os.close(write)
        return fd

    @dbus.service.signal(MANAGER, signature="b")
    def PrepareForSleep(self, begins):
        pass

    def held(self):
        for fd, _ in list(self.given):
            if select.select([fd], [], [], 0)[0]:  # its other end is closed
                os.close(fd)
                self.given = [g for g in self.given if g[0] != fd]
        return [what for _, what in self.given]


class NetworkManager(dbus.service.Object):
    def __init__(self, bus):
        super().__init__(bus, "/org/freedesktop/NetworkManager")
        self.metered = 0

    @dbus.service.method(dbus.PROPERTIES_IFACE, in_signature="ss",
                         out_signature="v")
    def Get(self, interface, name):
        assert (interface, name) == (NM, "Metered")
        return dbus.UInt32(self.metered)

    @dbus.service.signal(dbus.PROPERTIES_IFACE, signature="sa{sv}as")
    def PropertiesChanged(self, interface, changed, gone):
        pass

    def set(self, value):
        self.metered = value
        self.PropertiesChanged(NM, {"Metered": dbus.UInt32(value)}, [])


class Fake:
    def __init__(self):
        dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
        self.bus = dbus.SystemBus()
        self.names = {n: dbus.service.BusName(n, self.bus)
                      for n in (LOGIND, NM)}
        self.logind = Logind(self.bus)
        self.nm = NetworkManager(self.bus)
        self.loop = GLib.MainLoop()

    def obey(self, order, value):
        if order == "sleep":
            self.logind.PrepareForSleep(value == "1")
        elif order == "metered":
            self.nm.set(int(value))
        elif order == "drop":
            del self.names[value]
        elif order == "take":
            self.names[value] = dbus.service.BusName(value, self.bus)
        return json.dumps(self.logind.held())

    def on_line(self, _source, _condition):
        line = sys.stdin.readline()
        if not line:
            self.loop.quit()
            return False
        order, _, value = line.strip().partition(" ")
        print(self.obey(order, value), flush=True)
        return True

    def run(self):
        print("ready", flush=True)
        GLib.io_add_watch(sys.stdin, GLib.IO_IN | GLib.IO_HUP, self.on_line)
        self.loop.run()


if __name__ == "__main__":
    Fake().run()
