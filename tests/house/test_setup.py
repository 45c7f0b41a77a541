"""What pip installs, from the sources and from a wheel."""

import os
import re
import sys
import zipfile

import pytest
from commands import PROGRAMS, succeed


def pip(*words):
    environment = dict(os.environ, PIP_DISABLE_PIP_VERSION_CHECK="1")
    return succeed(sys.executable, "-m", "pip", "--quiet", *words, env=environment)


def build_wheel(source, place):
    """The wheel of a checkout or a source archive, made with what is installed: no network."""
    pip("wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", place, source)
    (wheel,) = place.glob("*.whl")
    return wheel


def files_below(place):
    return sorted(str(path.relative_to(place)) for path in place.rglob("*") if path.is_file())


@pytest.fixture
def environment(tmp_path):
    """An empty virtual environment."""
    place = tmp_path / "environment"
    succeed("/usr/bin/python3", "-m", "venv", "--without-pip", place)
    return place


EVERYTHING = [
    *[f"sbin/{name}" for name in PROGRAMS],
    *[f"share/man/man8/{name}.8" for name in PROGRAMS],
]


def test_pip_installs_programs_and_man_pages_and_nothing_else(checkout, environment, tmp_path):
    before = set(files_below(environment))
    wheel = build_wheel(checkout, tmp_path)
    pip("--python", environment / "bin/python3", "install", "--no-deps", wheel)
    new = [name for name in files_below(environment) if name not in before]
    assert [name for name in new if ".dist-info/" not in name] == EVERYTHING
    output = succeed(environment / "sbin/fence_esxi", "-o", "metadata")
    assert '<resource-agent name="fence_esxi"' in output


def test_a_source_archive_gives_the_same_wheel(checkout, tmp_path):
    succeed(sys.executable, "setup.py", "--quiet", "sdist", "--dist-dir", tmp_path, cwd=checkout)
    (archive,) = tmp_path.glob("*.tar.gz")
    names = zipfile.ZipFile(build_wheel(archive, tmp_path)).namelist()
    installed = [name.split(".data/data/")[1] for name in names if ".dist-info/" not in name]
    assert installed == EVERYTHING


def test_the_wheel_names_its_version_and_what_it_needs(checkout, agent, tmp_path):
    wheel = zipfile.ZipFile(build_wheel(checkout, tmp_path))
    (metadata,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    text = wheel.read(metadata).decode()
    assert f"\nVersion: {agent.RELEASE}\n" in text
    assert re.findall(r"^Requires-Dist: (.*)$", text, re.MULTILINE) == ["pexpect"]
    assert "fence-agents-common" in text
