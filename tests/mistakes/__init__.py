"""Plain mistakes, made by the hundred from a seed: wrong flags, configurations, and files that are cut while read.

`world` has the files, `words` the mistakes, `judge` runs a command in this process and says what is wrong with its
answer. A kind of mistake is a function in `KINDS` of `__main__`; recipes add theirs there.
"""
