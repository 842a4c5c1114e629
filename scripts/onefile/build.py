"""Builds the one-file programs: `dist/batchwasm`, and `dist/batchwasm-python-linux-x86_64`, a Python for hosts without.

Each is start.go's program with a tree appended: a real CPython (the one that runs this), its standard library, the
shared libraries that it needs down to the C library and its loader, and for the first batchwasm and all it depends on.
So a child process, a detached run and what is sent to hosts start and read the same things as after `pip install`, and
neither the machine's Python nor its C library plays a part.

The wheel of this version must be in DIST already.

usage: build.py DIST
"""

from __future__ import annotations

import compileall
import gzip
import hashlib
import importlib.util
import io
import json
import os
import platform
import re
import shutil
import struct
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from py_compile import PycInvalidationMode

HERE = Path(__file__).parent
MAGIC = b"bw1file\n"
sys.path.insert(0, str(HERE.parent.parent))
from batchwasm.version import __version__ as VERSION  # noqa: E402

LOADER = "/lib64/ld-linux-x86-64.so.2"
SYSTEM = Path("/lib/x86_64-linux-gnu")
# What libraries that come later may want: wasmtime's, in a runner. libgcc_s is loaded when a thread is cancelled.
ALWAYS = ("libgcc_s.so.1", "libpthread.so.0", "libdl.so.2", "librt.so.1", "libm.so.6", "libutil.so.1", "libresolv.so.2")
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"

# Of the standard library: what no program of ours runs. readline and gdbm are under the GPL.
LEFT_OUT = (
    *(
        "test",
        "tkinter",
        "turtle.py",
        "turtledemo",
        "idlelib",
        "lib2to3",
        "ensurepip",
        "venv",
        "pydoc_data",
        "config-*",
    ),
    *("site-packages", "dist-packages", "__pycache__", "EXTERNALLY-MANAGED", "sitecustomize.py", "__phello__"),
    *("_test*.so", "*_test*.so", "_tkinter*.so", "xx*.so", "_xx*.so", "readline*.so", "_gdbm*.so", "_dbm*.so"),
    *("_curses*.so", "nis*.so", "ossaudiodev*.so"),
)
# More of it, that the runner on a host does not need.
LEFT_OUT_ON_HOSTS = (
    *("asyncio", "curses", "dbm", "distutils", "email", "html", "http", "pydoc.py", "sqlite3", "ssl.py", "unittest"),
    *("wsgiref", "xml", "xmlrpc", "doctest.py", "pdb.py", "mailbox.py", "smtpd.py", "imaplib.py", "cgi.py"),
    *("_ssl*.so", "_sqlite3*.so", "_asyncio*.so", "_codecs_*.so", "pyexpat*.so", "_elementtree*.so", "audioop*.so"),
    *("_multibytecodec*.so",),
)


def main(arguments: list[str]) -> None:
    if len(arguments) != 1:
        sys.exit(__doc__)
    dist = Path(arguments[0]).resolve()
    if (sys.platform, platform.machine(), platform.libc_ver()[0]) != ("linux", "x86_64", "glibc"):
        sys.exit("the one-file program is built on Linux x86-64 with glibc")
    with tempfile.TemporaryDirectory(prefix="batchwasm-dist-") as name:
        scratch = Path(name)
        tools = Tools(scratch)
        host = dist / "batchwasm-python-linux-x86_64"
        say("a Python for hosts that have none")
        tree = python_tree(scratch / "host", tools.launcher, (*LEFT_OUT, *LEFT_OUT_ON_HOSTS))
        finish(tree)
        write(host, tree, tools.start, name="python", run="bin/python3")
        say("batchwasm and all it depends on")
        tree = python_tree(scratch / "tree", tools.launcher, LEFT_OUT)
        add_packages(tree, dist / f"batchwasm-{VERSION}-py3-none-any.whl")
        shutil.copy(host, tree / "lib" / host.name)
        finish(tree)
        write(dist / "batchwasm", tree, tools.start, name="program", run="bin/batchwasm")


