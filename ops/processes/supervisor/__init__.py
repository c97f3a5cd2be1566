"""`headrace up`: a supervisor that keeps worker and control processes on this machine, and carries decisions out.

roster.py says what to do (pure), keeper.py does it, supervise.py ties it to the decisions on `scaling.decisions`
(process_realizer.py). logs.py bounds the log files.
"""
