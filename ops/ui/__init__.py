"""The control room: pages that show every request, why it waits or failed, and what the fleet does. A reader of topics.

Read in this order:

    index/            one row a request, on disk; read its __init__ first
    fleet             what the fleet says of itself: samples, windows, decisions, leases (fleet_reader reads them, workers asks
                      running workers by HTTP)
    access            who may see the pages; sessions: cookies, tokens, tries. responses: what protects the browser
    room              what all pages share; render, text: how they are written; records: one record by its place
    pages/            a module and a template a page; timeline, payload, bottleneck, what_if: what they tell, pure
    static/           what the browser runs and keeps, such as saved searches: room.js
    app               which path is whose; ops/processes/ui.py is the process around it; screenshots: for the docs

Whatever a page shows of a metric is the metric of that name: windows are the control process's, the present moment is made of the
newest samples by the same function, endpoints and agents are asked as `headrace providers` and `headrace agents` ask.
"""
