//! The report as one page: charts, goals, losses and every figure, with nothing from outside.

use super::Report;
use super::chart::{self, escape};
use super::figures;
use super::measure::{Measured, Plan};
use super::summary::Summary;
use super::tools::Way;
use std::fmt::Write;

/// The whole page.
pub fn text(report: &Report<'_>) -> String {
    let Report {
        plan,
        results,
        summary,
        ..
    } = *report;
    let mut out = String::from(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>baby_hypervisor: how fast it is</title>\n<style>\n",
    );
    out.push_str(include_str!("page.css"));
    out.push_str(
        "</style>\n</head>\n<body>\n<h1>How fast baby_hypervisor runs RISC-V programs</h1>\n",
    );
    provenance(&mut out, report);
    tiles(&mut out, results, summary);
    losses(&mut out, plan, results, summary);
    if let Some(chart) = chart::groups(summary) {
        out.push_str(
            "<h2>Group by group</h2>\n<p>How many times the CPU time of native code each takes: \
             geometric means, on a logarithmic scale. <b>Left is better</b>; the green line is \
             native speed.</p>\n",
        );
        out.push_str(&chart);
    }
    goals(&mut out, summary);
    if let Some(chart) = chart::workloads(results, summary) {
        out.push_str(
            "<h2>Every workload</h2>\n<p>The same scale. A mark is the median of the rounds, the \
             short line through it reaches from the lowest to the highest. Names in red are slower \
             than under QEMU.</p>\n",
        );
        out.push_str(&chart);
    }
    figures::table(&mut out, results, summary);
    method(&mut out);
    out.push_str("</body>\n</html>\n");
    out
}

fn provenance(out: &mut String, report: &Report<'_>) {
    let Report {
        plan,
        machine,
        results,
        ..
    } = *report;
    let versions = [&machine.qemu, &machine.compiler];
    let versions: Vec<String> = versions.into_iter().flatten().map(|v| escape(v)).collect();
    if results.len() < report.planned {
        let _ = writeln!(
            out,
            "<p class=\"bad\">Not finished: {} of {} workloads so far.</p>",
            results.len(),
            report.planned
        );
    }
    let _ = writeln!(
        out,
        "<p class=\"quiet\">{} workloads, {} round{}{}, on {} ({} core{}), with bhv {}{}{}.</p>",
        results.len(),
        plan.rounds,
        plural(plan.rounds),
        if plan.quick {
            ", a tenth of the work"
        } else {
            ""
        },
        escape(&machine.processor),
        machine.cores,
        plural(machine.cores),
        env!("CARGO_PKG_VERSION"),
        if versions.is_empty() { "" } else { ", " },
        versions.join(", "),
    );
    for note in &plan.notes {
        let _ = writeln!(
            out,
            "<p class=\"quiet\">Not measured: {}.</p>",
            escape(note)
        );
    }
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

fn tiles(out: &mut String, results: &[Measured], summary: &Summary) {
    let total = |name: &str| summary.total(name);
    let tile = |figure: Option<f64>, unit: &str, what: &str| {
        figure.map_or_else(String::new, |value| {
            format!("<div class=\"tile\"><b>{value:.2}{unit}</b><span>{what}</span></div>\n")
        })
    };
    let own = total("our own programs").and_then(|m| m.jit);
    let debian = total("Debian's programs").and_then(|m| m.jit);
    let speedup = total("everything").and_then(|m| m.speedup);
    let met = summary
        .goals
        .iter()
        .filter(|goal| goal.met == Some(true))
        .count();
    let known = summary
        .goals
        .iter()
        .filter(|goal| goal.met.is_some())
        .count();
    out.push_str("<div class=\"tiles\">\n");
    out.push_str(&tile(
        own,
        " ×",
        "the CPU time of native code, our own programs (1 is native speed)",
    ));
    out.push_str(&tile(
        debian,
        " ×",
        "the CPU time of the native build, Debian's programs",
    ));
    out.push_str(&tile(speedup, " ×", "as fast as QEMU, over everything"));
    let losses = summary.losses.len();
    if results
        .iter()
        .any(|m| m.ratio(Way::Qemu, Way::Jit).is_some())
    {
        let _ = writeln!(
            out,
            "<div class=\"tile\"><b class=\"{}\">{losses}</b><span>of {} workloads slower than under QEMU</span></div>",
            if losses == 0 { "good" } else { "bad" },
            results.len(),
        );
    }
    let _ = writeln!(
        out,
        "<div class=\"tile\"><b>{met} of {known}</b><span>goals met that this run can judge</span></div>\n</div>"
    );
}

fn losses(out: &mut String, plan: &Plan, results: &[Measured], summary: &Summary) {
    let wrong: Vec<&Measured> = results.iter().filter(|m| m.wrong.is_some()).collect();
    if !wrong.is_empty() {
        out.push_str("<h2 class=\"bad\">Wrong results</h2>\n<ul>\n");
        for m in wrong {
            let what = m.wrong.as_deref().unwrap_or_default();
            let _ = writeln!(
                out,
                "<li><b>{}</b>: {}</li>",
                escape(m.workload.name),
                escape(what)
            );
        }
        out.push_str("</ul>\n");
    }
    if !plan.ways.contains(&Way::Qemu) || !plan.ways.contains(&Way::Jit) {
        return;
    }
    out.push_str("<h2>Losses first</h2>\n");
    if summary.losses.is_empty() {
        out.push_str("<p>No workload is slower than under QEMU.</p>\n");
        return;
    }
    out.push_str("<p>Slower than under QEMU, the worst first; compiling is a part of the CPU time:</p>\n<ul class=\"columns\">\n");
    for (place, speedup) in &summary.losses {
        let m = &results[*place];
        let share = m.compile_share().unwrap_or(0.0) * 100.0;
        let _ = writeln!(
            out,
            "<li title=\"{}\"><b>{}</b>: {speedup:.2} × QEMU's speed, compiling {share:.0} %</li>",
            escape(m.workload.about),
            escape(m.workload.name),
        );
    }
    out.push_str("</ul>\n");
}

fn goals(out: &mut String, summary: &Summary) {
    out.push_str(
        "<h2>Goals</h2>\n<div class=\"scroll\"><table class=\"goals\">\n\
         <tr><th>what</th><th>wanted</th><th>found</th><th></th></tr>\n",
    );
    for goal in &summary.goals {
        let verdict = match goal.met {
            Some(true) => "<td class=\"good\">✓ met</td>",
            Some(false) => "<td class=\"bad\">✗ not met</td>",
            None => "<td class=\"quiet\">not measured</td>",
        };
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{}</td>{verdict}</tr>",
            escape(&goal.what),
            escape(&goal.wanted),
            escape(goal.found.as_deref().unwrap_or("–")),
        );
    }
    out.push_str("</table></div>\n");
}

