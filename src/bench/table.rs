//! The report as text: losses first, then every group, means with their spread, and the goals.

use super::group::Group;
use super::measure::{Measured, Plan};
use super::statistics::Spread;
use super::summary::{Means, Summary};
use super::tools::Way;
use std::fmt::Write;

/// The whole report.
pub fn text(plan: &Plan, results: &[Measured], summary: &Summary) -> String {
    let mut out = String::new();
    for note in &plan.notes {
        let _ = writeln!(out, "not measured: {note}");
    }
    losses(&mut out, results, summary);
    let _ = writeln!(
        out,
        "{:15} {:>8} {:>6} {:>13} {:>6} {:>6} {:>6} {:>6} {:>7} {:>11} {:>6} {:>6}",
        "",
        "native",
        "jit",
        "low–high",
        "interp",
        "qemu",
        "qemu",
        "qemu",
        "jit",
        "compiling",
        "interp",
        "jit"
    );
    let _ = writeln!(
        out,
        "{:15} {:>8} {:>6} {:>13} {:>6} {:>6} {:>6} {:>6} {:>7} {:>11} {:>6} {:>6}",
        "",
        "CPU s",
        "/nat.",
        "",
        "/nat.",
        "/nat.",
        "/jit",
        "/again",
        "wall s",
        "CPU s",
        "G/s",
        "MiB"
    );
    for (group, means) in &summary.groups {
        let _ = writeln!(out, "{}: {}", group.name(), group.about());
        for m in results.iter().filter(|m| m.workload.group == *group) {
            row(&mut out, m);
        }
        if means.count > 1 {
            mean(&mut out, &format!("  mean of {}", means.count), means);
        }
    }
    if results.len() > 1 {
        let _ = writeln!(out, "geometric means");
        for means in &summary.totals {
            mean(&mut out, &format!("  {}", means.name), means);
        }
    }
    let _ = writeln!(
        out,
        "ratios are of CPU seconds within a round: the median of {} round{}{}, and the lowest and \
         highest\njit: nothing is kept from earlier starts; again: after up to 8 starts that keep \
         their code",
        plan.rounds,
        if plan.rounds == 1 { "" } else { "s" },
        if plan.quick {
            ", a tenth of the work"
        } else {
            ""
        }
    );
    goals(&mut out, summary);
    out
}

/// Where the JIT is behind QEMU, the worst first.
fn losses(out: &mut String, results: &[Measured], summary: &Summary) {
    for m in results {
        if let Some(wrong) = &m.wrong {
            let _ = writeln!(out, "WRONG: {}: {wrong}", m.workload.name);
        }
    }
    if !summary.losses.is_empty() {
        let _ = writeln!(out, "slower than qemu:");
    }
    for (place, speedup) in &summary.losses {
        let name = results[*place].workload.name;
        let _ = writeln!(out, "  {name:15} {speedup:.2} times its speed");
    }
    if !out.is_empty() {
        out.push('\n');
    }
}

fn row(out: &mut String, m: &Measured) {
    let jit = m.ratio(Way::Jit, Way::Native);
    let ratio = |over, under| number(median(m.ratio(over, under)), 2);
    let jit_cpu = median(m.figure(Way::Jit, |s| s.compile));
    let rate = m
        .rate(Way::Interp)
        .filter(|_| m.workload.group != Group::StartUp);
    let _ = writeln!(
        out,
        "  {:13} {:>8} {:>6} {:>13} {:>6} {:>6} {:>6} {:>6} {:>7} {:>6} {:>4} {:>6} {:>6}{}",
        m.workload.name,
        number(median(m.figure(Way::Native, |s| s.cpu)), 3),
        number(median(jit), 2),
        jit.map_or_else(String::new, |s| format!("{:.2}–{:.2}", s.low, s.high)),
        number(median(m.ratio(Way::Interp, Way::Native)), 1),
        ratio(Way::Qemu, Way::Native),
        ratio(Way::Qemu, Way::Jit),
        ratio(Way::Qemu, Way::Again),
        number(median(m.figure(Way::Jit, |s| s.wall)), 3),
        number(jit_cpu, 3),
        m.compile_share()
            .map_or_else(String::new, |share| format!("{:.0}%", share * 100.0)),
        number(rate.map(|rate| rate / 1e9), 2),
        number(
            median(m.figure(Way::Jit, |s| s.peak as f64 / 1_048_576.0)),
            0
        ),
        if m.wrong.is_some() { "  WRONG" } else { "" },
    );
}

fn mean(out: &mut String, name: &str, means: &Means) {
    let _ = writeln!(
        out,
        "{name:24} {:>6} {:>13} {:>6} {:>6} {:>6} {:>6}",
        number(means.jit, 2),
        "",
        number(means.interp, 1),
        number(means.qemu, 2),
        number(means.speedup, 2),
        number(means.again, 2),
    );
}

fn goals(out: &mut String, summary: &Summary) {
    let _ = writeln!(out, "\ngoals");
    for goal in &summary.goals {
        let verdict = match goal.met {
            Some(true) => "met",
            Some(false) => "NOT MET",
            None => "not measured",
        };
        let found = goal.found.as_deref().unwrap_or("-");
        let _ = writeln!(
            out,
            "  {:50} {:>12}   {found:28} {verdict}",
            goal.what, goal.wanted
        );
    }
}

fn median(spread: Option<Spread>) -> Option<f64> {
    spread.map(|spread| spread.median)
}

/// A number, or a dash where there is none.
pub fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |v| format!("{v:.digits$}"))
}
