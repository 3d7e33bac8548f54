//! The figures, as a table for people and as JSON for programs.

use crate::arena::Scale;
use crate::conditions::Conditions;
use crate::race::Times;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::time::Duration;
use xtask::failure::{Context, Result};

/// The most memory that any workload may take.
pub(crate) const MEMORY: Limit = Limit::Mebibytes(100.0);

/// What must not be exceeded.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    /// Our time by theirs, or our bytes by theirs.
    Ratio(f64),
    /// Our time.
    Milliseconds(f64),
    /// Our time less theirs.
    MoreMilliseconds(f64),
    /// Our memory.
    Mebibytes(f64),
    /// What we sent or received.
    Bytes(u64),
    /// How many requests we made.
    Requests(u64),
}

/// One figure and what it is measured by.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    what: String,
    ours: Figure,
    theirs: Theirs,
    limit: Option<Limit>,
}

#[derive(Clone, Debug)]
enum Figure {
    Time(Times),
    /// Bytes, where they could be told.
    Memory(Option<u64>),
    /// Bytes sent or received.
    Bytes(u64),
    Requests(u64),
    /// It could not be measured, because something that both sides need is not on this machine.
    None,
}

#[derive(Clone, Debug)]
enum Theirs {
    /// There is nobody to compare with.
    Nobody,
    /// Somebody there is, but not on this machine.
    Missing(String),
    Time(Times),
    Bytes {
        name: String,
        bytes: u64,
    },
}

impl Row {
    /// Our time against theirs.
    pub(crate) fn race(
        what: impl Into<String>,
        ours: &Times,
        theirs: &Times,
        limit: impl Into<Option<Limit>>,
    ) -> Self {
        let theirs = Theirs::Time(theirs.clone());
        Self { what: what.into(), ours: Figure::Time(ours.clone()), theirs, limit: limit.into() }
    }

    /// Our time alone.
    pub(crate) fn alone(what: impl Into<String>, ours: &Times, limit: Limit) -> Self {
        let ours = Figure::Time(ours.clone());
        Self { what: what.into(), ours, theirs: Theirs::Nobody, limit: Some(limit) }
    }

    /// Our time, where `peer` is not on this machine.
    pub(crate) fn without(
        what: impl Into<String>,
        ours: &Times,
        peer: &str,
        limit: impl Into<Option<Limit>>,
    ) -> Self {
        let (ours, theirs) = (Figure::Time(ours.clone()), Theirs::Missing(peer.to_owned()));
        Self { what: what.into(), ours, theirs, limit: limit.into() }
    }

    /// The bytes that we sent or received against those of `name`.
    pub(crate) fn bytes(
        what: impl Into<String>,
        ours: u64,
        (name, bytes): (&str, u64),
        limit: impl Into<Option<Limit>>,
    ) -> Self {
        let theirs = Theirs::Bytes { name: name.to_owned(), bytes };
        Self { what: what.into(), ours: Figure::Bytes(ours), theirs, limit: limit.into() }
    }

    /// The bytes that we sent or received, alone.
    pub(crate) fn bytes_alone(what: impl Into<String>, ours: u64, limit: Limit) -> Self {
        Self { what: what.into(), ours: Figure::Bytes(ours), theirs: Theirs::Nobody, limit: Some(limit) }
    }

    /// How many requests we made.
    pub(crate) fn requests(what: impl Into<String>, ours: u64, limit: Limit) -> Self {
        let (what, ours) = (format!("{}: requests", what.into()), Figure::Requests(ours));
        Self { what, ours, theirs: Theirs::Nobody, limit: Some(limit) }
    }

    /// Nothing at all, because `tool` is not on this machine.
    pub(crate) fn unmeasured(what: impl Into<String>, tool: &str) -> Self {
        let theirs = Theirs::Missing(tool.to_owned());
        Self { what: what.into(), ours: Figure::None, theirs, limit: None }
    }

    /// The most memory that we took, where nothing special is said about it.
    pub(crate) fn memory(what: impl Into<String>, ours: &Times) -> Self {
        Self::memory_within(what, ours, MEMORY)
    }

    /// The most memory that we took.
    pub(crate) fn memory_within(what: impl Into<String>, ours: &Times, limit: Limit) -> Self {
        let (what, ours) = (format!("{}: memory", what.into()), Figure::Memory(ours.peak));
        Self { what, ours, theirs: Theirs::Nobody, limit: Some(limit) }
    }

    /// Our figure by theirs, with `pick` choosing one of the runs; bytes were counted once.
    fn ratio(&self, pick: fn(&Times) -> Duration) -> Option<f64> {
        match (&self.ours, &self.theirs) {
            (Figure::Time(ours), Theirs::Time(theirs)) => {
                Some(pick(ours).as_secs_f64() / pick(theirs).as_secs_f64())
            }
            (Figure::Bytes(ours), Theirs::Bytes { bytes, .. }) => Some(*ours as f64 / *bytes as f64),
            _ => None,
        }
    }

