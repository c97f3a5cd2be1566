"""What becomes of one request, told by marks that the stages leave and that travel with its answer in one header.

`marks.py`: what is noted on the way. `words.py`: what waits and outcomes are called, as numbers. `header.py`: the bytes, at most
190 of them whatever happened, and what they say. All of it is pure. Who tells people of it: ops/admin/trace.py.
"""
