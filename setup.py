"""Installs the agent into sbin and its man page, nothing else."""

from setuptools import setup

setup(
    name="fence-agents-esxi",
    version="1.0.0",
    description="Fence agent for virtual machines on free VMware ESXi hosts, over SSH",
    license="GPL-3.0-or-later",
    python_requires=">=3.6",
    packages=[],
    py_modules=[],
    data_files=[
        ("sbin", ["fence_esxi"]),
        ("share/man/man8", ["docs/fence_esxi.8"]),
    ],
)
