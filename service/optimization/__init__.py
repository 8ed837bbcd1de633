"""The engine: suggests the next trials of a study. Pure: same arguments and seed, same answer.

Knows search spaces and observations; knows nothing about PEFT, databases or queues. Notation:

    n   observations          d   encoded dimensions        q   pending trials and picks of one call
    m   outcomes: objectives first, then metrics that only a constraint names
    k   outcomes that are exact: functions of the configuration, never modelled
    X   n x (d + k)   encoded configurations in the unit cube, then their exact outcomes
    Y   n x m         outcomes; objectives are maximised, counts and sizes are log10
"""
