//! Charts as inline SVG: how many times longer than native code, on a logarithmic scale.

use super::measure::Measured;
use super::statistics::Spread;
use super::summary::{Means, Summary};
use super::tools::Way;
use std::fmt::Write;

const WIDTH: f64 = 1000.0;
/// Where the scale begins; names are left of it.
const LEFT: f64 = 150.0;
/// Where it ends; figures are right of it.
const RIGHT: f64 = 880.0;
const ROW: f64 = 20.0;
const TOP: f64 = 44.0;

/// A logarithmic scale over what is to be shown.
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    fn over(values: impl Iterator<Item = f64>) -> Scale {
        let (low, high) = values.fold((0.8, 4.0), |(low, high): (f64, f64), v| {
            (low.min(v), high.max(v))
        });
        Scale {
            low: low / 1.1,
            high: high * 1.15,
        }
    }

    fn x(&self, value: f64) -> f64 {
        let part = (value.max(1e-6) / self.low).ln() / (self.high / self.low).ln();
        LEFT + part * (RIGHT - LEFT)
    }

    /// Lines and figures at round numbers; native speed stands out.
    fn grid(&self, out: &mut String, bottom: f64) {
        let decades =
            (-3..7).flat_map(|power| [1.0, 2.0, 5.0].map(|step| step * 10_f64.powi(power)));
        for value in decades.filter(|v| (self.low..self.high).contains(v)) {
            let x = self.x(value);
            let (class, label) = if value == 1.0 {
                ("one", "native".to_owned())
            } else {
                ("grid", format!("{value} ×"))
            };
            let _ = write!(
                out,
                "<line class=\"{class}\" x1=\"{x:.1}\" y1=\"{:.0}\" x2=\"{x:.1}\" y2=\"{bottom:.0}\"/>\
                 <text class=\"quiet middle\" x=\"{x:.1}\" y=\"{:.0}\">{label}</text>",
                TOP - 10.0,
                TOP - 16.0,
            );
        }
    }
}

fn open(height: f64, label: &str) -> String {
    format!(
        "<div class=\"scroll\"><svg viewBox=\"0 0 {WIDTH:.0} {height:.0}\" role=\"img\" \
         aria-label=\"{}\">",
        escape(label)
    )
}

fn legend(out: &mut String, with_interpreter: bool) {
    let all = [
        ("jit", "bhv, compiled"),
        ("qemu", "QEMU"),
        ("interp", "bhv, interpreter"),
    ];
    let mut x = LEFT;
    for (class, name) in &all[..if with_interpreter { 3 } else { 2 }] {
        mark(out, class, x + 6.0, 10.0, None);
        let _ = write!(out, "<text x=\"{:.0}\" y=\"14\">{name}</text>", x + 18.0);
        x += 40.0 + 7.0 * name.len() as f64;
    }
}

/// A circle, a diamond, a ring: told apart without colours too.
fn mark(out: &mut String, class: &str, x: f64, y: f64, title: Option<&str>) {
    let title = title.map_or_else(String::new, |t| format!("<title>{}</title>", escape(t)));
    let _ = match class {
        "qemu" => write!(
            out,
            "<path class=\"qemu\" d=\"M{:.1} {y:.1}l6 -6l6 6l-6 6z\">{title}</path>",
            x - 6.0
        ),
        "interp" => write!(
            out,
            "<circle class=\"interp\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\">{title}</circle>"
        ),
        _ => write!(
            out,
            "<circle class=\"jit\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\">{title}</circle>"
        ),
    };
}

/// Bars of the means of each group.
pub fn groups(summary: &Summary) -> Option<String> {
    let all: Vec<&Means> = summary
        .groups
        .iter()
        .map(|(_, means)| means)
        .chain(&summary.totals)
        .collect();
    let shown: Vec<&Means> = all
        .into_iter()
        .filter(|m| m.jit.or(m.qemu).is_some())
        .collect();
    let bars = |m: &Means| [("jit", m.jit), ("qemu", m.qemu), ("interp", m.interp)];
    let values = shown
        .iter()
        .flat_map(|m| bars(m))
        .filter_map(|(_, value)| value);
    let scale = Scale::over(values.collect::<Vec<_>>().into_iter());
    if shown.is_empty() {
        return None;
    }
    let (bar, step) = (11.0, 48.0);
    let bottom = TOP + step * shown.len() as f64;
    let mut out = open(bottom + 6.0, "Geometric means of each group, times native");
    legend(&mut out, shown.iter().any(|m| m.interp.is_some()));
    scale.grid(&mut out, bottom);
    for (i, means) in shown.iter().enumerate() {
        let top = TOP + step * i as f64;
        let name = escape(&means.name);
        let _ = write!(
            out,
            "<text class=\"end head\" x=\"{:.0}\" y=\"{:.0}\">{name}</text>",
            LEFT - 8.0,
            top + 18.0
        );
        let _ = write!(
            out,
            "<text class=\"end quiet\" x=\"{:.0}\" y=\"{:.0}\">{} workload{}</text>",
            LEFT - 8.0,
            top + 33.0,
            means.count,
            if means.count == 1 { "" } else { "s" }
        );
        for (j, (class, value)) in bars(means).into_iter().enumerate() {
            let Some(value) = value else { continue };
            let (y, from, to) = (
                top + 3.0 + (bar + 2.0) * j as f64,
                scale.x(1.0),
                scale.x(value),
            );
            let _ = write!(
                out,
                "<rect class=\"bar {class}\" x=\"{:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{bar}\" rx=\"2\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\">{value:.2}</text>",
                from.min(to),
                (to - from).abs(),
                from.max(to) + 5.0,
                y + bar - 1.5,
            );
        }
    }
    out.push_str("</svg></div>");
    Some(out)
}

