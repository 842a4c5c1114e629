"""The command line: one file per command; main() is the parser, the one error boundary and the exit codes."""
