"""C through the real compiler: what is passed on, what is built again and what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchwasm import artifacts
from batchwasm.errors import SourceError
from batchwasm.model import Build
from batchwasm.store import Store
from tests.toolchains.guests import build, run, write

PROJECT = {
    "src/main.c": '#include <stdio.h>\n#include "shape.h"\nint area(int);\n'
    'int main(void) { printf("%d %s\\n", area(N), __FILE__); }\n',
    "src/area.c": '#include "shape.h"\nint area(int n) { return n * SIDES; }\n',
    "inc/shape.h": "#define SIDES 4\n",
}


def project(folder: Path) -> tuple[Path, Path]:
    write(folder, PROJECT)
    return folder / "src/main.c", folder / "src/area.c"


def how(folder: Path, **more: object) -> Build:
    return Build(defines=(("N", "10"),), include=(folder / "inc",), **more)  # type: ignore[arg-type]


def test_several_files_with_include_folders_and_defines_make_one_program(weird_tmp_path: Path, store: Store) -> None:
    made = build(store, "c", *project(weird_tmp_path), how=how(weird_tmp_path))
    assert run(made.path).stdout == "40 main.c\n"
    assert not made.cached
    assert made.toolchain.split()[0] in ("zig", "clang", "wasi-sdk")


def test_the_second_build_compiles_nothing(tmp_path: Path, store: Store) -> None:
    first = build(store, "c", *project(tmp_path), how=how(tmp_path))
    second = build(store, "c", *project(tmp_path), how=how(tmp_path))
    assert (second.cached, second.digest) == (True, first.digest)


def test_a_changed_header_builds_again_and_the_old_one_is_still_known(tmp_path: Path, store: Store) -> None:
    paths, header = project(tmp_path), tmp_path / "inc/shape.h"
    square = build(store, "c", *paths, how=how(tmp_path))
    header.write_text("#define SIDES 6\n")
    hexagon = build(store, "c", *paths, how=how(tmp_path))
    assert run(hexagon.path).stdout == "60 main.c\n"
    assert not hexagon.cached
    header.write_text("#define SIDES 4\n")
    again = build(store, "c", *paths, how=how(tmp_path))
    assert (again.cached, again.digest) == (True, square.digest)


def test_a_new_header_that_shadows_another_builds_again(tmp_path: Path, store: Store) -> None:
    paths = project(tmp_path)
    (tmp_path / "first").mkdir()
    both = Build(defines=(("N", "10"),), include=(tmp_path / "first", tmp_path / "inc"))
    build(store, "c", *paths, how=both)
    (tmp_path / "first/shape.h").write_text("#define SIDES 7\n")
    assert run(build(store, "c", *paths, how=both).path).stdout == "70 main.c\n"


def test_other_defines_or_flags_are_another_build(tmp_path: Path, store: Store) -> None:
    paths = project(tmp_path)
    build(store, "c", *paths, how=how(tmp_path))
    other = build(store, "c", *paths, how=Build(defines=(("N", "20"),), include=(tmp_path / "inc",)))
    flags = build(
        store, "c", *paths, how=how(tmp_path, flags=("-DSIDES=5", "-Wno-macro-redefined", "-Wl,--export=area"))
    )
    assert (other.cached, run(other.path).stdout) == (False, "80 main.c\n")
    assert not flags.cached
    assert "area" in {entry.name for entry in artifacts.inspect(flags.path).exports}


@pytest.mark.parametrize("optimize", ["0", "1", "s"])
def test_every_optimisation_level_makes_a_program_that_runs(tmp_path: Path, store: Store, optimize: str) -> None:
    made = build(store, "c", *project(tmp_path), how=how(tmp_path, optimize=optimize))
    assert run(made.path).stdout == "40 main.c\n"


ASSERT = "#include <assert.h>\nint main(int argc, char **argv) { assert(argc > 7); return 0; }\n"


@pytest.mark.parametrize("language", ["c", "cpp"])
@pytest.mark.parametrize("optimize", ["2", "s"])
def test_an_assert_that_fails_traps_unless_the_user_defines_ndebug(
    tmp_path: Path, store: Store, language: str, optimize: str
) -> None:
    write(tmp_path, {f"a.{language}": ASSERT})
    source = tmp_path / f"a.{language}"
    ended = run(build(store, language, source, how=Build(optimize=optimize)).path)
    assert ended.code is None
    assert "Assertion failed: argc > 7 (a." in ended.stderr
    without = (Build(defines=(("NDEBUG", ""),)), Build(flags=("-DNDEBUG",)))
    assert [run(build(store, language, source, how=how).path).code for how in without] == [0, 0]


def test_the_same_source_gives_the_same_digest_in_another_folder(tmp_path: Path, store: Store) -> None:
    here, there = tmp_path / "here", tmp_path / "there/deeper"
    one = build(store, "c", *project(here), how=how(here, flags=("-g",)))
    other = build(Store(tmp_path / "other"), "c", *project(there), how=how(there, flags=("-g",)))
    assert one.digest == other.digest
    assert not other.cached


def test_a_stack_of_one_mebibyte_leaves_a_small_program_small(tmp_path: Path, store: Store) -> None:
    made = build(store, "c", *project(tmp_path), how=how(tmp_path))
    assert 1024**2 <= artifacts.inspect(made.path).memory_min_bytes <= 1024**2 + 512 * 1024


def test_a_compilers_error_is_told_in_its_words_under_the_jobs_name(tmp_path: Path, store: Store) -> None:
    write(tmp_path, {"bad.c": "int main(void) {\n    return missing;\n}\n"})
    with pytest.raises(SourceError) as caught:
        build(store, "c", tmp_path / "bad.c")
    assert str(caught.value).startswith(f"job: {tmp_path / 'bad.c'} does not compile")
    assert "bad.c:2:12: error: use of undeclared identifier 'missing'" in str(caught.value)
    assert "  2 |     return missing;" in str(caught.value)


def test_a_function_that_nobody_defines_is_told_by_the_linker(tmp_path: Path, store: Store) -> None:
    write(tmp_path, {"a.c": "int nowhere(void);\nint main(void) { return nowhere(); }\n"})
    with pytest.raises(SourceError, match="undefined symbol: nowhere"):
        build(store, "c", tmp_path / "a.c")


def test_a_file_named_like_a_flag_is_a_file(tmp_path: Path, store: Store) -> None:
    write(tmp_path, {"-O.c": "int main(void) { return 3; }\n"})
    assert run(build(store, "c", tmp_path / "-O.c").path).code == 3


def test_nothing_of_a_build_stays_behind(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    sources = project(tmp_path / "p")
    build(store, "c", *sources, how=how(tmp_path / "p"))
    assert list((tmp_path / "scratch").iterdir()) == []
    assert {p.name for p in (tmp_path / "p").rglob("*") if p.is_file()} == {"main.c", "area.c", "shape.h"}
