"""A cluster that is gone, as those know it who work on one and those who need no Ray."""


class ClusterGone(Exception):  # noqa: N818 - it says what happened to the cluster
    """The cluster can no longer be worked with, nor be left in the usual way.

    Once a raylet is dead or an executor is stuck, `ray.shutdown` may end this very process from
    C++ (seen with 2.60), so it is not called; `cluster.session.leave_abruptly` is the way out.
    """
