//! Every sample and what is derived from them as JSON, for scripts.

use super::Report;
use super::measure::{Measured, Plan};
use super::process::Sample;
use super::summary::Means;
use super::tools::Way;
use std::fmt::Write;

/// The whole run.
pub fn text(report: &Report<'_>) -> String {
    let Report {
        plan,
        machine,
        planned,
        results,
        summary,
    } = *report;
    let mut out = String::from("{\n");
    let _ = writeln!(out, "  \"version\": {},", string(env!("CARGO_PKG_VERSION")));
    let _ = writeln!(
        out,
        "  \"rounds\": {}, \"quick\": {}, \"planned\": {planned},",
        plan.rounds, plan.quick
    );
    let _ = writeln!(
        out,
        "  \"machine\": {{\"processor\": {}, \"cores\": {}, \"qemu\": {}, \"compiler\": {}}},",
        string(&machine.processor),
        machine.cores,
        optional(machine.qemu.as_deref()),
        optional(machine.compiler.as_deref()),
    );
    let _ = writeln!(
        out,
        "  \"not_measured\": [{}],",
        list(plan.notes.iter().map(|n| string(n)))
    );
    let workloads = results.iter().map(|m| workload(plan, m));
    let _ = writeln!(out, "  \"workloads\": [\n    {}\n  ],", lines(workloads));
    let groups = summary.groups.iter().map(|(_, m)| m);
    let means = groups.chain(&summary.totals).map(means);
    let _ = writeln!(out, "  \"means\": [\n    {}\n  ],", lines(means));
    let losses = summary.losses.iter().map(|(place, speedup)| {
        let name = string(results[*place].workload.name);
        format!("{{\"name\": {name}, \"qemu_over_jit\": {speedup:.4}}}")
    });
    let _ = writeln!(out, "  \"losses\": [{}],", list(losses));
    let goals = summary.goals.iter().map(|goal| {
        format!(
            "{{\"what\": {}, \"wanted\": {}, \"found\": {}, \"met\": {}}}",
            string(&goal.what),
            string(&goal.wanted),
            optional(goal.found.as_deref()),
            goal.met
                .map_or("null", |met| if met { "true" } else { "false" }),
        )
    });
    let _ = writeln!(out, "  \"goals\": [\n    {}\n  ]\n}}", lines(goals));
    out
}

fn workload(plan: &Plan, m: &Measured) -> String {
    let mut out = format!(
        "{{\"name\": {}, \"group\": {}, \"amount\": {}, \"runs_per_sample\": {}, \"wrong\": {}, \
         \"instructions\": {}",
        string(m.workload.name),
        string(m.workload.group.name()),
        m.workload.amount(plan.quick),
        m.workload.runs,
        optional(m.wrong.as_deref()),
        m.instructions
            .map_or_else(|| "null".to_owned(), |n| n.to_string()),
    );
    for way in Way::ALL {
        let samples = m.samples(way);
        if samples.is_empty() {
            continue;
        }
        let all = |value: &dyn Fn(&Sample) -> String| list(samples.iter().map(value));
        let _ = write!(
            out,
            ",\n     \"{}\": {{\"cpu_s\": [{}], \"wall_s\": [{}], \"compile_s\": [{}], \
             \"peak_bytes\": [{}]}}",
            way.name(),
            all(&|s| format!("{:.6}", s.cpu)),
            all(&|s| format!("{:.6}", s.wall)),
            all(&|s| format!("{:.6}", s.compile)),
            all(&|s| s.peak.to_string()),
        );
    }
    out.push('}');
    out
}

fn means(means: &Means) -> String {
    let number =
        |value: Option<f64>| value.map_or_else(|| "null".to_owned(), |v| format!("{v:.4}"));
    format!(
        "{{\"name\": {}, \"count\": {}, \"jit_over_native\": {}, \"interp_over_native\": {}, \
         \"qemu_over_native\": {}, \"qemu_over_jit\": {}, \"qemu_over_again\": {}}}",
        string(&means.name),
        means.count,
        number(means.jit),
        number(means.interp),
        number(means.qemu),
        number(means.speedup),
        number(means.again),
    )
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

fn lines(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(",\n    ")
}

fn optional(text: Option<&str>) -> String {
    text.map_or_else(|| "null".to_owned(), string)
}

/// A JSON string. What programs print may be in it.
fn string(text: &str) -> String {
    let mut out = String::from("\"");
    for ch in text.chars() {
        match ch {
            '"' | '\\' => out.extend(['\\', ch]),
            ' '.. => out.push(ch),
            _ => {
                let _ = write!(out, "\\u{:04x}", ch as u32);
            }
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped() {
        assert_eq!(string("a\"b\\c\n\u{1}ü"), "\"a\\\"b\\\\c\\u000a\\u0001ü\"");
    }
}
