"""The PEFT methods, one file each: settings, exact counts, limits, words.

`registry` has one row for each. Knows nothing about tensors: those are in `workers.peft_methods`.
"""
