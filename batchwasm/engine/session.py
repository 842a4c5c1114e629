"""One host: keeps its connection up, turns decisions into orders and reports into facts. The protocol stops here.

A session trusts nothing that comes from its host: frames, counts, paths and digests are checked, and a host that sends
what no version of us sends is dropped.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import suppress
from itertools import zip_longest
from typing import Any, TypeVar

from batchwasm import transports
from batchwasm.core.events import (
    FileShipped,
    HostAway,
    HostBusy,
    HostFree,
    HostHeard,
    HostJoined,
    HostLeft,
    HostRefused,
    HostSilent,
    Ranges,
    Record,
    ranges_of,
)
from batchwasm.engine import collect, wire
from batchwasm.engine.deploy import Prepared, prepare
from batchwasm.engine.groups import the_one
from batchwasm.engine.inbox import Inbox
from batchwasm.engine.orders import answered, attach_of, in_a_line, sentence, sentences, start_of
from batchwasm.engine.received import Received
from batchwasm.engine.shipping import Shipping
from batchwasm.engine.work import InputChanged, JobWork, Made
from batchwasm.errors import HostError, HostLost
from batchwasm.model import Host
from batchwasm.results import RunFolder
from batchwasm.runner.protocol import (
    Acknowledge,
    Attached,
    Beat,
    Decoder,
    Detach,
    Finished,
    Kill,
    Message,
    Output,
    Recall,
    Refused,
    Returned,
    Row,
    Tail,
    encode,
)

T = TypeVar("T")
ATTACH_S = 60.0  # a supervisor on a loaded machine may take seconds to fork and import
SILENCE_S = 30.0  # fifteen heartbeats
SILENCES = 3  # parts that it is waited in: if it was we who were stopped, that is one silent part, not a silent host
# After the first of these parts, five heartbeats, what a host runs is doubted; after the last one the host is given up.
GONE_S = 600.0  # as long as a run without any host waits for one, too
RETRY_S, RETRY_LIMIT_S = 0.5, 60.0  # doubled each time: a restarted sshd is back soon, a machine that is off is not
PENALTY_S = 40.0  # of which at least half is waited: a penalty of sshd is 15 s or longer
GOODBYE_S = 6.0  # to connect once more, at the end; a run's end waits 10 s for its hosts in all
LEAVE_S = 3.0  # for the last word to a host that is dropped, which may not be listening


class Session:
    """A host during a run."""

    def __init__(self, host: Host, run: str, incarnation: int, folder: RunFolder, inbox: Inbox) -> None:
        self.host = host
        self._run, self._incarnation, self._folder, self._inbox = run, incarnation, folder, inbox
        self._outgoing: asyncio.Queue[bytes] = asyncio.Queue()
        self._group: asyncio.TaskGroup | None = None
        self._prepared: Prepared | None = None
        self._attached: Attached | None = None
        self._joined = False
        self._ending = asyncio.Event()
        self._shipping = Shipping(lambda file: inbox.shipping(host.name, file), self._shipped)
        self._errands: set[asyncio.Task[None]] = set()
        """Files on their way here, and batches that wait for files."""
        self._delay_s = RETRY_S
        self._told: HostRefused | None = None
        self._busy = ""
        """Why the host starts nothing now, as it was told."""
        self._silent = False
        self._supervisor = ""
        self._received = Received()
        self._away_since = time.monotonic() if inbox.has_work(host.name) else None
        """Since when it has work of ours and no connection."""
        self._renewal = asyncio.Event()
        """The connection is to be made anew."""
        self._stops_guests = True
        self.owes_goodbye = inbox.was_met(host.name)
        """It may have something of the run, and was not told that this is over."""

    @property
    def supervisor(self) -> str:
        """Id of that which it had last; '' before that."""
        return self._supervisor

    # ------------------------------------------------------------------------------------ told by the loop

    def start(self, batch: int, work: JobWork, ranges: Ranges, numbers: list[int]) -> None:
        """Send a batch; files it needs that are not there yet go first."""
        if not self._joined:
            return  # it left in this very pass; HostAway is on its way
        if work.files_vary:
            self._in_group(self._start_with_files(batch, work, ranges, numbers))
            return
        made = work.work(batch, ranges, numbers, self._spool(batch), dict(self.host.mounts))
        if self._shipping.has_all(made.files):
            self._order(made)
        else:
            self._in_group(self._ship_and_send(made))

    def recall(self, batch: int) -> None:
        self._send(Recall(batch))

    def kill(self, batch: int) -> None:
        self._send(Kill(batch))

    def tail(self, order: Tail) -> None:
        if self._joined:
            self._send(order)

    def settled(self, seqs: Sequence[int]) -> None:
        """The reports with these seqs are in the journal: the host may forget them."""
        self._received.settled(seqs)
        if self._joined:
            self._send(Acknowledge(self._received.upto))

    def renew(self) -> None:
        """This machine was asleep: whether the connection still is one, only a new one tells soon."""
        self._renewal.set()

    def end(self, *, stop_guests: bool) -> None:
        """Have the host stop what it still runs for us and forget the run, or leave it as it is; `run` returns soon
        after."""
        self._stops_guests = stop_guests
        self._ending.set()
        if stop_guests:
            self._send(Detach())
        else:
            self._outgoing.put_nowait(b"")

    def _send(self, order: Message) -> None:
        self._outgoing.put_nowait(encode(order))

    # ------------------------------------------------------------------------------------------- its life

    async def run(self) -> None:
        """Connect, serve, and connect again when that may help; returns when the run ended or the host is hopeless."""
        while not self._ending.is_set():
            try:
                await self._life()
                break  # which may have been before it could be told
            except HostError as error:
                if not error.waiting_may_help:
                    return
                if error.code == "penalty":
                    self._delay_s = max(self._delay_s, PENALTY_S)
            await self._rest()
        if self.owes_goodbye and self._stops_guests:
            await self._say_goodbye()

    async def _rest(self) -> None:
        """Before the next connection; longer each time, until the host or this machine wakes up."""
        ending, renewal = (asyncio.ensure_future(event.wait()) for event in (self._ending, self._renewal))
        delay_s = self._delay_s * random.uniform(0.5, 1.0)
        await asyncio.wait({ending, renewal}, timeout=delay_s, return_when=asyncio.FIRST_COMPLETED)
        self._delay_s = RETRY_S if renewal.done() else min(self._delay_s * 2, RETRY_LIMIT_S)
        for waiting in (ending, renewal):
            waiting.cancel()

    def _leave(self, error: HostError) -> None:
        was_joined, self._joined = self._joined, False
        self._attached = self._group = None
        self._busy, self._silent = "", False
        name, text, may_help = self.host.name, error.beside(self.host.name), error.waiting_may_help
        if was_joined:
            self._away_since = time.monotonic()
        if was_joined and may_help:
            self._inbox.post(HostAway(host=name, code=error.code, text=text))
        elif was_joined or (not may_help and self._inbox.has_work(name)):
            self._inbox.post(HostLeft(host=name, code=error.code, text=text))
        if not was_joined and may_help:
            self._judge()
        if not was_joined or not may_help:
            refused = HostRefused(host=name, code=error.code, text=text, waiting_may_help=may_help)
            if refused != self._told:  # a host that is off all night is tried a thousand times, and told once
                self._told = refused
                self._inbox.post(refused)

    def _judge(self) -> None:
        """It was tried in vain once more: who is away for so long, while others answer, is gone with all it had."""
        away_s = 0.0 if self._away_since is None else time.monotonic() - self._away_since
        name = self.host.name
        if away_s >= GONE_S and self._inbox.has_work(name) and self._inbox.others_answer(name):
            text = f"it can't be reached for {away_s / 60:.0f} minutes, while others can"
            self._inbox.post(HostLeft(host=name, code="gone", text=text))

    async def _life(self) -> None:
        """One connection, from its making to the end of the run. Raises HostError when it breaks."""
        self._renewal.clear()
        transport = transports.make(self.host)
        try:
            await self._talk(transport)
        except HostError as error:
            self._leave(error)  # before the closing, which takes seconds where nobody answers
            if not error.waiting_may_help and error.code != "twin":  # whose run there is the other's
                await self._take_leave()
            raise
        finally:
            self._shipping.cancel()
            if self._prepared is not None:
                with suppress(HostError):
                    await self._prepared.runner.close()
                await self._prepared.depot.close()
                self._prepared = None
            await transport.close()

    async def _talk(self, transport: transports.Transport) -> None:
        self._shipping.start_again()
        while not self._outgoing.empty():
            self._outgoing.get_nowait()  # orders to the supervisor that is gone
        connected = await self._until_ending(self._connect(transport))
        if connected is None or self._prepared is None:
            await self._take_leave()
            return
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group  # before it counts as joined, since from then on there are batches to start
                await self._serve(self._prepared, *connected, group)
        except BaseExceptionGroup as errors:
            raise the_one(errors) from errors

    async def _connect(self, transport: transports.Transport) -> tuple[Decoder, list[Message]]:
        """Prepare the host and ask its supervisor to attach us; its answer, and what it said after that, unread."""
        await transport.connect()
        prepared = self._prepared = await prepare(self.host, transport, self._shipped)
        seen = await self._received.start_again()
        await prepared.runner.write(encode(attach_of(self.host, self._run, self._incarnation, seen)))
        decoder = Decoder()
        messages: list[Message] = []
        try:
            async with wire.patience(ATTACH_S, "its runner did not answer"):
                while not messages:
                    messages = wire.decoded(decoder, wire.unless_ended(await wire.some(prepared), prepared))
        except HostLost as error:
            if self.owes_goodbye or not prepared.runner.stderr_tail.strip():
                raise  # it lives there, or did not say why it can't: it was killed, or the network was
            raise HostError("runner", error.cause, "see 'batchwasm hosts check'") from error
        return decoder, messages

    async def _take_leave(self) -> None:
        """Of a supervisor that perhaps just took our run on: without a word it would keep it for a day."""
        if self._prepared is not None and self._stops_guests:
            with suppress(HostError, TimeoutError):
                async with asyncio.timeout(LEAVE_S):
                    await self._prepared.runner.write(encode(Detach()))

    async def _say_goodbye(self) -> None:
        """The run ended while it was away: one more try, lest it keeps what it has of the run."""
        transport, prepared = transports.make(self.host), None
        try:
            async with asyncio.timeout(GOODBYE_S):
                prepared = await prepare(self.host, transport, self._shipped)
                attach = attach_of(self.host, self._run, self._incarnation, self._received.upto)
                await prepared.runner.write(encode(attach) + encode(Detach()))
                while await wire.some(prepared):
                    pass  # until it closes, when the last guest is dead
                self.owes_goodbye = False
        except (HostError, TimeoutError):
            pass
        finally:
            if prepared is not None:
                with suppress(HostError):
                    await prepared.runner.close()
                await prepared.depot.close()
            await transport.close()

    async def _until_ending(self, work: Coroutine[Any, Any, T]) -> T | None:
        """The result of `work`, or None when the run ends before it is there."""
        task = asyncio.ensure_future(work)
        ending = asyncio.ensure_future(self._ending.wait())
        try:
            await asyncio.wait({task, ending}, return_when=asyncio.FIRST_COMPLETED)
            return await task if task.done() else None
        finally:
            ending.cancel()
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    def _shipped(self, kind: str, digest: str, size: int) -> None:
        self._inbox.post(FileShipped(host=self.host.name, kind=kind, digest=digest, bytes=size))

    async def _serve(self, prepared: Prepared, decoder: Decoder, news: list[Message], group: asyncio.TaskGroup) -> None:
        self._attach(answered(self.host, news.pop(0)), prepared)
        receiver = group.create_task(self._receive(prepared, decoder, news))
        renewal = group.create_task(self._renew())
        await self._write(prepared)
        self.owes_goodbye = not self._stops_guests
        await prepared.runner.close()
        for task in (receiver, renewal, *self._errands):
            task.cancel()

    def _attach(self, answer: Attached, prepared: Prepared) -> None:
        twin = self._inbox.twin_of(self.host.name, answer.supervisor)
        if twin is not None:  # which is not connected now, else the supervisor had refused it
            raise HostError("twin", f"it is the same machine as {twin}", "take one of them out of the inventory")
        if answer.supervisor != self._supervisor:
            self._supervisor = answer.supervisor
            self._received.forget()
        self._attached, self._joined, self._told, self._away_since = answer, True, None, None
        self.owes_goodbye = True
        self._delay_s = RETRY_S
        kept = tuple(self._keep(answer))
        for batch in set(answer.batches).difference(kept):
            self.kill(batch)  # it was given up meanwhile: those tasks are placed anew, or have their results
        joined = HostJoined(
            host=self.host.name,
            supervisor=answer.supervisor,
            cpus=answer.cpus,
            memory_bytes=answer.memory_bytes,
            gpus=answer.gpus,
            batches=kept,
            facts={
                **prepared.depot.facts.as_dict(),
                "boot": sentence(answer.boot),
                "gpus": answer.gpus,
                "rules": sentences(answer.rules),
                "warnings": sentences(answer.warnings),
            },
        )
        self._inbox.post(joined)
        self._note_busy(answer.busy)

    def _keep(self, answer: Attached) -> Iterator[int]:
        """Batches that the host still has and we still want.

        One of which fewer tasks will be reported than have no result here is none: a power cut took what was in the
        journal, and the host has been told to forget its reports.
        """
        for batch, left in zip_longest(answer.batches, answer.left[: len(answer.batches)], fillvalue=0):
            wanted = self._inbox.left_of(self.host.name, batch)
            if wanted is not None and left >= wanted:
                yield batch

    async def _renew(self) -> None:
        await self._renewal.wait()
        raise HostLost("this machine was asleep; its connections are made anew")

    async def _write(self, prepared: Prepared) -> None:
        """Send orders as they come, all that wait at once; returns when the last one of the run is sent."""
        while not (self._ending.is_set() and self._outgoing.empty()):
            frames = [await self._outgoing.get()]
            while not self._outgoing.empty():
                frames.append(self._outgoing.get_nowait())
            await prepared.runner.write(b"".join(frames))

    async def _receive(self, prepared: Prepared, decoder: Decoder, messages: list[Message]) -> None:
        while True:
            for message in messages:
                self._take(message)
            data = await self._heard(prepared)
            if not data and self._ending.is_set():
                return  # as we asked it to
            messages = wire.decoded(decoder, wire.unless_ended(data, prepared))

    async def _heard(self, prepared: Prepared) -> bytes:
        """What the runner says next. Raises HostLost where it is silent for too long; before that it is told once."""
        for _ in range(SILENCES):
            with suppress(TimeoutError):
                async with asyncio.timeout(SILENCE_S / SILENCES):
                    data = await wire.some(prepared)
                if self._silent:
                    self._silent = False
                    self._inbox.post(HostHeard(host=self.host.name))
                return data
            if not self._silent:
                self._silent = True
                self._inbox.post(HostSilent(host=self.host.name))
        raise HostLost(f"it was silent for {SILENCE_S:.0f} s")

    # -------------------------------------------------------------------------------------------- reports

    def _take(self, message: Message) -> None:
        match message:
            case Finished():
                self._received.came(message.seq)
                rows = wire.rows_of(message)
                if not self._inbox.is_wanted(message.batch):
                    self._report(message, [])
                    return
                expected = self._inbox.expected(message.batch)
                if any(collect.has_files(row) for row in rows):
                    self._in_group(self._collect(message, rows, expected))
                else:
                    self._report(message, [collect.record(row, *expected) for row in rows])
            case Returned():
                self._received.came(message.seq)
                ranges = ranges_of(message.tasks)
                self._received.told(message.seq)
                self._inbox.returned(self, message.seq, message.batch, ranges, sentence(message.why))
            case Beat():
                self._inbox.beat(self.host.name, message)
                self._note_busy(message.busy)
            case Output():
                self._inbox.output(self.host.name, wire.checked(message))
            case Refused():
                # It changed its mind: the owner's file says so, say.
                raise HostError(message.code, in_a_line(message.text))
            case _:
                raise HostError("protocol", f"its runner sent {message.kind}, which is not a report")

    def _note_busy(self, text: str) -> None:
        text = sentence(text)
        if text != self._busy:
            self._busy = text
            name = self.host.name
            self._inbox.post(HostBusy(host=name, text=text) if text else HostFree(host=name))

    def _report(self, message: Finished, records: list[Record]) -> None:
        self._received.told(message.seq)
        self._inbox.report(self, message.seq, message.batch, records)

    async def _collect(self, message: Finished, rows: list[Row], expected: collect.Expected) -> None:
        """Bring the files of a report here, then tell it: what is in the journal is on disk."""
        assert self._prepared is not None
        depot, spool = self._prepared.depot, self._spool(message.batch)
        host, records = self.host.name, []
        try:
            for row in sorted(rows, key=lambda row: row.task):  # as all do, lest two of them wait for each other
                await self._inbox.claim(host, message.batch, row.task, message.seq)
                job = self._inbox.awaited(host, message.batch, row.task, row.number)
                if job is not None:  # else nothing of it may touch the run folder, where another host's result may be
                    records.append(await collect.collect(row, job, self._folder, depot, spool, *expected))
            await self._inbox.on_disk()
        except BaseException:
            self._inbox.disclaim(host, message.batch, message.seq)
            raise
        self._report(message, records)

    # --------------------------------------------------------------------------------------------- orders

    def _in_group(self, work: Coroutine[Any, Any, None]) -> None:
        assert self._group is not None
        try:
            task = self._group.create_task(work)
        except RuntimeError:  # the connection is breaking just now: HostAway follows
            work.close()
            return
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def _start_with_files(self, batch: int, work: JobWork, ranges: Ranges, numbers: list[int]) -> None:
        await self._ship_and_send(
            await work.work_with_files(batch, ranges, numbers, self._spool(batch), dict(self.host.mounts))
        )

    async def _ship_and_send(self, made: Made) -> None:
        assert self._prepared is not None
        for file in dict.fromkeys(made.files):
            try:
                await self._shipping.bring(file, self._prepared.depot)
            except InputChanged as error:
                made = made.without(file.digest, str(error))
        self._order(made)

    def _order(self, made: Made) -> None:
        work = made.work
        if not self._inbox.is_wanted(work.batch):
            return  # it was given up while its files were on the way
        if made.refused:
            self._inbox.report(self, None, work.batch, made.refusals(time.time()))
        if made.left:
            self._inbox.returned(self, None, work.batch, made.left, "its arguments did not fit into one message")
        if work.tasks and self._inbox.is_recalled(work.batch):
            left = ranges_of([task.task for task in work.tasks])
            self._inbox.returned(self, None, work.batch, left, "recalled while its files were on the way")
        elif work.tasks:
            self._send(start_of(work, self._inbox.request_of(work.batch)))

    def _spool(self, batch: int) -> str:
        assert self._attached is not None
        return f"{self._attached.spool}/{batch}"
