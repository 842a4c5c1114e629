"""Go: the signature of a function, and what makes a module of it."""

from __future__ import annotations

from batchwasm.functions import go_glue, go_signature
from batchwasm.functions.signature import Signature
from batchwasm.model import Glue, Source


def read(source: Source) -> Signature:
    """Of one file, or of a package in a module's folder: `Mean`, `sub.Mean`. Raises NoFunction, OSError."""
    return go_signature.find(source).signature


def make_glue(source: Source, signature: Signature) -> Glue:
    """Files that lie beside the user's own when go compiles them. Raises NoFunction, OSError."""
    return go_glue.make(source, go_signature.find(source))
