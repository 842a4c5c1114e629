"""JSON Schema of jobs.toml and inventory.toml, for editors: what parses, what each key means. It opens no file.

Draft 7, which is what the TOML plug-ins of editors read.
"""

from __future__ import annotations

from typing import Any, Literal

from batchwasm.model import TRANSPORTS
from batchwasm.spec.courtesy import HOURS_PATTERN, WHEN_BUSY
from batchwasm.spec.policy import LABEL, MOST_GROWTH, RETRIED
from batchwasm.spec.quantities import DURATION_PATTERN, LARGEST, LARGEST_AMOUNT, PERCENT_PATTERN, SIZE_PATTERN
from batchwasm.spec.settings import RESERVED_ENV, VARIABLE
from batchwasm.spec.sources import OPTIMIZE

Schema = dict[str, Any]
_DRAFT = "http://json-schema.org/draft-07/schema#"
_NAME = "^[A-Za-z0-9_-]{1,200}$"
_VARIABLE = f"^(?!{RESERVED_ENV}){VARIABLE.pattern}$"
_PARAMETER = "^(?!(job|index)$)[A-Za-z_][A-Za-z0-9_]*$"


def schema(which: Literal["jobs", "inventory"]) -> Schema:
    """The schema of one of the two files."""
    return _jobs() if which == "jobs" else _inventory()


def _table(description: str, properties: Schema, **more: object) -> Schema:
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "additionalProperties": False,
        **more,
    }


def _map(description: str, names: str, values: Schema) -> Schema:
    return {
        "type": "object",
        "description": description,
        "propertyNames": {"pattern": names},
        "additionalProperties": values,
    }


def _list(description: str, items: Schema, **more: object) -> Schema:
    return {"type": "array", "description": description, "items": items, **more}


_TEXT: Schema = {"type": "string", "minLength": 1}
_SCALAR: Schema = {"type": ["string", "number", "boolean"]}
_NUMBER: Schema = {"type": "number"}


def _whole(description: str, low: int, **more: object) -> Schema:
    return {"type": "integer", "description": description, "minimum": low, "maximum": LARGEST, **more}


def _amount(description: str, **more: object) -> Schema:
    """Whole thousandths, which binary floating point can't tell: the reader does."""
    limits = {"exclusiveMinimum": 0, "maximum": LARGEST_AMOUNT}
    return {"type": "number", "description": description, **limits, **more}


def _size(description: str, **more: object) -> Schema:
    return {
        "description": f"{description} Bytes, or a number with B, KB, MB, GB, KiB, MiB, GiB.",
        "anyOf": [{"type": "integer", "minimum": 0, "maximum": LARGEST}, {"type": "string", "pattern": SIZE_PATTERN}],
        **more,
    }


def _duration(description: str, low: str = "exclusiveMinimum") -> Schema:
    return {
        "description": f"{description} Seconds, or such as 90s, 15m, 1h30m, 2d.",
        "anyOf": [{"type": "number", low: 0}, {"type": "string", "pattern": DURATION_PATTERN}],
    }


def _numbers(description: str, least: int, most: int) -> Schema:
    return _list(description, _NUMBER, minItems=least, maxItems=most)


def _form(name: str, value: Schema) -> Schema:
    return _table(value["description"], {name: value}, required=[name])


def _described(value: Schema, description: str, **more: object) -> Schema:
    return {**value, "description": description, **more}


_ROWS = _described(_TEXT, "A .csv or .jsonl file: every column is a name, rows go together.", pattern="\\.(csv|jsonl)$")
_VALUES: Schema = {
    "description": "The values of one name.",
    "anyOf": [
        _list("These values.", _SCALAR, minItems=1),
        _form("range", _numbers("[start, stop] or [start, stop, step]; stop is excluded.", 2, 3)),
        _form("linspace", _numbers("[first, last, how many], evenly spaced, both ends included.", 3, 3)),
        _form("logspace", _numbers("[a, b, how many], evenly spaced powers of ten from 10^a to 10^b.", 3, 3)),
        _form("glob", _described(_TEXT, "The files that match, sorted, relative to jobs.toml.")),
        _form("lines", _described(_TEXT, "The lines of a text file, empty ones left out.")),
        _form("rows", _ROWS),
    ],
}
_COMBINATION = _map("A value for each name.", _PARAMETER, _SCALAR) | {"minProperties": 1}
_FILES = "^([^@]|@[^/]+/.)"
_HOW_MUCH: Schema = {"type": "number", "minimum": 0, "maximum": LARGEST_AMOUNT}
_HOSTLIST: Schema = {"anyOf": [_TEXT, _list("Hostlists.", _TEXT)]}


