"""`python old_kernel.py LAST COMMAND...`: the command, for which no system call after number LAST exists.

x86-64 alone. Which kernel brought which number: arch/x86/entry/syscalls/syscall_64.tbl of Linux.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys

LINUX_3_2 = 311
LINUX_3_10 = 313  # as RHEL 7 has it: no memfd_create, no getrandom, no statx, no copy_file_range, no clone3

_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 38, 22, 2
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def main(last: int, command: list[str]) -> None:
    load, if_greater, give = 0x20, 0x25, 0x06
    steps = ((load, 0, 0, 0), (if_greater, 0, 1, last), (give, 0, 0, _ERRNO | errno.ENOSYS), (give, 0, 0, _ALLOW))
    text = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = _Program(len(steps), ctypes.addressof(text))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in ((_NO_NEW_PRIVILEGES, 1, 0, 0, 0), (_SECCOMP, _FILTER, ctypes.byref(program), 0, 0)):
        if libc.prctl(*arguments):
            raise OSError(ctypes.get_errno(), "prctl")
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
