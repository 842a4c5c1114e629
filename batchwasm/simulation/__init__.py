"""How long a run would take on a pool, and what limits it: the scheduler itself, over hosts and tasks that are made up.

    durations.py  how long tasks last: distributions, as users write them, and the times of a run that was
    pool.py       hosts in virtual time: their queues, and what they report when
    virtual.py    the run: events of the pool -> the scheduler -> batches for the pool
    meters.py     what was in use over the time
    limits.py     what the run can't be faster than

Nothing is compiled, connected or written, and only tasks take time: what is sent, started and collected takes none.
"""

from batchwasm.simulation.durations import DEFAULT, Distribution, Durations, FromRun, Walls, parse
from batchwasm.simulation.limits import Bound
from batchwasm.simulation.virtual import SimulatedHost, SimulatedJob, Simulation, simulate

__all__ = [
    "DEFAULT",
    "Bound",
    "Distribution",
    "Durations",
    "FromRun",
    "SimulatedHost",
    "SimulatedJob",
    "Simulation",
    "Walls",
    "parse",
    "simulate",
]
