//! T: a table of text that another version of it replaces, with rows changed in a few places and rows
//! appended.

use crate::arena::{Arena, Layout};
use crate::clients::{self, ORAS};
use crate::data::{self, Noise};
use crate::report::{Limit, Row};
use crate::server::{self, Server};
use crate::versions::{Version, Versions};
use crate::wire::Wire;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use xtask::failure::{Context, Result};

const BYTES: Limit = Limit::Ratio(1.0 / 10.0);

/// What the table is called in both versions.
const FILE: &str = "cases.csv";

/// Counts what the second push and the second pull move.
pub(crate) fn run(arena: &Arena) -> Result<Vec<Row>> {
    let Some(server) = Server::start(arena)? else {
        return Ok(vec![Row::unmeasured("T push and pull", server::NAME)]);
    };
    let folder = arena.fresh("t")?;
    let table = arena.scale.pick(Table::FULL, Table::QUICK);
    let files =
        [Version::First, Version::Second].map(|version| (version, folder.join(format!("{version:?}"))));
    for (version, file) in &files {
        table.write(*version, file).context(|| format!("cannot write {}", file.display()))?;
    }
    let [(_, first), (_, second)] = &files;
    let put = |folder: &Path, version| {
        let file = if version == Version::First { first } else { second };
        data::copy(file, &folder.join(FILE))
    };

    let wire = Wire::to(server.host())?;
    let versions = Versions { arena, wire: &wire, name: "t", put: &put };
    let ours = versions.ours(Layout::Packed)?;
    let oras = clients::find(&[ORAS]).pop();
    let (name, theirs) = versions.of_one_file(oras.as_ref(), FILE, second)?;
    Ok(vec![
        Row::bytes("T push, second: bytes sent", ours.sent, (name, theirs.sent), BYTES),
        Row::bytes("T pull, second: bytes received", ours.received, (name, theirs.received), None),
    ])
}

/// A table in its two versions.
#[derive(Clone, Copy)]
struct Table {
    /// How many bytes the first version has at least.
    bytes: usize,
    /// In how many places the second one differs.
    blocks: u64,
    /// How many rows differ in each.
    changed: u64,
    /// How many rows are appended.
    appended: u64,
}

impl Table {
    const FULL: Self = Self { bytes: 64 << 20, blocks: 20, changed: 500, appended: 5000 };
    /// A quarter of it.
    const QUICK: Self = Self { bytes: 16 << 20, blocks: 5, changed: 500, appended: 1250 };

    fn write(&self, version: Version, file: &Path) -> io::Result<()> {
        let mut file = BufWriter::new(File::create(file)?);
        self.write_rows(version, &mut file)?;
        file.flush()
    }

    fn write_rows(&self, version: Version, out: &mut impl Write) -> io::Result<()> {
        const HEAD: &str =
            "id,date,region,age_group,variant,vaccine,tests,cases,deaths,positivity,r_effective\n";
        out.write_all(HEAD.as_bytes())?;
        let rows = self.rows();
        let end = if version == Version::First { rows } else { rows + self.appended };
        for row in 0..end {
            let edition = if version == Version::Second && self.differs(row, rows) { 1 } else { 0 };
            out.write_all(line(row, edition).as_bytes())?;
        }
        Ok(())
    }

    /// How many rows the first version has.
    fn rows(&self) -> u64 {
        let mut bytes = 0;
        (0..)
            .take_while(|row| {
                let before = bytes;
                bytes += line(*row, 0).len();
                before < self.bytes
            })
            .count() as u64
    }

    /// Whether a row of the first version is another one in the second: the blocks lie in the middles of
    /// equal parts.
    fn differs(&self, row: u64, rows: u64) -> bool {
        let part = rows / self.blocks;
        let first = part.saturating_sub(self.changed) / 2;
        row < rows && (first..first + self.changed).contains(&(row % part))
    }
}

const REGIONS: [&str; 12] = [
    "Cascadia",
    "Eastmark",
    "Greenvale",
    "Highlands",
    "Isle North",
    "Isle South",
    "Lakeside",
    "Midlands",
    "New Harbour",
    "Riverlands",
    "Saltcoast",
    "Westfold",
];
const AGES: [&str; 9] = ["0-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "70-79", "80+"];
const VARIANTS: [&str; 5] = ["wild", "alpha", "beta", "delta", "omicron"];
const VACCINES: [&str; 4] = ["none", "vector", "mrna", "protein"];

/// A row of the table. Another edition has other numbers for the same day, region and group.
fn line(row: u64, edition: u64) -> String {
    // As such a table is sorted: by day, then region, then age.
    let age = AGES[(row % 9) as usize];
    let region = REGIONS[(row / 9 % 12) as usize];
    let mut noise = Noise::new(row << 1 | edition);
    let mut below = |end: u64| noise.next() % end;
    let (tests, vaccine) = (200 + below(4000), VACCINES[below(4) as usize]);
    // A variant goes on for months, as they do.
    let variant = VARIANTS[((row / 200_000 + u64::from(below(10) == 0)) % 5) as usize];
    let cases = below(tests / 4);
    let (deaths, positivity) = (below(cases / 30 + 1), cases as f64 / tests as f64);
    let r_effective = 0.6 + below(1_200_000) as f64 / 1e6;
    format!(
        "{row},{},{region},{age},{variant},{vaccine},{tests},{cases},{deaths},{positivity:.6},{r_effective:.6}\n",
        date(row / (9 * 12))
    )
}

/// A date, counted from the first of 2020, in a calendar whose months all have 28 days.
fn date(day: u64) -> String {
    format!("{:04}-{:02}-{:02}", 2020 + day / 336, day / 28 % 12 + 1, day % 28 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Table = Table { bytes: 100_000, blocks: 4, changed: 50, appended: 70 };

    fn written(version: Version) -> Vec<String> {
        let mut text = Vec::new();
        SMALL.write_rows(version, &mut text).unwrap();
        String::from_utf8(text).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn the_same_rows_are_written_each_time() {
        assert_eq!(written(Version::Second), written(Version::Second));
        assert_eq!(date(335), "2020-12-28");
        assert_eq!(date(336), "2021-01-01");
    }

    #[test]
    fn the_second_version_differs_in_blocks_and_goes_on_longer() {
        let (first, second) = (written(Version::First), written(Version::Second));
        assert!(first.join("\n").len().abs_diff(SMALL.bytes) < 300);
        assert_eq!(second.len(), first.len() + 70);
        let differs: Vec<bool> = first.iter().zip(&second).map(|(one, two)| one != two).collect();
        let changed = differs.iter().filter(|differs| **differs).count();
        let blocks = differs.windows(2).filter(|pair| !pair[0] && pair[1]).count();
        assert_eq!((changed, blocks), (200, 4));
        let key = |line: &str| line.split(',').take(4).collect::<Vec<_>>().join(",");
        assert!(first.iter().zip(&second).all(|(one, two)| key(one) == key(two)));
    }
}
