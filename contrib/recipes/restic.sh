#!/bin/sh
# Backups by restic, in the mount. See restic.md.
#
#   restic.sh backup           makes the repository on first use; ends when all
#                              of it is on the server and verified
#   restic.sh list | check     its backups; whether it is sound
#   restic.sh restore DEST     the newest backup, or SNAPSHOT=id
#   restic.sh forget           7 daily, 4 weekly, 12 monthly ones are left
#
# SOURCE                 what to back up         ($HOME/Documents)
# CLOUD                  the mount               ($HOME/cloud-backups)
# RESTIC_REPOSITORY      where in it             ($CLOUD/restic)
# RESTIC_PASSWORD_FILE   made on first use       ($HOME/.config/restic-password)
set -eu

: "${SOURCE:=$HOME/Documents}" "${CLOUD:=$HOME/cloud-backups}"
: "${RESTIC_REPOSITORY:=$CLOUD/restic}" "${SNAPSHOT:=latest}"
: "${RESTIC_PASSWORD_FILE:=$HOME/.config/restic-password}"
export RESTIC_REPOSITORY RESTIC_PASSWORD_FILE

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
    if [ ! -e "$RESTIC_PASSWORD_FILE" ]; then
        [ ! -e "$RESTIC_REPOSITORY/config" ] || {
            echo "no $RESTIC_PASSWORD_FILE; fetch it from where you keep it" >&2
            exit 1
        }
        mkdir -p "$(dirname "$RESTIC_PASSWORD_FILE")"
        (umask 077 && head -c 24 /dev/urandom | base64 >"$RESTIC_PASSWORD_FILE")
        echo "keep a copy of $RESTIC_PASSWORD_FILE elsewhere" >&2
    fi
    [ -e "$RESTIC_REPOSITORY/config" ] || restic init
    restic backup "$SOURCE"
    nmbackupfs flush "$RESTIC_REPOSITORY"
    ;;
list) restic snapshots ;;
check) restic check --read-data-subset=5% ;;
restore) restic restore "$SNAPSHOT" --target "${2:?where to}" ;;
forget)
    restic forget --keep-daily 7 --keep-weekly 4 --keep-monthly 12 --prune
    nmbackupfs flush "$RESTIC_REPOSITORY"
    ;;
*) usage ;;
esac
