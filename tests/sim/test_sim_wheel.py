"""The simulated host stands on its own: a wheel of it runs in a venv where nothing else is."""

import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "lib/esxi_sim"

pytestmark = [pytest.mark.packaging, pytest.mark.slow, pytest.mark.timeout(600)]


def run(*argv, **more):
    return subprocess.run([*map(str, argv)], check=True, capture_output=True, text=True, **more)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy: setuptools writes into the folder it builds."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(PACKAGE, folder / "esxi_sim", ignore=shutil.ignore_patterns("__pycache__"))
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", folder,
        folder / "esxi_sim")
    found, = folder.glob("*.whl")
    return found


def test_it_holds_the_whole_package_and_nothing_else(wheel):
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == {"esxi_sim/%s" % file.relative_to(PACKAGE)
                    for pattern in ("*.py", "texts/*.txt") for file in PACKAGE.glob(pattern)}


def test_it_runs_in_a_clean_venv(wheel, tmp_path):
    venv.create(tmp_path / "venv", with_pip=True)
    programs = tmp_path / "venv/bin"
    run(programs / "pip", "install", "--quiet", "--disable-pip-version-check", wheel)
    said = run(programs / "esxi-sim", "--help", cwd=tmp_path).stdout
    assert said.startswith("usage: esxi-sim ")
    script = ("from esxi_sim import World; from esxi_sim.virtual import VirtualClock, VirtualLine; "
              "line = VirtualLine(World(VirtualClock(), vms=['node1'])); "
              "print(line.ask(['vim-cmd vmsvc/get.summary 1'], 1)[0][0])")
    assert run(programs / "python", "-c", script, cwd=tmp_path).stdout == "0\n"
