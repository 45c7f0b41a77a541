"""Every option of the agent is on the page of options, and every option on a page exists."""

import re
import subprocess
import xml.etree.ElementTree as ET

import pytest
from pages import Page, all_pages

#: Options of other programs that the pages name.
OF_OTHERS = {"--type", "--world-id", "--list", "--reboot", "--off", "--vm", "--port", "--control",
             "--help"}  # fmt: skip


@pytest.fixture(scope="module")
def metadata(agent_path) -> ET.Element:
    """What the agent says of itself."""
    done = subprocess.run(
        ["/usr/bin/python3", agent_path, "-o", "metadata"], capture_output=True, check=True
    )
    return ET.fromstring(done.stdout)


@pytest.fixture(scope="module")
def parameters(metadata) -> set[str]:
    """The names a parameter can have in the cluster."""
    return {parameter.attrib["name"] for parameter in metadata.iter("parameter")} - {"action"}


@pytest.fixture(scope="module")
def long_options(metadata) -> set[str]:
    """The options of the command line, as "--ip"."""
    shown = " ".join(getopt.attrib["mixed"] for getopt in metadata.iter("getopt"))
    return set(re.findall(r"--[a-z0-9-]+", shown))


def test_the_page_of_options_has_all_of_them(parameters, long_options) -> None:
    words = set(Page("docs/options.md").code())
    assert parameters - words == set()
    assert long_options - words == set()


def test_the_page_of_options_has_no_others(parameters, long_options) -> None:
    text = Page("docs/options.md").text
    rows = [line.split("|")[1:3] for line in text.splitlines() if line.startswith("| `-")]
    assert rows
    for on_the_command_line, in_the_cluster in rows:
        assert set(re.findall(r"--[a-z0-9-]+", on_the_command_line)) <= long_options
        assert set(re.findall(r"`(\w+)`", in_the_cluster)) <= parameters | {"action"}


@pytest.mark.parametrize("page", all_pages(), ids=lambda page: page.path)
def test_every_option_a_page_gives_to_the_agent_exists(page, parameters, long_options) -> None:
    typed = " ".join(block.text for block in page.blocks()).replace("\\\n", " ")
    for line in typed.splitlines():
        if "fence_esxi --" in line:
            given = set(re.findall(r"(?<=\s)--[a-z0-9-]+", line.partition("fence_esxi ")[2]))
            assert given <= long_options, line
    for arguments in re.findall(r"stonith create \S+ fence_esxi (.*)", typed, re.IGNORECASE):
        names = set(re.findall(r"(\w+)=", re.sub(r'"[^"]*"', "", arguments)))
        assert {name for name in names if not name.startswith("pcmk_")} <= parameters
    if page.path != "docs/restricted-key.md":
        in_the_text = "\n".join(page.code())
        named = set(re.findall(r"(?m)(?:^| )(--[a-z0-9-]+)", in_the_text))
        assert named <= long_options | OF_OTHERS
