//! What the samples say together: means of groups, losses, and the goals that are met or not.

use super::group::Group;
use super::measure::Measured;
use super::statistics::{Spread, geometric};
use super::tools::Way;

/// Geometric means over some workloads; a mean is there only if every one of them has the ratio.
#[derive(Clone, Debug)]
pub struct Means {
    /// Whose means.
    pub name: String,
    /// How many workloads.
    pub count: usize,
    /// JIT to native.
    pub jit: Option<f64>,
    /// Interpreter to native.
    pub interp: Option<f64>,
    /// QEMU to native.
    pub qemu: Option<f64>,
    /// QEMU to JIT: how many times faster the JIT is.
    pub speedup: Option<f64>,
    /// QEMU to JIT, for programs that were started before.
    pub again: Option<f64>,
}

/// A goal of the project, and whether this run meets it.
#[derive(Clone, Debug)]
pub struct Goal {
    /// What is to be reached, in words.
    pub what: String,
    /// The bound, with its direction.
    pub wanted: String,
    /// What was found; none if this run did not measure it.
    pub found: Option<String>,
    /// Whether that is enough; none if this run cannot tell.
    pub met: Option<bool>,
}

/// Everything that is derived from the samples.
#[derive(Debug)]
pub struct Summary {
    /// Means of each group that has workloads.
    pub groups: Vec<(Group, Means)>,
    /// Means of our own programs, of Debian's, and of everything.
    pub totals: Vec<Means>,
    /// Workloads that take longer than under QEMU: their place among the results and how many
    /// times QEMU's speed they reach, the worst first.
    pub losses: Vec<(usize, f64)>,
    /// The goals.
    pub goals: Vec<Goal>,
}

/// The middle of a ratio.
fn median(m: &Measured, over: Way, under: Way) -> Option<f64> {
    m.ratio(over, under).map(|spread| spread.median)
}

impl Means {
    fn of(name: &str, members: &[&Measured]) -> Means {
        let mean = |over, under| {
            let ratios: Option<Vec<f64>> = members.iter().map(|m| median(m, over, under)).collect();
            geometric(ratios?)
        };
        Means {
            name: name.to_owned(),
            count: members.len(),
            jit: mean(Way::Jit, Way::Native),
            interp: mean(Way::Interp, Way::Native),
            qemu: mean(Way::Qemu, Way::Native),
            speedup: mean(Way::Qemu, Way::Jit),
            again: mean(Way::Qemu, Way::Again),
        }
    }
}

impl Summary {
    /// The summary of a run.
    pub fn new(results: &[Measured]) -> Summary {
        let of = |name: &str, wanted: &dyn Fn(Group) -> bool| {
            let members: Vec<&Measured> = results
                .iter()
                .filter(|m| wanted(m.workload.group))
                .collect();
            (!members.is_empty()).then(|| Means::of(name, &members))
        };
        let groups = Group::ALL.into_iter();
        let groups = groups.filter_map(|g| Some((g, of(g.name(), &|other| other == g)?)));
        let totals = [
            of("our own programs", &Group::is_own),
            of("Debian's programs", &Group::is_debian),
            of("everything", &|_| true),
        ];
        let behind = |(i, m): (usize, &Measured)| Some((i, median(m, Way::Qemu, Way::Jit)?));
        let mut losses: Vec<(usize, f64)> = results.iter().enumerate().filter_map(behind).collect();
        losses.retain(|(_, speedup)| *speedup < 1.0);
        losses.sort_by(|a, b| f64::total_cmp(&a.1, &b.1));
        let mut summary = Summary {
            groups: groups.collect(),
            totals: totals.into_iter().flatten().collect(),
            losses,
            goals: Vec::new(),
        };
        summary.goals = goals(results, &summary);
        summary
    }

    /// The means of everything, or of our own or Debian's programs.
    pub fn total(&self, name: &str) -> Option<&Means> {
        self.totals.iter().find(|means| means.name == name)
    }

    fn group(&self, group: Group) -> Option<&Means> {
        self.groups
            .iter()
            .find(|(g, _)| *g == group)
            .map(|(_, means)| means)
    }
}

fn at_most(what: &str, bound: f64, unit: &str, found: Option<f64>) -> Goal {
    Goal {
        what: what.to_owned(),
        wanted: format!("≤ {bound}{unit}"),
        found: found.map(|value| format!("{value:.2}{unit}")),
        met: found.map(|value| value <= bound),
    }
}

fn at_least(what: &str, bound: f64, unit: &str, found: Option<f64>) -> Goal {
    Goal {
        what: what.to_owned(),
        wanted: format!("≥ {bound}{unit}"),
        found: found.map(|value| format!("{value:.2}{unit}")),
        met: found.map(|value| value >= bound),
    }
}

/// No workload of some is slower than under QEMU; the worst is named.
fn none_slower(what: &str, way: Way, results: &[Measured], wanted: impl Fn(Group) -> bool) -> Goal {
    let ratios = results
        .iter()
        .filter(|m| wanted(m.workload.group))
        .filter_map(|m| Some((median(m, Way::Qemu, way)?, m.workload.name)));
    let worst = ratios.min_by(|a, b| f64::total_cmp(&a.0, &b.0));
    Goal {
        what: what.to_owned(),
        wanted: "≥ 1 × QEMU".to_owned(),
        found: worst.map(|(ratio, name)| format!("{ratio:.2} × ({name})")),
        met: worst.map(|(ratio, _)| ratio >= 1.0),
    }
}

