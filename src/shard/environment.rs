//! `--shard auto`: the number of a worker, and how many there are, as schedulers put them into the environment.

use anyhow::{Result, bail, ensure};

use super::Shard;

/// The variables of a scheduler.
struct Scheduler {
    /// The worker's number.
    index: &'static str,
    /// The number of workers; none, if the scheduler does not give it.
    count: Option<&'static str>,
    /// The number of the first worker, if it need not be 0.
    first: Option<&'static str>,
    /// The number of the last worker, where numbers can be left out.
    last: Option<&'static str>,
}

const SCHEDULERS: [Scheduler; 7] = [
    Scheduler {
        index: "SLURM_ARRAY_TASK_ID",
        count: Some("SLURM_ARRAY_TASK_COUNT"),
        first: Some("SLURM_ARRAY_TASK_MIN"),
        last: Some("SLURM_ARRAY_TASK_MAX"),
    },
    Scheduler::from_zero("JOB_COMPLETION_INDEX", None),
    Scheduler::from_zero("SKYPILOT_JOB_RANK", Some("SKYPILOT_NUM_JOBS")),
    Scheduler::from_zero("SKYPILOT_NODE_RANK", Some("SKYPILOT_NUM_NODES")),
    Scheduler::from_zero("AWS_BATCH_JOB_ARRAY_INDEX", None),
    Scheduler::from_zero("BATCH_TASK_INDEX", Some("BATCH_TASK_COUNT")),
    Scheduler::from_zero("RANK", Some("WORLD_SIZE")),
];

/// What the variables of a scheduler say.
struct Found {
    shard: Shard,
    /// The variables with their values, for messages.
    variables: String,
    /// Whether the scheduler gave the number of workers.
    is_counted: bool,
}

/// The shard of this worker, and a sentence that names the variables it was taken from. `count` is `--shards`.
///
/// # Errors
/// If no scheduler or several ones give a shard, or what they give does not fit together: with the variables.
pub fn of_environment(count: Option<u64>, variable: impl Fn(&str) -> Option<String>) -> Result<(Shard, String)> {
    let mut found = Vec::new();
    for scheduler in &SCHEDULERS {
        found.extend(scheduler.find(count, &variable)?);
    }
    // A job of one worker has no parts: its variables are set beside those of what divides it.
    if found.iter().any(|found| found.shard.count > 1) {
        found.retain(|found| found.shard.count > 1);
    }
    let Some(first) = found.first() else {
        let names: Vec<&str> = SCHEDULERS.iter().map(|scheduler| scheduler.index).collect();
        bail!("--shard auto: none of {} is set; name the shard, as in --shard 0/8", names.join(", "));
    };
    if let Some(other) = found.iter().find(|other| other.shard != first.shard) {
        bail!(
            "--shard auto: {} is shard {shard}, and {} is shard {}; name the shard that is meant, as in --shard {shard}",
            first.variables,
            other.variables,
            other.shard,
            shard = first.shard,
        );
    }
    if let Some(count) = count {
        let other = found.iter().find(|found| found.is_counted && u64::from(found.shard.count) != count);
        if let Some(found) = other {
            bail!(
                "--shards {count}, and {}: leave --shards out for a shard to each worker; to run some of the {count} shards, name \
                 each, as in --shard 0/{count}",
                found.variables
            );
        }
    }
    Ok((first.shard, format!("shard {}, by {}", first.shard, first.variables)))
}

impl Scheduler {
    const fn from_zero(index: &'static str, count: Option<&'static str>) -> Self {
        Self { index, count, first: None, last: None }
    }

