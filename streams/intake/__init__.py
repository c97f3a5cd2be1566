"""Decode, validate, deadline, dead letter.

In: record lists. Out: valid requests, in time, to the next stage. A record that is no request becomes a dead letter, one
that is out of time an `expired` response, one whose `reply_to` is no good an `error` response.

Promises: nothing a record may hold raises or stops a worker; no request is passed on after its limit.

Read decode (a record as a request, or why it is none), dated (whose time counts), then intake, the stage.
"""
