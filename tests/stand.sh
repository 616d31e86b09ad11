# shellcheck shell=bash disable=SC2034
# What tests/demo and tests/sandbox share: the program and graphd built and
# running for a person, and gone again at the end. Sourced, with the working
# directory at the top of the repository.
#
# Sets: work (a directory of our own), program, graph, control, and the
# environment of the program. stand_down runs at exit.

program=$PWD/build/gcc/nmbackupfs
graphd_pid="" mount_point="" work="" graph="" control=""

# curl without the user's configuration and proxies.
ask() { curl -q -sS --fail --noproxy '*' "$@"; }

stand_build() { # prints what it does; exits if it can't
    unset MAKEFLAGS MFLAGS MAKELEVEL
    contrib/install-deps.sh --test ||
        contrib/install-deps.sh --check --build >/dev/null || exit 1
    mkdir -p build
    if ! CC=gcc "${MAKE:-make}" -s -j"$(nproc)" all graphd >build/demo.log 2>&1; then
        tail -n 20 build/demo.log >&2
        echo "it does not build; all of the output is in build/demo.log" >&2
        exit 1
    fi
}

# stand_up DIRECTORY KIND: graphd with its drive in DIRECTORY/drive
stand_up() {
    work=$1
    local line fifo=$work/graphd.out
    mkdir -p "$work/drive"
    rm -f "$fifo" && mkfifo "$fifo"
    # In sessions of their own: Ctrl-C is for the script, which still needs them.
    setsid build/gcc/graphd --kind "$2" --data "$work/drive" --quota 1099511627776 \
        >"$fifo" 2>"$work/graphd.log" &
    graphd_pid=$!
    exec 8<"$fifo"
    rm -f "$fifo"
    read -r line <&8 || { cat "$work/graphd.log" >&2; exit 1; }
    graph=$(field graph_url "$line")
    control=$(field control_url "$line")
    stand_environment "$graph" "$(field login_url "$line")"
}

field() { # NAME JSON
    printf '%s\n' "$2" | sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"
}

stand_environment() { # GRAPH-URL LOGIN-URL
    local name
    for name in $(env | sed -n 's/^\(NMBACKUPFS_[A-Z_]*\)=.*/\1/p'); do
        unset "$name"
    done
    export NMBACKUPFS_GRAPH_URL=$1 NMBACKUPFS_LOGIN_URL=$2
    export NMBACKUPFS_CLIENT_ID=11111111-2222-3333-4444-555555555555
    export NMBACKUPFS_ACCOUNT=personal NMBACKUPFS_KEYSTORE=file
    export XDG_CONFIG_HOME=$work/config XDG_STATE_HOME=$work/state
    export XDG_RUNTIME_DIR=$work/run
    # shellcheck disable=SC2174 # the parent is there
    mkdir -p -m 700 "$XDG_CONFIG_HOME" "$XDG_STATE_HOME" "$XDG_RUNTIME_DIR"
}

is_mounted() { mountpoint -q "$1" 2>/dev/null; }

# The program in the background; the terminal stays ours.
mount_pid=''
mount_up() { # MOUNTPOINT OPTIONS...
    mount_point=$1
    shift
    setsid "$program" -f "$@" "$mount_point" >>"$work/program.log" 2>&1 &
    mount_pid=$!
    until is_mounted "$mount_point"; do
        if ! kill -0 "$mount_pid" 2>/dev/null; then
            tail -n 5 "$work/program.log" >&2
            echo "the program ended; its log is above" >&2
            exit 1
        fi
        sleep 0.05
    done
}

mount_down() { # waits until all is on the server and the program has ended
    "$program" umount "$mount_point" >>"$work/program.log" 2>&1 || return 1
    wait "$mount_pid"
    mount_pid=''
}

stand_down() {
    if [ -n "$mount_point" ] && is_mounted "$mount_point"; then
        fusermount3 -u "$mount_point" 2>/dev/null ||
            fusermount3 -uz "$mount_point" 2>/dev/null ||
            umount -l "$mount_point"
    fi
    for pid in $mount_pid $graphd_pid; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    mount_pid='' graphd_pid=''
}
