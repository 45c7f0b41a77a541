"""Installs what `make install` does: the agent and its tools into sbin, and their man pages."""

import re
from glob import glob

from setuptools import setup

with open("agents/esxi/fence_esxi.py", encoding="utf-8") as agent:
    RELEASE = re.search(r'^RELEASE = "(.*)"$', agent.read(), re.MULTILINE).group(1)

setup(
    name="fence-agents-esxi",
    version=RELEASE,
    description="Fence agent for virtual machines on free VMware ESXi hosts, over SSH",
    long_description="""\
The agent is built on two libraries. pexpect comes with it. The fencing library, the module
`fencing`, is on no Python index: it is in the package fence-agents-common of your distribution
(fence-agents in Debian 11 and 12 and in SUSE), and the agent finds it where that puts it,
in /usr/share/fence.
""",
    license="GPL-3.0-or-later",
    python_requires=">=3.6",
    install_requires=["pexpect"],
    packages=[],
    py_modules=[],
    data_files=[
        ("sbin", ["fence_esxi", *sorted(glob("agents/esxi/esxi-fence-*"))]),
        ("share/man/man8", sorted(glob("docs/*.8"))),
    ],
)
