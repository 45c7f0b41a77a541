"""The session and its loop at the far end: every answer is whole and exact, or none, in time.

The loop that the agent sends runs in a real busybox ash, as on a host; only ssh is left out: a
shell script takes its place, which has the agent's pipes and the terminal that ssh asks on.
"""

import contextlib
import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

BUSYBOX = "/usr/bin/busybox"
SECRET = "s3cret ü"
# bytes: two such commands fit into a pipe that nobody reads
LONGEST = 30_000
# starting a shell for each example would take too long: they share the session, as on a host
SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@contextlib.contextmanager
def session_of(agent, script, secret=SECRET, key=None):
    """A session whose ssh is a shell script; closed at the end, whatever happened."""
    login = agent.Login(
        [BUSYBOX, "sh", "-c", script], "root", "192.0.2.10", "22", secret, key, None
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


def ask(session, *commands, bound=10):
    return session.ask(list(commands), bound)


@pytest.fixture
def answers_exactly(tmp_path):
    """Let one of two commands print bytes and fail with a status; both must arrive unchanged."""

    def check(session, output, status=0):
        printed = tmp_path / "output"
        printed.write_bytes(output)
        command = f"cat {printed}; (exit {status})"
        for commands, place in (([command], 0), ([command, "echo 2"], 0), (["echo 1", command], 1)):
            answers = ask(session, *commands, bound=20)
            assert len(answers) == len(commands)
            assert answers[place].text.encode("utf-8", "surrogateescape") == output
            assert answers[place].status == status
            if place or len(commands) == 2:
                assert answers[1 - place] == (0, f"{2 - place}\n")

    return check


def frame(tag, place, status):
    return b"\n%s.%d %d\n" % (tag, place, status)


TAGS = st.binary(min_size=15, max_size=15).map(bytes.hex).map(str.encode)
OUTPUTS = st.one_of(
    st.binary(max_size=300),
    st.text(max_size=300).map(str.encode),
    st.lists(
        st.one_of(
            st.builds(frame, TAGS, st.integers(1, 2), st.integers(0, 255)),
            st.sampled_from([b"\n", b"\r\n", b"\r", b"\0", b"fence_esxi-ready-2\n", b"a.1 0",
                             b"\xff"]),  # fmt: skip
            st.binary(max_size=20),
        )
    ).map(b"".join),
)


@SHARED
@given(output=OUTPUTS, status=st.integers(0, 255))
@example(output=b"", status=0)
@example(output=b"no newline at the end", status=1)
@example(output=b"\n\n\n", status=255)
@example(output=b"\r", status=0)
@example(output=b"fence_esxi-ready-2\n", status=0)
@example(output=b"$tag.1 $s", status=7)
@example(output=b"\xff\xfe\x00", status=0)
def test_any_output_arrives_byte_for_byte(shared_session, answers_exactly, output, status):
    answers_exactly(shared_session, output, status)


@pytest.mark.parametrize("output", [
    b"x" * 3_000_000,
    b"\n" * 3_000_000,
    os.urandom(3_000_000),
    frame(b"a" * 30, 1, 0) * 90_000,
], ids=["one line", "empty lines", "noise", "frames"])  # fmt: skip
def test_three_megabytes_arrive_byte_for_byte(session, answers_exactly, output):
    started = time.monotonic()
    answers_exactly(session, output, 3)
    assert time.monotonic() - started < 20


def test_the_tag_of_an_answer_forges_no_later_one(agent, session, answers_exactly, monkeypatch):
    """A guest that learns a tag learns one that is used up."""
    tags = []

    def remembering(size):
        tags.append(real(size))
        return tags[-1]

    real = os.urandom
    monkeypatch.setattr(agent.os, "urandom", remembering)
    for _ in range(3):
        ask(session, "true")
    assert len(set(tags)) == 3
    used = [tag.hex().encode() for tag in tags]
    answers_exactly(session, b"".join(frame(tag, place, 0) for tag in used for place in (1, 2)), 9)


def test_answers_belong_to_their_commands(session):
    for n in range(20):
        pair = ask(session, f"echo {n}; (exit {n})", f"echo two {n}; (exit {n + 100})")
        assert pair == [(n, f"{n}\n"), (n + 100, f"two {n}\n")]
        assert ask(session, f"echo {n}; (exit {n})") == [(n, f"{n}\n")]


def test_two_commands_run_side_by_side(session):
    started = time.monotonic()
    assert ask(session, "sleep 1; echo 1", "sleep 1; echo 2") == [(0, "1\n"), (0, "2\n")]
    assert time.monotonic() - started < 1.8


def test_both_streams_arrive_in_order(session):
    both = "echo a; echo b >&2; echo c"
    assert [answer.text for answer in ask(session, both, both)] == ["a\nb\nc\n"] * 2


def test_a_command_cannot_eat_the_next_one(session):
    """Its stdin is empty: a command that reads would swallow what is sent next, or the other's."""
    assert ask(session, "cat", "cat") == [(0, ""), (0, "")]
    assert ask(session, "echo 1", "cat; echo 2") == [(0, "1\n"), (0, "2\n")]
    assert ask(session, "echo still here")[0].text == "still here\n"


def test_what_a_command_sets_is_gone_with_it(session):
    assert ask(session, "one=x; two=y; cd /tmp", "one=z; umask 0") == [(0, ""), (0, "")]
    assert ask(session, "echo $one", "pwd")[1].text == f"{Path.cwd()}\n"


def test_an_unknown_command_is_an_answer(session):
    first, second = ask(session, "no-such-command", "no-such-command-either")
    assert (first.status, second.status) == (127, 127)
    assert "no-such-command:" in first.text
    assert ask(session, "echo still here")[0].text == "still here\n"


def test_the_longest_commands_arrive_whole(session):
    word = "x" * LONGEST
    assert [answer.text for answer in ask(session, f"echo {word}", f"echo {word}y")] == [
        word + "\n", word + "y\n"]  # fmt: skip


def test_backslashes_and_quotes_arrive_as_they_are(agent, session):
    path = "/a\\b 'c' \"d\" $HOME `x` *  e\\"
    printf = f"printf %s {agent.quote(path)}"
    assert [answer.text for answer in ask(session, printf, printf)] == [path, path]


# -- silence


@pytest.mark.parametrize("command", [
    "sleep 3",
    "echo half an answer; sleep 3",
    "while :; do echo again; sleep 0.02; done",
    "while :; do echo; echo 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.1 0'; sleep 0.02; done",
])  # fmt: skip
@pytest.mark.parametrize("place", [0, 1])
def test_silence_ends_at_the_bound(session, command, place):
    """Words that are no answer do not move the bound. The second one's answer has come."""
    started = time.monotonic()
    commands = [command, "echo arrived"] if place == 0 else ["echo arrived", command]
    answers = session.ask(commands, 0.5)
    assert 0.5 <= time.monotonic() - started < 2
    # nothing arrives where the second one hangs: the first one's answer stands behind it
    assert answers == ([None, (0, "arrived\n")] if place == 0 else [None, None])


def test_the_second_answer_does_not_wait_for_the_first(session):
    """And the bound is that of both together."""
    started = time.monotonic()
    assert session.ask(["sleep 9", "sleep 0.3; echo 2"], 0.8) == [None, (0, "2\n")]
    assert 0.8 <= time.monotonic() - started < 2


def test_a_host_that_reads_nothing_is_silent(agent):
    with session_of(agent, "echo fence_esxi-ready-2; sleep 3") as session:
        session.open(10)
        started = time.monotonic()
        assert session.ask(["x" * LONGEST] * 2, 0.3) == [None, None]
        assert 0.3 <= time.monotonic() - started < 2


# -- a line that breaks


HALVES = {
    "before anything": "",
    "with half a line": "printf 'half a li'",
    "with a state": "echo 'Powered off'",
    "with half a tag": 'printf "\\n${tag%%????}"',
    "with a tag": 'printf "\\n$tag.2"',
    "with a tag and a status": 'printf "\\n$tag.2 0"',
    "behind the second answer": 'printf "two\\n$tag.2 0\\n"',
    "in the first answer": 'printf "two\\n$tag.2 0\\nPowered off\\n\\n$tag.1 0"',
}


@pytest.mark.parametrize("arrived", HALVES.values(), ids=HALVES)
def test_a_line_that_breaks_is_lost_however_much_arrived(agent, arrived):
    """Not even the frame counts before the end of its line: 1 may be the first digit of 127."""
    script = f"echo fence_esxi-ready-2; read -r tag; read -r one; read -r two; {arrived}"
    with session_of(agent, script) as session:
        session.open(10)
        started = time.monotonic()
        with pytest.raises(agent.SessionLost, match='the connection broke while "one" ran'):
            ask(session, "one", "two")
        assert time.monotonic() - started < 5


def test_a_session_that_has_ended_is_lost_at_once(agent):
    with session_of(agent, "echo fence_esxi-ready-2; read -r tag") as session:
        session.open(10)
        started = time.monotonic()
        for _ in range(3):
            with pytest.raises(agent.SessionLost):
                ask(session, "true", "true")
        assert time.monotonic() - started < 5


@pytest.mark.parametrize("commands", [["cat /dev/zero"], ["echo 1", "cat /dev/zero"],
                                      ["yes", "echo 2"]])  # fmt: skip
def test_endless_output_is_cut_off(agent, session, commands):
    with pytest.raises(agent.SessionLost):
        session.ask(commands, 20)


def test_the_last_words_of_ssh_are_told(agent):
    script = "echo fence_esxi-ready-2; read -r tag; echo 'Timeout, server not responding.' >&2"
    with session_of(agent, script) as session:
        session.open(10)
        with pytest.raises(agent.SessionLost, match="Timeout, server not responding"):
            ask(session, "true")


# -- what ssh says


CHATTER = "yes 'debug3: receive packet: type 98' | head -c {} >&2"


def test_what_ssh_says_meanwhile_is_no_answer_and_holds_nothing_up(agent):
    """A terminal that nobody reads is full after a few kilobytes, and ssh would wait."""
    chatter = CHATTER.format(300_000)
    with session_of(agent, f"{chatter}; ({chatter}) & {agent.READ_LOOP}") as session:
        session.open(10)
        assert ask(session, "echo 1", "sleep 0.5; echo 2") == [(0, "1\n"), (0, "2\n")]
        assert ask(session, f"{CHATTER.format(9)}; echo 3")[0].text.endswith("3\n")


def test_chatter_without_end_does_not_move_the_bound(agent):
    with session_of(agent, f"(while :; do echo debug1: >&2; done) & {agent.READ_LOOP}") as session:
        session.open(10)
        started = time.monotonic()
        assert ask(session, "sleep 9", "echo 2", bound=0.5) == [None, (0, "2\n")]
        assert 0.5 <= time.monotonic() - started < 2


# -- the login


@pytest.mark.parametrize("before", [
    "", "echo motd", "echo 'Password: '", "printf '\\n\\n'", "echo 'not fence_esxi-ready-2'",
    "echo 'fence_esxi-ready-2?'", "echo fence_esxi-ready-2 >&2", "printf '\\377\\n'",
    "echo 'see fence_esxi-ready'", "echo fence_esxi-ready >&2",
])  # fmt: skip
def test_words_before_the_ready_line_do_not_matter(agent, before):
    with session_of(agent, f"{before}\n{agent.READ_LOOP}") as session:
        session.open(10)
        assert ask(session, "echo answer") == [(0, "answer\n")]


@pytest.mark.parametrize("script", ["sleep 3", "echo fence_esxi-ready-2 >&2; sleep 3",
                                    "printf fence_esxi-ready-2; sleep 3",
                                    "while :; do echo wait; sleep 0.02; done",
                                    "while :; do echo debug1: wait >&2; sleep 0.02; done"])
def test_a_host_that_never_gets_ready(agent, script):
    started = time.monotonic()
    with (
        session_of(agent, script) as session,
        pytest.raises(agent.LoginFailed, match="no answer to the login") as failure,
    ):
        session.open(0.3)
    assert 0.3 <= time.monotonic() - started < 2
    assert not failure.value.final  # nothing was given that could be wrong


def test_the_ready_line_of_a_key_made_by_an_older_release(agent):
    with (
        session_of(agent, "echo fence_esxi-ready; sleep 9", key="/root/key") as session,
        pytest.raises(agent.LoginFailed, match="one of an older esxi-fence-key") as failure,
    ):
        session.open(5)
    assert failure.value.final


def test_an_ssh_that_does_not_exist(agent):
    login = agent.Login(["/no/such/ssh"], "root", "192.0.2.10", "22", "secret", None, None)
    with pytest.raises(agent.LoginFailed, match="/no/such/ssh"):
        agent.Session(login)


def test_a_session_leaves_nothing_behind(agent):
    descriptors, pids = os.listdir("/proc/self/fd"), []
    for _ in range(3):
        with session_of(agent, f"sleep 99 & echo pid $!; {agent.READ_LOOP}") as session:
            session.open(10)
            pids += session._answers.before.split()[1:2]
            assert ask(session, "sleep 99", "echo 2", bound=0.2)[0] is None
    assert os.listdir("/proc/self/fd") == descriptors
    assert len(pids) == 3
    until = time.monotonic() + 5
    while any(is_running(int(pid)) for pid in pids):
        assert time.monotonic() < until


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


# -- the secret: typed where ssh keeps the echo of its terminal off, once


@pytest.fixture
def asks(agent, tmp_path):
    """asks(script): what a script was told that stands for ssh, and how the login ended.

    In the script, `hush` and `unhush` switch the echo as ssh does, `hear` takes one line of what
    is typed, up to a second long.
    """
    heard = tmp_path / "heard"

    def run(script, secret=SECRET, key=None, bound=5.0):
        words = (
            "hush() { busybox stty -echo <&2; }; unhush() { busybox stty echo <&2; }; "
            f"hear() {{ line=; read -r -t 1 line <&2; echo \"$line\" >>{heard}; }}; {script}\n"
        )
        heard.write_text("")
        failure = None
        with session_of(agent, words + agent.READ_LOOP, secret, key) as session:
            try:
                session.open(bound)
                assert ask(session, "echo in") == [(0, "in\n")]
            except agent.LoginFailed as failed:
                failure = failed
        return heard.read_text().split("\n")[:-1], failure

    return run


@pytest.mark.parametrize("prompt", [
    "Password: ", "Password:", "(root@esxi1) Password: ", "root@esxi1'\\''s password: ",
    "password for root:", "[esxi1] Password: ", "Parole: ", "PIN",
    "Authorized use only.\\nPassword: ", "debug1: Next authentication method\\n(r@e) Password: ",
])  # fmt: skip
def test_the_secret_is_given_where_ssh_waits_for_one(asks, prompt):
    heard, failure = asks(f"hush; printf '{prompt}' >&2; hear; unhush")
    assert (heard, failure) == ([SECRET], None)


@pytest.mark.parametrize("prompt", ["Password: ", "root@esxi1'\\''s password: ",
                                    "Enter passphrase for key '\\''/k'\\'': "])  # fmt: skip
def test_a_text_that_poses_as_the_prompt_gets_nothing(asks, prompt):
    """A banner, a warning: whatever is said, as long as the terminal echoes."""
    heard, failure = asks(f"printf '{prompt}' >&2; hear")
    assert (heard, failure) == ([""], None)


def test_a_text_that_poses_as_the_prompt_does_not_spoil_the_real_one(asks):
    heard, failure = asks("printf 'Password: ' >&2; sleep 0.3; printf '\\nPassword: \\n' >&2; "
                          "hush; printf 'Password: ' >&2; hear; unhush")
    assert (heard, failure) == ([SECRET], None)


def test_a_prompt_that_comes_in_pieces_gets_one_secret(asks):
    heard, failure = asks("hush; for part in '(root@e' 'sxi1) Pass' 'word' ': '; do "
                          "printf '%s' \"$part\" >&2; done; hear; unhush; hear")
    assert (heard, failure) == ([SECRET, ""], None)


def test_a_prompt_between_what_ssh_says_with_vvv(asks):
    chatter = CHATTER.format(50_000)
    heard, failure = asks(f"{chatter}; hush; printf '(root@esxi1) Password: ' >&2; hear; unhush; "
                          f"echo >&2; {chatter}")
    assert (heard, failure) == ([SECRET], None)


ONE_QUESTION = pytest.mark.parametrize(("prompt", "key"), [
    ("Enter passphrase for key '/k': ", "/k"), ("Password: ", None),
])  # fmt: skip


@ONE_QUESTION
@pytest.mark.parametrize("said", ["Warning: Permanently added esxi1 to the known hosts.\\r\\n\\r",
                                  "Authorized use only.\\r", "Lost your passphrase?\\r"])
def test_what_ssh_said_before_is_no_question_though_the_echo_is_off_already(
    asks, said, prompt, key
):
    """As on a busy machine: the agent reads it late, and ssh has not written its prompt yet.

    Before ssh switches the echo off, it goes back to the beginning of the line.
    """
    heard, failure = asks(f"hush; printf '{said}' >&2; sleep 0.3; printf \"{prompt}\" >&2; "
                          "sleep 0.3; hear; unhush", key=key)  # fmt: skip
    assert (heard, failure) == ([SECRET], None)


@ONE_QUESTION
def test_a_look_at_the_echo_counts_for_what_was_said_before_it(
    agent, asks, monkeypatch, prompt, key
):
    """The agent is stopped behind its look, and ssh goes on from half a line to its prompt."""
    looks, echoes = [], agent.Session._echoes

    def echoes_and_stops(session):
        echo = echoes(session)
        if session._said and not looks:
            looks.append(time.sleep(0.6))
        return echo

    monkeypatch.setattr(agent.Session, "_echoes", echoes_and_stops)
    heard, failure = asks("printf 'Authorized ' >&2; sleep 0.3; printf 'use only.\\r\\n\\r' >&2; "
                          f"hush; printf \"{prompt}\" >&2; sleep 0.6; hear; unhush", key=key)
    assert (heard, failure) == ([SECRET], None)


def test_a_second_question_means_that_the_password_was_wrong(asks):
    twice = "hush; printf 'Password: ' >&2; hear; echo >&2; printf 'Password: ' >&2; hear; unhush"
    heard, failure = asks(twice)
    assert heard[0] == SECRET
    assert SECRET not in heard[1:]
    assert "the host refused the password" in str(failure)
    assert failure.final


def test_a_round_without_questions_is_no_second_question(asks):
    heard, failure = asks("hush; printf 'Password: ' >&2; hear; unhush; hush; sleep 0.2; unhush")
    assert (heard, failure) == ([SECRET], None)


def test_a_passphrase_is_for_a_key(asks):
    prompt = "hush; printf \"Enter passphrase for key '/root/k': \" >&2; hear; unhush"
    assert asks(prompt, key="/root/k") == ([SECRET], None)
    for secret, key, cure in ((None, "/root/k", "give the passphrase of the key in password="),
                              (SECRET, None, "give the passphrase of the key in password=")):
        heard, failure = asks(prompt, secret, key)
        assert SECRET not in heard
        assert "ssh asks \"Enter passphrase for key '/root/k':\"" in str(failure)
        assert cure in str(failure)
        assert failure.final


def test_the_passphrase_is_not_sent_to_the_host_as_a_password(asks):
    heard, failure = asks("hush; printf 'Password: ' >&2; hear; unhush", key="/root/k")
    assert SECRET not in heard
    assert 'ssh asks "Password:"' in str(failure)
    assert failure.final


def test_a_host_that_is_silent_once_it_has_the_password_is_not_asked_again(asks):
    heard, failure = asks("hush; printf 'Password: ' >&2; hear; unhush; sleep 9", bound=1.0)
    assert heard == [SECRET]
    assert "no answer to the login" in str(failure)
    assert failure.final
