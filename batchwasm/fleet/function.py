"""A function of a fleet, as Python sees it: name, signature, help, and a call that waits for the value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Protocol

from batchwasm.engine.arguments import Given, given
from batchwasm.functions import Signature
from batchwasm.functions.as_python import docstring, python_signature
from batchwasm.functions.values import BadArgument, decoder, encoder
from batchwasm.model import Artifact


class Caller(Protocol):
    """A Fleet, seen from here."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]: ...

    def map(self, fn: Any, *iterables: Iterable[Any]) -> Iterator[Any]: ...


class Function:
    """Call it, or give it to `Fleet.submit` and `Fleet.map`. Made by `Fleet.function`."""

    def __init__(
        self, fleet: Caller, job: int, signature: Signature, artifact: Artifact, arguments: Path, *, numpy: bool
    ) -> None:
        """`arguments` is the folder for large ones."""
        self._fleet, self._arguments = fleet, arguments
        self.job = job
        """Its number in the fleet's run."""
        self.signature = signature
        self.artifact = artifact
        """The module that is called; `artifact.path` is its wasm."""
        self._encode = encoder(signature.params)
        self.decode: Callable[[bytes], Any] = decoder(signature.result, numpy=numpy)
        self._names = [param.name for param in signature.params]
        self.__name__ = signature.name
        self.__qualname__ = signature.name
        self.__doc__ = docstring(signature)
        self.__signature__ = python_signature(signature)

    def encode(self, args: Sequence[Any]) -> Given:
        """The arguments of a call as they travel. Raises BadArgument, WorldError."""
        return given(self._arguments, self._encode(args))

    def __call__(self, *args: object, **named: object) -> Any:
        """The value. Raises BadArgument, TaskFailed."""
        return self._fleet.submit(self, *args, **named).result()

    def submit(self, *args: object, **named: object) -> Future[Any]:
        return self._fleet.submit(self, *args, **named)

    def map(self, *iterables: Any, **options: Any) -> Iterator[Any]:
        return self._fleet.map(self, *iterables, **options)

    def bind(self, args: tuple[object, ...], named: dict[str, object]) -> tuple[object, ...]:
        """All arguments in order. Raises BadArgument for names that the function has not, or has twice."""
        if not named:
            return args
        rest = self._names[len(args) :]
        for name in named:
            if name not in rest:
                why = "is given twice" if name in self._names else "is no parameter"
                raise BadArgument(f"{name} {why}; {self.signature}")
        missing = [name for name in rest if name not in named]
        if missing:
            raise BadArgument(f"{', '.join(missing)} missing; {self.signature}")
        return (*args, *(named[name] for name in rest))

    def __repr__(self) -> str:
        return f"<{self.signature} in {self.signature.language}, on {self._fleet!r}>"

    def __reduce__(self) -> Any:
        raise TypeError(
            f"{self.signature.name} belongs to a Fleet of this process; make another one where it is needed"
        )
