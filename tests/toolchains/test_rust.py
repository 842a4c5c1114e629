"""Rust through the real compilers: files, and Cargo projects with dependencies."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cbor2
import pytest

from batchwasm import artifacts
from batchwasm.errors import SourceError
from batchwasm.functions import make_glue, read
from batchwasm.model import Artifact, Build, Source
from batchwasm.store import Store
from batchwasm.toolchains import find, rust
from batchwasm.toolchains.base import Request, Unclear
from tests.functions.host import Guest
from tests.toolchains.guests import build, need, run, write

FILES = {
    "main.rs": 'mod deep;\nfn main() { println!("{} {}", deep::answer(), file!()); }\n',
    "deep.rs": "pub fn answer() -> i32 { 42 }\n",
}
PROJECT = {
    "app/Cargo.toml": '[package]\nname = "app"\nversion = "0.1.0"\nedition = "2021"\n'
    '[dependencies]\nshape = { path = "../shape" }\n',
    "app/src/main.rs": 'fn main() { println!("{}", shape::area(3)); }\n',
    "shape/Cargo.toml": '[package]\nname = "shape"\nversion = "0.1.0"\nedition = "2021"\n',
    "shape/src/lib.rs": "pub fn area(n: u32) -> u32 { n * n }\n",
}


def test_a_file_with_its_modules_runs_and_is_built_again_only_when_one_changes(
    weird_tmp_path: Path, store: Store
) -> None:
    source = write(weird_tmp_path, FILES) / "main.rs"
    made = build(store, "rust", source)
    assert run(made.path).stdout == "42 main.rs\n"
    assert build(store, "rust", source).cached
    (weird_tmp_path / "deep.rs").write_text("pub fn answer() -> i32 { 43 }\n")
    changed = build(store, "rust", source)
    assert (changed.cached, run(changed.path).stdout) == (False, "43 main.rs\n")


def test_the_same_source_gives_the_same_digest_in_another_folder(tmp_path: Path, store: Store) -> None:
    text = {"main.rs": 'fn main() { panic!("no"); }\n'}
    digests = {
        build(Store(tmp_path / name / "store"), "rust", write(tmp_path / name, text) / "main.rs").digest
        for name in ("here", "there")
    }
    assert len(digests) == 1


def test_a_panic_says_where_and_traps(tmp_path: Path, store: Store) -> None:
    ended = run(build(store, "rust", write(tmp_path, {"a.rs": 'fn main() { panic!("no") }\n'}) / "a.rs").path)
    assert ended.code is None
    assert "a.rs:1" in ended.stderr
    assert "no" in ended.stderr


def test_a_compilers_error_is_told_in_its_words_under_the_jobs_name(tmp_path: Path, store: Store) -> None:
    source = write(tmp_path, {"a.rs": "fn main() {\n    missing();\n}\n"}) / "a.rs"
    with pytest.raises(SourceError) as caught:
        build(store, "rust", source)
    assert str(caught.value).startswith(f"job: {source} does not compile (rustc ")
    assert "error[E0425]: cannot find function `missing`" in str(caught.value)
    assert "--> a.rs:2:5" in str(caught.value)


def test_flags_reach_rustc(tmp_path: Path, store: Store) -> None:
    source = write(tmp_path, {"a.rs": 'fn main() { println!("{}", cfg!(fast)); }\n'}) / "a.rs"
    made = build(store, "rust", source, how=Build(flags=("--cfg", "fast"), optimize="s"))
    assert run(made.path).stdout == "true\n"


def test_a_cargo_project_with_a_crate_beside_it_is_built_again_only_when_either_changes(
    weird_tmp_path: Path, store: Store
) -> None:
    project = write(weird_tmp_path, PROJECT) / "app"
    made = build(store, "rust", project)
    assert run(made.path).stdout == "9\n"
    assert build(store, "rust", project).cached
    (weird_tmp_path / "shape/src/lib.rs").write_text("pub fn area(n: u32) -> u32 { n * n * n }\n")
    changed = build(store, "rust", project)
    assert (changed.cached, run(changed.path).stdout) == (False, "27\n")
    (project / "build.rs").write_text('fn main() { println!("cargo:rustc-env=X=1"); }\n')
    assert not build(store, "rust", project).cached


def test_a_cargo_project_loads_its_dependencies_from_the_registry(tmp_path: Path, store: Store) -> None:
    need("rust")
    if not os.environ.get("CI"):
        try:
            urllib.request.urlopen("https://index.crates.io/config.json", timeout=10).close()
        except (OSError, urllib.error.URLError):
            pytest.skip("crates.io can't be reached")
    manifest = '[package]\nname = "app"\nversion = "0.1.0"\nedition = "2021"\n[dependencies]\nitoa = "=1.0.10"\n'
    main = 'fn main() { println!("{}", itoa::Buffer::new().format(42)); }\n'
    digests = set()
    for name in ("here", "there"):
        folder = write(tmp_path / name, {"Cargo.toml": manifest, "src/main.rs": main})
        made = build(Store(tmp_path / f"{name}-store"), "rust", folder)
        assert run(made.path).stdout == "42\n"
        digests.add(made.digest)
    assert len(digests) == 1


def test_an_error_in_a_cargo_project_is_told_in_the_compilers_words(tmp_path: Path, store: Store) -> None:
    project = write(tmp_path, {**PROJECT, "app/src/main.rs": "fn main() { missing(); }\n"}) / "app"
    with pytest.raises(SourceError, match=r"cannot find function `missing`(.|\n)*--> src/main.rs:1:13"):
        build(store, "rust", project)


def test_a_project_with_several_programs_asks_which(tmp_path: Path, store: Store) -> None:
    more = {"app/src/bin/one.rs": 'fn main() { println!("one"); }\n', "app/src/bin/two.rs": "fn main() {}\n"}
    project = write(tmp_path, {**PROJECT, **more}) / "app"
    with pytest.raises(SourceError, match=r"several programs \(app, one, two\).*'--bin', 'NAME'"):
        build(store, "rust", project)
    assert run(build(store, "rust", project, how=Build(flags=("--bin", "one"))).path).stdout == "one\n"


def test_a_library_alone_is_no_program(tmp_path: Path, store: Store) -> None:
    with pytest.raises(SourceError, match="makes no program"):
        build(store, "rust", write(tmp_path, PROJECT) / "shape")


def test_keys_that_mean_nothing_to_rust_are_refused_with_what_would_do(tmp_path: Path) -> None:
    how = Build(include=(tmp_path,))
    problems = rust.refuse(Source(language="rust", paths=(tmp_path,), build=how))
    assert [problem.split()[0] for problem in problems] == ["build.include", str(tmp_path)]


DEFINED = """fn main() {
    println!("{} {} {}", env!("N"), cfg!(N = "it's"), cfg!(FAST));
}
"""


def test_defines_are_cfgs_and_values_of_env_in_a_file_and_in_a_project(tmp_path: Path, store: Store) -> None:
    files = {"a.rs": DEFINED, "p/Cargo.toml": '[package]\nname = "p"\nversion = "0.1.0"\n', "p/src/main.rs": DEFINED}
    folder, how = write(tmp_path, files), Build(defines=(("FAST", ""), ("N", "it's")))
    for source in (folder / "a.rs", folder / "p"):
        assert run(build(store, "rust", source, how=how).path).stdout == "it's true true\n"
    assert not build(store, "rust", folder / "a.rs", how=Build(defines=(("N", "2"),))).cached


# ---- functions -------------------------------------------------------------------------------------------------------


def function(store: Store, path: Path, name: str, how: Build | None = None) -> Artifact:
    need("rust")
    source = Source(language="rust", paths=(path,), build=how or Build(), function=name)
    return artifacts.build("job", source, store)


def call(made: Artifact, *arguments: object) -> object:
    return cbor2.loads(Guest(made.path.read_bytes()).call(cbor2.dumps(arguments)))


def test_a_function_of_a_file_is_built_again_only_when_a_file_of_its_crate_changes(
    weird_tmp_path: Path, store: Store
) -> None:
    files = {
        "a.rs": 'mod deep;\nfn f() -> (i32, String) { (deep::answer(), include_str!("deep/text").into()) }\n',
        "deep.rs": "mod er; pub fn answer() -> i32 { er::ANSWER }\n",
        "deep/er.rs": "pub const ANSWER: i32 = 42;\n",
        "deep/text": "text",
        "other.rs": "",
    }
    source = write(weird_tmp_path, files) / "a.rs"
    made = function(store, source, "f")
    assert call(made) == [42, "text"]
    (weird_tmp_path / "other.rs").write_text("// is not of this crate")
    assert function(store, source, "f").cached
    (weird_tmp_path / "deep/er.rs").write_text("pub const ANSWER: i32 = 43;\n")
    changed = function(store, source, "f")
    assert (changed.cached, call(changed)) == (False, [43, "text"])
    (weird_tmp_path / "deep/text").write_text("words")
    assert call(function(store, source, "f")) == [43, "words"]


def test_defines_and_flags_reach_a_functions_file_and_project(tmp_path: Path, store: Store) -> None:
    text = 'fn f() -> (String, bool, bool) { (env!("N").into(), cfg!(N = "it\'s"), cfg!(FAST)) }\n'
    files = {"a.rs": text, "p/Cargo.toml": '[package]\nname = "p"\nversion = "0.1.0"\n', "p/src/lib.rs": text}
    folder, how = write(tmp_path, files), Build(defines=(("FAST", ""), ("N", "it's")), optimize="1")
    for source in (folder / "a.rs", folder / "p"):
        assert call(function(store, source, "f", how)) == ["it's", True, True]


WORKSPACE = {
    "Cargo.toml": '[workspace]\nmembers = ["app", "shape"]\n[workspace.package]\nedition = "2018"\n',
    "app/Cargo.toml": '[package]\nname = "my-app"\nversion = "0.1.0"\nedition.workspace = true\n'
    '[dependencies]\nshape = { path = "../shape" }\n[features]\nfast = []\n',
    "app/build.rs": 'fn main() { println!("cargo:rustc-env=MADE=by build.rs"); }\n',
    "app/src/lib.rs": "#![forbid(unsafe_code)]\nmod part;\npub fn shared(x: u32) -> u32 { shape::area(x) }\n"
    'fn made() -> String { [env!("MADE"), env!("CARGO_PKG_NAME"), include_str!("../note")].join(", ") }\n',
    "app/src/part.rs": "mod hidden {\n    fn area(x: u32) -> u32 {\n        crate::shared(x)"
    ' + if cfg!(feature = "fast") { 1 } else { 0 }\n    }\n}\n',
    "app/src/main.rs": "fn main() {}\nfn f(x: u32) -> u32 { my_app::shared(x) + 1 }\n",
    "app/note": "a note",
    # The first edition, and a crate that does without the standard library.
    "shape/Cargo.toml": '[package]\nname = "shape"\nversion = "0.1.0"\n[lib]\npath = "shape.rs"\n',
    "shape/shape.rs": "#![no_std]\npub fn area(n: u32) -> u32 { n * n }\nstruct S { n: u32 }\n"
    "fn f(s: S) -> Result<S, u8> { if s.n > 0 { Ok(s) } else { Err(7) } }\n",
}


def test_functions_of_a_workspaces_packages_are_called_wherever_they_stand(weird_tmp_path: Path, store: Store) -> None:
    folder = write(weird_tmp_path, WORKSPACE)
    assert call(function(store, folder / "app", "part::hidden::area"), 3) == 9
    fast = Build(flags=("--features", "fast"))
    assert call(function(store, folder / "app", "part::hidden::area", fast), 3) == 10
    assert call(function(store, folder / "app", "made")) == "by build.rs, my-app, a note"
    assert call(function(store, folder / "app", "f"), 3) == 10
    shape = function(store, folder / "shape", "f")
    assert call(shape, {"n": 1}) == {"n": 1}
    assert str(call(shape, {"n": 0})) == "CBORTag(25207, ('raised', '7'))"
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert there == {*WORKSPACE, "Cargo.lock"}, "nothing is left in the user's folders but what cargo writes there"


def test_a_projects_function_is_built_again_only_when_a_file_of_it_changes(tmp_path: Path, store: Store) -> None:
    project = write(tmp_path, WORKSPACE) / "app"
    made = function(store, project, "shared")
    assert function(store, project, "shared").cached
    (tmp_path / "shape/shape.rs").write_text("pub fn area(n: u32) -> u32 { n * n * n }\n")
    changed = function(store, project, "shared")
    assert (call(made, 3), changed.cached, call(changed, 3)) == (9, False, 27)
    (project / "src/part.rs").write_text("// nothing of it was used\n")
    assert not function(store, project, "shared").cached


def test_the_same_project_gives_the_same_function_in_another_folder(tmp_path: Path) -> None:
    text = {"Cargo.toml": '[package]\nname = "p"\nversion = "0.1.0"\n', "src/lib.rs": 'fn f() { panic!("no"); }\n'}
    digests = {
        function(Store(tmp_path / name / "store"), write(tmp_path / name, text), "f").digest
        for name in ("here", "there")
    }
    assert len(digests) == 1


def test_several_functions_of_a_project_are_built_at_the_same_time(tmp_path: Path, store: Store) -> None:
    functions = {f"f{number}": f"fn f{number}() -> u32 {{ {number} }}\n" for number in range(4)}
    files = {"Cargo.toml": '[package]\nname = "p"\nversion = "0.1.0"\n', "src/lib.rs": "".join(functions.values())}
    project = write(tmp_path, files)
    with ThreadPoolExecutor() as pool:
        made = list(pool.map(lambda name: function(store, project, name), functions))
    assert [call(artifact) for artifact in made] == [0, 1, 2, 3]
    assert all(function(store, project, name).cached for name in functions)


def test_an_error_in_a_functions_project_names_the_users_file(tmp_path: Path, store: Store) -> None:
    broken = {"app/src/part.rs": WORKSPACE["app/src/part.rs"].replace("shared(x)", "missing(x)")}
    project = write(tmp_path, {**WORKSPACE, **broken}) / "app"
    with pytest.raises(SourceError, match=r"cannot find function `missing`(.|\n)*--> src/part.rs:3:16"):
        function(store, project, "part::hidden::area")


def test_a_cargo_too_old_for_functions_is_told_before_it_fails(tmp_path: Path) -> None:
    need("rust")
    source = Source(language="rust", paths=(write(tmp_path, WORKSPACE) / "app",), function="shared")
    tool = find.rust()
    assert tool is not None
    assert tool.partner is not None
    old = replace(tool, partner=replace(tool.partner, version="1.63.0"))
    glue = make_glue(source, read(source))
    with pytest.raises(Unclear, match=r"cargo 1\.63\.0 is too old .* 1\.64 or newer"):
        rust.recipe(Request(source=source, tool=old, scratch=tmp_path, cache=tmp_path, glue=glue))
