"""The session and its loop at the far end: every answer is whole and exact, or an error in time.

The loop that the agent sends runs in a real busybox ash, as on a host; only ssh is left out.
"""

import base64
import contextlib
import os
import time

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

BUSYBOX = "/usr/bin/busybox"
# starting a shell for each example would take too long: they share the session, as on a host
SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@contextlib.contextmanager
def session_of(agent, script):
    """A session whose ssh is a shell script; closed at the end, whatever happened."""
    login = agent.Login(
        [BUSYBOX, "sh", "-c", script], "root", "192.0.2.10", "22", "secret", None, None
    )
    session = agent.Session(login)
    try:
        yield session
    finally:
        session.close()


@pytest.fixture
def session(agent):
    """A session that is logged in."""
    with session_of(agent, agent.READ_LOOP) as opened:
        opened.open(10)
        yield opened


@pytest.fixture(scope="module")
def shared_session(agent):
    with session_of(agent, agent.READ_LOOP) as opened:
        opened.open(10)
        yield opened


@pytest.fixture
def answers_exactly(tmp_path):
    """Let the host's command print bytes and fail with a status; both must arrive unchanged."""

    def check(session, output, status=0):
        printed = tmp_path / "output"
        printed.write_bytes(output)
        answer = session.run(f"cat {printed}; (exit {status})", 20)
        assert answer.text.encode("utf-8", "surrogateescape") == output
        assert answer.status == status

    return check


def frame(tag, status):
    return b"\n%s %d\n" % (tag, status)


TAGS = st.binary(min_size=15, max_size=15).map(base64.b32encode)
OUTPUTS = st.one_of(
    st.binary(max_size=300),
    st.text(max_size=300).map(str.encode),
    st.lists(
        st.one_of(
            st.builds(frame, TAGS, st.integers(0, 255)),
            st.sampled_from([b"\n", b"\r\n", b"\r", b"\0", b"fence_esxi-ready\n", b"A 0", b"\xff"]),
            st.binary(max_size=20),
        )
    ).map(b"".join),
)


@SHARED
@given(output=OUTPUTS, status=st.integers(0, 255))
@example(output=b"", status=0)
@example(output=b"no newline at the end", status=1)
@example(output=b"\n\n\n", status=255)
@example(output=b"fence_esxi-ready\n", status=0)
@example(output=b"$tag $status", status=7)
@example(output=b"\xff\xfe\x00", status=0)
def test_any_output_arrives_byte_for_byte(shared_session, answers_exactly, output, status):
    answers_exactly(shared_session, output, status)


@pytest.mark.parametrize("output", [
    b"x" * 2_000_000,
    b"\n" * 2_000_000,
    os.urandom(2_000_000),
    frame(b"A" * 24, 0) * 70_000,
], ids=["one line", "empty lines", "noise", "frames"])  # fmt: skip
def test_two_megabytes_arrive_byte_for_byte(session, answers_exactly, output):
    started = time.monotonic()
    answers_exactly(session, output, 3)
    assert time.monotonic() - started < 10


def test_the_tag_of_an_answer_forges_no_later_one(agent, session, answers_exactly, monkeypatch):
    """A guest that learns a tag learns one that is used up."""
    tags = []

    def remembering(size):
        tags.append(real(size))
        return tags[-1]

    real = os.urandom
    monkeypatch.setattr(agent.os, "urandom", remembering)
    for _ in range(3):
        session.run("true", 10)
    assert len(set(tags)) == 3
    answers_exactly(session, b"".join(frame(base64.b32encode(tag), 0) for tag in tags), 9)


def test_answers_belong_to_their_commands(session):
    assert [session.run(f"echo {n}; (exit {n})", 10) for n in range(20)] == [
        (n, f"{n}\n") for n in range(20)
    ]


def test_both_streams_arrive_in_order(session):
    assert session.run("echo a; echo b >&2; echo c", 10).text == "a\nb\nc\n"


def test_a_command_cannot_eat_the_next_one(session):
    """Its stdin is empty: a command that reads would swallow what is sent next."""
    assert session.run("cat", 10) == (0, "")
    assert session.run("echo still here", 10).text == "still here\n"


def test_an_unknown_command_and_a_syntax_error_are_answers(session):
    assert session.run("no-such-command", 10).status == 127
    assert session.run("echo still here", 10).text == "still here\n"


