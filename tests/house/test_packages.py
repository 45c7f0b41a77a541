"""The packages in dist/: what is in them, and what they do to a clean userland.

`make test-packages` builds them first. The userland is a minimal Debian of its own
(tools/userland); apt itself fetches what the package depends on, so a forgotten one is seen.
"""

import re

import pytest
from commands import PROGRAMS, PROJECT, run, succeed
from esxi_sim import Host

pytestmark = pytest.mark.packaging

AGENT = "/usr/sbin/fence_esxi"


def package(pattern):
    (path,) = (PROJECT / "dist").glob(pattern)
    return path


@pytest.fixture(scope="module")
def deb():
    return package("fence-agents-esxi_*_all.deb")


@pytest.fixture(scope="module")
def rpm():
    return package("fence-agents-esxi-*.noarch.rpm")


class Userland:
    """A clean Debian 12 of which a test may change everything."""

    def __init__(self, disk):
        self.disk = disk

    def run(self, *command):
        return run(PROJECT / "tools/userland", "run", "bookworm", self.disk, *command)

    def succeed(self, *command):
        return succeed(PROJECT / "tools/userland", "run", "bookworm", self.disk, *command)

    def give(self, *files):
        """Put files into its /srv; their paths there are returned."""
        place = self.disk / "upper/srv"
        place.mkdir(parents=True, exist_ok=True)
        for file in files:
            (place / file.name).write_bytes(file.read_bytes())
        return [f"/srv/{file.name}" for file in files]

    def is_there(self, path):
        return self.run("test", "-e", path, "-o", "-L", path).returncode == 0


@pytest.fixture
def userland(tmp_path):
    return Userland(tmp_path / "disk")


@pytest.fixture
def with_agent(userland, deb):
    """A userland in which apt has installed the agent, and what it depends on."""
    (path,) = userland.give(deb)
    userland.succeed("apt-get", "install", "-y", "--no-install-recommends", path)
    return userland


EVERYTHING = [
    *[f"/usr/sbin/{name}" for name in PROGRAMS],
    *[f"/usr/share/man/man8/{name}.8.gz" for name in PROGRAMS],
]


def test_the_deb_holds_the_programs_and_their_man_pages(deb):
    listed = succeed("dpkg-deb", "--contents", deb).splitlines()
    files = [line.split()[5][1:] for line in listed if not line.startswith("d")]
    assert [name for name in files if "/share/doc/" not in name] == EVERYTHING


def test_the_deb_depends_on_what_the_agent_needs(deb):
    depends = succeed("dpkg-deb", "--field", deb, "Depends")
    names = re.findall(r"[a-z][a-z0-9-]+", depends)
    assert names == ["fence-agents-common", "fence-agents", "openssh-client", "python3",
                     "python3-pexpect"]  # fmt: skip
    assert succeed("dpkg-deb", "--field", deb, "Enhances") == "pacemaker\n"


def fences_a_vm(userland):
    """The agent installed there describes itself and fences a VM of a simulated host."""
    assert '<resource-agent name="fence_esxi"' in userland.succeed(AGENT, "-o", "metadata")
    with Host("6.7", ["t3022cent"], password="secret") as host:
        login = [f"--ip={host.address}", f"--ipport={host.port}", "-l", "root", "-p", "secret"]
        off = userland.succeed(AGENT, *login, "-o", "off", "-n", "t3022cent")
        assert off == "Success: Powered OFF\n"
        assert host.vm("t3022cent").power == "off"


def test_the_documents_link_to_what_is_installed(deb, rpm, tmp_path):
    for name, packed in (("deb", deb), ("rpm", rpm)):
        (tmp_path / name).mkdir()
        unpack = {"deb": f"dpkg-deb --extract {packed} .", "rpm": f"rpm2cpio {packed} | cpio -id"}
        succeed("sh", "-c", unpack[name], cwd=tmp_path / name)
        pages = list((tmp_path / name).rglob("*.md"))
        assert pages
        for page in pages:
            for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
                assert (page.parent / link).exists(), f"{page}: {link}"


def test_the_packages_have_the_version_of_the_agent(deb, rpm, agent):
    assert succeed("dpkg-deb", "--field", deb, "Version") == f"{agent.RELEASE}\n"
    shown = succeed("rpm", "--query", "--package", "--queryformat", "%{VERSION}", rpm)
    assert shown == agent.RELEASE


def test_the_deb_is_installed_used_and_purged(with_agent):
    fences_a_vm(with_agent)
    with_agent.succeed("apt-get", "purge", "-y", "fence-agents-esxi")
    assert not with_agent.is_there(AGENT)
    left = with_agent.succeed("find", "/usr", "/etc", "/var/lib/dpkg/info", "-iname", "*esxi*")
    assert left == ""


def test_the_rpm_holds_the_programs_and_their_man_pages(rpm):
    files = succeed("rpm", "--query", "--package", "--list", rpm).split()
    programs = [name for name in files if "/share/doc/" not in name and "/licenses/" not in name]
    assert programs == EVERYTHING


def test_the_rpm_requires_what_the_agent_needs(rpm):
    requires = succeed("rpm", "--query", "--package", "--requires", rpm)
    for name in ("/usr/bin/python3", "fence-agents-common", "openssh-clients", "python3-pexpect"):
        assert name in requires
    assert succeed("rpm", "--query", "--package", "--enhances", rpm) == "pacemaker\n"


RPM = ["rpm", "--force-debian", "--nodeps"]


@pytest.fixture
def with_rpm(userland, rpm):
    """A userland in which rpm has installed the agent; its dependencies have Debian's names."""
    userland.succeed("apt-get", "install", "-y", "--no-install-recommends",
                     "rpm", "fence-agents", "openssh-client")
    userland.succeed(*RPM, "--install", *userland.give(rpm))
    return userland


def test_the_rpm_is_installed_used_and_erased(with_rpm):
    fences_a_vm(with_rpm)
    with_rpm.succeed(*RPM, "--verify", "fence-agents-esxi")
    with_rpm.succeed(*RPM, "--erase", "fence-agents-esxi")
    assert with_rpm.succeed("find", "/usr", "/etc", "-iname", "*esxi*") == ""
