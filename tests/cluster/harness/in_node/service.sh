#!/bin/bash
# Keeps one daemon running in the environment systemd would give it, as its unit file says:
# an exit of 0 or 100 is final, anything else is a reason to start it again.
# usage: service.sh UNIT PROGRAM
set -u
unit=$1 program=$2
foreground=
[ "$unit" = corosync ] && foreground=-f
until [ -e "/run/t3/$unit.stopped" ]; do
    # shellcheck disable=SC2086
    env -i --default-signal --ignore-signal=PIPE LANG=C.UTF-8 \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin "$program" $foreground
    status=$?
    case $status in 0 | 100) exit "$status" ;; esac
    sleep 1
done >>"/var/log/$unit.console.log" 2>&1
