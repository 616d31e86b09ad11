#!/bin/sh
# Installs what building and testing nmbackupfs needs, when this may be done
# without asking (root, or sudo without a password); else prints the one
# command to run. Exit status: 0 all there, 1 something is missing.
#
#   install-deps.sh [--build|--test|--soak|--packages|--all]   default --test
#   install-deps.sh --check [--build|...]    only tell, install nothing
#   install-deps.sh --package-of PKGCONFIG   the package that has a library
#
# What counts is whether a thing works, not which package it came from.
set -eu
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

# level, probe, then the package's name for apt, dnf and pacman (- for none).
needs() {
    cat <<'END'
build cmd:gcc            gcc                    gcc                  gcc
build cmd:make           make                   make                 make
build cmd:pkg-config     pkg-config             pkgconf-pkg-config   pkgconf
build cmd:fusermount3    fuse3                  fuse3                fuse3
build pc:fuse3           libfuse3-dev           fuse3-devel          fuse3
build pc:libcurl         libcurl4-openssl-dev   libcurl-devel        curl
build pc:libcjson        libcjson-dev           cjson-devel          cjson
build pc:libsodium       libsodium-dev          libsodium-devel      libsodium
build pc:sqlite3         libsqlite3-dev         sqlite-devel         sqlite
build pc:libutf8proc     libutf8proc-dev        utf8proc-devel       libutf8proc
build pc:libxxhash       libxxhash-dev          xxhash-devel         xxhash
build pc:libqrencode     libqrencode-dev        qrencode-devel       qrencode
build pc:libsecret-1     libsecret-1-dev        libsecret-devel      libsecret
build pc:gio-unix-2.0    libglib2.0-dev         glib2-devel          glib2
test  pc:libmicrohttpd   libmicrohttpd-dev      libmicrohttpd-devel  libmicrohttpd
test  pc:gnutls          libgnutls28-dev        gnutls-devel         gnutls
test  gcc:libasan.so     gcc                    libasan              gcc
test  gcc:libubsan.so    gcc                    libubsan             gcc
test  gcc:libtsan.so     gcc                    libtsan              gcc
test  cmd:/usr/bin/python3 python3              python3              python
test  py:pytest          python3-pytest         python3-pytest       python-pytest
test  py:xdist           python3-pytest-xdist   python3-pytest-xdist python-pytest-xdist
test  py:pytest_timeout  python3-pytest-timeout python3-pytest-timeout python-pytest-timeout
test  py:msal            python3-msal           python3-msal         python-msal
test  cmd:rclone         rclone                 rclone               rclone
test  cmd:onedrive       onedrive               onedrive             -
test  cmd:age            age                    age                  age
test  cmd:gnome-keyring-daemon gnome-keyring   gnome-keyring        gnome-keyring
test  cmd:dbus-run-session dbus                dbus-daemon          dbus
test  cmd:dbus-send      dbus                   dbus-tools           dbus
test  py:dbus            python3-dbus           python3-dbus         python-dbus
test  py:gi              python3-gi             python3-gobject      python-gobject
test  cmd:pass           pass                   pass                 pass
test  cmd:gpg            gnupg                  gnupg2               gnupg
test  cmd:nghttpx        nghttp2-proxy          nghttp2              nghttp2
test  cmd:getfattr       attr                   attr                 attr
test  cmd:rsync          rsync                  rsync                rsync
test  cmd:restic         restic                 restic               restic
test  cmd:borg           borgbackup             borgbackup           borg
test  cmd:duplicity      duplicity              duplicity            duplicity
test  cmd:git            git                    git                  git
test  cmd:sqlite3        sqlite3                sqlite               sqlite
test  cmd:openssl        openssl                openssl              openssl
test  cmd:curl           curl                   curl                 curl
test  cmd:groff        groff                  groff                groff
test  cmd:mandoc       mandoc                 mandoc               mandoc
test  cmd:man          man-db                 man-db               man-db
test  cmd:zsh          zsh                    zsh                  zsh
test  cmd:fish         fish                   fish                 fish
test  cmd:ip             iproute2               iproute              iproute2
test  cmd:unshare        util-linux             util-linux           util-linux
test  ca:bundle          ca-certificates        ca-certificates      ca-certificates
soak  cmd:fio            fio                    fio                  fio
soak  cmd:stress-ng      stress-ng              stress-ng            stress-ng
soak  cmd:dbench         dbench                 dbench               dbench
soak  cmd:bonnie++       bonnie++               bonnie++             bonnie++
soak  cmd:tar            tar                    tar                  tar
packages cmd:dpkg-buildpackage dpkg-dev          -                    -
packages cmd:dh          debhelper              -                    -
packages cmd:fakeroot    fakeroot               -                    -
packages cmd:lintian     lintian                -                    -
packages cmd:debootstrap debootstrap            -                    -
packages cmd:rpmbuild    rpm                    rpm-build            -
packages cmd:rpmlint     rpmlint                rpmlint              -
all   cmd:clang          clang                  clang                clang
all   clang:asan         libclang-rt-dev        compiler-rt          compiler-rt
all   cmd:clang-format   clang-format           clang-tools-extra    clang
all   cmd:clang-tidy     clang-tidy             clang-tools-extra    clang
all   cmd:cppcheck       cppcheck               cppcheck             cppcheck
all   cmd:shellcheck     shellcheck             ShellCheck           shellcheck
all   cmd:valgrind       valgrind               valgrind             valgrind
END
}

