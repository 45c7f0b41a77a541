"""What the guide tells an admin to type in the cluster is typed there, and prints what it says."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from guide import Block, Page, all_pages, blocks_of, type_as_told
from harness.cluster import Cluster
from harness.esxi_host import EsxiHost
from harness.node import Node
from harness.waiting import wait_for

ANOTHER_NAME = re.compile(r'cluster, t3022cent is (?:"(.+)"|(\S+))(?: (\S+))?')
#: Everywhere in the pages, the node that is shot.
SHOOTS = re.compile(r"pcs stonith fence t3022cent|stonith_admin --reboot t3022cent")


def words_of(output: str) -> list[str]:
    """What a command printed, without the punctuation in which releases of pcs differ."""
    return re.sub(r"\(node\)|:(?=\s)| - ", " ", output).split()


class Reader:
    """An admin who types what a page says, on t3021cent if nothing else is said."""

    def __init__(self, cluster: Cluster):
        self.cluster = cluster
        self.admin = cluster.t3021cent

    def type(self, block: Block, nodes: list[Node] | None = None) -> None:
        """Type a block's commands and compare the words they print."""
        for command, printed in block.calls():
            for node in nodes or [self.admin]:
                output = type_as_told(node, command)
                if printed is not None:
                    assert words_of(output) == words_of(printed), f"{block}: {command}"
            if SHOOTS.search(command):
                self.see_it_die_and_come_back()

    def see_it_die_and_come_back(self) -> None:
        """t3022cent was really shot, by its host, and joins again."""
        self.cluster.wait_until_offline(self.cluster.t3022cent)
        assert self.cluster.was_rebooted(self.cluster.t3022cent)
        self.cluster.wait_until_whole()
        self.wait_for_devices()

    def wait_for_devices(self) -> None:
        """All devices are started."""
        self.cluster.wait_until_started(*self.cluster.view(self.admin).devices())

    def has_keys(self, page: Page) -> None:
        """Both nodes have the keys that the page makes, and both hosts know them."""
        for block in page.blocks():
            if block.mark == "host and nodes":
                self.type(block, self.cluster.nodes)
        keys = "".join(node.do("cat /root/.ssh/fence_esxi.pub") for node in self.cluster.nodes)
        for host in self.cluster.esxi_hosts:
            host.set(authorized_keys=keys)


@pytest.fixture
def reader(cluster: Cluster) -> Iterator[Reader]:
    yield Reader(cluster)
    admin = cluster.t3021cent
    admin.do("pcs stonith level clear")
    admin.do("crm_attribute --type crm_config --name stonith-timeout --delete")
    for node in cluster.nodes:
        node.do("rm -rf /root/.ssh /usr/sbin/fence_ESXi*")
    for host in cluster.esxi_hosts:
        host.set(authorized_keys="")


@pytest.mark.timeout(200)
@pytest.mark.parametrize("mark", ["cluster", "crmsh"], ids=["pcs", "crmsh"])
def test_the_quick_start(reader: Reader, mark: str) -> None:
    page = Page("docs/quick-start.md")
    reader.has_keys(page)
    for block in blocks_of(page, mark):
        reader.type(block)
        reader.wait_for_devices()


@pytest.mark.timeout(200)
def test_the_devices_of_the_quick_start_shoot_where_hostd_hangs(reader: Reader) -> None:
    """Without pcmk_host_list the cluster asks for a list first, and gives up without one."""
    page = Page("docs/quick-start.md")
    reader.has_keys(page)
    reader.type(blocks_of(page, "cluster")[0])
    reader.wait_for_devices()
    victim = reader.cluster.t3022cent
    host = reader.cluster.host_of(victim)
    host.set(hostd="hung")
    shot = reader.admin.run("pcs", "stonith", "fence", victim.name, timeout=90)
    assert shot.text == "Node: t3022cent fenced\n"
    assert not victim.is_up()
    host.set(hostd="up")
    reader.cluster.start_afresh()


NAMED = [block for block in Page("docs/plug.md").blocks() if ANOTHER_NAME.match(block.mark)]


