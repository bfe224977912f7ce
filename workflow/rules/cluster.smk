"""Detects runs that were killed; on a cluster, keeps a record of the run (docs/how-to/cluster.md)."""

import os
import sys

from stillknows.cluster.runs import only_looks, refuse_left_lock
from stillknows.cluster.runs import refuse_killed_runs, refuse_orphans, this_run
from stillknows.cluster.runs import use_wrappers

# The job that Snakemake itself may run in; the plugin removes it from the environment.
OWN_SLURM_JOB = os.environ.get("SLURM_JOB_ID", "")
RECORD = None


# Checked here, before Snakemake finds the killed run's lock and recommends removing it.
if is_main_process and not (workflow.output_settings.dryrun or only_looks(sys.argv)):
    with errors_in_one_line():
        refuse_killed_runs()
        if "--nolock" not in sys.argv:
            refuse_left_lock(study.config.results)


def begin_on_slurm():
    """Refuse jobs left by an earlier run, and write a record of this one, removed when it ends."""
    global RECORD
    if workflow.executor_plugin.name != "slurm":
        return
    with errors_in_one_line():
        use_wrappers(HERE.parent / "profiles" / "slurm" / "wrappers")
        refuse_orphans()
    submitted = [job for job in workflow.dag.needrun_jobs() if not job.is_local]
    if submitted:
        # The plugin names all its jobs by the id of the run.
        RECORD = this_run(workflow.scheduler.get_executor(submitted[0]).run_uuid, OWN_SLURM_JOB)
        RECORD.write()


onsuccess:
    if RECORD is not None:
        RECORD.remove()


onerror:
    if RECORD is not None:
        with errors_in_one_line():
            RECORD.cancel_rest()