    /// Whether the limit is kept; none where there is no limit, or nothing to hold against it.
    fn is_met(&self) -> Option<bool> {
        let (figure, limit) = match (self.limit?, &self.ours, &self.theirs) {
            (Limit::Ratio(limit), _, _) => (self.ratio(Times::median)?, limit),
            (Limit::Milliseconds(limit), Figure::Time(ours), _) => (milliseconds(ours.median()), limit),
            (Limit::MoreMilliseconds(limit), Figure::Time(ours), Theirs::Time(theirs)) => {
                (milliseconds(ours.median()) - milliseconds(theirs.median()), limit)
            }
            (Limit::Mebibytes(limit), Figure::Memory(Some(bytes)), _) => (mebibytes(*bytes), limit),
            (Limit::Bytes(limit), Figure::Bytes(ours), _) => (*ours as f64, limit as f64),
            (Limit::Requests(limit), Figure::Requests(ours), _) => (*ours as f64, limit as f64),
            _ => return None,
        };
        Some(figure <= limit)
    }

    fn verdict(&self) -> &'static str {
        match self.is_met() {
            Some(true) => "met",
            Some(false) => "missed",
            None => "",
        }
    }

    fn cells(&self) -> [String; 8] {
        let (against, theirs) = match &self.theirs {
            Theirs::Nobody => (String::new(), String::new()),
            Theirs::Missing(name) => (name.clone(), "missing".to_owned()),
            Theirs::Time(times) => (times.name.clone(), shown_time(times.median())),
            Theirs::Bytes { name, bytes } => (name.clone(), shown_bytes(*bytes)),
        };
        let ours = match &self.ours {
            Figure::Time(times) => shown_time(times.median()),
            Figure::Memory(Some(bytes)) => format!("{:.1} MiB", mebibytes(*bytes)),
            Figure::Memory(None) => "unknown".to_owned(),
            Figure::Bytes(bytes) => shown_bytes(*bytes),
            Figure::Requests(requests) => requests.to_string(),
            Figure::None => String::new(),
        };
        let ratio = |pick| self.ratio(pick).map(shown_ratio).unwrap_or_default();
        let limit = self.limit.map(shown_limit).unwrap_or_default();
        let (of_medians, of_shortest) = (ratio(Times::median), ratio(Times::shortest));
        [self.what.clone(), ours, against, theirs, of_medians, of_shortest, limit, self.verdict().to_owned()]
    }

    fn json(&self) -> Value {
        let (name, theirs) = match &self.theirs {
            Theirs::Nobody => (Value::Null, Value::Null),
            Theirs::Missing(name) => (json!(name), json!("missing")),
            Theirs::Time(times) => (json!(times.name), json_times(times)),
            Theirs::Bytes { name, bytes } => (json!(name), json!({"bytes": bytes})),
        };
        let ours = match &self.ours {
            Figure::Time(times) => json_times(times),
            Figure::Memory(bytes) => json!({"peak_bytes": bytes}),
            Figure::Bytes(bytes) => json!({"bytes": bytes}),
            Figure::Requests(requests) => json!({"requests": requests}),
            Figure::None => Value::Null,
        };
        json!({
            "what": self.what,
            "ours": ours,
            "against": name,
            "theirs": theirs,
            "ratio": self.ratio(Times::median).map(|ratio| rounded(ratio, 1e4)),
            "ratio_of_shortest": self.ratio(Times::shortest).map(|ratio| rounded(ratio, 1e4)),
            "target": self.limit.map(shown_limit),
            "met": self.is_met(),
        })
    }
}

/// All figures of one run.
pub(crate) struct Report {
    scale: Scale,
    /// In the order in which they are shown.
    pub(crate) rows: Vec<Row>,
}

impl Report {
    /// One without figures.
    pub(crate) fn new(scale: Scale) -> Self {
        Self { scale, rows: Vec::new() }
    }

    /// The figures as one aligned table.
    pub(crate) fn table(&self) -> String {
        const HEAD: [&str; 8] = ["what", "ours", "against", "theirs", "ratio", "(shortest)", "target", ""];
        let mut lines = vec![HEAD.map(str::to_owned)];
        lines.extend(self.rows.iter().map(Row::cells));
        let widths: [usize; 8] = std::array::from_fn(|column| {
            lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default()
        });
        let mut text = String::new();
        for line in &lines {
            let cells: Vec<_> =
                line.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            text.push_str(cells.join("  ").trim_end());
            text.push('\n');
        }
        text
    }

    /// Writes the figures as JSON, with every single run, and with what they were measured on.
    pub(crate) fn write(&self, file: &Path, conditions: &Conditions) -> Result {
        let json = json!({
            "quick": self.scale == Scale::Quick,
            "conditions": conditions.json(),
            "rows": self.rows.iter().map(Row::json).collect::<Vec<_>>(),
        });
        fs::write(file, format!("{json:#}\n")).context(|| format!("cannot write {}", file.display()))
    }
}

