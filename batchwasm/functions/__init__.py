"""Functions of a source, called from outside: a signature out of the source, the glue for it, the codec of values.

    signature = read(source)            # source.function names it
    glue = make_glue(source, signature) # what is compiled together with the source, as a reactor

`values` has the codec, `json_values` the same values as JSON, `wit` and `as_python` show a signature to people.
Nothing here compiles or runs anything. docs/abi.md says how the module is called.
"""

from __future__ import annotations

from batchwasm.functions.languages import make_glue, names, read
from batchwasm.functions.problems import NoFunction
from batchwasm.functions.signature import Param, Signature, from_json, into_module, of_module, to_json

__all__ = [
    "NoFunction",
    "Param",
    "Signature",
    "from_json",
    "into_module",
    "make_glue",
    "names",
    "of_module",
    "read",
    "to_json",
]
