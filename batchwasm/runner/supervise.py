"""The supervisor of a host: one loop that accepts relays, speaks with their schedulers and keeps the pool at work.

A run stays when its connection goes: what it was sent is run, and its reports wait (alone.py says for how long). The
supervisor ends within 2 s of its last run's Detach, and when its workdir vanishes, and removes all that is its own. It
makes no wasmtime engine, ever: see slots.py.
"""

from __future__ import annotations

import os
import re
import secrets
import selectors
import signal
import socket
import time
import traceback

from . import admission, courtesy, facts, gpus, local, owner
from .admission import Machine
from .alone import Alone, Patience
from .capacity import WHOLE, Room
from .keyboard import Keyboard
from .local import Place
from .manners import Manners
from .others import Share
from .pool import Pool
from .protocol import (
    VERSION,
    Acknowledge,
    Attach,
    Attached,
    Beat,
    Detach,
    Kill,
    Message,
    ProtocolError,
    Recall,
    Refused,
    Start,
    Tail,
)
from .relay import GREETING
from .runs import Run
from .slots import Serve
from .stream import Stream

BEAT_S = 2.0
_TICK_S = 0.5
_LEAVE_S = 1.0  # without run and connection: the next command of the same user often follows at once
_AHEAD_BYTES = 1024 * 1024
"""Reports on their way in a connection: more waits where it is kept, perhaps on disk."""
_EXIT_BUG = 70  # EX_SOFTWARE
_FIRST_S = 10.0  # the relay that started us connects within milliseconds
_GONE = (FileNotFoundError, NotADirectoryError)


def supervise(workdir: str, lock: int, patience: Patience) -> int:
    """Runs until nobody needs it; `lock` is an open descriptor on its lock, which it holds. Returns the exit code."""
    at = local.place(workdir)
    local.sign(lock, at)
    from . import worker  # wasmtime with it, before the first fork

    supervisor = Supervisor(at, worker.serve, patience)
    supervisor.serve()
    local.remove(at)
    local.release(at, lock)
    return 0


class Connection:
    """A relay and the scheduler behind it; `run` after its Attach."""

    def __init__(self, supervisor: Supervisor, connection: socket.socket) -> None:
        self.run: Run | None = None
        self.seen = 0
        """The last report that went out here, or that its scheduler had before."""
        self.stream = Stream(
            supervisor.selector,
            connection,
            lambda message: supervisor.receive(self, message),
            lambda cause: supervisor.disconnected(self, cause),
        )

    def pump(self) -> None:
        """Sends what reports there are, as its scheduler takes them. Raises OSError where one can't be read."""
        while self.run is not None and self.stream.behind_bytes < _AHEAD_BYTES:
            following = self.run.retained.following(self.seen)
            if following is None:
                return
            self.seen, frame = following
            self.stream.send_frame(frame)