    /// What this scheduler gives, if it runs the worker.
    fn find(&self, shards: Option<u64>, variable: &impl Fn(&str) -> Option<String>) -> Result<Option<Found>> {
        let mut shown = Vec::new();
        let mut number = |name: &str| -> Result<Option<u64>> {
            let Some(value) = variable(name).filter(|value| !value.is_empty()) else { return Ok(None) };
            let number = value.parse();
            shown.push(format!("{name}={value}"));
            ensure!(
                number.is_ok(),
                "--shard auto: {name} is {value:?}, and no number; name the shard, as in --shard 0/8"
            );
            Ok(number.ok())
        };
        let Some(index) = number(self.index)? else { return Ok(None) };
        let [count, first, last] = [self.count, self.first, self.last].map(|name| name.map_or(Ok(None), &mut number));
        let (count, first, last) = (count?, first?.unwrap_or(0), last?);
        let variables = shown.join(", ");
        if let (Some(last), Some(count)) = (last, count) {
            ensure!(
                last.checked_sub(first).and_then(|difference| difference.checked_add(1)) == Some(count),
                "--shard auto: {variables}: the numbers of the array have gaps, so that some shards would have no worker; number it \
                 without (--array=0-{}), or name the shard, as in --shard ${}/N",
                count.saturating_sub(1),
                self.index
            );
        }
        ensure!(
            first <= 1,
            "--shard auto: {variables}: an array that begins at {first} is taken for some tasks of a larger one that run again, and \
             nothing shows how many there are in all; name the shard, as in --shard {index}/N where N tasks are counted from 0, or \
             number the array from 0"
        );
        let is_counted = count.is_some();
        let Some(count) = count.or(shards) else {
            match self.count {
                Some(name) => {
                    bail!("--shard auto: {variables} is set, and {name} is not; name the shard, as in --shard 0/8")
                }
                None => bail!("--shard auto: {variables} does not show how many workers there are; add --shards N"),
            }
        };
        let before = || format!("the task stands before the first one, {first}");
        let shard = index.checked_sub(first).ok_or_else(before).and_then(|index| Shard::new(index, count));
        match shard {
            Ok(shard) => Ok(Some(Found { shard, variables, is_counted })),
            Err(problem) => bail!("--shard auto: {variables}: {problem}; name the shard, as in --shard 0/8"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &str, count: Option<u64>) -> Result<String, String> {
        let value = |name: &str| {
            let pairs = variables.split(' ').filter_map(|pair| pair.split_once('='));
            pairs.filter(|(known, _)| *known == name).map(|(_, value)| value.to_owned()).next()
        };
        of_environment(count, value).map(|(shard, _)| shard.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn every_scheduler_names_the_shard() {
        for (variables, count, shard) in [
            (
                "SLURM_ARRAY_TASK_ID=3 SLURM_ARRAY_TASK_COUNT=8 SLURM_ARRAY_TASK_MIN=0 SLURM_ARRAY_TASK_MAX=7",
                None,
                "3/8",
            ),
            (
                "SLURM_ARRAY_TASK_ID=8 SLURM_ARRAY_TASK_COUNT=8 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_MAX=8",
                None,
                "7/8",
            ),
            ("SLURM_ARRAY_TASK_ID=1 SLURM_ARRAY_TASK_COUNT=2 SLURM_ARRAY_TASK_MIN=1", Some(2), "0/2"),
            ("JOB_COMPLETION_INDEX=2", Some(3), "2/3"),
            ("SKYPILOT_JOB_RANK=1 SKYPILOT_NUM_JOBS=4 SKYPILOT_NODE_RANK=0 SKYPILOT_NUM_NODES=1", None, "1/4"),
            ("SKYPILOT_NODE_RANK=1 SKYPILOT_NUM_NODES=2", None, "1/2"),
            ("AWS_BATCH_JOB_ARRAY_INDEX=0", Some(5), "0/5"),
            ("BATCH_TASK_INDEX=4 BATCH_TASK_COUNT=5", None, "4/5"),
            ("RANK=0 WORLD_SIZE=1", None, "0/1"),
            ("RANK=2 WORLD_SIZE=3 JOB_COMPLETION_INDEX=2", Some(3), "2/3"),
        ] {
            assert_eq!(of(variables, count).as_deref(), Ok(shard), "{variables}");
        }
    }

    #[test]
    fn what_does_not_fit_together_is_refused_by_name() {
        for (variables, count, message) in [
            ("", None, "none of SLURM_ARRAY_TASK_ID, JOB_COMPLETION_INDEX,"),
            (
                "JOB_COMPLETION_INDEX=2",
                None,
                "JOB_COMPLETION_INDEX=2 does not show how many workers there are; add --shards N",
            ),
            (
                "JOB_COMPLETION_INDEX=3",
                Some(3),
                "JOB_COMPLETION_INDEX=3: shards are counted from 0, so that the last of 3 is 2/3",
            ),
            (
                "RANK=0 WORLD_SIZE=0",
                None,
                "there can be 1 to 1000000 shards, and 0 are named; name the shard, as in --shard 0/8",
            ),
            ("RANK=0 WORLD_SIZE=2000000", None, "there can be 1 to 1000000 shards, and 2000000 are named"),
            ("RANK=1", None, "RANK=1 is set, and WORLD_SIZE is not"),
            ("RANK=x WORLD_SIZE=2", None, "RANK is \"x\", and no number"),
            (
                "RANK=1 WORLD_SIZE=2 BATCH_TASK_INDEX=0 BATCH_TASK_COUNT=2",
                None,
                "BATCH_TASK_INDEX=0, BATCH_TASK_COUNT=2 is shard 0/2, and RANK=1, WORLD_SIZE=2 is shard 1/2; name the shard that is meant, as in --shard 0/2",
            ),
            ("RANK=1 WORLD_SIZE=2", Some(8), "--shards 8, and RANK=1, WORLD_SIZE=2"),
            (
                "SLURM_ARRAY_TASK_ID=3 SLURM_ARRAY_TASK_COUNT=2 SLURM_ARRAY_TASK_MIN=3 SLURM_ARRAY_TASK_MAX=5",
                None,
                "gaps",
            ),
            (
                "SLURM_ARRAY_TASK_ID=0 SLURM_ARRAY_TASK_COUNT=2 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_MAX=2",
                None,
                "the task stands before the first one, 1",
            ),
            (
                "SLURM_ARRAY_TASK_ID=3 SLURM_ARRAY_TASK_COUNT=1 SLURM_ARRAY_TASK_MIN=3 SLURM_ARRAY_TASK_MAX=3",
                None,
                "run again, and nothing shows how many there are in all; name the shard, as in --shard 3/N",
            ),
            (
                "SLURM_ARRAY_TASK_ID=3 SLURM_ARRAY_TASK_COUNT=1 SLURM_ARRAY_TASK_MIN=3 SLURM_ARRAY_TASK_MAX=3",
                Some(8),
                "--shard 3/N",
            ),
        ] {
            let error = of(variables, count).unwrap_err();
            assert!(error.starts_with("--shard"), "{error}");
            assert!(error.contains(message), "{message}: {error}");
        }
    }
}