/// How many commands can really run at the same time.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn shown_time(time: Duration) -> String {
    match milliseconds(time) {
        short if short < 20.0 => format!("{short:.2} ms"),
        long if long < 10_000.0 => format!("{long:.0} ms"),
        longest => format!("{:.1} s", longest / 1e3),
    }
}

/// Bytes in a unit that leaves something to compare: a few bytes more count where only few are sent.
fn shown_bytes(bytes: u64) -> String {
    match bytes {
        few if few < 10 << 10 => format!("{few} B"),
        more if more < 10 << 20 => format!("{:.1} KiB", more as f64 / 1024.0),
        most => format!("{:.1} MiB", mebibytes(most)),
    }
}

/// A ratio with at least two digits that say something.
fn shown_ratio(ratio: f64) -> String {
    if ratio < 0.1 { format!("{ratio:.4}") } else { format!("{ratio:.2}") }
}

fn shown_limit(limit: Limit) -> String {
    match limit {
        Limit::Ratio(limit) => format!("<= {}", shown_ratio(limit)),
        Limit::Milliseconds(limit) => format!("<= {limit} ms"),
        Limit::MoreMilliseconds(limit) => format!("<= {limit} ms more"),
        Limit::Mebibytes(limit) => format!("<= {limit} MiB"),
        Limit::Bytes(limit) => format!("<= {}", shown_bytes(limit)),
        Limit::Requests(limit) => format!("<= {limit}"),
    }
}

fn json_times(times: &Times) -> Value {
    let milliseconds = |time: Duration| rounded(milliseconds(time), 1e3);
    json!({
        "median_ms": milliseconds(times.median()),
        "shortest_ms": milliseconds(times.shortest()),
        "peak_bytes": times.peak,
        "runs_ms": times.runs.iter().map(|run| milliseconds(*run)).collect::<Vec<_>>(),
    })
}

/// A number without the digits that mean nothing.
fn rounded(number: f64, steps: f64) -> f64 {
    (number * steps).round() / steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(name: &str, milliseconds: u64) -> Times {
        Times { name: name.to_owned(), runs: vec![Duration::from_millis(milliseconds)], peak: Some(3 << 20) }
    }

    fn report() -> Report {
        let (ours, theirs) = (times("ours", 30), times("git", 20));
        let rows = vec![
            Row::race("status", &ours, &theirs, Limit::Ratio(1.4)),
            Row::race("start", &ours, &theirs, Limit::MoreMilliseconds(10.0)),
            Row::without("push", &ours, "oras", Limit::Ratio(1.0)),
            Row::unmeasured("pull", "docker-registry"),
            Row::memory("status", &ours),
            Row::bytes("edit", 5_000, ("oras", 64 << 20), Limit::Ratio(1.0 / 500.0)),
            Row::bytes_alone("edit", 80_000, Limit::Bytes(64 << 10)),
            Row::requests("push", 3, Limit::Requests(3)),
        ];
        Report { scale: Scale::Full, rows }
    }

    #[test]
    fn the_table_is_aligned_and_judges() {
        let expected = "\
what            ours      against          theirs    ratio   (shortest)  target
status          30 ms     git              20 ms     1.50    1.50        <= 1.40        missed
start           30 ms     git              20 ms     1.50    1.50        <= 10 ms more  met
push            30 ms     oras             missing                       <= 1.00
pull                      docker-registry  missing
status: memory  3.0 MiB                                                  <= 100 MiB     met
edit            5000 B    oras             64.0 MiB  0.0001  0.0001      <= 0.0020      met
edit            78.1 KiB                                                 <= 64.0 KiB    missed
push: requests  3                                                        <= 3           met
";
        assert_eq!(report().table(), expected);
    }

    #[test]
    fn the_json_holds_what_the_table_shows() {
        let json: Vec<Value> = report().rows.iter().map(Row::json).collect();
        let ours =
            json!({"median_ms": 30.0, "shortest_ms": 30.0, "peak_bytes": 3_145_728, "runs_ms": [30.0]});
        let expected = json!({
            "what": "push", "ours": ours, "against": "oras", "theirs": "missing", "ratio": null,
            "ratio_of_shortest": null, "target": "<= 1.00", "met": null,
        });
        assert_eq!(json[2], expected);
        assert_eq!((&json[0]["ratio"], &json[0]["met"]), (&json!(1.5), &json!(false)));
        assert_eq!(json[0]["ratio_of_shortest"], 1.5);
        assert_eq!((&json[5]["ours"]["bytes"], &json[5]["ratio"]), (&json!(5000), &json!(0.0001)));
        assert_eq!(json[5]["theirs"], json!({"bytes": 67_108_864}));
        assert_eq!(json[7]["ours"], json!({"requests": 3}));
    }
}
