"""On a virtual clock, and on paper: what flow would do with a load, and what scaling would decide.

run.py                                  flow: the pipeline's own scheduler and dispatch, calls only take time. Read it first
virtual_loop.py                         the event loop whose time is not the machine's
providers.py, trace_load.py             hosts with slots, and a trace's requests for them
report.py, plot.py                      figures, and pictures of both simulations
scaling_model.py, scaling_day.py        a fleet as a fluid under the scaling policy, and a day of a real service's load
scaling_recorded.py                     recorded windows decided again
"""