class Supervisor:
    """Everything of one supervisor but its place on disk, which is made before and removed after it."""

    def __init__(self, at: Place, serve: Serve, patience: Patience) -> None:
        self.selector = selectors.DefaultSelector()
        self._at = at
        self._id = secrets.token_hex(8)
        self._facts = facts.facts()
        self._connections: list[Connection] = []
        self._stopped = False
        self._needed_until = time.monotonic() + _FIRST_S
        self._tick_at = self._beat_at = 0.0
        self._workdir = os.stat(at.workdir)
        self._machine = Machine(self._facts.cpus, self._facts.memory_bytes, gpus.count())
        self._pool = Pool(self.selector, at, self._machine.room, serve, self._tell, self._gone)
        self._alone = Alone(self._pool, patience)
        self._owner = owner.Files(owner.paths())
        self._keyboard = Keyboard()
        self._share = Share()
        self._manners = Manners(self._pool, self._keyboard, self._tell_mood)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(at.socket)
        self._listener.listen(128)
        self._listener.setblocking(False)
        self.selector.register(self._listener, selectors.EVENT_READ, self._accept)

    # -------------------------------------------------------------------------------------------------- loop

    def serve(self) -> None:
        """The loop; at its end all workers are dead and the socket is gone."""
        self._catch_signals()
        try:
            while self._goes_on():
                wake_at = min(self._tick_at, self._pool.look(time.monotonic()))
                for key, events in self.selector.select(max(0.0, wake_at - time.monotonic())):
                    key.data(events)
                for connection in list(self._connections):
                    self._pump(connection)
        except Exception:
            traceback.print_exc()  # into the log before the connections close: the relays tell its last line
            raise SystemExit(_EXIT_BUG) from None
        finally:
            self._close()

    def _goes_on(self) -> bool:
        """Looked at right before every wait, so that one who leaves greets nobody any more."""
        now = time.monotonic()
        if now >= self._tick_at:
            self._tick_at = now + _TICK_S
            self._tick(now)
        return not self._stopped

    def _tick(self, now: float) -> None:
        """What must be looked at from time to time."""
        if now >= self._beat_at:
            self._beat_at = now + BEAT_S
            self._beat()
        self._alone.tick(now)
        if self._owner.changed():
            self._obey_owner(now)
        self._manners.tick(now)
        self._pool.dispatch()
        needed = self._pool.runs or self._connections or now < self._needed_until
        if not needed or self._workdir_vanished():
            self._stopped = True

    def _obey_owner(self, now: float) -> None:
        """host.toml changed. Who has other caps than he was told comes back and is told them."""
        refusal = self._owner.wishes.refusal()
        for run in list(self._pool.runs.values()):
            if refusal:
                self._pool.end(run, refusal, "owner")
            else:
                self._manners.obey(run, run.rules.and_also(self._owner.wishes.courtesy), now)
        if refusal:
            return  # which each is told when the last of its workers is dead
        for connection in list(self._connections):
            attached = connection.run
            if attached is not None and attached.order is not None and attached.cap != self._cap(attached.order):
                attached.alone_since = now
                connection.stream.send(Refused("busy", "its owner allows another share of it now; it is asked again"))
                self._drop(connection)

    def _workdir_vanished(self) -> bool:
        try:
            there = os.stat(self._at.workdir)
        except _GONE:
            return True
        except OSError:
            return False  # a file server that does not answer is not a folder that was removed
        return (there.st_dev, there.st_ino) != (self._workdir.st_dev, self._workdir.st_ino)

    def _catch_signals(self) -> None:
        """SIGTERM ends it in order; a signal wakes the loop through a socket."""
        self._wake, wakes = socket.socketpair()
        for end in (self._wake, wakes):
            end.setblocking(False)
        signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
        self._wakes = wakes
        self.selector.register(self._wake, selectors.EVENT_READ, lambda events: self._wake.recv(4096))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def _stop(self, number: int, frame: object) -> None:
        self._stopped = True

    def _close(self) -> None:
        self.selector.unregister(self._listener)
        self._listener.close()
        try:
            os.unlink(self._at.socket)
        except FileNotFoundError:
            pass
        self._pool.kill_all()
        self._manners.close()
        for connection in self._connections:
            connection.stream.close()

    # ------------------------------------------------------------------------------------------- connections

    def _accept(self, events: int) -> None:
        try:
            accepted, _ = self._listener.accept()
        except OSError:
            return  # it went away again
        connection = Connection(self, accepted)
        self._connections.append(connection)
        connection.stream.send_frame(GREETING)

    def disconnected(self, connection: Connection, cause: str) -> None:
        """A connection ended; with a cause it sent what nobody understands, which ends its run too."""
        self._connections.remove(connection)
        self._needed_until = time.monotonic() + _LEAVE_S
        run = connection.run
        if cause:
            connection.stream.send(Refused("protocol", cause))
        if run is not None:
            connection.run = None
            if cause:
                self._pool.end(run, cause)
            else:
                self._alone.leave(run, time.monotonic())

    def receive(self, connection: Connection, message: Message) -> None:
        """An order. Raises ProtocolError for what is none."""
        run = connection.run
        if isinstance(message, Attach):
            self._attach(connection, message)
        elif run is None:
            raise ProtocolError(f"{message.kind} before attach")
        elif isinstance(message, Start):
            self._pool.start(run, message)
        elif isinstance(message, Recall):
            self._pool.recall(run, message.batch)
        elif isinstance(message, Kill):
            self._pool.kill(run, message.batch)
        elif isinstance(message, Tail):
            self._tail(connection, run, message)
        elif isinstance(message, Acknowledge):
            self._pool.acknowledge(run, message.seq)
        elif isinstance(message, Detach):
            self._pool.end(run)
        else:
            raise ProtocolError(f"{message.kind} is not an order")

    def _tail(self, connection: Connection, run: Run, order: Tail) -> None:
        """None where the connection is behind with other things: it can be asked for again, those can't."""
        if connection.stream.behind_bytes < _AHEAD_BYTES:
            output = self._pool.tail(run, order)
            if output is not None:
                connection.stream.send(output)

    def _tell(self, run: Run) -> None:
        connection = self._connection(run)
        if connection is not None:
            self._pump(connection)

    def _pump(self, connection: Connection) -> None:
        try:
            connection.pump()
        except OSError as error:
            if connection.run is not None:
                self._pool.end(connection.run, f"reports that were kept on disk can't be read ({error})", "busy")

    def _gone(self, run: Run, why: str) -> None:
        """A run is over here: its connection has nothing more to hear."""
        self._needed_until = time.monotonic() + _LEAVE_S
        connection = self._connection(run)
        if connection is not None:
            if why:
                connection.stream.send(Refused(run.ending_code, why))
            self._drop(connection)

    def _connection(self, run: Run) -> Connection | None:
        return next((one for one in self._connections if one.run is run), None)

    def _drop(self, connection: Connection) -> None:
        self._connections.remove(connection)
        self._needed_until = time.monotonic() + _LEAVE_S
        connection.run = None
        connection.stream.close()

    def _beat(self) -> None:
        load, memory = facts.load(), facts.memory_available_bytes()
        self._share.look()
        for connection in self._connections:
            if connection.run is not None and not connection.stream.behind:
                connection.stream.send(self._beat_of(connection.run, load, memory))

    def _beat_of(self, run: Run, load: float, memory_available_bytes: int) -> Beat:
        return Beat(
            load=load,
            memory_available_bytes=memory_available_bytes,
            cpus_busy=self._pool.cpus_busy,
            running=len(run.running),
            queued=run.queued_count,
            disk_free_bytes=facts.disk_free_bytes(self._at.spool),
            busy=run.mood.busy or "",
            suspended=self._pool.suspended(run),
            cpu_share=self._share.now,
            memory_bytes=self._facts.memory_bytes,
        )

    def _tell_mood(self, run: Run) -> None:
        """Before the batches that come back: else they would be sent here again."""
        connection = self._connection(run)
        if connection is not None:
            connection.stream.send(self._beat_of(run, facts.load(), facts.memory_available_bytes()))

    # ------------------------------------------------------------------------------------------------ attach

    def _attach(self, connection: Connection, order: Attach) -> None:
        if connection.run is not None:
            raise ProtocolError("a second attach")
        refusal = self._refusal(order)
        if refusal is not None:
            connection.stream.send(refusal)
            self._drop(connection)
            return
        run = self._pool.runs.get(order.run)
        if run is None:
            spool = f"{self._at.spool}/{order.run}"
            run = Run(id=order.run, incarnation=order.incarnation, spool=spool, cap=self._cap(order), seq=order.after)
            self._pool.runs[run.id] = run
        elif (before := self._connection(run)) is not None and before is not connection:
            self._drop(before)
        run.incarnation, run.cap, run.order = order.incarnation, self._cap(order), order
        run.rules = courtesy.of_inventory(order)
        self._manners.obey(run, run.rules.and_also(self._owner.wishes.courtesy), time.monotonic())
        run.alone_since = None
        connection.stream.send(self._attached(run, order))
        connection.run, connection.seen = run, order.after
        self._pump(connection)
        self._pool.dispatch()

    def _cap(self, order: Attach) -> Room:
        return admission.cap(self._machine, self._owner.wishes, order)

    def _attached(self, run: Run, order: Attach) -> Attached:
        logins_known = self._keyboard.known
        return Attached(
            supervisor=self._id,
            boot=self._facts.boot,
            cpus=run.cap.cpus // WHOLE,
            memory_bytes=run.cap.memory_bytes,
            spool=run.spool,
            batches=run.batches,
            warnings=admission.warnings(self._machine, order, run.mood.rules, logins_known=logins_known),
            gpus=run.cap.gpus // WHOLE,
            rules=list(self._owner.wishes.lines),
            busy=run.mood.busy or "",
            left=run.left(order.after),
        )

    def _twin(self, run: Run, order: Attach) -> str:
        """The name of this machine by which this very scheduler is here already; '' where it is not."""
        if run.order is None or run.incarnation != order.incarnation or self._connection(run) is None:
            return ""
        return run.order.host if run.order.host != order.host else ""

    def _refusal(self, order: Attach) -> Refused | None:
        if order.version != VERSION:
            return Refused("version", f"the runner here speaks version {VERSION}, not {order.version}")
        if not re.fullmatch(r"[0-9a-z][0-9a-z-]{0,100}", order.run):
            return Refused("protocol", f"{order.run!r:.120} is not the id of a run")
        run = self._pool.runs.get(order.run)
        if run is not None and run.ending is not None:
            return Refused("busy", "this run is being ended here; try again in a moment")
        if run is not None and order.incarnation < run.incarnation:
            return Refused("stale", f"incarnation {run.incarnation} of this run has taken over this host")
        twin = self._twin(run, order) if run is not None else ""
        if twin:
            return Refused("twin", f"it is the same machine as {twin}")
        if self._owner.changed():
            self._obey_owner(time.monotonic())
        refusal = self._owner.wishes.refusal()
        return Refused("owner", refusal) if refusal else admission.impossible(self._machine, order)
