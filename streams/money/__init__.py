"""Money: what calls cost, and budgets that are never overspent. Pure, but for budgets, ledger and cost_windows.

In: what calls used, by their providers' answers. Out: what each cost, windows of costs on `costs.windows`, and whether a call may
be made, by the ledger of budgets. Read in this order:

    usage       what a provider bills of an answer; prices: of a model; library: the price list that others keep
    costs       what a call cost, and the most that it may cost before it is made (most_tokens); spent: of a request so far
    rules       which budgets a request is in, when their periods begin; alerts: shares of a budget that are told of once
    books       the one order in which money is reserved; states: the books as records
    budgets     what a request is refused for, or set aside; desk: a worker's part of the ledger; ledger: its loops
    windows     what a worker paid, by minute; cost_windows: their way to the topic; sums: how they are read
    build       all of these from the settings
"""
