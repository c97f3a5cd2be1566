"""Processes: what runs until a signal, what surrounds it, and what starts it.

    service.py        what all of them share: checks before the start, the stop. Read it first
    worker.py         the process around a worker, with its drain
    control.py        the process around the control
    front.py          the process around the front
    ui.py             the process around the control room
    groups.py         which consumer groups each joins
    reload.py         settings that change while a process runs; settings_file.py: whether their file has changed
    health.py         /healthz, /readyz and /metrics of each
    logs.py           one way out for what they and their libraries log; log_file.py: opened anew on SIGHUP
    private_files.py  their files are for their user alone
    child.py          a child process that never outlives us
    fleet.py          workers as children: started, watched, killed, replaced
    supervisor/       `headrace up`: a fleet that follows the decisions

The work itself is in streams/ and knows nothing of signals.
"""
