"""Mutated inputs against the commands: bundles, model files, Keras files, pictures and films.

`python -m tests.fuzz` (`make fuzz`) takes whole originals, changes them as a seed says, and gives each to the command
that a person would give it to. Whatever it is, the command must open it or refuse it in one sentence: no traceback, no
crash, not 1 GB of memory, not 20 seconds, nothing left behind.

    originals.py    what is whole, made fresh at the start
    mutate.py       bytes, JSON trees and protobuf messages; `archives.py`: zips and arrays
    kinds/          what is changed, and which command gets it
    worker.py       a process that runs one case after another
    watch.py        starts workers, measures each case, and stops what runs away
    oracle.py       what is wrong with an outcome
    __main__.py     the command, and the table it ends with
"""
