#!/bin/sh
# A directory mirrored into the mount by rsync. See rsync.md.
#
#   rsync.sh backup            ends when all is on the server and verified
#   rsync.sh check             what differs, by size and time; DEEP=1: by content
#   rsync.sh restore DEST      copies it back; nothing in DEST is deleted
#
# SOURCE   what to back up         ($HOME/Documents)
# CLOUD    the mount               ($HOME/cloud-backups)
# TARGET   where in it             ($CLOUD/mirror)
set -eu

: "${SOURCE:=$HOME/Documents}" "${CLOUD:=$HOME/cloud-backups}"
: "${TARGET:=$CLOUD/mirror}" "${DEEP:=}"

usage() {
    sed -n '4,6s/^# *//p' "$0" >&2
    exit 2
}

# Else the backup would go into the empty directory below the mount, and an empty
# source (a disk that is not there) would empty the mirror.
mountpoint -q "$CLOUD" || {
    echo "$CLOUD is not mounted; run: nmbackupfs '$CLOUD'" >&2
    exit 1
}
[ "${1:-}" = restore ] || [ -n "$(ls -A "$SOURCE")" ] || {
    echo "$SOURCE is empty; is its disk there?" >&2
    exit 1
}

case ${1:-} in
backup)
    mkdir -p "$TARGET"
    rsync -a --delete "$SOURCE/" "$TARGET/"
    nmbackupfs flush "$TARGET"
    ;;
check)
    # -O: a directory's time moves when something is made in it.
    differs=$(rsync -anO --delete --itemize-changes ${DEEP:+--checksum} \
        "$SOURCE/" "$TARGET/")
    [ -z "$differs" ] || {
        printf '%s\n' "$differs"
        exit 1
    }
    ;;
restore)
    mkdir -p "${2:?where to}"
    rsync -a "$TARGET/" "$2/"
    ;;
*) usage ;;
esac
