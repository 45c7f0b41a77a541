#!/bin/bash
# Make the root directory of a Debian suite with all a node of the cluster needs: its own Python,
# fencing library, ssh, corosync, pacemaker and pcs. Does nothing where it is there already.
# usage: make_root.sh SUITE DIRECTORY
set -eu
suite=$1 root=$2
here=$(dirname "$(readlink -f "$0")")

mirror() { # the one this machine's own packages come from
    cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
        grep -oE 'https?://[^ ]+/debian/?( |$)' | head -1
}

[ -e "$root.complete" ] && exit
[ "$(id -u)" = 0 ] || { echo "make_root.sh needs root" >&2; exit 1; }
command -v debootstrap >/dev/null || { echo "apt-get install debootstrap" >&2; exit 1; }
rm -rf "$root"
mkdir -p "$root"
url=$(mirror)
debootstrap --variant=minbase "$suite" "$root" "${url:?no Debian mirror is named in the sources of apt}"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
library=fence-agents-common
case $suite in bullseye | bookworm) library=fence-agents ;; esac
"$here/in_root.sh" "$root" apt-get install -y --no-install-recommends \
    "$library" openssh-client python3 corosync pacemaker pcs pacemaker-cli-utils \
    iproute2 util-linux procps openssl iputils-ping
"$here/in_root.sh" "$root" apt-get clean
# A sibling so that a root left half made by an interruption is made anew.
touch "$root.complete"
