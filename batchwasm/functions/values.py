"""The codec of values: arguments to the CBOR that a function's module takes, and its answers back.

    encode = encoder(signature.params)      # once for a function
    decode = decoder(signature.result)
    check = checker(signature.result)
    answer = call(encode([[1.0, 2.0]]))
    failed = error_of(answer)               # ("raised", "what it said"), else None; then:
    check(answer)                           # None, or what is wrong with it
    decode(answer)

NumPy is never imported but for `decoder(..., numpy=True)`; its arrays and numbers are taken wherever it is.
"""

from batchwasm.functions.decoding import checker, decoder, error_of
from batchwasm.functions.encoding import encoder
from batchwasm.functions.problems import BadArgument, BadValue

__all__ = ["BadArgument", "BadValue", "checker", "decoder", "encoder", "error_of"]
