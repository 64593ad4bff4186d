//! What is measured: our own programs, Debian's, and short runs of some of them.

use super::cases::{CASES, Case};
use super::group::Group;
use super::programs::{PROGRAMS, Program, find};

/// One line of the report.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// Its name in reports and for `--only`.
    pub name: &'static str,
    /// The group whose mean it counts towards.
    pub group: Group,
    /// What it does, in a few words.
    pub about: &'static str,
    /// How much of it: the repeat count, or the number of files.
    pub count: u64,
    /// Runs that one sample is the mean of: a short one cannot be measured alone.
    pub runs: u32,
    /// What runs.
    pub what: What,
}

/// What runs.
#[derive(Clone, Copy, Debug)]
pub enum What {
    /// A guest program of ours, against a native build of the same source.
    Own(&'static Program),
    /// A program from a Debian package, against the build for this machine.
    Debian(&'static Case),
}

/// Programs of ours that are also run for some 50 ms: name, program, count.
const SHORT: &[(&str, &str, u64)] = &[
    ("short-mixed", "mixed", 4_500),
    ("short-records", "records", 6_000_000),
    ("short-json", "json", 2_200),
    ("short-raytrace", "raytrace", 16_000),
    ("short-sort", "sort", 15),
    ("short-virtual", "virtual", 150_000),
];

/// Every workload, group by group.
pub fn all() -> Vec<Workload> {
    let own = PROGRAMS.iter().map(|program| Workload {
        name: program.name,
        group: program.group,
        about: program.about,
        count: program.count,
        runs: if program.group == Group::StartUp {
            20
        } else {
            1
        },
        what: What::Own(program),
    });
    let short = SHORT.iter().filter_map(|&(name, program, count)| {
        let program = find(program)?;
        Some(Workload {
            name,
            group: Group::Short,
            about: program.about,
            count,
            runs: 5,
            what: What::Own(program),
        })
    });
    let debian = CASES.iter().map(|case| Workload {
        name: case.name,
        group: case.group,
        about: case.about,
        count: case.count,
        runs: if case.group == Group::Short { 5 } else { 1 },
        what: What::Debian(case),
    });
    let mut all: Vec<Workload> = own.chain(debian).chain(short).collect();
    // A stable sort: within a group the order stays.
    all.sort_by_key(|workload| workload.group);
    all
}

impl Workload {
    /// How much to do: a tenth of it when in a hurry.
    pub fn amount(&self, quick: bool) -> u64 {
        let part = if quick { self.count / 10 } else { self.count };
        part.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_differ_from_groups() {
        let names: Vec<&str> = all().iter().map(|w| w.name).collect();
        let unique: HashSet<&str> = names.iter().copied().collect();
        assert_eq!(names.len(), unique.len());
        for group in Group::ALL {
            assert!(!unique.contains(group.name()), "{}", group.name());
        }
    }

    #[test]
    fn every_group_has_workloads_and_every_short_run_its_program() {
        let all = all();
        for group in Group::ALL {
            assert!(all.iter().any(|w| w.group == group), "{}", group.name());
        }
        for (name, program, _) in SHORT {
            assert!(
                find(program).is_some(),
                "{name} runs {program}, which is not there"
            );
        }
    }
}
