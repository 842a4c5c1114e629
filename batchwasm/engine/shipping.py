"""Files on their way to a host's cache: each once a connection, however many batches wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from batchwasm.engine.depot import Depot
from batchwasm.engine.files import LocalFile
from batchwasm.engine.work import InputChanged
from batchwasm.errors import HostError


class Shipping:
    """Of one host."""

    def __init__(self, sending: Callable[[str], None], shipped: Callable[[str, str, int], None]) -> None:
        """`sending` hears the name of a file while it is sent, `shipped` kind, digest and bytes when it was."""
        self._sending, self._shipped = sending, shipped
        self._here: set[str] = set()
        """Digests that are in the host's cache."""
        self._uploads: dict[str, asyncio.Task[None]] = {}
        """Those under way, by digest."""

    def start_again(self) -> None:
        """The connection is new: the host may have been cleaned meanwhile."""
        self._here.clear()
        self._uploads.clear()

    def cancel(self) -> None:
        for upload in self._uploads.values():
            upload.cancel()

    def has_all(self, files: list[LocalFile]) -> bool:
        return all(file.digest in self._here for file in files)

    async def bring(self, file: LocalFile, depot: Depot) -> None:
        """The file is in the cache when this returns. Raises InputChanged, HostError."""
        while file.digest not in self._here:
            upload = self._uploads.get(file.digest)
            mine = upload is None
            if upload is None:
                upload = self._uploads[file.digest] = asyncio.ensure_future(self._upload(file, depot))
            try:
                await asyncio.shield(upload)
            except InputChanged:
                if mine or not file.path.exists():
                    raise  # else it was another file with the same content, and this one is still there

    async def _upload(self, file: LocalFile, depot: Depot) -> None:
        uploads, size = self._uploads, 0

        def sent(count: int) -> None:
            nonlocal size
            size += count
            self._sending(file.name)

        try:
            stored = await depot.put(file.kind, file.digest, file.path, sent)
        except HostError as error:
            if error.code in ("input", "digest"):  # the file here is not what it was; the host is not to blame
                raise InputChanged(f"{file.path} vanished or changed while the run went on: {error.cause}") from error
            raise
        finally:
            uploads.pop(file.digest, None)
        if stored:
            self._shipped(file.kind, file.digest, size)
        self._here.add(file.digest)
