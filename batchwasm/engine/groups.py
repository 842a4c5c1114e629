"""One exception out of the group that a TaskGroup raises."""

from __future__ import annotations

from batchwasm.errors import BatchwasmError


def the_one(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The exception to tell: a bug before ours, since nobody must overlook it; else the first of ours."""
    ours, bugs = errors.split(BatchwasmError)
    group: BaseExceptionGroup[BaseException] | None = bugs or ours
    assert group is not None
    first = group.exceptions[0]
    return the_one(first) if isinstance(first, BaseExceptionGroup) else first
