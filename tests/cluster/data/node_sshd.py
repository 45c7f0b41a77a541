"""A small sshd for a node: lets in whoever has a key of the file, runs commands, takes files.

usage: node_sshd.py ADDRESS HOST_KEY AUTHORIZED_KEYS
"""

import asyncio
import sys

import asyncssh


class Files(asyncssh.SFTPServer):
    """What scp talks to; it wants to hear that all went well."""

    def exit(self) -> None:
        """The client is done."""
        self.channel.exit(0)


async def run(client: asyncssh.SSHServerProcess) -> None:
    """One command, as root's shell runs it."""
    command = await asyncio.create_subprocess_shell(
        client.command or "", stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await command.communicate()
    client.stdout.write(output.decode())
    client.exit(command.returncode or 0)


async def serve(address: str, host_key: str, authorized_keys: str) -> None:
    """Serve until killed."""
    await asyncssh.listen(address, 22, server_host_keys=[host_key], process_factory=run,
                          authorized_client_keys=authorized_keys, sftp_factory=Files)  # fmt: skip
    print("listening", flush=True)
    await asyncio.get_running_loop().create_future()


asyncio.run(serve(*sys.argv[1:]))
