"""What SSH starts: finds or starts this host's supervisor, then carries bytes between it and its own stdin and stdout.

Reads nothing of what it carries and holds at most two buffers. When either side ends it ends too; the supervisor
stays, so a dropped connection costs nothing.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from typing import NoReturn

from . import local, logind, stale
from .alone import Patience
from .descriptors import close_from
from .local import Place, PlaceError

GREETING = b"bw-super"
"""What a supervisor sends on every new connection before all else. A connection that ends without it met a supervisor
that was leaving; one that got it keeps the supervisor here."""
_BUFFER_BYTES = 256 * 1024
_PATIENCE_S = 55  # a start takes 0.1 s; Python on NFS has taken 10, an emulated machine 35; the scheduler waits 60
_CONNECT_S = 5  # an accept takes one turn of the supervisor's loop
_STARTS = 3


def relay(workdir: str, patience: Patience, incoming: int, outgoing: int) -> int:
    """Carries bytes until either side ends. Returns the exit code. Raises PlaceError.

    `patience` is for a supervisor that is started: how long it waits for the scheduler of a run.
    """
    at = local.place(workdir)
    connection = find_or_start(at, patience)
    threading.Thread(target=_up, args=(incoming, connection), daemon=True).start()
    _down(connection, outgoing)
    last_words = _tail(at.log)
    if last_words:
        print(f"batchwasm: the supervisor on this host stopped: {last_words}", file=sys.stderr)
    return 0


def find_or_start(at: Place, patience: Patience) -> socket.socket:
    """A greeted connection to the supervisor of `at`, which is started where there is none. Raises PlaceError."""
    deadline = time.monotonic() + _PATIENCE_S
    starts = 0
    while True:
        connection = connect(at)
        if connection is not None:
            return connection
        fd = local.take_lock(at.lock)
        if fd is not None:
            if starts == _STARTS:
                raise PlaceError(f"the supervisor does not start: {_tail(at.log) or 'it left no word'}")
            starts += 1
            _start(at, patience, fd)
        elif time.monotonic() > deadline:
            pid = local.read_object(at.lock).get("pid")
            raise PlaceError(
                f"the supervisor of {at.workdir} (process {pid}) does not answer; end that process and try again"
            )
        time.sleep(0.01)


def connect(at: Place) -> socket.socket | None:
    """A greeted connection; None where no supervisor is, or one that leaves."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(_CONNECT_S)
    try:
        connection.connect(at.socket)
        greeting = b""
        while len(greeting) < len(GREETING) and (part := connection.recv(len(GREETING) - len(greeting))):
            greeting += part
    except OSError:
        connection.close()
        return None
    if greeting != GREETING:
        connection.close()
        return None
    connection.settimeout(None)
    return connection


def _start(at: Place, patience: Patience, lock: int) -> None:
    """Starts a supervisor that inherits the lock; what a dead one left is removed first."""
    local.remove(at)
    local.make(at)
    stale.remove_dead(at)
    log = os.open(at.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    child = os.fork()
    if child == 0:
        _become_supervisor(at, patience, lock, log)
    os.close(log)
    # Closing, not unlocking: the lock is the open file's, which the supervisor now holds too.
    os.close(lock)
    os.waitpid(child, 0)


def _become_supervisor(at: Place, patience: Patience, lock: int, log: int) -> NoReturn:
    """In the child: leaves the session and every descriptor of the connection, then runs a fresh interpreter."""
    try:
        os.setsid()
        if os.fork() != 0:
            os._exit(0)
        os.chdir("/")
        os.umask(0o077)
        null = os.open("/dev/null", os.O_RDONLY)
        high = 10  # above all that is put in place below, so that no dup2 overwrites another's source
        sources = [os.dup(null), os.dup(log), os.dup(log), os.dup(lock)]
        while min(sources) < high:
            sources = [os.dup(fd) if fd < high else fd for fd in sources]
        for target, source in enumerate(sources):
            os.dup2(source, target)
        close_from(len(sources))
        command = [
            *logind.outlive(),
            sys.executable,
            "-s",
            "-m",
            "batchwasm_runner",
            "supervise",
            "--workdir",
            at.workdir,
        ]
        command += ["--lock", "3", "--alone-s", str(patience.attempts_s), "--keep-s", str(patience.results_s)]
        environment = {**os.environ, "PYTHONPATH": local.runner_folder()}
        os.execvpe(command[0], command, environment)
    except Exception as error:
        os.write(2, f"it can't be started: {error}\n".encode(errors="replace"))  # into its log, once that is in place
    finally:
        os._exit(70)


def _up(incoming: int, connection: socket.socket) -> NoReturn:
    """stdin to the supervisor; at its end the relay is over."""
    try:
        while data := os.read(incoming, _BUFFER_BYTES):
            connection.sendall(data)
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # the supervisor is gone: what it said last is on its way through `_down`, which ends the process
    else:
        os._exit(0)
    threading.Event().wait()
    raise AssertionError


def _down(connection: socket.socket, outgoing: int) -> None:
    """The supervisor to stdout, until it closes or nobody reads any more."""
    try:
        while data := connection.recv(_BUFFER_BYTES):
            view = memoryview(data)
            while view:
                view = view[os.write(outgoing, view) :]
    except OSError:
        pass  # a reset is an end like any other


def _tail(log: str) -> str:
    """The last line of a log; '' where it is empty or gone."""
    try:
        with open(log, "rb") as file:
            lines = file.read()[-4096:].decode(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1] if lines else ""
