//! Every sample as JSON, for scripts. Names hold nothing that would need escaping.

use super::measure::{Measured, Plan, Way};
use std::fmt::Write;

/// The whole run: a header and one object a program.
pub fn text(plan: &Plan, results: &[Measured]) -> String {
    let mut out = String::from("{\n");
    let _ = writeln!(out, "  \"version\": \"{}\",", env!("CARGO_PKG_VERSION"));
    let _ = writeln!(
        out,
        "  \"rounds\": {},\n  \"quick\": {},",
        plan.rounds, plan.quick
    );
    out.push_str("  \"programs\": [");
    for (i, m) in results.iter().enumerate() {
        let separator = if i == 0 { "" } else { "," };
        let _ = write!(
            out,
            "{separator}\n    {{\"name\": \"{}\", \"group\": \"{}\", \"count\": {}, \
             \"right\": {}, \"instructions\": {}",
            m.program.name,
            m.program.group.name(),
            plan.count(m.program),
            m.wrong.is_none(),
            m.instructions
                .map_or_else(|| "null".to_owned(), |n| n.to_string()),
        );
        for way in Way::ALL {
            let samples = m.samples(way);
            if samples.is_empty() {
                continue;
            }
            let list = |value: &dyn Fn(&super::measure::Sample) -> String| {
                samples.iter().map(value).collect::<Vec<_>>().join(", ")
            };
            let _ = write!(
                out,
                ",\n     \"{}\": {{\"cpu_s\": [{}], \"wall_s\": [{}], \"peak_bytes\": [{}]}}",
                way.name(),
                list(&|s| format!("{:.6}", s.cpu)),
                list(&|s| format!("{:.6}", s.wall)),
                list(&|s| s.peak.to_string()),
            );
        }
        out.push('}');
    }
    out.push_str("\n  ]\n}\n");
    out
}
