#!/bin/sh
# Backups by duplicity, in the mount, as Deja Dup makes them. See duplicity.md.
#
#   duplicity.sh backup          full once a month, else what changed; ends when all
#                                of it is on the server and verified
#   duplicity.sh list | check    its backups; the newest one against SOURCE
#   duplicity.sh restore DEST    the newest one, or TIME=3D, TIME=2026-11-24
#   duplicity.sh forget          those older than KEEP (6M) go
#
# SOURCE       what to back up         ($HOME/Documents)
# CLOUD        the mount               ($HOME/cloud-backups)
# TARGET       where in it             ($CLOUD/duplicity)
# PASSPHRASE   set: gpg encrypts with it. Not set: the vault alone does
set -eu

: "${SOURCE:=$HOME/Documents}" "${CLOUD:=$HOME/cloud-backups}"
: "${TARGET:=$CLOUD/duplicity}" "${TIME:=now}" "${KEEP:=6M}"
url=file://$TARGET
sealed=--no-encryption
[ -z "${PASSPHRASE:-}" ] || sealed=

usage() {
    sed -n '4,8s/^# *//p' "$0" >&2
    exit 2
}

# Else the backup would go into the empty directory below the mount.
mountpoint -q "$CLOUD" || {
    echo "$CLOUD is not mounted; run: nmbackupfs '$CLOUD'" >&2
    exit 1
}

case ${1:-} in
backup)
    mkdir -p "$TARGET"
    duplicity $sealed --full-if-older-than 1M --volsize 50 "$SOURCE" "$url"
    nmbackupfs flush "$TARGET"
    ;;
list) duplicity collection-status $sealed "$url" ;;
check) duplicity verify $sealed --compare-data "$url" "$SOURCE" ;;
restore) duplicity restore $sealed --time "$TIME" "$url" "${2:?where to}" ;;
forget)
    duplicity remove-older-than "$KEEP" --force $sealed "$url"
    nmbackupfs flush "$TARGET"
    ;;
*) usage ;;
esac