/// A row for each workload: where the JIT, QEMU and the interpreter are, and their spread.
pub fn workloads(results: &[Measured], summary: &Summary) -> Option<String> {
    let ways = [Way::Interp, Way::Qemu, Way::Jit];
    let ratio = |m: &Measured, way| m.ratio(way, Way::Native);
    let values = results
        .iter()
        .flat_map(|m| ways.map(|way| ratio(m, way)))
        .flatten();
    let ends: Vec<f64> = values.flat_map(|s| [s.low, s.high]).collect();
    if ends.is_empty() {
        return None;
    }
    let scale = Scale::over(ends.into_iter());
    let bottom = TOP + ROW * (results.len() as f64 + 1.5 * summary.groups.len() as f64);
    let mut out = open(bottom + 6.0, "Each workload, times native");
    legend(
        &mut out,
        results.iter().any(|m| ratio(m, Way::Interp).is_some()),
    );
    let _ = write!(
        out,
        "<text class=\"end quiet\" x=\"{:.0}\" y=\"14\">times as fast as QEMU</text>",
        WIDTH - 2.0
    );
    scale.grid(&mut out, bottom);
    let mut y = TOP;
    for (group, _) in &summary.groups {
        y += ROW * 1.5;
        let name = escape(group.name());
        let _ = write!(
            out,
            "<text class=\"end head\" x=\"{:.0}\" y=\"{:.1}\">{name}</text>",
            LEFT - 8.0,
            y - 7.0
        );
        for m in results.iter().filter(|m| m.workload.group == *group) {
            row(&mut out, &scale, m, y + ROW / 2.0);
            y += ROW;
        }
    }
    out.push_str("</svg></div>");
    Some(out)
}

fn row(out: &mut String, scale: &Scale, m: &Measured, y: f64) {
    let speedup = m.ratio(Way::Qemu, Way::Jit).map(|s| s.median);
    let class = if speedup.is_some_and(|s| s < 1.0) {
        "end bad"
    } else {
        "end"
    };
    let _ = write!(
        out,
        "<text class=\"{class}\" x=\"{:.0}\" y=\"{:.1}\">{}</text>",
        LEFT - 8.0,
        y + 4.0,
        escape(m.workload.name)
    );
    if let Some(speedup) = speedup {
        let (x, y) = (WIDTH - 2.0, y + 4.0);
        let _ = write!(
            out,
            "<text class=\"{class}\" x=\"{x:.0}\" y=\"{y:.1}\">{speedup:.2} ×</text>"
        );
    }
    let of = |way| m.ratio(way, Way::Native);
    if let (Some(jit), Some(qemu)) = (of(Way::Jit), of(Way::Qemu)) {
        line(out, "link", scale, jit.median, qemu.median, y);
    }
    for (way, class) in [
        (Way::Interp, "interp"),
        (Way::Qemu, "qemu"),
        (Way::Jit, "jit"),
    ] {
        let Some(Spread {
            low, median, high, ..
        }) = of(way)
        else {
            continue;
        };
        if way != Way::Interp {
            line(out, &format!("{class}-line"), scale, low, high, y);
        }
        let (name, way) = (m.workload.name, way.name());
        let title = format!("{name}, {way}: {median:.2} times native, {low:.2} to {high:.2}");
        mark(out, class, scale.x(median), y, Some(&title));
    }
}

fn line(out: &mut String, class: &str, scale: &Scale, from: f64, to: f64, y: f64) {
    let (from, to) = (scale.x(from), scale.x(to));
    let _ = write!(
        out,
        "<line class=\"{class}\" x1=\"{from:.1}\" y1=\"{y:.1}\" x2=\"{to:.1}\" y2=\"{y:.1}\"/>"
    );
}

/// Text for HTML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
