"""What a page tells the reader to type is typed here, and prints what the page says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pages import SHELL, Block, Page, all_pages

PAGES = all_pages()
KINDS = ("host", "host and nodes", "cluster", "crmsh", "old name", "runbook", "four nodes",
         "either host", "secret")  # fmt: skip
ON_A_HOST = Path(__file__).with_name("on_a_host.py")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
def test_every_shell_block_says_where_it_is_run_or_why_not(page: Page) -> None:
    for block in page.blocks():
        if block.kind not in SHELL:
            continue
        known = block.mark in KINDS or block.mark.startswith(("cluster, ", "four nodes, "))
        assert known or block.reason, f"{block} has no mark"
    assert not [code for code in page.unfenced_blocks() if not code.startswith("make ")]


def host_blocks(page: Page) -> list[Block]:
    return [block for block in page.blocks() if block.mark.startswith("host")]


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [page for page in PAGES if host_blocks(page)], ids=lambda page: page.path
)
def test_the_commands_print_what_the_page_says(page: Page) -> None:
    blocks = host_blocks(page)
    calls = [call for block in blocks for call in block.calls()]
    others = [] if os.geteuid() == 0 else ["--map-root-user"]
    done = subprocess.run(
        ["unshare", *others, "--net", "--mount", "--pid", "--fork", "--kill-child",
         "--propagation", "private", "--mount-proc", sys.executable, str(ON_A_HOST)],
        input=json.dumps([command for command, _ in calls]),
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert len(results) == len(calls)
    for (command, printed), (status, output) in zip(calls, results):
        print(f"# {command}{output}")
        if printed is None:
            assert status == 0
        else:
            assert output == printed


@pytest.mark.parametrize("name", ["quick-start.md", "plug.md"])
def test_the_japanese_page_shows_the_commands_of_the_english_one(name: str) -> None:
    english = [(b.text, b.mark) for b in Page(f"docs/{name}").blocks()]
    japanese = [(b.text, b.mark) for b in Page(f"docs/ja/{name}").blocks()]
    assert japanese == english
