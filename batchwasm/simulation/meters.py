"""What was in use over the time: sums, and a line of the busy cpus that stays short however long a run takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from batchwasm.core.room import Amount, Offer

POINTS = 240  # of a line at most; a terminal shows 60 to 200


class Line:
    """A quantity over the time, as means over equal steps. When it gets too long, each two steps become one."""

    def __init__(self, step_s: float = 1e-3) -> None:
        self.step_s = step_s
        self._sums: list[float] = []
        """Quantity times seconds, of each step."""

    def add(self, start: float, stop: float, value: float) -> None:
        """It was `value` from start to stop, which is not before any stop so far."""
        if stop <= start:
            return
        while stop >= self.step_s * POINTS:
            self._halve()
        first, last = int(start / self.step_s), int(stop / self.step_s)
        self._sums.extend([0.0] * (last + 1 - len(self._sums)))
        if first == last:
            self._sums[first] += value * (stop - start)
            return
        self._sums[first] += value * ((first + 1) * self.step_s - start)
        for n in range(first + 1, last):
            self._sums[n] += value * self.step_s
        self._sums[last] += value * (stop - last * self.step_s)

    def _halve(self) -> None:
        if len(self._sums) % 2:
            self._sums.append(0.0)
        self._sums = [a + b for a, b in zip(self._sums[::2], self._sums[1::2], strict=True)]
        self.step_s *= 2

    def means(self, end: float) -> list[float]:
        """Of each step; the last one ends at `end`."""
        found = [each / self.step_s for each in self._sums]
        rest = end - (len(found) - 1) * self.step_s
        if found and 0 < rest < self.step_s:
            found[-1] *= self.step_s / rest
        elif found and rest <= 0:
            found.pop()
        return found


class Meters:
    """Of the whole pool."""

    def __init__(self, offers: Sequence[Offer]) -> None:
        self.capacity: dict[str, float] = {"cpus": 0.0, "memory": 0.0, "gpus": 0.0}
        """In thousandths, bytes, thousandths, and thousandths by the names of custom resources."""
        for offer in offers:
            for name, count in offer.counts.items():
                self.capacity[name] = self.capacity.get(name, 0.0) + count
        self.used: dict[str, float] = dict.fromkeys(self.capacity, 0.0)
        """The same times seconds, until `at`."""
        self.line = Line()
        self.at = 0.0
        self._now: dict[str, float] = dict.fromkeys(self.capacity, 0.0)

    def changed(self, now: float, amount: Amount, sign: int) -> None:
        """From now on that much more (1) or less (-1) is in use."""
        self.advance(now)
        in_use = self._now
        in_use["cpus"] += sign * amount.cpus
        in_use["memory"] += sign * amount.memory_bytes
        if not amount.is_plain:
            in_use["gpus"] += sign * amount.gpus
            for name, count in amount.resources:
                in_use[name] += sign * count

    def advance(self, now: float) -> None:
        lasted = now - self.at
        if lasted > 0:
            self.line.add(self.at, now, self._now["cpus"] / 1000)
            for name, count in self._now.items():
                if count:
                    self.used[name] += count * lasted
            self.at = now

    def shares(self) -> Mapping[str, float]:
        """Of each that there is any of: the mean share in use."""
        return {
            name: self.used[name] / (has * self.at) if self.at else 0.0 for name, has in self.capacity.items() if has
        }
