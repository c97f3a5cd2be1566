"""The fleet's books, from the log alone: what all workers used and hold, and what may be granted next. Pure.

Read window (a minute's use), account (one worker), ledger (one route), share (who gets how much), epochs (which grants count),
bounds (what no grant may say), grantor (all of it).
"""
