"""A run that was killed is noticed; on a cluster, outages are pauses (docs/cluster.md)."""

from dissect.cluster.lock import only_looks, refuse_left_lock
from dissect.cluster.runs import refuse_killed_runs, refuse_orphans, this_run
from dissect.cluster.wrappers import use_wrappers

# The plugin removes it from the environment: the job that Snakemake itself may run in.
OWN_SLURM_JOB = os.environ.get("SLURM_JOB_ID", "")
RECORD = None


def stop_with(error):
    sys.exit(f"error: {error}")


# Told here, before Snakemake finds the killed run's lock and recommends to remove it.
if is_main_process and not (looking or workflow.output_settings.dryrun or only_looks(sys.argv)):
    try:
        refuse_killed_runs()
        if "--nolock" not in sys.argv:
            refuse_left_lock(study.config.results)
    except DissectError as error:
        stop_with(error)


def begin_on_slurm():
    """Look for jobs that an earlier run has left, and leave a record of this one.

    The last thing that onstart does: the record stays until the run ends in onsuccess or onerror.
    """
    global RECORD
    submitter = getattr(workflow.scheduler, "_executor", None)
    run_id = getattr(submitter, "run_uuid", None)
    if not is_main_process or run_id is None:
        return
    try:
        use_wrappers(Path(workflow.basedir, "profiles", "slurm", "wrappers"))
        refuse_orphans()
    except DissectError as error:
        stop_with(error)
    RECORD = this_run(run_id, OWN_SLURM_JOB)
    RECORD.write()


def end_on_slurm():
    if RECORD is not None:
        RECORD.remove()


onsuccess:
    end_on_slurm()


onerror:
    end_on_slurm()
