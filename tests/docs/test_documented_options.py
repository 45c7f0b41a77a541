"""Every option that a page gives to the agent exists."""

import re
import subprocess
import xml.etree.ElementTree as ET

import pytest
from pages import all_pages


@pytest.fixture(scope="module")
def metadata(agent_path) -> ET.Element:
    """What the agent says of itself."""
    done = subprocess.run(
        ["/usr/bin/python3", agent_path, "-o", "metadata"], capture_output=True, check=True
    )
    return ET.fromstring(done.stdout)


@pytest.mark.parametrize("page", all_pages(), ids=lambda page: page.path)
def test_every_option_a_page_gives_to_the_agent_exists(page, metadata) -> None:
    shown = " ".join(getopt.attrib["mixed"] for getopt in metadata.iter("getopt"))
    long_options = set(re.findall(r"--[a-z0-9-]+", shown))
    parameters = {parameter.attrib["name"] for parameter in metadata.iter("parameter")}
    typed = " ".join(block.text for block in page.blocks()).replace("\\\n", " ")
    for line in typed.splitlines():
        if "fence_esxi --" in line:
            given = set(re.findall(r"(?<=\s)--[a-z0-9-]+", line.partition("fence_esxi ")[2]))
            assert given <= long_options, line
    for arguments in re.findall(r"stonith create \S+ fence_esxi (.*)", typed, re.IGNORECASE):
        names = set(re.findall(r"(\w+)=", re.sub(r'"[^"]*"', "", arguments)))
        assert {name for name in names if not name.startswith("pcmk_")} <= parameters
