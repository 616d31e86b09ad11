#!/bin/sh
# Moving to another machine, or coming back after a loss. See new-machine.md.
#
#   new-machine.sh join --recovery-key FILE   signs in, becomes a member, mounts
#   new-machine.sh join --code CODE           the same, let in by the old machine
#   new-machine.sh restore WHAT DEST          copies a directory of the mount back;
#                                             goes on when it is run again
#   new-machine.sh retire OLD-LABEL           the old machine gets no new keys
#
# CLOUD   where to mount   ($HOME/cloud-backups)
set -eu

: "${CLOUD:=$HOME/cloud-backups}"

usage() {
    sed -n '4,8s/^# *//p' "$0" >&2
    exit 2
}

# What `vault info` ends with: 0 a member, 3 nobody is signed in, 4 no member.
where_we_are() {
    rc=0
    nmbackupfs vault info >/dev/null 2>&1 || rc=$?
    echo "$rc"
}

case ${1:-} in
join)
    [ $# = 3 ] || usage
    [ "$(where_we_are)" != 3 ] || nmbackupfs auth
    if [ "$(where_we_are)" != 0 ]; then
        nmbackupfs vault join "$2" "$3"
    fi
    if ! mountpoint -q "$CLOUD"; then
        mkdir -p "$CLOUD"
        nmbackupfs "$CLOUD"
    fi
    nmbackupfs vault members
    ;;
restore)
    [ $# = 3 ] || usage
    mountpoint -q "$CLOUD" || {
        echo "$CLOUD is not mounted; run: nmbackupfs '$CLOUD'" >&2
        exit 1
    }
    mkdir -p "$3"
    # Files appear once they are whole; what is there already is not fetched.
    rsync -a "$CLOUD/$2/" "$3/"
    ;;
retire)
    [ $# = 2 ] || usage
    nmbackupfs vault remove "$2" --yes
    echo "End its sign-in too, at https://account.microsoft.com/devices" >&2
    ;;
*) usage ;;
esac
