"""What pip installs, from the sources and from a wheel."""

import os
import sys
import zipfile

import pytest
from commands import succeed


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


def test_pip_installs_agent_and_man_page_and_nothing_else(checkout, environment, tmp_path):
    before = set(files_below(environment))
    pip("--python", environment / "bin/python3", "install", build_wheel(checkout, tmp_path))
    new = [name for name in files_below(environment) if name not in before]
    assert [name for name in new if ".dist-info/" not in name] == [
        "sbin/fence_esxi",
        "share/man/man8/fence_esxi.8",
    ]
    output = succeed(environment / "sbin/fence_esxi", "-o", "metadata")
    assert '<resource-agent name="fence_esxi"' in output


def test_a_source_archive_gives_the_same_wheel(checkout, tmp_path):
    succeed(sys.executable, "setup.py", "--quiet", "sdist", "--dist-dir", tmp_path, cwd=checkout)
    (archive,) = tmp_path.glob("*.tar.gz")
    names = zipfile.ZipFile(build_wheel(archive, tmp_path)).namelist()
    assert [name.split(".data/")[1] for name in names if ".dist-info/" not in name] == [
        "data/sbin/fence_esxi",
        "data/share/man/man8/fence_esxi.8",
    ]