@pytest.mark.timeout(200)
@pytest.mark.parametrize("create", NAMED, ids=lambda block: str(block.line))
def test_a_plug_that_is_not_the_name_of_the_node(reader: Reader, create: Block) -> None:
    blanks, plain, uuid = ANOTHER_NAME.fullmatch(create.mark).groups()  # type: ignore[union-attr]
    host = reader.cluster.host_of(reader.cluster.t3022cent)
    host.runs({blanks or plain: "t3022cent"}, **({"uuid": uuid} if uuid else {}))
    blocks = Page("docs/plug.md").blocks()
    reader.type(create)
    reader.wait_for_devices()
    reader.cluster.forget()
    reader.type(blocks[blocks.index(create) + 1])


def test_when_it_goes_wrong(reader: Reader) -> None:
    reader.cluster.create_devices()
    for block in blocks_of(Page("docs/when-it-goes-wrong.md"), "cluster"):
        reader.type(block)
    reader.cluster.wait_until_started("rs-stonith-01", "rs-stonith-02")


@pytest.mark.timeout(200)
def test_moving_from_the_old_script_and_back(reader: Reader) -> None:
    cluster = reader.cluster
    for node in cluster.nodes:  # like the old script it takes a plug, which Pacemaker 3 asks for
        node.do(
            "sed 's/\"no_port\"/\"port\", \"no_login\"/' /usr/sbin/fence_dummy "
            ">/usr/sbin/fence_ESXi"
        )
        node.do("chmod 755 /usr/sbin/fence_ESXi")
    old = reader.admin.do("cat /usr/sbin/fence_ESXi")
    reader.admin.do(
        'pcs stonith create old fence_ESXi ipaddr=192.168.33.10 login=root passwd="XXXXXXXX" '
        "pcmk_host_list=t3022cent --force"
    )
    cluster.wait_until_started("old")
    cluster.forget()
    for block in blocks_of(Page("docs/quick-start.md"), "old name"):
        reader.type(block, None if block.kind == "console" else cluster.nodes)
    for node in cluster.nodes:
        assert node.do("cat /usr/sbin/fence_ESXi") == old


@pytest.mark.parametrize(
    ("name", "more", "tries"),
    [
        ("patient", "pcmk_host_list=patient", 2),
        ("careful1", "pcmk_host_list=careful1 pcmk_monitor_retries=1 pcmk_reboot_retries=1", 1),
        ("listed", "", 2),
        ("quick", "pcmk_monitor_retries=1 pcmk_list_retries=1", 1),
    ],
)
def test_a_wrong_password_is_tried_so_often(
    cluster: Cluster, name: str, more: str, tries: int
) -> None:
    """docs/security.md warns of the numbers: at five the account is locked."""
    address = f"192.168.33.{120 + len(name)}"
    host = EsxiHost(cluster.room, address, {name: ""})
    host.cut(False)
    host.start()
    admin = cluster.t3021cent
    device = f"wrong-{name}"  # not the device before it, whose failed start may still be shown
    admin.do(f"pcs stonith create {device} fence_esxi ip={address} username=root password=WRONG "
             f"{more} --disabled")  # fmt: skip
    admin.do(f"pcs constraint location {device} avoids t3022cent")
    admin.do(f"pcs stonith enable {device}")
    wait_for("it has failed", lambda: f"{device} start on" in admin.do("crm_mon -1"), within=30)
    # now and then Pacemaker asks once more before it has seen the failure
    assert tries <= host.failed_logins() <= tries + 1
    for shots in (1, 2):
        assert "unable to fence" in admin.run("pcs", "stonith", "fence", name).errors
        assert tries * (1 + shots) <= host.failed_logins() <= tries * (1 + shots) + 1
    host.stop()
    host.cut(True)


def test_no_page_has_a_block_that_is_forgotten_here() -> None:
    here = {"docs/quick-start.md", "docs/plug.md", "docs/when-it-goes-wrong.md"}
    for page in all_pages():
        if not page.path.startswith("docs/ja/"):  # the same blocks: tests/docs compares them
            marks = {block.mark.partition(",")[0] for block in page.blocks()}
            assert page.path in here or not marks & {"cluster", "crmsh", "old name"}
