"""A process that has imported all of ``mooring`` and forks for each command.

Importing costs a second of CPU for every command, and the tests run a thousand of them. Each
command is still a process of its own: with its own arguments, environment, files and exit code.
Started by ``tests.support.cli``; it ends with the process that started it.

A request is its length in four bytes, sent with the descriptors of standard input, output, error
and of a socket for the answer; then the JSON of argv, environment and working directory. The answer
is a line with the child's process id and a line with its exit code. With ``session`` the command
runs in a session of its own.
"""

from __future__ import annotations

import gc
import importlib
import io
import json
import os
import pkgutil
import signal
import socket
import sys

import mooring
from mooring.cli.main import main
from mooring.run.preload import preload


def serve(channel: socket.socket) -> None:
    """Fork for each request until the other end is closed. Only the commands return."""
    while True:
        head, descriptors, _, _ = socket.recv_fds(channel, 4, 4, socket.MSG_WAITALL)
        if not head:
            os._exit(0)
        body = b""
        while len(body) < int.from_bytes(head, "big"):
            body += channel.recv(int.from_bytes(head, "big") - len(body))
        if os.fork() == 0:
            channel.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            *standard, answer = descriptors
            if _command(answer):
                os.close(answer)
                _become(body, standard)
                return
        for descriptor in descriptors:
            os.close(descriptor)


def _command(answer: int) -> bool:
    """Fork the command, and wait for it in the parent, which does not return."""
    child = os.fork()
    if child == 0:
        return True
    os.write(answer, b"%d\n" % child)
    _, status = os.waitpid(child, 0)
    os.write(answer, b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _become(body: bytes, standard: list[int]) -> None:
    """Make this process what ``exec`` of the program would have made of it."""
    request = json.loads(body)
    for number, descriptor in enumerate(standard):
        os.dup2(descriptor, number)
        os.close(descriptor)
    for name in ("stdin", "stdout", "stderr"):
        setattr(sys, name, _opened_again(getattr(sys, name)))
    if request["session"]:
        os.setsid()
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    sys.argv[:] = request["argv"]


def _opened_again(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    """One that knows what the descriptor is now: a file, a pipe or a terminal."""
    buffering = 0 if isinstance(stream.buffer, io.RawIOBase) else -1
    mode = "wb" if stream.writable() else "rb"
    return io.TextIOWrapper(
        open(stream.fileno(), mode, buffering, closefd=False),
        stream.encoding,
        stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


if __name__ == "__main__":
    for module in pkgutil.walk_packages(mooring.__path__, "mooring."):
        if not module.name.endswith("__main__") and ".migrations." not in module.name:
            importlib.import_module(module.name)
    preload(postgresql=True)
    gc.freeze()  # the commands neither look at all that again nor copy it at their end
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who wait
    serve(socket.socket(fileno=int(sys.argv[1])))
    main()
