"""`python -m bench.engines.processes DESCRIPTOR PARENT`: the launcher, as its engine starts it."""

from bench.engines.processes.launcher import main

main()
