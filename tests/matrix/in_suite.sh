#!/bin/bash
# Run a command of this machine while the agent it starts runs in another Debian suite's root: there
# it sees the checkout, /tmp, /dev and /proc under the same names, in mounts that end with the command.
# usage: in_suite.sh ROOT CHECKOUT COMMAND [ARGUMENT...]
set -eu
root=$1 checkout=$2
shift 2
export root checkout
# shellcheck disable=SC2016
exec unshare --mount --propagation private /bin/bash -c '
set -eu
mkdir -p "$root$checkout"
for shared in /dev /proc /sys /tmp "$checkout"; do mount --rbind "$shared" "$root$shared"; done
exec "$@"' - "$@"
