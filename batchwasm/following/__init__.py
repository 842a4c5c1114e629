"""A run that goes on, followed by another process: what is new since the last look, and when it is over."""

from batchwasm.following.ends import results as results
from batchwasm.following.output import TaskOutput as TaskOutput
from batchwasm.following.run import LOOK_S as LOOK_S
from batchwasm.following.run import PATIENCE_S as PATIENCE_S
from batchwasm.following.run import Following as Following
from batchwasm.following.run import wait as wait
