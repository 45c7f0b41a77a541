"""Running commands in the tests of installation and packaging."""

import pathlib
import subprocess

PROJECT = pathlib.Path(__file__).resolve().parents[2]
#: What is installed, by whatever way.
PROGRAMS = sorted(path.stem for path in PROJECT.glob("agents/esxi/*") if path.is_file())


def run(*command, cwd=PROJECT, **options):
    """Run a command to its end; the caller looks at returncode, stdout and stderr."""
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


def succeed(*command, **options):
    """Run a command that must succeed; its output is returned."""
    done = run(*command, **options)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout
