#!/bin/bash
# Second half of a node's start, with the programs of its own root: what the installer and systemd
# would do on a real machine. Stays as process 1 and reaps orphans; SIGTERM shuts the node down.
set -eu
cd /
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH LANG=C.UTF-8

install_node() { # a disk of its own: nothing of a cluster this machine may be part of
    rm -rf /etc/corosync /var/lib/corosync /var/log/corosync /etc/pacemaker/authkey \
        /var/lib/pacemaker /var/log/pacemaker /var/lib/pcsd /root/.ssh
    install -d /etc/corosync /var/lib/corosync /var/log/corosync /etc/pacemaker /var/lib/pcsd
    install -d -o hacluster -g haclient -m 0750 /var/lib/pacemaker \
        /var/lib/pacemaker/cib /var/lib/pacemaker/pengine \
        /var/lib/pacemaker/cores /var/lib/pacemaker/blackbox
    install -d -o hacluster -g haclient -m 0770 /var/log/pacemaker
    install -m 0400 /run/t3/corosync.authkey /etc/corosync/authkey
    install -m 0640 -g haclient /run/t3/pacemaker.authkey /etc/pacemaker/authkey
    install -m 0644 /run/t3/corosync.conf /etc/corosync/corosync.conf
    install -m 0755 /run/t3/agent /usr/sbin/fence_esxi
    install -m 0644 /run/t3/hosts /etc/hosts
    hostname >/etc/hostname
    # Only to be quick: with the default of 20 s the first election takes that long.
    cibadmin --empty >/var/lib/pacemaker/cib/cib.xml
    CIB_file=/var/lib/pacemaker/cib/cib.xml \
        crm_attribute --type crm_config --name dc-deadtime --update 2s
    chown hacluster:haclient /var/lib/pacemaker/cib/cib.xml
    chmod 0600 /var/lib/pacemaker/cib/cib.xml
    touch /etc/t3-installed
}

install -d -o hacluster -g haclient -m 0750 /run/crm
[ -e /etc/t3-installed ] || install_node
trap 'systemctl stop pacemaker; systemctl stop corosync; exit 0' TERM
touch /run/t3-node
systemctl start corosync
systemctl start pacemaker
sleep infinity &
while :; do wait || :; done
