#!/bin/bash
# What the simulated ESXi hosts run when the power of a VM changes: the VM's node dies or boots.
# usage: power_hook.sh VM_NAME on|off
set -eu
here=$(dirname "$(readlink -f "$0")")
node=$(<"/dev/shm/vms/$1")
echo "$(date +%T.%N) $1 = $node: $2" >>/dev/shm/power.log
[ -n "$node" ] || exit 0 # a machine that is nobody's node
exec bash "$here/power.sh" "$node" "$2" "$(</dev/shm/bios_seconds)"
