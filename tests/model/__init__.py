"""A model of the protocol of a run, and of everything that may go wrong around it.

A driver is a generator that gives up control at every point where it could die, stall or be
overtaken; a schedule is a seeded random choice of who goes on, who is killed, which answer is lost.
``python -m tests.model SETTING SEED [RULE]`` tells the story of one schedule.
"""
