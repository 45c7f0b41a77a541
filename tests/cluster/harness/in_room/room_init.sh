#!/bin/bash
# Process 1 of the room: everything else in the room is its descendant, so the kernel ends all of it
# when this process ends. With "attached" that is when whoever holds our stdin goes away, however.
# usage: room_init.sh attached|detached
set -eu
mount -t tmpfs -o mode=1777 room /dev/shm
ip link set lo up
echo ready
exec >/dev/null 2>&1
if [ "$1" = attached ]; then
    while read -r _; do :; done
else
    sleep infinity &
    wait
fi
