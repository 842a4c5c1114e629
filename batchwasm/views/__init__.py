"""A run as it is looked at: what a dashboard shows of it, out of its journal. No terminal, no colours.

A `View` follows the journal (batchwasm.following), and makes frozen rows of what it finds when it is asked. Texts in
them are as guests and hosts wrote them: who shows them makes them harmless (batchwasm.escape).
"""

from batchwasm.views.model import (
    Attempted,
    Cell,
    FailureGroup,
    HostLine,
    HostView,
    JobLine,
    JobView,
    Load,
    Moment,
    Overview,
    Pace,
    Said,
    TaskLine,
    TaskView,
)
from batchwasm.views.view import View

__all__ = [
    "Attempted",
    "Cell",
    "FailureGroup",
    "HostLine",
    "HostView",
    "JobLine",
    "JobView",
    "Load",
    "Moment",
    "Overview",
    "Pace",
    "Said",
    "TaskLine",
    "TaskView",
    "View",
]
