#!/bin/sh
# After ransomware, or a wild rm. See ransomware.md, in that order.
#
#   ransomware.sh stop              ends the mount at once: nothing more is sent
#   ransomware.sh look              what is held, and what was deleted (mount again first)
#   ransomware.sh undo              takes back what is held
#   ransomware.sh restore TIME DEST everything as it was then, into a new directory
#
# TIME is 2026-11-24, "2026-11-24 21:14", 3h, 2d.
# CLOUD   the mount               ($HOME/cloud-backups)
# WHAT    which folder of it      (all)
set -eu

: "${CLOUD:=$HOME/cloud-backups}" "${WHAT:=/}"

usage() {
    sed -n '4,7s/^# *//p' "$0" >&2
    exit 2
}

case ${1:-} in
stop)
    pid=$(nmbackupfs status --json | sed -n 's/.*"pid": *\([0-9]*\).*/\1/p')
    if [ -n "$pid" ]; then
        # What was closed is on this disk, and stays there, unsent.
        kill -KILL "$pid"
    fi
    if mountpoint -q "$CLOUD" || ! stat "$CLOUD" >/dev/null 2>&1; then
        fusermount3 -uz "$CLOUD"
    fi
    echo "Nothing is sent any more. Clean this machine before you mount again."
    ;;
look)
    nmbackupfs status
    nmbackupfs approve --dry-run
    nmbackupfs undelete
    ;;
undo) nmbackupfs undo --yes ;;
restore)
    [ $# = 3 ] || usage
    nmbackupfs restore "$WHAT" --at "$2" "$3"
    ;;
*) usage ;;
esac
