"""`python -m pqueue`."""

from pqueue.cli import main

main()