fn goals(results: &[Measured], summary: &Summary) -> Vec<Goal> {
    let named = |name: &str| results.iter().find(|m| m.workload.name == name);
    let jit = |means: Option<&Means>| means.and_then(|m| m.jit);
    let group = |group| jit(summary.group(group));
    let hello = named("hello");
    let cpu = hello.and_then(|m| m.figure(Way::Jit, |s| s.cpu * 1e3));
    let peak = hello.and_then(|m| m.figure(Way::Jit, |s| s.peak as f64 / 1_048_576.0));
    let median = |spread: Option<Spread>| spread.map(|s| s.median);
    let rate = named("mixed").and_then(|m| m.rate(Way::Interp));
    let share = named("python-objects").and_then(Measured::compile_share);
    let speedup = summary.total("everything").and_then(|m| m.speedup);
    vec![
        at_most("integer, JIT to native", 1.7, " ×", group(Group::Integer)),
        at_most(
            "floating point, JIT to native",
            2.5,
            " ×",
            group(Group::Floating),
        ),
        at_most("memory, JIT to native", 2.0, " ×", group(Group::Memory)),
        at_most(
            "indirect branches and calls, JIT to native",
            1.5,
            " ×",
            group(Group::Indirect),
        ),
        at_most(
            "Debian's programs, JIT to native",
            4.5,
            " ×",
            jit(summary.total("Debian's programs")),
        ),
        at_most(
            "Debian's scripts, JIT to native",
            5.0,
            " ×",
            group(Group::Scripts),
        ),
        at_least("everything, times as fast as QEMU", 3.0, " ×", speedup),
        none_slower(
            "every single workload against QEMU",
            Way::Jit,
            results,
            |_| true,
        ),
        none_slower("the same, started before", Way::Again, results, |_| true),
        none_slower("50 ms of work against QEMU", Way::Jit, results, |g| {
            g == Group::Short
        }),
        at_least(
            "interpreter on mixed, instructions per second",
            0.7,
            " G",
            rate.map(|r| r / 1e9),
        ),
        at_most("hello, CPU time", 4.0, " ms", median(cpu)),
        at_most("hello, peak memory", 12.0, " MiB", median(peak)),
        at_most(
            "compiling, of the CPU time of python-objects",
            15.0,
            " %",
            share.map(|s| s * 100.0),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::process::Sample;
    use super::super::workload::all;
    use super::*;

    fn seen(name: &str, cpu: [f64; 5]) -> Measured {
        let workload = all().into_iter().find(|w| w.name == name).unwrap();
        let mut m = Measured::new(workload);
        for way in Way::ALL {
            let cpu = cpu[way as usize];
            m.samples[way as usize] = vec![
                Sample {
                    cpu,
                    ..Sample::default()
                };
                3
            ];
        }
        m
    }

    /// In the order of `Way`'s variants: jit, interp, native, qemu, again.
    fn results() -> Vec<Measured> {
        vec![
            seen("mixed", [2.0, 40.0, 1.0, 8.0, 2.0]),
            seen("sha256", [2.0, 90.0, 1.0, 2.0, 1.0]),
            seen("lz", [4.0, 30.0, 1.0, 2.0, 2.0]),
            seen("hello", [0.003, 0.003, 0.001, 0.013, 0.003]),
        ]
    }

    #[test]
    fn means_are_geometric_and_losses_come_worst_first() {
        let mut results = results();
        results.push(seen("crc32", [8.0, 30.0, 1.0, 6.0, 6.0]));
        let summary = Summary::new(&results);
        let integer = summary.group(Group::Integer).unwrap();
        assert_eq!(integer.count, 4);
        assert!((integer.jit.unwrap() - 128_f64.powf(0.25)).abs() < 1e-9);
        let names = summary
            .losses
            .iter()
            .map(|(i, _)| results[*i].workload.name);
        assert_eq!(names.collect::<Vec<_>>(), ["lz", "crc32"]);
    }

    #[test]
    fn goals_are_met_or_not_or_unknown() {
        let summary = Summary::new(&results());
        let met = |part: &str| {
            let found = summary.goals.iter().find(|goal| goal.what.contains(part));
            found.unwrap_or_else(|| panic!("no goal {part}")).met
        };
        assert_eq!(met("integer, JIT"), Some(false));
        assert_eq!(met("hello, CPU"), Some(true));
        assert_eq!(met("every single"), Some(false));
        assert_eq!(met("floating point"), None);
        assert_eq!(met("python-objects"), None);
    }

    #[test]
    fn a_mean_is_not_told_of_a_part_of_a_group() {
        let mut results = results();
        results[1].samples[Way::Native as usize].clear();
        let summary = Summary::new(&results);
        let integer = summary.group(Group::Integer).unwrap();
        assert!(integer.jit.is_none() && integer.speedup.is_some());
    }
}
