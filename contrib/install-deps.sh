#!/bin/sh
# Installs what building and testing nmbackupfs needs, when this may be done
# without asking (root, or sudo without a password); else prints the one
# command to run. Exit status: 0 all there, 1 something is missing.
#
#   install-deps.sh [--build|--test|--all]   default --test
#   install-deps.sh --check [--build|...]    only tell, install nothing
#   install-deps.sh --package-of PKGCONFIG   the package that has a library
set -eu

apt_build="gcc make pkg-config libfuse3-dev fuse3 libcurl4-openssl-dev
 libcjson-dev libsodium-dev libsqlite3-dev libutf8proc-dev libxxhash-dev
 libqrencode-dev libsecret-1-dev"
apt_test="libmicrohttpd-dev python3 python3-pytest python3-pytest-xdist
 python3-pytest-timeout rclone onedrive age nghttp2-proxy attr rsync git
 sqlite3 openssl curl iproute2 ca-certificates util-linux"
apt_all="clang libclang-rt-14-dev clang-format clang-tidy cppcheck valgrind"

dnf_build="gcc make pkgconf-pkg-config fuse3-devel fuse3 libcurl-devel
 cjson-devel libsodium-devel sqlite-devel utf8proc-devel xxhash-devel
 qrencode-devel libsecret-devel"
dnf_test="libmicrohttpd-devel python3 python3-pytest python3-pytest-xdist
 python3-pytest-timeout rclone onedrive age nghttp2 attr rsync git sqlite
 openssl curl iproute ca-certificates util-linux"
dnf_all="clang clang-tools-extra cppcheck valgrind"

pacman_build="gcc make pkgconf fuse3 curl cjson libsodium sqlite libutf8proc
 xxhash qrencode libsecret"
pacman_test="libmicrohttpd python python-pytest python-pytest-xdist
 python-pytest-timeout rclone onedrive-abraunegg age nghttp2 attr rsync git
 openssl iproute2 ca-certificates util-linux"
pacman_all="clang cppcheck valgrind"

manager() {
    for m in apt-get dnf pacman; do
        if command -v "$m" >/dev/null 2>&1; then echo "$m"; return; fi
    done
    echo none
}

package_of() {
    case "$(manager):$1" in
    apt-get:fuse3) echo libfuse3-dev ;;
    apt-get:libcurl) echo libcurl4-openssl-dev ;;
    apt-get:sqlite3) echo libsqlite3-dev ;;
    apt-get:*) echo "$1-dev" ;;
    dnf:sqlite3) echo sqlite-devel ;;
    dnf:libcjson) echo cjson-devel ;;
    dnf:libutf8proc) echo utf8proc-devel ;;
    dnf:libxxhash) echo xxhash-devel ;;
    dnf:*) echo "$1-devel" ;;
    pacman:libcurl) echo curl ;;
    pacman:libcjson) echo cjson ;;
    pacman:sqlite3) echo sqlite ;;
    pacman:libxxhash) echo xxhash ;;
    *) echo "$1" ;;
    esac
}

missing_of() {
    case $mgr in
    apt-get)
        for p in "$@"; do
            dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null |
                grep -qx installed || printf '%s ' "$p"
        done ;;
    dnf) for p in "$@"; do rpm -q "$p" >/dev/null 2>&1 || printf '%s ' "$p"; done ;;
    pacman) for p in "$@"; do pacman -Qi "$p" >/dev/null 2>&1 || printf '%s ' "$p"; done ;;
    esac
}

check=no level=test
for arg in "$@"; do
    case $arg in
    --package-of) package_of "$2"; exit 0 ;;
    --check) check=yes ;;
    --build) level=build ;;
    --test) level=test ;;
    --all) level=all ;;
    *) echo "usage: $0 [--check] [--build|--test|--all]" >&2; exit 2 ;;
    esac
done

mgr=$(manager)
case $mgr in
apt-get) b=$apt_build t=$apt_test a=$apt_all install="apt-get install -y" ;;
dnf) b=$dnf_build t=$dnf_test a=$dnf_all install="dnf install -y" ;;
pacman) b=$pacman_build t=$pacman_test a=$pacman_all install="pacman -S --needed --noconfirm" ;;
none)
    echo "no apt-get, dnf or pacman here; needed (Debian's names):" $apt_build >&2
    exit 1 ;;
esac
want=$b
[ "$level" = build ] || want="$want $t"
[ "$level" != all ] || want="$want $a"

# shellcheck disable=SC2086 # the lists are words
missing=$(missing_of $want)
[ -n "$missing" ] || exit 0
if [ "$check" = yes ]; then
    echo "missing: $missing"
    exit 1
fi

if [ "$(id -u)" = 0 ]; then
    sudo=
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    sudo="sudo -n"
else
    echo "some packages are missing; please run:" >&2
    echo "    sudo $install $missing" >&2
    exit 1
fi

echo "installing: $missing" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
run() { "$@" >"$log" 2>&1 || { tail -n 15 "$log" >&2; return 1; }; }
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086
if [ "$mgr" = apt-get ]; then
    run $sudo $install -q --no-install-recommends $missing || {
        run $sudo apt-get update -q
        run $sudo $install -q --no-install-recommends $missing
    }
else
    run $sudo $install $missing
fi