fn method(out: &mut String) {
    out.push_str(
        "<h2>How this was measured</h2>\n\
         <p>Each round runs every way of a workload one after the other, so that a machine that \
         slows down slows all of them; ratios are taken within a round, and the median of the \
         rounds is shown. CPU seconds count user and system time of all threads, the compiler's \
         too. What a workload prints is compared between the ways.</p>\n\
         <p><b>Native</b> is <code>gcc -O2</code> of the same source, or the Debian package for \
         this machine. <b>JIT</b> is <code>bhv run</code>: code that runs often is compiled while \
         the program runs, and nothing is kept from earlier starts. <b>Started before</b> is the \
         same after up to eight starts that keep what they compile, as <code>bhv run</code> does \
         unless told otherwise. <b>Interpreter</b> is <code>bhv run --engine interp</code>, in the first \
         round only. <b>QEMU</b> is <code>qemu-riscv64</code>.</p>\n\
         <p>Workloads of the groups “short” and “start-up” are too brief for one measurement: a \
         sample is the mean of some runs.</p>\n",
    );
}

#[cfg(test)]
mod tests {
    use super::super::host::Machine;
    use super::super::process::Sample;
    use super::super::tools::Tools;
    use super::super::workload::all;
    use super::*;

    fn whole(plan: &Plan, results: &[Measured]) -> String {
        text(&Report {
            plan,
            machine: &Machine::this(&plan.tools),
            planned: results.len() + 1,
            results,
            summary: &Summary::new(results),
        })
    }

    fn page() -> String {
        let mut results: Vec<Measured> = all().into_iter().map(Measured::new).collect();
        for (i, m) in results.iter_mut().enumerate() {
            for way in Way::ALL {
                let cpu = 0.01 + (i + 1) as f64 * (way as usize + 1) as f64 / 7.0;
                m.samples[way as usize] = vec![
                    Sample {
                        cpu,
                        wall: cpu,
                        ..Sample::default()
                    };
                    2
                ];
            }
        }
        results[3].wrong = Some("prints \"<b>&\" and not 3 < 4".to_owned());
        let plan = Plan::new(Tools::find(None).unwrap(), 2, false, &[]);
        whole(&plan, &results)
    }

    /// Elements that have no end tag.
    const VOID: [&str; 3] = ["meta", "br", "!DOCTYPE"];

    #[test]
    fn every_tag_is_closed_in_order() {
        let page = page();
        let mut open: Vec<&str> = Vec::new();
        for part in page.split('<').skip(1) {
            let tag = part.split('>').next().unwrap();
            let name = tag.split([' ', '/']).find(|word| !word.is_empty()).unwrap();
            if tag.starts_with('/') {
                assert_eq!(open.pop(), Some(name), "at {tag}");
            } else if !tag.ends_with('/') && !VOID.contains(&name) {
                open.push(name);
            }
        }
        assert!(open.is_empty(), "{open:?} stay open");
    }

    #[test]
    fn nothing_comes_from_outside_and_nothing_runs() {
        let page = page();
        for word in [
            "http:", "https:", "//", "<script", "<link", "<img", "@import", "url(",
        ] {
            assert!(!page.contains(word), "the page holds {word}");
        }
    }

    #[test]
    fn what_programs_print_is_escaped_and_every_workload_is_shown() {
        let page = page();
        assert!(page.contains("&lt;b&gt;&amp;") && !page.contains("<b>&\""));
        for workload in all() {
            assert!(page.contains(workload.name), "{}", workload.name);
        }
    }

    #[test]
    fn no_figure_is_infinite_or_none() {
        let page = page();
        assert!(
            !page.contains("NaN") && !page.contains("inf "),
            "a figure is no number"
        );
    }

    #[test]
    fn a_page_of_nothing_measured_is_whole() {
        let plan = Plan::new(Tools::find(None).unwrap(), 1, true, &Way::ALL);
        let results = [Measured::new(all()[0])];
        let page = whole(&plan, &results);
        assert!(page.ends_with("</html>\n") && !page.contains("<svg"));
        assert!(page.contains("Not finished: 1 of 2"));
    }
}
