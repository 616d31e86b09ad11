#!/bin/sh
# An archive of a directory, sent every night without a mount. See nightly.md.
#
#   nightly.sh run               makes it and sends it; prints the item's id
#   nightly.sh restore SLOT DEST brings one back, e.g. nightly.sh restore 2026-11-24 /tmp/back
#   nightly.sh install           a systemd timer of this user runs it each night
#   nightly.sh uninstall
#
# SOURCE   what to back up                 ($HOME/Documents)
# NAME     folder in the cloud             (nightly/HOSTNAME)
# SLOT     name of tonight's archive, as date(1) takes it
#          (%F: one a day, all are kept; %A: seven, each overwritten in a week)
# TMPDIR   where the archive is made       (/var/tmp)
set -eu

: "${SOURCE:=$HOME/Documents}" "${SLOT:=%F}" "${NAME:=nightly/$(uname -n)}"
units=${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user

usage() {
    sed -n '4,7s/^# *//p' "$0" >&2
    exit 2
}

work=
make_room() {
    work=$(mktemp -d "${TMPDIR:-/var/tmp}/nightly.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    trap 'exit 1' INT TERM HUP
}

# As systemd reads it: in quotes, and % is special.
quoted() {
    printf '"%s"' "$(printf '%s' "$1" | sed 's/[\\"]/\\&/g; s/%/%%/g')"
}

case ${1:-} in
run)
    make_room
    tar -C "$SOURCE" -czf "$work/archive" .
    nmbackupfs put "$work/archive" --as "$NAME/$(date +"$SLOT").tar.gz"
    ;;
restore)
    : "${2:?which one}" "${3:?where to}"
    make_room
    nmbackupfs get "$NAME/$2.tar.gz" -o "$work/archive"
    mkdir -p "$3"
    tar -C "$3" -xpzf "$work/archive"
    ;;
install)
    here=$(cd "$(dirname "$0")" && pwd)/$(basename "$0")
    mkdir -p "$units"
    cat >"$units/nmbackupfs-nightly.service" <<UNIT
[Unit]
Description=Nightly archive by nmbackupfs

[Service]
Type=oneshot
ExecStart=/bin/sh $(quoted "$here") run
Environment=$(quoted "PATH=$PATH")
Environment=$(quoted "SOURCE=$SOURCE") $(quoted "NAME=$NAME") $(quoted "SLOT=$SLOT")
Nice=10
IOSchedulingClass=idle
# Without a network it tries again; what needs a person it leaves alone.
Restart=on-failure
RestartSec=15min
RestartPreventExitStatus=2 3 4 6
UNIT
    cat >"$units/nmbackupfs-nightly.timer" <<UNIT
[Unit]
Description=Nightly archive by nmbackupfs

[Timer]
OnCalendar=*-*-* 02:30
RandomizedDelaySec=1h
# A machine that slept does it when it is awake.
Persistent=true

[Install]
WantedBy=timers.target
UNIT
    systemctl --user daemon-reload
    systemctl --user enable --now nmbackupfs-nightly.timer
    ;;
uninstall)
    systemctl --user disable --now nmbackupfs-nightly.timer
    rm -f "$units/nmbackupfs-nightly.service" "$units/nmbackupfs-nightly.timer"
    systemctl --user daemon-reload
    ;;
*) usage ;;
esac
