"""C++ through the real compiler."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from batchwasm.model import Build, Source
from batchwasm.store import Store
from batchwasm.toolchains import TOOLCHAINS, compile_source, cpp, find
from tests.toolchains.guests import build, need, run, write

SOURCE = """
#include <iostream>
#include <map>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>
struct Problem : std::invalid_argument { using std::invalid_argument::invalid_argument; };
static std::map<std::string, int> ages{{"ada", 36}};
int main(int argc, char **argv) {
    std::vector<int> v{3, 1, 2};
    if (argc > 1) throw Problem("bad x");
    std::span<int> s(v);
    std::cout << s.size() << " " << ages["ada"] << std::endl;
}
"""


def test_a_program_with_the_standard_library_runs_and_is_built_once(weird_tmp_path: Path, store: Store) -> None:
    source = write(weird_tmp_path, {"a.cpp": SOURCE}) / "a.cpp"
    made = build(store, "cpp", source)
    assert run(made.path).stdout == "3 36\n"
    assert build(store, "cpp", source).cached


def test_what_nobody_catches_is_named_on_stderr_and_traps(tmp_path: Path, store: Store) -> None:
    ended = run(build(store, "cpp", write(tmp_path, {"a.cpp": SOURCE}) / "a.cpp").path, "throw")
    assert ended.code is None
    assert "uncaught exception of type Problem: bad x" in ended.stderr


def test_the_users_own_standard_wins(tmp_path: Path, store: Store) -> None:
    text = '#include <cstdio>\nint main() { std::printf("%ld\\n", __cplusplus); }\n'
    source = write(tmp_path, {"a.cc": text}) / "a.cc"
    assert run(build(store, "cpp", source).path).stdout == "202002\n"
    assert run(build(store, "cpp", source, how=Build(flags=("-std=c++17",))).path).stdout == "201703\n"


def test_c_files_among_them_are_c(tmp_path: Path, store: Store) -> None:
    files = {
        "a.cpp": '#include <cstdio>\nextern "C" long twice(long);\nint main() { std::printf("%ld", twice(21)); }\n',
        "b.c": "long twice(long class) { return 2 * class + (__STDC_VERSION__ != 199901L); }\n",
    }
    folder = write(tmp_path, files)
    how = Build(flags=("-std=c++17", "-std=c99"))
    assert run(build(store, "cpp", folder / "a.cpp", folder / "b.c", how=how).path).stdout == "42"


def test_exceptions_are_caught_also_those_of_the_library(tmp_path: Path, store: Store) -> None:
    text = """
#include <cstdio>
#include <stdexcept>
#include <string>
struct Says { ~Says() { std::puts("unwound"); } };
int main() {
    try { Says s; return std::stoi("x"); } catch (const std::invalid_argument &e) { std::puts(e.what()); }
}
"""
    ended = run(build(store, "cpp", write(tmp_path, {"a.cpp": text}) / "a.cpp").path)
    assert (ended.code, ended.stdout) == (0, "unwound\nstoi: no conversion\n")


def test_a_program_without_optimisation_links(tmp_path: Path, store: Store) -> None:
    source = write(tmp_path, {"a.cpp": SOURCE}) / "a.cpp"
    assert run(build(store, "cpp", source, how=Build(optimize="0")).path).stdout == "3 36\n"


def test_optimising_at_link_time_is_refused(tmp_path: Path) -> None:
    source = Source(language="cpp", paths=(tmp_path / "a.cpp",), build=Build(flags=("-flto=thin",)))
    assert TOOLCHAINS["cpp"].refuse(source) == [
        "-flto=thin loses C++ exceptions: optimising at link time does not know them; leave it out"
    ]


@pytest.mark.long  # zig builds its own libc++ for it, which nothing else here needs
def test_where_the_toolchain_cannot_unwind_a_throw_names_itself_and_traps(tmp_path: Path, tool_caches: Path) -> None:
    need("cpp")
    tool = find.cpp()
    assert tool is not None
    language = replace(TOOLCHAINS["cpp"], recipe=cpp._with_stub)
    source = Source(language="cpp", paths=(write(tmp_path, {"a.cpp": SOURCE}) / "a.cpp",))
    wasm = tmp_path / "a.wasm"
    wasm.write_bytes(
        compile_source("job", source, language, tool, cache=tool_caches, talk=print, stop=threading.Event()).wasm
    )
    assert run(wasm).stdout == "3 36\n"
    ended = run(wasm, "throw")
    assert ended.code is None
    assert "uncaught exception of type Problem: bad x\n(this toolchain can't unwind" in ended.stderr
