"""How many gpus this machine has, as its driver's own tool tells: nvidia-smi, else rocm-smi.

Asked once, when a supervisor starts: a tool may take seconds to wake a driver up.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence

_TIMEOUT_S = 10.0  # nvidia-smi takes 1 to 3 s where the driver is not loaded; one that takes longer hangs
_TOOLS = (
    # Indented lines are slices of the gpu above them.
    (["nvidia-smi", "-L"], re.compile(r"^GPU (\d+):", re.MULTILINE)),
    (["rocm-smi", "--showid"], re.compile(r"^GPU\[(\d+)\]", re.MULTILINE)),
)
_MORE_FOLDERS = "/opt/rocm/bin"  # where a login over ssh does not look


def count() -> int:
    """Gpus of the first tool that has any; their indexes are 0 up to that, as the tool counts."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), _MORE_FOLDERS))
    for command, line in _TOOLS:
        tool = shutil.which(command[0], path=path)
        found = len(set(line.findall(_output([tool, *command[1:]])))) if tool is not None else 0
        if found:
            return found
    return 0


def variables(indexes: Sequence[int]) -> dict[str, str]:
    """What a task is told about its gpus, by our name and by those that the vendors' libraries read."""
    if not indexes:
        return {}
    text = ",".join(map(str, indexes))
    return {"BATCHWASM_GPUS": text, "CUDA_VISIBLE_DEVICES": text, "ROCR_VISIBLE_DEVICES": text}


def _output(command: list[str]) -> str:
    """'' where it fails: a tool without its driver says so by its exit code."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace") if done.returncode == 0 else ""
