"""Whether what a login leaves behind is ended with it, as systemd-logind's configuration says, and how to escape that.

With KillUserProcesses=yes logind stops a login's scope with all that is in it. What runs in a scope of the user's own
service manager is in none of a login's; and that manager goes some seconds after the last logout, unless the user
lingers. So both are needed, and only the second is something that a person must ask for (logind.conf(5), loginctl(1)).
"""

from __future__ import annotations

import functools
import os
import pwd
import re
import subprocess

FOLDERS = ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")
"""A file in an earlier one hides those of the same name in later ones."""
LINGER = "/var/lib/systemd/linger"
_SCOPE = ("systemd-run", "--user", "--scope", "--quiet")
_SCOPE_S = 10.0  # it takes milliseconds; a service manager that hangs must not keep us from work
_YES = ("1", "yes", "y", "true", "t", "on")
_NO = ("0", "no", "n", "false", "f", "off")


def outlive() -> list[str]:
    """Words before a command that shall outlive this login; none where it does anyway, or nothing would help."""
    user = _user()
    return list(_SCOPE) if kills(user) and lingers(user) and _has_scopes() else []


def warning(*, outlives: bool) -> str:
    """'' where a lost connection costs nothing; `outlives` where what was started found its way out of the login."""
    user = _user()
    if not kills(user) or (outlives and lingers(user)):
        return ""
    ends = "systemd-logind ends here what a login leaves behind (KillUserProcesses): a lost connection loses its tasks"
    if lingers(user):
        return f"{ends}; {' '.join(_SCOPE)} fails here, so ask who runs it to add {user} to KillExcludeUsers"
    return f"{ends}; 'loginctl enable-linger {user}' there prevents that, or ask who runs it"


def has_left_its_login() -> bool:
    """This process is in no login's scope."""
    return re.search(r"/session-[^/\n]*\.scope", _text("/proc/self/cgroup")) is None


def lingers(user: str) -> bool:
    return os.path.exists(f"{LINGER}/{user}")


def kills_here() -> bool:
    """The same of the user that this is."""
    return kills(_user())


def kills(user: str) -> bool:
    """True where the processes of this user's logins are ended with them."""
    kill = False
    only: list[str] = []
    exclude = ["root"]
    for name, value in _settings():
        words = value.split()
        if name == "KillUserProcesses" and value.lower() in _YES + _NO:
            kill = value.lower() in _YES
        elif name == "KillOnlyUsers":
            only = only + words if words else []
        elif name == "KillExcludeUsers":
            exclude = exclude + words if words else []
    return kill and user not in exclude and (not only or user in only)


def _settings() -> list[tuple[str, str]]:
    """Names and values of the section Login, in the order in which they count."""
    found = []
    for path in _files():
        section = ""
        for line in re.sub(r"\\\n", " ", _text(path)).splitlines():
            line = line.strip()
            if line.startswith("["):
                section = line
            elif section == "[Login]" and not line.startswith(("#", ";")):
                name, _, value = line.partition("=")
                found.append((name.strip(), value.strip()))
    return found


def _files() -> list[str]:
    """The first main file, then drop-ins by their names, whichever folder they are in."""
    mains = [path for folder in FOLDERS if os.path.exists(path := f"{folder}/systemd/logind.conf")]
    drop_ins: dict[str, str] = {}
    for folder in FOLDERS:
        for name in _names(f"{folder}/systemd/logind.conf.d"):
            if name.endswith(".conf"):
                drop_ins.setdefault(name, f"{folder}/systemd/logind.conf.d/{name}")
    return mains[:1] + [path for _, path in sorted(drop_ins.items())]


@functools.lru_cache(maxsize=1)
def _has_scopes() -> bool:
    try:
        done = subprocess.run(
            [*_SCOPE, "true"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_SCOPE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())  # as in many containers


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _text(path: str) -> str:
    """'' where it can't be read."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""
