"""Files made to hurt, made fresh by the tests: what they try, and the tools to see whether they did.

Every file is harmless: at worst it writes a canary into a folder of the test, opens a file that lies there as bait, or
connects to a port of the test on the loopback. Nothing binary is kept; each module makes its files with the same
libraries that an attacker has.

    case.py       a file of the corpus: its name, how it is made, what it tries, and how that is proven
    bait.py       canary, secret and port of one file; the watch over all of them
    runner.py     a process that opens files as a person would, or as the plain library does, for the proof
    layouts.py    the containers: .keras of both libraries, .h5, folders
    keras3.py keras2.py saved*.py torchfiles.py archives.py arrays.py bundles.py      the hostile files
    honest.py     files that must still open
"""
