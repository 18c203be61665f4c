"""Why a run ends before its last epoch, and what its user is told."""

from dmanet.runs.log import StepReport
from dmanet.training.guards import DivergedError
from dmanet.training.run import TrainingRun
from pipeline.tasks.outcomes import Stopped


def stop_if_asked(run: TrainingRun, kept: bool) -> None:
    """Save and stop where any rank's watcher wants it; ``kept``: the checkpoint is kept for good.

    Raises:
        Stopped: it does.
    """
    if run.ranks.any(run.watcher.should_stop()):
        run.save(kept=kept)
        raise stopped(run)


def stopped(run: TrainingRun) -> Stopped:
    """What to raise where a run was asked to stop and is saved."""
    program = "dmanet" if run.ranks.world_size == 1 else "torchrun … -m cli.main"
    return Stopped(
        f"stopped after step {run.trainer.step} of {run.trainer.total_steps}; `{program} train "
        f"{run.location} --run-dir {run.folder.path} --resume` goes on from there."
    )


def stop_if_diverged(run: TrainingRun, report: StepReport, max_bad_steps: int) -> None:
    """Save and stop after too many bad steps in a row, of which ``report`` is the last.

    Raises:
        DivergedError: there are ``max_bad_steps``; on one rank, the others raise a RankError.
    """
    tally = run.trainer.tally
    if tally.bad_in_a_row < max_bad_steps:
        return
    in_a_row, tally.bad_in_a_row = tally.bad_in_a_row, 0  # a resumed run counts anew
    run.save()
    with run.ranks.barrier():  # one of them says it
        raise DivergedError(
            f"Training stopped at step {report.step} after {in_a_row} bad steps in a row; in "
            f"the last {report.bad_step}; {run.folder.last} holds the state after the last "
            "step that was made, previous.pt the checkpoint before. --resume goes on; a lower "
            "training.learning_rate or training.precision=fp32 in a new run may help."
        )
