"""Flow on a virtual clock: the pipeline's own scheduler and dispatch, with calls that only take time on paper."""
