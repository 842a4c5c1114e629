"""A batch run on hosts in network namespaces, while everything that can break does: `make chaos`.

nets.py      hosts that share nothing but this machine's kernel, and a bridge between them
troubles.py  what goes wrong, and how it is mended
workload.py  the run, and what must come out of it
ledger.py    what the journal tells afterwards: figures
drive.py     the scheduler's lives, the troubles between them, the checks at the end
__main__.py  the command line; puts `drive` into namespaces of its own, with which all of it goes
"""
