"""What becomes of a window that cannot be used: the policies that ``--on-corrupt`` names."""

from enum import StrEnum

from pipeline.errors import ShardError


class CorruptPolicy(StrEnum):
    """A way to handle windows whose events or labels cannot be used.

    Whatever the policy, each such window is counted and named; none is repaired in silence.
    """

    QUARANTINE = "quarantine"  # leave the window out
    FAIL = "fail"  # stop the run
    REPEAT = "repeat"  # the pillars of the window before it stand in its place, as in the release


def repeats(policy: CorruptPolicy, fault: ShardError, can_repeat: bool) -> bool:
    """Whether the window before it takes the place of a window that cannot be used.

    Args:
        policy: The policy in force.
        fault: Why the window cannot be used.
        can_repeat: A window stands before it, and its own labels can be used.

    Returns:
        ``False`` where the window is left out.

    Raises:
        ShardError: Under the policy ``fail``, with the fault's sentence and how to go on.
    """
    if policy is CorruptPolicy.FAIL:
        raise ShardError(
            f"{fault} (Leave such windows out with --on-corrupt quarantine.)", fault.defect
        )
    return policy is CorruptPolicy.REPEAT and can_repeat