def test_a_long_command_arrives_whole(session):
    word = "x" * 60_000
    assert session.run(f"echo {word}", 10).text == word + "\n"


def test_backslashes_and_quotes_arrive_as_they_are(agent, session):
    path = "/a\\b 'c' \"d\" $HOME `x` *  e\\"
    assert session.run(f"printf %s {agent.quote(path)}", 10).text == path


@pytest.mark.parametrize("command", [
    "sleep 3",
    "echo half an answer; sleep 3",
    "while :; do echo again; sleep 0.02; done",
    "while :; do echo 'AAAAAAAAAAAAAAAAAAAAAAAA 0'; sleep 0.02; done",
])  # fmt: skip
def test_silence_ends_at_the_bound(agent, session, command):
    """Words that are no answer do not move the bound."""
    started = time.monotonic()
    with pytest.raises(agent.SessionSilent, match="gave no answer"):
        session.run(command, 0.3)
    assert 0.3 <= time.monotonic() - started < 2


def test_a_host_that_reads_nothing_is_silent(agent):
    with session_of(agent, f"echo {agent.READY}; sleep 3") as session:
        session.open(10)
        started = time.monotonic()
        with pytest.raises(agent.SessionSilent):
            session.run("x" * 1_000_000, 0.3)
        assert 0.3 <= time.monotonic() - started < 2


@pytest.mark.parametrize("command", [
    "kill -9 $$",
    "exit 0",
    "printf 'half a li'; kill -9 $$",
    "echo 'Powered off'; kill -9 $$",
    'printf "\\n$tag"; kill -9 $$',
    'printf "\\n$tag 0"; kill -9 $$',
])  # fmt: skip
def test_a_line_that_breaks_is_lost_however_much_arrived(agent, session, command):
    """Not even the frame counts before the end of its line: 1 may be the first digit of 127."""
    started = time.monotonic()
    with pytest.raises(agent.SessionLost, match="the connection broke"):
        session.run(command, 10)
    assert time.monotonic() - started < 5


def test_a_session_that_has_ended_is_lost_at_once(agent, session):
    with pytest.raises(agent.SessionLost):
        session.run("exit 0", 10)
    with pytest.raises(agent.SessionLost):
        session.run("true", 10)


def test_endless_output_is_cut_off(agent, session):
    with pytest.raises(agent.SessionLost):
        session.run("cat /dev/zero", 20)


def test_the_last_words_of_ssh_are_told(agent):
    script = f"echo {agent.READY}; read -r line; echo 'Timeout, server not responding.' >&2"
    with session_of(agent, script) as session:
        session.open(10)
        with pytest.raises(agent.SessionLost, match="Timeout, server not responding"):
            session.run("true", 10)


@pytest.mark.parametrize("before", [
    "", "echo motd", "echo 'Password: '", "printf '\\n\\n'", "echo 'not fence_esxi-ready'",
    "echo 'fence_esxi-ready?'", "echo fence_esxi-ready >&2", "printf '\\377\\n'",
])  # fmt: skip
def test_words_before_the_ready_line_do_not_matter(agent, before):
    with session_of(agent, f"{before}\n{agent.READ_LOOP}") as session:
        session.open(10)
        assert session.run("echo answer", 10) == (0, "answer\n")


@pytest.mark.parametrize("script", ["sleep 3", "echo fence_esxi-ready >&2; sleep 3",
                                    "printf fence_esxi-ready; sleep 3"])  # fmt: skip
def test_a_host_that_never_gets_ready(agent, script):
    started = time.monotonic()
    with (
        session_of(agent, script) as session,
        pytest.raises(agent.LoginFailed, match="no answer to the login"),
    ):
        session.open(0.3)
    assert 0.3 <= time.monotonic() - started < 2


def test_an_ssh_that_does_not_exist(agent):
    login = agent.Login(["/no/such/ssh"], "root", "192.0.2.10", "22", "secret", None, None)
    with pytest.raises(agent.LoginFailed, match="/no/such/ssh"):
        agent.Session(login)


def test_a_session_leaves_nothing_behind(agent):
    descriptors = os.listdir("/proc/self/fd")
    for _ in range(3):
        with session_of(agent, agent.READ_LOOP) as session:
            session.open(10)
    assert os.listdir("/proc/self/fd") == descriptors
