#!/bin/sh
# The cluster by hand: cluster.sh up, exec NODE COMMAND, status, down; --help tells the rest.
here=$(dirname "$(readlink -f "$0")")
python=$here/../../.venv/bin/python
[ -x "$python" ] || python=python3
PYTHONPATH=$here:$here/../../lib exec "$python" -m harness "$@"
