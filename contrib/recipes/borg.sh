#!/bin/sh
# Backups by borg, in the mount. See borg.md.
#
#   borg.sh backup             makes the repository on first use; ends when all
#                              of it is on the server and verified
#   borg.sh list | check       its archives; whether it is sound
#   borg.sh restore DEST       the newest archive, or ARCHIVE=name
#   borg.sh prune              7 daily, 4 weekly, 12 monthly ones are left
#
# SOURCE            what to back up         ($HOME/Documents)
# CLOUD             the mount               ($HOME/cloud-backups)
# BORG_REPO         where in it             ($CLOUD/borg)
# BORG_PASS_FILE    made on first use       ($HOME/.config/borg-passphrase)
set -eu

: "${SOURCE:=$HOME/Documents}" "${CLOUD:=$HOME/cloud-backups}"
: "${BORG_REPO:=$CLOUD/borg}" "${ARCHIVE:=}"
: "${BORG_PASS_FILE:=$HOME/.config/borg-passphrase}"
# shellcheck disable=SC2089 # borg itself takes the quotes away
BORG_PASSCOMMAND="cat \"$BORG_PASS_FILE\""
# The mount may be elsewhere on another machine: that is no attack.
BORG_RELOCATED_REPO_ACCESS_IS_OK=yes
# shellcheck disable=SC2090
export BORG_REPO BORG_PASSCOMMAND BORG_RELOCATED_REPO_ACCESS_IS_OK

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
    if [ ! -e "$BORG_PASS_FILE" ]; then
        [ ! -e "$BORG_REPO/config" ] || {
            echo "no $BORG_PASS_FILE; fetch it from where you keep it" >&2
            exit 1
        }
        mkdir -p "$(dirname "$BORG_PASS_FILE")"
        (umask 077 && head -c 24 /dev/urandom | base64 >"$BORG_PASS_FILE")
        echo "keep a copy of $BORG_PASS_FILE elsewhere" >&2
    fi
    [ -e "$BORG_REPO/config" ] || borg init --encryption repokey-blake2
    borg create --stats --compression zstd \
        "::{hostname}-{now:%Y-%m-%dT%H:%M:%S.%f}" "$SOURCE"
    nmbackupfs flush "$BORG_REPO"
    ;;
list) borg list ;;
check) borg check ;;
restore)
    : "${2:?where to}"
    [ -n "$ARCHIVE" ] || ARCHIVE=$(borg list --last 1 --format '{archive}')
    mkdir -p "$2"
    cd "$2"
    borg extract "::$ARCHIVE"
    ;;
prune)
    borg prune --keep-daily 7 --keep-weekly 4 --keep-monthly 12
    borg compact
    nmbackupfs flush "$BORG_REPO"
    ;;
*) usage ;;
esac
