"""Functions called on a pool, from Python: an Executor of concurrent.futures.

    with batchwasm.Fleet("lab.toml") as fleet:          # Fleet() is this machine alone
        mean = fleet.function("stats.cpp", "mean")
        mean([1.0, 2.0])                                # -> 1.5
        list(fleet.map(mean, rows))                     # in order, lazy, a bounded number on the way
        fleet.submit(mean, rows[0]).result()            # a concurrent.futures.Future

A fleet is one open run: a thread of ours has its scheduler, the caller's threads encode arguments and decode values.
"""

from batchwasm.fleet.executor import Fleet
from batchwasm.fleet.function import Function
from batchwasm.fleet.twin import AsyncFleet

__all__ = ["AsyncFleet", "Fleet", "Function"]