works() { # PROBE
    case $1 in
    cmd:*) command -v "${1#*:}" ;;
    pc:*) pkg-config --exists "${1#*:}" ;;
    py:*) /usr/bin/python3 -c "import ${1#*:}" ;;
    gcc:*) [ -e "$(gcc -print-file-name="${1#*:}")" ] ;;
    clang:*) find "$(clang -print-resource-dir)/lib" -name "libclang_rt.${1#*:}*.a" |
        grep . ;;
    ca:*) cat /etc/ssl/certs/ca-certificates.crt || cat /etc/ssl/cert.pem ||
        cat /etc/pki/tls/certs/ca-bundle.crt ;;
    esac >/dev/null 2>&1
}

mgr=none column=1
for m in apt-get:1 dnf:2 pacman:3; do
    if command -v "${m%:*}" >/dev/null 2>&1; then
        mgr=${m%:*} column=${m#*:}
        break
    fi
done

package() { # APT DNF PACMAN
    shift $((column - 1))
    [ "$1" = - ] || echo "$1"
}

package_of() { # PKGCONFIG
    needs | while read -r _ probe names; do
        # shellcheck disable=SC2086 # the names are words
        [ "$probe" != "pc:$1" ] || package $names
    done
}

missing_of() { # LEVELS
    needs | while read -r level probe names; do
        case " $1 " in *" $level "*) ;; *) continue ;; esac
        # shellcheck disable=SC2086
        works "$probe" || package $names
    done | sort -u | tr '\n' ' '
}

check=no levels="build test"
while [ $# -gt 0 ]; do
    case $1 in
    --package-of) package_of "${2:?}"; exit 0 ;;
    --check) check=yes ;;
    --build) levels=build ;;
    --test) levels="build test" ;;
    --soak) levels="build test soak" ;;
    --packages) levels="build test packages" ;;
    --all) levels="build test soak packages all" ;;
    *) echo "usage: $0 [--check] [--build|--test|--soak|--packages|--all]" >&2; exit 2 ;;
    esac
    shift
done

missing=$(missing_of "$levels")
[ -n "$missing" ] || exit 0
if [ "$check" = yes ]; then
    echo "missing: $missing"
    exit 1
fi

case $mgr in
apt-get) install="apt-get install -y --no-install-recommends" ;;
dnf) install="dnf install -y" ;;
pacman) install="pacman -S --needed --noconfirm" ;;
none)
    echo "no apt-get, dnf or pacman here; needed (Debian's names): $missing" >&2
    exit 1 ;;
esac

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
run() { # COMMAND...; with the environment a package script may count on
    $sudo env DEBIAN_FRONTEND=noninteractive "$@" >"$log" 2>&1 || {
        echo "failed: $*" >&2
        tail -n 15 "$log" >&2
        return 1
    }
}
# shellcheck disable=SC2086
if [ "$mgr" = apt-get ]; then
    wait="-o DPkg::Lock::Timeout=300"
    run $install $wait $missing 2>/dev/null || {
        run apt-get update -q $wait
        run $install $wait $missing
    }
else
    run $install $missing
fi

missing=$(missing_of "$levels")
[ -z "$missing" ] || { echo "still missing: $missing" >&2; exit 1; }