def say(text: str) -> None:
    print(f"dist: {text}", file=sys.stderr, flush=True)


class Tools:
    """The two programs that are compiled here, by the compilers of the `toolchains` extra."""

    def __init__(self, scratch: Path) -> None:
        self.launcher, self.start = scratch / "python3", scratch / "start"
        zig = (sys.executable, "-m", "ziglang", "cc", "-target", "x86_64-linux-musl")
        run(*zig, "-Os", "-s", "-static", "-Wall", "-o", self.launcher, HERE / "python3.c")
        compile_start(self.start, "-s -w")


def compile_start(path: Path, link: str) -> None:
    """start.go and its other files; `link` are flags for Go's linker."""
    environment = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "", "GOOS": "linux", "GOARCH": "amd64"}
    flags = ("-trimpath", "-ldflags", link)
    run(package("go") / "bin/go", "build", *flags, "-o", path, *sorted(HERE.glob("*.go")), env=environment)


def package(name: str) -> Path:
    """The folder of an installed package."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        sys.exit(f"{name} is missing: pip install '.[toolchains,dev]'")
    return Path(spec.origin).parent


def run(*command: str | os.PathLike[str], env: dict[str, str] | None = None) -> str:
    try:
        done = subprocess.run(command, env={**os.environ, **(env or {})}, capture_output=True, text=True, check=True)
    except subprocess.CalledProcessError as error:
        sys.exit(f"{' '.join(map(str, command))}:\n{error.stdout}{error.stderr}")
    return done.stdout


def python_tree(tree: Path, launcher: Path, left_out: tuple[str, ...]) -> Path:
    """A Python that runs wherever the folder lies."""
    library = tree / "lib" / PYTHON
    shutil.copytree(sysconfig.get_path("stdlib"), library, ignore=shutil.ignore_patterns(*left_out), symlinks=False)
    dynamic = library / "lib-dynload"
    if not dynamic.is_dir():
        shutil.copytree(Path(sysconfig.get_path("platstdlib"), "lib-dynload"), dynamic)
    (library / "site-packages").mkdir()
    (library / "dist-packages").symlink_to("site-packages")  # where Debian's Python looks
    (tree / "bin").mkdir()
    shutil.copy(launcher, tree / "bin/python3")
    shutil.copy(LOADER, tree / "lib/batchwasm")  # which is the name that owners of hosts see in top
    shutil.copy(getattr(sys, "_base_executable", sys.executable), tree / "lib/python3")
    (tree / "lock").touch()
    return tree


def add_packages(tree: Path, wheel: Path) -> None:
    """batchwasm and what it depends on; pip, which fetches wasmtime for hosts of other platforms."""
    target = tree / "lib" / PYTHON / "site-packages"
    pip = (
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-warn-script-location",
    )
    run(*pip, "--no-compile", "--target", target, wheel, "pip")
    shutil.rmtree(target / "bin", ignore_errors=True)
    shutil.copy(tree / "bin/python3", tree / "bin/batchwasm")


def finish(tree: Path) -> None:
    """Libraries, licences and compiled modules of a tree that holds all else."""
    copied = list(add_libraries(tree))
    strip(tree)
    add_licenses(tree, copied)
    # Unchecked: the times of unpacked files say nothing. pip is started once in a blue moon.
    compileall.compile_dir(
        tree / "lib" / PYTHON,
        quiet=2,
        invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
        stripdir=str(tree),
        rx=re.compile(r"/site-packages/pip/"),
        workers=0,
    )
    said = run(tree / "bin/python3", "-I", "-c", "import sys; print(sys.prefix, sys.executable)").split()
    if said != [str(tree), str(tree / "bin/python3")]:
        sys.exit(f"the Python in {tree} takes itself for that of {' '.join(said)}")


def add_libraries(tree: Path) -> Iterator[Path]:
    """Copies what the programs and modules of the tree load from this machine, as its own loader finds it."""
    folder = tree / "lib"
    wanted = [folder / "python3", *tree.rglob("*.so"), *tree.rglob("*.so.*")]
    found = {name: SYSTEM / name for name in ALWAYS}
    for path in wanted:
        for name, where in needs(path):
            if where is None:
                sys.exit(f"{path} needs {name}, which is not on this machine")
            if not where.is_relative_to(tree):
                found[name] = where
    for name, where in found.items():
        shutil.copy(where, folder / name)
        yield where


def needs(path: Path) -> Iterator[tuple[str, Path | None]]:
    listed = subprocess.run([LOADER, "--list", path], capture_output=True, text=True, check=False).stdout
    for line in listed.splitlines():
        if matched := re.fullmatch(r"\s*([^/\s]+) => (?:not found|(/.*?) \(0x[0-9a-f]+\))", line):
            yield matched[1], Path(matched[2]) if matched[2] else None


def strip(tree: Path) -> None:
    """Symbols for debuggers, most of the size of some Pythons. Libraries of wheels stay as their makers made them."""
    if program := shutil.which("strip"):
        own = [path for path in (tree / "lib").iterdir() if path.is_file() and path.name != "batchwasm"]
        files = [*own, *(tree / "lib" / PYTHON / "lib-dynload").glob("*.so")]
        for path in files:
            with open(path, "rb") as file:
                is_elf = file.read(4) == b"\x7fELF"
            if is_elf and "batchwasm" not in path.name:
                os.chmod(path, 0o755)
                run(program, "--strip-unneeded", path)


def add_licenses(tree: Path, copied: Iterable[Path]) -> None:
    """The licence texts of all that wheels do not bring theirs for."""
    folder = tree / "licenses"
    folder.mkdir()
    texts = {"python": Path(sysconfig.get_path("stdlib"), "LICENSE.txt"), "batchwasm": HERE.parent.parent / "LICENSE"}
    texts["go"] = package("go") / "src/cmd/vendor/golang.org/x/mod/LICENSE"  # the wheel leaves out Go's own, the same
    texts["musl"] = package("ziglang") / "lib/libc/musl/COPYRIGHT"
    for path in (*copied, Path(LOADER)):
        if path.is_relative_to(sys.base_prefix) and sys.base_prefix != "/usr":
            continue  # libpython
        owner = debian_package(path)
        texts[owner] = Path("/usr/share/doc", owner, "copyright")
    for name, text in texts.items():
        shutil.copy(text, folder / name)
        for common in re.findall(r"/usr/share/common-licenses/([\w.-]*\w)", Path(text).read_text(errors="replace")):
            if Path("/usr/share/common-licenses", common).is_file():
                shutil.copy(Path("/usr/share/common-licenses", common), folder / common)


def debian_package(path: Path) -> str:
    for name in (path, path.resolve(), Path("/usr", *path.parts[1:])):
        done = subprocess.run(["dpkg", "-S", name], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout.partition(":")[0]
    sys.exit(f"no Debian package is known to hold {path}: whose licence has it?")


def write(path: Path, tree: Path, start: Path, *, name: str, run: str, level: int = 9) -> None:
    """The start program, the tree, and what start.go wants to know about it. The same content gives the same file."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=level, mtime=0, filename="") as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.GNU_FORMAT) as out,
    ):
        for entry in sorted(tree.rglob("*")):
            out.add(entry, arcname=entry.relative_to(tree).as_posix(), recursive=False, filter=anonymous)
    content = packed.getvalue()
    about = {"Name": name, "Digest": hashlib.sha256(content).hexdigest(), "Size": len(content), "Run": run}
    text = json.dumps(about).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_name(f".{path.name}.new")
    made.write_bytes(start.read_bytes() + content + text + struct.pack("<Q", len(text)) + MAGIC)
    made.chmod(0o755)
    made.replace(path)
    say(f"{path.name}: {made_of(tree)}, {path.stat().st_size / 1e6:.1f} MB in one file")


def anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
    return entry


def made_of(tree: Path) -> str:
    files = [path for path in tree.rglob("*") if path.is_file()]
    return f"{len(files)} files of {sum(path.stat().st_size for path in files) / 1e6:.1f} MB"


if __name__ == "__main__":
    main(sys.argv[1:])
