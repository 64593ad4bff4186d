//! The table: losses first, then groups, with means and spread.

use super::measure::{Measured, Plan, Way};
use super::programs::Group;
use std::fmt::Write;

/// The whole report as text.
pub fn text(plan: &Plan, results: &[Measured]) -> String {
    let mut out = String::new();
    for (way, reason) in &plan.absent {
        let _ = writeln!(out, "{} was not measured: {reason}", way.name());
    }
    losses(&mut out, results);
    let _ = writeln!(
        out,
        "{:18} {:>9} {:>8} {:>8} {:>8} {:>9} {:>8}   {:>7}",
        "program", "native s", "jit", "interp", "qemu", "qemu/jit", "interp", "jit MiB"
    );
    let _ = writeln!(
        out,
        "{:18} {:>9} {:>8} {:>8} {:>8} {:>9} {:>8}   {:>7}",
        "", "", "/native", "/native", "/native", "", "G/s", "peak"
    );
    for group in Group::ALL {
        let members: Vec<&Measured> = results
            .iter()
            .filter(|m| m.program.group == group)
            .collect();
        if members.is_empty() {
            continue;
        }
        let _ = writeln!(out, "{}", group.name());
        for m in &members {
            row(&mut out, m);
        }
        if members.len() > 1 {
            mean(&mut out, "  mean", members.iter().copied());
        }
    }
    let all = || results.iter().filter(|m| m.program.group != Group::StartUp);
    if all().count() > 1 {
        mean(&mut out, "all but start-up", all());
    }
    let _ = writeln!(
        out,
        "CPU seconds, median of {} rounds{}; ± is half the spread of jit/native over the rounds; \
         means are geometric",
        plan.rounds,
        if plan.quick {
            ", a tenth of the work"
        } else {
            ""
        }
    );
    out
}

/// Where the JIT is behind QEMU, the worst first.
fn losses(out: &mut String, results: &[Measured]) {
    let speedup = |m: &&Measured| middle(&m.ratios(Way::Qemu, Way::Jit));
    let mut behind: Vec<&Measured> = results
        .iter()
        .filter(|m| speedup(m).is_some_and(|x| x < 1.0))
        .collect();
    behind.sort_by(|a, b| f64::total_cmp(&speedup(a).unwrap_or(0.0), &speedup(b).unwrap_or(0.0)));
    if behind.is_empty() {
        return;
    }
    let _ = writeln!(out, "slower than qemu:");
    for m in behind {
        let _ = writeln!(
            out,
            "  {:16} {:.2} times its speed",
            m.program.name,
            speedup(&m).unwrap_or(0.0)
        );
    }
    out.push('\n');
}

fn row(out: &mut String, m: &Measured) {
    let ratio = |over, under| number(middle(&m.ratios(over, under)), 2);
    let rate = m
        .instructions
        .zip(m.cpu(Way::Interp))
        .map(|(count, seconds)| count as f64 / 1e9 / seconds.max(1e-6));
    let peak = m.samples(Way::Jit).iter().map(|s| s.peak).max();
    let _ = write!(
        out,
        "  {:16} {:>9} {:>8} {:>8} {:>8} {:>9} {:>8}   {:>7}",
        m.program.name,
        number(m.cpu(Way::Native), 4),
        ratio(Way::Jit, Way::Native),
        ratio(Way::Interp, Way::Native),
        ratio(Way::Qemu, Way::Native),
        ratio(Way::Qemu, Way::Jit),
        number(rate.filter(|_| m.program.group != Group::StartUp), 2),
        number(peak.map(|bytes| bytes as f64 / 1048576.0), 1),
    );
    if let [first, .., last] = m.ratios(Way::Jit, Way::Native)[..] {
        let _ = write!(out, "  ±{:.2}", (last - first) / 2.0);
    }
    if m.wrong.is_some() {
        out.push_str("  WRONG");
    }
    out.push('\n');
}

fn mean<'a>(out: &mut String, name: &str, members: impl Iterator<Item = &'a Measured> + Clone) {
    let of = |over, under| {
        let ratios: Option<Vec<f64>> = members
            .clone()
            .map(|m| middle(&m.ratios(over, under)))
            .collect();
        number(ratios.and_then(|r| geometric(&r)), 2)
    };
    let _ = writeln!(
        out,
        "{name:18} {:>9} {:>8} {:>8} {:>8} {:>9}",
        "",
        of(Way::Jit, Way::Native),
        of(Way::Interp, Way::Native),
        of(Way::Qemu, Way::Native),
        of(Way::Qemu, Way::Jit),
    );
}

/// The middle one of sorted numbers.
pub fn middle(sorted: &[f64]) -> Option<f64> {
    sorted.get(sorted.len() / 2).copied()
}

/// The geometric mean; none of nothing.
pub fn geometric(numbers: &[f64]) -> Option<f64> {
    if numbers.is_empty() {
        return None;
    }
    let logs: f64 = numbers.iter().map(|n| n.max(1e-9).ln()).sum();
    Some((logs / numbers.len() as f64).exp())
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |v| format!("{v:.digits$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_geometric_mean_of_a_ratio_and_its_inverse_is_one() {
        assert!((geometric(&[4.0, 0.25]).unwrap() - 1.0).abs() < 1e-12);
        assert_eq!(geometric(&[]), None);
    }

    #[test]
    fn the_middle_of_three_is_the_second() {
        assert_eq!(middle(&[1.0, 5.0, 9.0]), Some(5.0));
        assert_eq!(middle(&[]), None);
    }
}
