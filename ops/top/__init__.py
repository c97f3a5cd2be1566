"""`headrace top`: Overview and Queues of the control room in a terminal, without a control room.

    picture    one moment of the fleet, by the functions of the pages: plain figures
    lines      a picture as lines of so many columns
    keys       what was typed, and what that makes of the view
    terminal   the whole screen, taken and given back
    watch      reads the fleet's topics, asks its workers, draws

All but terminal and watch is pure.
"""
