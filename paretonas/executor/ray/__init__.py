"""Jobs run on a cluster of Ray, or on one that is started on this machine for the while.

    options.py   what users write
    executor.py  the search's side: queues, pickles, waits
    steward.py   a process of the search's own that speaks to Ray, and may be lost without harm
    messages.py  what these two say to each other
    cluster.py   what that asks of Ray
    library.py   Ray itself
    node.py      what runs on a node for a job
    courier.py   files of the search's machine, for nodes that do not see them

Ray ends a process that has lost its cluster, prints where it likes and has its own handlers of signals; so it is
imported in processes of its own, never in that of the search.
"""

from paretonas.executor.ray.options import RayOptions

__all__ = ["RayOptions"]
