#!/bin/bash
# First half of a node's start, as its process 1, still with the machine's own programs: gives the
# node its disk (an overlay on a Debian root), /run, /dev, /proc, /sys and network, then moves into it.
# The order matters: /proc is last to be seen as the room's, /run/t3-node appears only in the node.
# usage: node_init.sh NODE
set -eu
read -r pid _ </proc/self/stat
started=$(cut -d ' ' -f 22 "/proc/$pid/stat")
node=$1
room=/dev/shm
home=$room/nodes/$node
root=$home/root
lower=$(<"$room/lowerdir")
here=$(dirname "$(readlink -f "$0")")
echo "$(date +%T.%N) boot"
echo "$pid $started" >"$home/pid.new"
mv "$home/pid.new" "$home/pid"
hostname "$node"

mount -t overlay -o "lowerdir=$lower,upperdir=$home/disk,workdir=$home/work" node "$root"
mount -t tmpfs -o mode=0755 run "$root/run"
mkdir -p "$root/run/t3" "$root/run/lock" "$root/run/resource-agents" "$root/run/systemd/system"
cp -p "$here"/../in_node/* "$room"/files/* "$root/run/t3/"

# pcs asks systemctl; where the root has none (no systemd was pulled in) make a file to bind over.
[ -e "$root/usr/bin/systemctl" ] || install -m 0755 /dev/null "$root/usr/bin/systemctl"
mount --bind "$root/run/t3/systemctl" "$root/usr/bin/systemctl"

mount -t tmpfs -o mode=0755 dev "$root/dev"
for device in null zero full random urandom tty; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
mount -t tmpfs -o mode=1777 shm "$root/dev/shm"

mount -t proc proc "$root/proc"
# A panicking Pacemaker writes to sysrq-trigger: that would hit the real machine.
if [ -e "$root/proc/sysrq-trigger" ]; then mount --bind /dev/null "$root/proc/sysrq-trigger"; fi
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs -o mode=1777 tmp "$root/tmp"
# A node may run the tests' interpreter, and the checkout may lie in /tmp or on another disk.
checkout=$(readlink -f "$here/../../../..")
if [ ! -e "$root$checkout" ]; then
    mkdir -p "$root$checkout"
    mount -o bind,ro "$checkout" "$root$checkout"
fi

until ip link show eth0 >/dev/null 2>&1; do sleep 0.02; done
ip link set lo up
ip address add "$(<"$home/address")/24" dev eth0
ip link set eth0 up

cd "$root"
# pivot_root and not chroot alone: nsenter --mount then lands in the node by itself.
pivot_root . mnt
exec chroot . /bin/bash -c 'umount -l /mnt; exec /bin/bash /run/t3/init.sh'
