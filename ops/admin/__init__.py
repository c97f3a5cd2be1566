"""What commands look at and change, from outside the workers, free of terminals.

    records.py                            reading topics without a consumer group. Read it first: most others stand on it
    tail.py, metric_lines.py              following a topic, each record as a line
    send.py, replay.py                    requests from a person, a script or a trace
    dead_letters.py                       found, shown, sent back
    cache.py                              the answer cache: looked into, cleared
    request.py, trace.py, where.py        one request: all that is known of it, its story, where it is now
    cancel.py, forget.py                  a request is cancelled; what an agent's requests left is deleted
    actions.py, acting.py                 what operators ask of the fleet: written; counted before, for pages, API and shell
    redrive.py                            dead letters that control sends again: counted before, followed
    status.py, whole_fleet.py             is the fleet well? Who its workers are
    ask_workers.py                        running workers asked over HTTP
    agents.py, providers.py, scrape.py, settings_diff.py    what they say
    scaling_recent.py, scaling_explain.py    the last decisions, in sentences
    cost.py, budget.py                    what requests cost, what is left of budgets
    reconcile.py, cost_exports.py         beside what providers say that it cost
    tenants.py, front_keys.py             what tenants need on a broker; keys of the front

How it looks is for ops/cli. Nothing here joins the workers' group or commits for it.
"""
