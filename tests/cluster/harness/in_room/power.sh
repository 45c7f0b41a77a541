#!/bin/bash
# The power supply of the nodes; runs in the room. A node is a set of namespaces whose process 1 is
# node_init.sh: killing that one is what cutting the power is to a machine.
# usage: power.sh NODE on [SECONDS_TO_WAIT] | off | state
set -eu
node=$1 order=$2
room=/dev/shm
here=$(dirname "$(readlink -f "$0")")
cd "$room/nodes/$node"

is_running() { # the start time tells our process from a later one with the same number
    [ -s pid ] || return 1
    read -r process started <pid
    [ "$(cut -d ' ' -f 22 "/proc/$process/stat" 2>/dev/null)" = "$started" ]
}

start() {
    is_running && return
    rm -f pid
    ip link del "v-$node" 2>/dev/null || true
    setsid unshare --pid --net --mount --uts --ipc --fork --propagation private \
        bash "$here/node_init.sh" "$node" </dev/null >>console.log 2>&1 9>&- &
    until [ -s pid ]; do sleep 0.02; done
    read -r process _ <pid
    # The network namespace is not pinned by a name: a dead node must not answer.
    ip link add "v-$node" type veth peer name eth0 address "$(<mac)" netns "$process"
    ip link set "v-$node" master "$(<switch)"
    [ -e unplugged ] || ip link set "v-$node" up
}

stop() {
    is_running || return 0
    ip link set "v-$node" down 2>/dev/null || true
    kill -KILL "$process"
    while is_running; do sleep 0.02; done
    rm -f pid
    ip link del "v-$node" 2>/dev/null || true
}

# A boot that waits must not come true after a later order: each order writes its own ticket.
case $order in
on)
    ticket=$$.$RANDOM
    echo "$ticket" >ticket
    setsid bash "$0" "$node" boot "${3-0}" "$ticket" </dev/null >>console.log 2>&1 &
    ;;
boot)
    sleep "$3"
    exec 9>lock
    flock 9
    if [ "$(<ticket)" = "$4" ]; then start; fi
    ;;
off)
    echo off >ticket
    exec 9>lock
    flock 9
    stop
    ;;
state)
    if is_running; then echo on; else echo off; fi
    ;;
*)
    echo "usage: power.sh NODE on [SECONDS] | off | state" >&2
    exit 64
    ;;
esac
