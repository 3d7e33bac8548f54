//! Decisions: what it costs to make them in the component, against the same code called natively and against the whole
//! command. The program measures the first two itself, because nobody else can.

use crate::arena::Arena;
use crate::data::Data;
use crate::race::{Side, Times, Work, race};
use crate::report::{Limit, Row};
use std::time::Duration;
use xtask::command::{quietly, read};
use xtask::failure::{Failure, Result};

/// How much longer a decision may take in the component.
const NATIVE: Limit = Limit::Ratio(3.0);

/// The most of a whole command that may be deciding.
const SHARE: Limit = Limit::Ratio(0.2);

/// Measures each decision over many files, and `status` of as many.
pub(crate) fn run(arena: &Arena) -> Result<Vec<Row>> {
    let runs = arena.scale.pick(5, 3);
    let (name, folders) = arena.scale.pick(("a100", 100), ("a100-quick", 10));
    let tree = Data { name, folders, files: 1000, bytes: 4096 }.make(arena)?;
    arena.init(&tree, &format!("oci:{}", arena.fresh("decide-remote")?.display()))?;
    quietly(&mut arena.ours(&tree, &["add", "."]))?;
    let status = Side::new("status", |_| Ok(Work::One(arena.ours(&tree, &["status", "--offline"]))));
    let status = race(&arena.order, runs, vec![status])?;

    let files = (folders * 1000).to_string();
    let mut decisions: Vec<(String, Times, Times)> = Vec::new();
    for _ in 0..runs {
        let report = read(&mut arena.ours(&tree, &["core", "measure", "--files", &files]))?;
        for (function, component, native) in report.lines().filter_map(costs) {
            match decisions.iter_mut().find(|(known, ..)| *known == function) {
                Some((_, components, natives)) => {
                    components.runs.push(component);
                    natives.runs.push(native);
                }
                None => decisions.push((function, times("component", component), times("native", native))),
            }
        }
    }
    if decisions.is_empty() {
        return Err(Failure::step("`core measure` says nothing that is understood"));
    }
    let mut rows: Vec<Row> = decisions
        .iter()
        .map(|(function, component, native)| {
            Row::race(format!("{function} decided"), component, native, NATIVE)
        })
        .collect();
    let diff = decisions.iter().find(|(function, ..)| function == "diff");
    rows.extend(diff.zip(status.first()).map(|((_, component, _), status)| {
        Row::race("diff decided, of the command", component, status, SHARE)
    }));
    Ok(rows)
}

fn times(name: &str, run: Duration) -> Times {
    Times { name: name.to_owned(), runs: vec![run], peak: None }
}

/// Function and times of a line such as `diff  7.4 ms in the component,  6.6 ms natively`.
fn costs(line: &str) -> Option<(String, Duration, Duration)> {
    let mut words = line.split_whitespace();
    let function = words.next()?;
    let mut next = || {
        words.by_ref().find_map(|word| word.parse::<f64>().ok()).map(|ms| Duration::from_secs_f64(ms / 1e3))
    };
    let (component, native) = (next()?, next()?);
    Some((function.to_owned(), component, native))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_program_says() {
        let line = "  plan-push      47.7 ms in the component,     48.5 ms natively";
        let (function, component, native) = costs(line).unwrap();
        assert_eq!(function, "plan-push");
        assert_eq!((component.as_micros(), native.as_micros()), (47_700, 48_500));
        assert_eq!(costs("100000 files on each side"), None);
    }
}
