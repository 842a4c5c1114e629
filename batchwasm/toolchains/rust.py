"""Rust: one file through rustc, or a Cargo project with its dependencies. Pure but for reading what cargo wrote.

A function's crate is compiled from copies of its files, which its glue has; rust_function.py tells what differs then.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from batchwasm.model import Source
from batchwasm.toolchains.base import Inputs, Request, Step, Tool, Unclear, refuse_keys
from batchwasm.toolchains.depfile import prerequisites
from batchwasm.toolchains.rust_function import Crate, without_copies

CODE = ("-C", "target-feature=+simd128")
CRATE_TYPES = (1, 64)
"""The first cargo whose `rustc` command knows --crate-type."""
MANIFESTS = ("Cargo.toml", "Cargo.lock", "build.rs", ".cargo/config.toml", ".cargo/config", "rust-toolchain.toml")
"""Beside or above a crate's files: each changes the build when it changes, comes or goes."""
SPARSE = ((1, 60), (1, 68))
"""Cargos in between can read the registry's sparse index, but call it unstable; without it they load all of its git."""


def refuse(source: Source) -> list[str]:
    problems = refuse_keys(source, "include", "write `mod name;` with #[path], or make a Cargo project of it")
    if len(source.paths) != 1:
        problems.append("a Rust source is one .rs file (its `mod` files are found) or one folder with Cargo.toml")
    elif source.paths[0].is_dir() and not (source.paths[0] / "Cargo.toml").is_file():
        problems.append(f"{source.paths[0]} has no Cargo.toml")
    return problems


def recipe(request: Request) -> list[Step]:
    return _cargo(request) if request.source.paths[0].is_dir() else [_rustc(request)]


def inputs(request: Request) -> Inputs:
    if not request.source.paths[0].is_dir():
        return Inputs(files=frozenset({request.source.paths[0], *_read_by_rustc(request, _depfile(request))}))
    files = _read_by_rustc(request, _program(request).with_suffix(".d"))
    files = {path for path in files if not path.is_relative_to(_kept(request))}
    files |= set(_manifests(request.folder, files))
    return Inputs(files=frozenset(files), written=frozenset(path for path in files if path.name == "Cargo.lock"))


def _read_by_rustc(request: Request, depfile: Path) -> set[Path]:
    """The user's files, where copies of them were compiled."""
    files = {request.folder / name for name in prerequisites(depfile.read_text(errors="surrogateescape"))}
    return without_copies(request, files) if request.glue else files


def _manifests(project: Path, files: set[Path]) -> Iterator[Path]:
    """What steers the build of these files: looked for in all their folders up to the outermost crate's parent."""
    folders = {folder for path in files for folder in path.parents} | {project, *project.parents}
    tops = [folder for folder in folders if (folder / "Cargo.toml").is_file()]
    for folder in {*tops, *(top.parent for top in tops)}:
        yield from (folder / name for name in MANIFESTS)


def _rustc(request: Request) -> Step:
    build, name = request.source.build, request.source.paths[0].name
    crate = Crate.of(request)
    argv = (
        *(*request.tool.argv, "--edition", "2021", "--crate-type", "cdylib" if crate else "bin"),
        *("--crate-name", _crate(name), "--target", request.tool.target),
        *("-C", f"opt-level={build.optimize}", "-C", "strip=symbols", *_code(request), "-C", "codegen-units=1"),
        *(f"--remap-path-prefix={request.folder}=.", f"--emit=dep-info={_depfile(request)},link"),
        *("-o", str(request.wasm), *build.flags),
        *([*crate.flags, str(crate.copy)] if crate else [f"./{name}" if name.startswith("-") else name]),
    )
    return Step(argv=argv, env={"RUST_BACKTRACE": None, **dict(build.defines)})


def _code(request: Request) -> list[str]:
    linker = request.tool.linker
    linked = ("-C", f"linker={linker}", "-C", "linker-flavor=wasm-ld") if linker else ()
    return [*CODE, *linked, *_cfgs(request)]


def _cfgs(request: Request) -> list[str]:
    """Defines as rustc takes them: `#[cfg(N)]`, `#[cfg(N = "100")]`; `env!("N")` has the value, too."""
    cfgs = [f"{name}={json.dumps(value)}" if value else name for name, value in request.source.build.defines]
    return [part for cfg in cfgs for part in ("--cfg", cfg)]


def _crate(file: str) -> str:
    """A name rustc accepts, whatever the file is called."""
    plain = "".join(x if x.isascii() and x.isalnum() else "_" for x in Path(file).stem)
    return plain if plain[:1].isalpha() else f"main_{plain}"


def _depfile(request: Request) -> Path:
    return request.scratch / "rust.d"


