"""Numbers as people read them: those of batchwasm.units, where commands look for them."""

from batchwasm.units import count_text as count_text
from batchwasm.units import duration_text as duration_text
from batchwasm.units import size_text as size_text
from batchwasm.units import taken_text as taken_text
from batchwasm.units import tasks_text as tasks_text