def _job_keys() -> Schema:
    return {
        "source": {
            "description": "What is compiled: .rs .cpp .cc .c .go .zig .wat .wasm, several files (C, C++), "
            "or a folder with Cargo.toml or go.mod.",
            "anyOf": [_TEXT, _list("Files.", _TEXT, minItems=1)],
        },
        "build": _build(),
        "function": _described(_TEXT, "Call this function of the source; args are its arguments."),
        "reuse": {
            "description": "Keep a function's instance over a batch of calls.",
            "type": "boolean",
            "default": False,
        },
        "args": _list(
            "argv[1..], or the function's arguments; {name} stands for a value of the sweep, {job} and {index} too, "
            "@JOB for what another job's function gives.",
            {"anyOf": [_SCALAR, {"type": ["array", "object"]}]},
        ),
        "env": _map("Variables of the guest's environment.", f"^(?!{RESERVED_ENV})[^=]+$", _SCALAR),
        "stdin": _described(_TEXT, "A file that the task reads on stdin, relative to jobs.toml."),
        "inputs": _list(
            "Files given to the task, read-only: globs relative to jobs.toml, paths kept; or from and to; "
            "@JOB/GLOB are another job's outputs, at JOB/INDEX/PATH.",
            {"anyOf": [_described(_TEXT, "A glob, or @JOB/GLOB.", pattern=_FILES), _from_to()]},
        ),
        "mounts": _list("Folders that hosts offer, read-only at /mnt/NAME.", {"type": "string", "pattern": _NAME}),
        "outputs": _list(
            "Globs in the task's folder, brought back whatever the outcome; one that ends in ? may match nothing.",
            _described(_TEXT, "A glob.", pattern=r"^(?!/)(?!(.*/)?\.\.(/|$))"),
        ),
        **_need_keys(),
        "any": _list(
            "Alternatives to what is reserved, of which the first that fits is taken.",
            _table("What it reserves otherwise than the job says.", _need_keys()),
            minItems=1,
        ),
        "time_limit": _duration("Cap of a task's time, from the guest's start."),
        "stdout_limit": _size("Cap of stdout and of stderr, each.", default="64MiB"),
        "disk": _size("Cap of what the task writes into its folder.", default="1GiB"),
        "files": _whole("Cap of files and folders that the task makes.", 0, default=10_000),
        "sweep": _sweep(),
        "zip": _list(
            "Groups of names that advance together.",
            _list("Names of this job's sweep.", {"type": "string", "pattern": _PARAMETER}),
        ),
        "include": _list("Combinations to add: every name with a value.", _COMBINATION),
        "omit": _list("Combinations to drop: those that have all these values.", _COMBINATION),
        "hosts": _described(_HOSTLIST, "Hosts it may use, such as lab[01-12,15]."),
        "exclude": _described(_HOSTLIST, "Hosts it may not use."),
        **_policy_keys(),
        **_again_keys(),
    }


def _need_keys() -> Schema:
    return {
        "cpus": _amount("Cpus reserved on the host, whole ones or a share such as 0.25.", default=1),
        "memory": _size("Reserved on the host, and the guest's cap.", default="512MiB"),
        "gpus": {
            "description": "Gpus reserved on the host: whole ones, or a share of one such as 0.5.",
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": LARGEST_AMOUNT},
                {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
            ],
            "default": 0,
        },
        "resources": _map("Amounts of what hosts offer under these names.", _NAME, _HOW_MUCH),
    }


def _policy_keys() -> Schema:
    job: Schema = {"type": "string", "pattern": _NAME}
    each = {"description": "Task i waits for task i alone.", "type": "boolean", "default": False}
    names = _described(job, "A job, all of it.")
    after = {"anyOf": [names, _table("A job.", {"job": names, "each": each}, required=["job"])]}
    word = {"anyOf": [{"enum": list(RETRIED)}, {"type": "string", "pattern": "^exit:[0-9]{1,9}$"}]}
    at_once = {"type": "integer", "minimum": 1, "maximum": LARGEST}
    return {
        "labels": _list(
            "What a host must have, or, with ! in front, must not have.",
            {"type": "string", "pattern": f"^!?{LABEL.pattern}$"},
        ),
        "priority": _whole("Higher goes first; 0 is normal.", -LARGEST, default=0),
        "after": {
            "description": "Jobs that must have succeeded first.",
            "anyOf": [_list("Jobs.", after), *after["anyOf"]],
        },
        "max_parallel": {
            "description": "Tasks at once; a table limits them on hosts of each label, and as * all of them.",
            "anyOf": [at_once, _map("Tasks at once.", rf"^(\*|{LABEL.pattern})$", at_once)],
        },
        "retries": _whole("Attempts after the first failed one; lost ones do not count.", 0, default=0),
        "retry_on": _list("Outcomes after which an attempt is tried again, or such as exit:75.", word),
        "memory_growth": {
            "description": "Factor of the memory after each out_of_memory.",
            "type": "number",
            "minimum": 1,
            "maximum": MOST_GROWTH,
            "default": 1,
        },
        "isolate": {"description": "Each attempt in a process of its own.", "type": "boolean", "default": False},
        "verify": _whole("On how many different hosts each task runs, to compare what they give.", 1, default=1),
        "cache": {
            "description": "A task whose success is known from an earlier run is not run again.",
            "type": "boolean",
            "default": False,
        },
    }


def _again_keys() -> Schema:
    """Of tasks that are to give the same again, and of what is not to be told."""
    return {
        "deterministic": {
            "description": "Fixed clocks and random numbers that follow from the task's seed, the same NaN everywhere.",
            "type": "boolean",
            "default": False,
        },
        "secret": _list(
            "Variables taken from this machine's environment into the guest's, their values redacted in what it "
            "prints.",
            {"type": "string", "pattern": _VARIABLE},
        ),
    }


