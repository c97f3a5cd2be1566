"""Parts by themselves, with clocks that are told the time: a folder for each package (tests/unit/flow for streams/flow). Files
beside the folders are of the modules that lie loose in streams/. No broker, no network but loopback.
"""