def _cargo(request: Request) -> list[Step]:
    """The build; before it the dependencies into a folder of ours where cargo is too old to load them quickly."""
    cargo, env, kept = _partner(request), _cargo_env(request), _kept(request)
    remaps = [f"--remap-path-prefix={kept / 'vendor'}=vendor", f"--remap-path-prefix={request.folder}=."]
    config = _config(f"target.{request.tool.target}.rustflags", [*_code(request), *remaps])
    steps = []
    if SPARSE[0] <= _version(cargo) < SPARSE[1]:
        sparse = {**env, "RUSTC_BOOTSTRAP": "1", "CARGO_UNSTABLE_SPARSE_REGISTRY": "true"}
        argv = (*cargo.argv, "vendor", "--versioned-dirs", str(kept / "vendor"))
        steps.append(Step(argv=argv, env=sparse, stdout=request.scratch / "vendor.toml", lock=kept / "lock"))
        config += _config("source.crates-io.replace-with", "batchwasm-vendored")
        config += _config("source.batchwasm-vendored.directory", str(kept / "vendor"))
    crate, flags = Crate.of(request), request.source.build.flags
    argv = (
        *(*cargo.argv, "rustc" if crate else "build", "--release", "--target", request.tool.target),
        *("--target-dir", str(kept / "target"), "--message-format=json-render-diagnostics", *config),
        *([*crate.target(flags), *flags, "--", *crate.flags, *crate.swap(request.wasm)] if crate else flags),
    )
    if crate:
        if _version(cargo) < CRATE_TYPES:
            raise Unclear(f"{cargo.title} is too old to make a function's module of a project; take 1.64 or newer")
        env |= {"RUSTC_WRAPPER": str(crate.wrapper)}
    # Two of one project at once: cargo's own locks are for `target`, not for what is vendored.
    return [*steps, Step(argv=argv, env=env, group=1, stdout=_messages(request), lock=kept / "lock")]


def _partner(request: Request) -> Tool:
    if request.tool.partner is None:
        beside = request.tool.path.parent
        raise Unclear(f"no cargo that works is in {beside}, beside {request.tool.title}; apt install cargo, or rustup")
    return request.tool.partner


def _version(tool: Tool) -> tuple[int, int]:
    major, minor = tool.version.split(".")[:2]
    return int(major), int(minor)


def _cargo_env(request: Request) -> dict[str, str | None]:
    """Flags and profiles meant for this machine's own programs must not reach wasm."""
    optimize = request.source.build.optimize
    return {
        **dict(request.source.build.defines),
        "RUSTC": str(request.tool.path),
        **dict.fromkeys(("RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_TARGET_DIR")),
        "CARGO_TERM_COLOR": "never",
        "CARGO_TERM_PROGRESS_WHEN": "never",
        "CARGO_REGISTRIES_CRATES_IO_PROTOCOL": "sparse",
        "CARGO_PROFILE_RELEASE_STRIP": "symbols",
        # 3 is what a release has anyway; left out, so that the project's own profile counts.
        **({} if optimize == "3" else {"CARGO_PROFILE_RELEASE_OPT_LEVEL": optimize}),
    }


def _config(key: str, value: str | list[str]) -> list[str]:
    """JSON's strings and lists are TOML's, too."""
    return ["--config", f"{key}={json.dumps(value, ensure_ascii=False)}"]


def _kept(request: Request) -> Path:
    """What cargo made of this project before: only what changed is compiled again."""
    key = sha256(f"{request.folder}|{request.tool.stamp}|{request.tool.target}".encode(errors="surrogateescape"))
    return request.cache / "cargo" / key.hexdigest()[:16]


def _messages(request: Request) -> Path:
    return request.scratch / "cargo.json"


def module(request: Request) -> Path:
    """The one program that cargo made; of a single file, or a function, what rustc made. Raises Unclear."""
    return _program(request) if request.source.paths[0].is_dir() and not request.glue else request.wasm


def _program(request: Request) -> Path:
    rows = [json.loads(line) for line in _messages(request).read_bytes().splitlines() if line.startswith(b"{")]
    rows = [row for row in rows if row.get("reason") == "compiler-artifact"]
    programs = [Path(row["executable"]) for row in rows if row["executable"]]
    if request.glue:  # the last one is the function's crate, which may be a library
        return Path(next(name for name in rows[-1]["filenames"] if name.endswith(".wasm")))
    if len(programs) == 1:
        return programs[0]
    if not programs:
        raise Unclear(f"{request.folder} makes no program; give it a src/main.rs or a [[bin]]")
    names = ", ".join(sorted(path.stem for path in programs))
    raise Unclear(
        f"{request.folder} makes several programs ({names}); choose one: build = {{ flags = ['--bin', 'NAME'] }}"
    )
