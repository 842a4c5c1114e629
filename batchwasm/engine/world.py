"""Whether a run can go on with the hosts that it has: told while it waits, ended where waiting can't mend it."""

from __future__ import annotations

import time
from collections.abc import Mapping

from batchwasm.core import placement
from batchwasm.core.events import RunStopped
from batchwasm.core.impossible import impossible
from batchwasm.core.state import State
from batchwasm.engine.blocked import Blocked, blocked
from batchwasm.engine.plan import Plan, Watcher

LOOK_S = 1.0  # between two looks while the run goes on: they go through every host
SHOWN = 3  # hosts named of many that are alike


class World:
    """What a loop knows of the hosts' being there or not, over time."""

    def __init__(self, plan: Plan, watcher: Watcher) -> None:
        self._plan, self._watcher = plan, watcher
        self._looked_at = float("-inf")
        self._stuck_since: float | None = None
        self._told: Blocked | None = None
        self._waiting: set[int] = set()
        """Jobs of which it was told that they wait for a host that is still connecting."""

    def is_due(self, state: State) -> bool:
        """False while the run goes on and the last look was just now."""
        now = time.monotonic()
        if _runs(state) and now - self._looked_at < LOOK_S:
            return False
        self._looked_at = now
        return True

    def impossible(self, state: State) -> Mapping[int, str]:
        """Jobs that never could run here, which is the user's mistake; not those whose host was taken out meanwhile."""
        shrunk = any(host.removed for host in state.hosts.values())
        return {} if shrunk and not self._plan.open else impossible(state)

    def stop(self, state: State, *, building: bool) -> RunStopped | None:
        """Why the run ends here; None while it goes on, or may. `building`: some module is not there yet."""
        self._tell_of_connecting(state)
        why = (
            None if building or state.paused is not None or _runs(state) else blocked(state, self._plan.inventory.path)
        )
        if why is None or why.held:
            self._stuck_since = None
            if why is not None and self._told is None:
                self._watcher.note(why.text)
            self._told = why
            return None
        now = time.monotonic()
        if self._stuck_since is None:
            self._stuck_since = now
            if not why.hopeless and self._plan.wait_hosts_s > 0:
                self._watcher.note(
                    f"{why.text}\nwaiting up to {self._plan.wait_hosts_s:,.0f} s for one; --wait-hosts sets that"
                )
        if why.hopeless or now - self._stuck_since >= self._plan.wait_hosts_s:
            return RunStopped(code="no_hosts", text=why.text, guests_stopped=False)
        return None

    def _tell_of_connecting(self, state: State) -> None:
        """Once of each job that no host takes which is there, while others have not answered yet."""
        unheard = [host for host in state.hosts.values() if not host.answered and not host.removed]
        there = [host for host in state.hosts.values() if host.connected]
        if not unheard or not there:
            return
        for _, n in state.queue:
            job = state.jobs[n]
            if n in self._waiting or any(placement.may_take(host, job) for host in there):
                continue
            names = [host.name for host in unheard if placement.may_take(host, job)]
            if names:
                self._waiting.add(n)
                more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
                self._watcher.note(
                    f"{job.plan.name} waits: no host that is there can take it, but {', '.join(names[:SHOWN])}{more} "
                    "may, and is still connecting"
                )


def _runs(state: State) -> bool:
    """Whether a host that is there has anything of it: what others have may be gone."""
    return any(state.hosts[batch.host].connected for batch in state.batches.values())
