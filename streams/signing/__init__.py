"""Signatures of control records: who does not know the fleet's secret writes nothing that counts. Pure.

In: what is about to be written to a control topic (topics/control.py), and what was read from one. Out: the header `sig`, and
why a record does not count.

    signature   HMAC over topic, key, value, headers and the time of signing
    front_key   the same for the name of the front's key that a request came with
    seal        which records count: modes, secrets that take turns, old records and such that are written again

The doors at which records are signed and verified, for all of the fleet, are in streams/kafka/sealed.py.
"""

from streams.signing.front_key import KeyProofs
from streams.signing.seal import Mode, Refusal, Seal
from streams.signing.signature import SIGNATURE, Secret

__all__ = ["SIGNATURE", "KeyProofs", "Mode", "Refusal", "Seal", "Secret"]