def _build() -> Schema:
    levels: list[object] = [*OPTIMIZE, *(int(level) for level in OPTIMIZE if level.isdigit())]
    return _table(
        "How the source is compiled.",
        {
            "flags": _list("More arguments of the compiler.", _TEXT),
            "defines": _map("Macros; true defines without a value.", "^[A-Za-z_][A-Za-z0-9_]*$", _defined()),
            "include": _list("Folders where headers are looked for.", _TEXT),
            "optimize": {"description": "Level of optimisation.", "enum": levels, "default": "3"},
        },
    )


def _defined() -> Schema:
    return {"anyOf": [{"type": ["string", "number"]}, {"const": True}]}


def _from_to() -> Schema:
    source = _described(_TEXT, "A glob, relative to jobs.toml or absolute, or @JOB/GLOB.", pattern=_FILES)
    target = _described(_TEXT, "Its path in the task's folder; a folder where it ends in /.")
    return _table("A file and where it goes.", {"from": source, "to": target}, required=["from"])


def _sweep() -> Schema:
    return {
        "description": "Names and values; a task for every combination, the last name varies fastest.",
        "type": "object",
        "properties": {"rows": {"anyOf": [_ROWS, _VALUES]}},
        "propertyNames": {"pattern": _PARAMETER},
        "additionalProperties": _VALUES,
    }


def _jobs() -> Schema:
    keys = _job_keys()
    job = _table("One program and its tasks.", keys)
    return {
        "$schema": _DRAFT,
        "title": "batchwasm jobs.toml",
        **_table(
            "What to run.",
            {
                "name": {"description": "Of the run; default: the file's stem.", "type": "string", "pattern": _NAME},
                "max_failures": {
                    "description": "Stop starting tasks after that many failed ones, or a share such as 5%.",
                    "anyOf": [
                        {"type": "integer", "minimum": 1, "maximum": LARGEST},
                        {"type": "string", "pattern": PERCENT_PATTERN},
                    ],
                },
                "defaults": _table("Keys that every job has unless it says otherwise.", keys),
                "jobs": _map("The jobs by name.", _NAME, job) | {"minProperties": 1},
            },
            required=["jobs"],
        ),
    }


def _host_keys() -> Schema:
    path = _described(_TEXT, "A path on the host.", pattern="^(/|~/)")
    word = _described(_TEXT, "", pattern=r"^[^-\s]\S*$")
    return {
        "address": _described(word, "Name or address for ssh; {name} is the host's; default: the name itself."),
        "port": _whole("Of its sshd.", 1, maximum=65_535),
        "user": _described(word, "Who logs in; default: as ~/.ssh/config has it."),
        "cpus": _whole("Slots to use; default: what is found there.", 1, maximum=65_536),
        "memory": _size("Memory to use; default: what is found there."),
        "transport": {"description": "How it is reached.", "enum": list(TRANSPORTS), "default": "ssh"},
        "workdir": _described(path, "Folder for the cache; default: ~/.cache/batchwasm."),
        "python": _described(path, "Its Python, 3.9 or later; default: the first found."),
        "mounts": _map("Folders it offers, by name.", _NAME, path),
        "gpus": _whole("Gpus to use; default: what is found there.", 0, maximum=65_536),
        "labels": _list("What jobs can ask for.", {"type": "string", "pattern": f"^{LABEL.pattern}$"}),
        "resources": _map("What it has of other things, by name.", _NAME, _HOW_MUCH),
        **_courtesy_keys(),
    }


def _courtesy_keys() -> Schema:
    hours = {"type": "string", "pattern": HOURS_PATTERN}
    return {
        "max_load": {
            "description": "Start nothing while others use more than this share of its cpus, such as 0.8.",
            "type": "number",
            "exclusiveMinimum": 0,
            "maximum": LARGEST_AMOUNT,
        },
        "min_free_memory": _size("Start nothing while less than this is free."),
        "hours": {
            "description": "When it may be used, on its own clock, such as 20:00-08:00; default: always.",
            "anyOf": [hours, _list("Several windows.", hours)],
        },
        "min_idle": _duration("Start nothing before nobody was at its keyboard for that long.", "minimum"),
        "when_busy": {
            "description": "What becomes of tasks that run there then: they end, are suspended, or go elsewhere.",
            "enum": list(WHEN_BUSY),
            "default": "wait",
        },
    }


def _inventory() -> Schema:
    host = _table("One machine, or a range such as lab[02-40].", _host_keys())
    return {
        "$schema": _DRAFT,
        "title": "batchwasm inventory.toml",
        **_table(
            "The machines.",
            {
                "defaults": _table("Keys that every host has unless it says otherwise.", _host_keys()),
                "hosts": _map("The hosts by name.", r"^[A-Za-z0-9_\[][A-Za-z0-9._,\[\] -]*$", host)
                | {"minProperties": 1},
            },
            required=["hosts"],
        ),
    }
