//! The page's table of every figure.

use super::chart::escape;
use super::group::Group;
use super::measure::Measured;
use super::statistics::Spread;
use super::summary::{Means, Summary};
use super::table::number;
use super::tools::Way;
use std::fmt::Write;

const COLUMNS: [&str; 12] = [
    "workload",
    "native<br>CPU s",
    "JIT /<br>native",
    "lowest–<br>highest",
    "interpreter /<br>native",
    "QEMU /<br>native",
    "QEMU /<br>JIT",
    "QEMU / JIT,<br>started before",
    "JIT<br>wall s",
    "compiling<br>CPU s",
    "interpreter<br>G instr./s",
    "JIT peak<br>MiB",
];

/// A row for each workload, and one for the mean of each group.
pub fn table(out: &mut String, results: &[Measured], summary: &Summary) {
    out.push_str("<h2>Every figure</h2>\n<div class=\"scroll\"><table>\n<tr>");
    for column in COLUMNS {
        let _ = write!(out, "<th>{column}</th>");
    }
    out.push_str("</tr>\n");
    for (group, means) in &summary.groups {
        let _ = writeln!(
            out,
            "<tr class=\"group\"><td colspan=\"{}\">{} <span class=\"quiet\">{}</span></td></tr>",
            COLUMNS.len(),
            escape(group.name()),
            escape(group.about()),
        );
        for m in results.iter().filter(|m| m.workload.group == *group) {
            row(out, m);
        }
        if means.count > 1 {
            mean(out, &format!("mean of {}", means.count), means);
        }
    }
    for means in &summary.totals {
        mean(out, &means.name, means);
    }
    out.push_str("</table></div>\n");
}

fn row(out: &mut String, m: &Measured) {
    let median = |spread: Option<Spread>| spread.map(|spread| spread.median);
    let jit = m.ratio(Way::Jit, Way::Native);
    let speedup = median(m.ratio(Way::Qemu, Way::Jit));
    let rate = m
        .rate(Way::Interp)
        .filter(|_| m.workload.group != Group::StartUp);
    let share = m.compile_share().filter(|share| *share >= 0.005);
    let compile = number(median(m.figure(Way::Jit, |s| s.compile)), 3);
    let _ = write!(
        out,
        "<tr><td title=\"{}\">{}</td>",
        escape(m.workload.about),
        escape(m.workload.name)
    );
    let cells = [
        number(median(m.figure(Way::Native, |s| s.cpu)), 3),
        number(median(jit), 2),
        jit.map_or_else(|| "-".to_owned(), |s| format!("{:.2}–{:.2}", s.low, s.high)),
        number(median(m.ratio(Way::Interp, Way::Native)), 1),
        number(median(m.ratio(Way::Qemu, Way::Native)), 2),
        match speedup {
            Some(s) if s < 1.0 => format!("<b class=\"bad\">{s:.2}</b>"),
            other => number(other, 2),
        },
        number(median(m.ratio(Way::Qemu, Way::Again)), 2),
        number(median(m.figure(Way::Jit, |s| s.wall)), 3),
        share.map_or(compile.clone(), |share| {
            format!("{compile} ({:.0} %)", share * 100.0)
        }),
        number(rate.map(|rate| rate / 1e9), 2),
        number(
            median(m.figure(Way::Jit, |s| s.peak as f64 / 1_048_576.0)),
            0,
        ),
    ];
    for cell in cells {
        let _ = write!(out, "<td>{cell}</td>");
    }
    out.push_str("</tr>\n");
}

fn mean(out: &mut String, name: &str, means: &Means) {
    let _ = writeln!(
        out,
        "<tr class=\"mean\"><td>{}</td><td></td><td>{}</td><td></td><td>{}</td><td>{}</td><td>{}</td>\
         <td>{}</td><td></td><td></td><td></td><td></td></tr>",
        escape(name),
        number(means.jit, 2),
        number(means.interp, 1),
        number(means.qemu, 2),
        number(means.speedup, 2),
        number(means.again, 2),
    );
}
