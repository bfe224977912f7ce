"""What a run on a Slurm cluster needs beside Snakemake: the site's names, and killed runs."""
