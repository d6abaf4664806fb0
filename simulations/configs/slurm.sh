#!/bin/sh
# 400 worlds of a scenario in 20 parts as a Slurm array job, then one report over all of them.
#
#   sbatch simulations/configs/slurm.sh cameroon-2017 /shared/runs/cameroon
#   sbatch --dependency=afterok:JOBID --wrap "simulate report /shared/runs/cameroon/part-* --out /shared/runs/cameroon/all"
#
# All parts must be run by one build of `simulate`. A part that was lost is run again by its number alone: sbatch --array=7 …
#SBATCH --job-name=simulate
#SBATCH --array=0-19
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
#SBATCH --time=04:00:00
set -eu
scenario=$1
out=$2
# Of how many, whatever part of the array is run.
parts=20
simulate run "$scenario" --seeds 400 --shard "$SLURM_ARRAY_TASK_ID/$parts" --out "$out/part-$SLURM_ARRAY_TASK_ID"
