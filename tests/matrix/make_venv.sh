#!/bin/bash
# Make a virtual environment with what the fencing library imports.
# usage: make_venv.sh PYTHON DIRECTORY
set -eu
python=$1 venv=$2
"$python" -m venv "$venv"
"$venv/bin/pip" install pexpect
# The library imports pycurl for agents that speak HTTP; this one never uses it, so where there is no
# ready-made pycurl (Python 3.6 and 3.7) one with nothing but the exception the library names does.
"$venv/bin/pip" install --only-binary :all: pycurl || echo 'error = OSError' \
    >"$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/pycurl.py"
touch "$venv/complete"
