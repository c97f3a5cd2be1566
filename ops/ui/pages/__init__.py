"""A module a page: it reads what its URL asks for, and fills its template of the same name.

To find a request: requests (searches, whose saved ones the browser keeps: static/room.js), request, tail (live), dead_letters.
What the fleet does: overview, queues, limits, providers, cache, scaling, cost. Who may and who did: login, settings, audit;
acting: what operators can do. live: how an open page learns that something changed.
"""
