#!/bin/bash
# Run a command in the root directory of another Debian suite, with process and mount namespaces
# of its own, so that nothing is ever left mounted or running.
# usage: in_root.sh ROOT COMMAND [ARGUMENT...]
set -eu
root=$1
shift
export root
# shellcheck disable=SC2016
exec unshare --mount --pid --fork --kill-child --propagation private /bin/bash -c '
set -eu
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mkdir -p "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 shm "$root/dev/shm"
rm -f "$root/dev/ptmx"
ln -s pts/ptmx "$root/dev/ptmx"
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
    DEBIAN_FRONTEND=noninteractive chroot "$root" "$@"' - "$@"
