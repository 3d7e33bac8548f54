//! The wall clock, where a result has to carry one.

use jiff::Timestamp;

/// Now.
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// The time that a new bundle carries: `SOURCE_DATE_EPOCH`, seconds since 1970, if that is given, else now.
///
/// <https://reproducible-builds.org/specs/source-date-epoch/>
pub fn creation_time(source_date_epoch: Option<&str>) -> Result<String, jiff::Error> {
    let time = match source_date_epoch {
        Some(seconds) => {
            let seconds = seconds.parse::<i64>().map_err(|_| {
                jiff::Error::from_args(format_args!("`{}` is no number of seconds", seconds.escape_default()))
            })?;
            Timestamp::from_second(seconds)?
        }
        None => Timestamp::from_second(now().as_second())?,
    };
    Ok(time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_time_is_kept() {
        assert_eq!(creation_time(Some("0")).unwrap(), "1970-01-01T00:00:00Z");
        assert_eq!(creation_time(Some("1795331001")).unwrap(), "2026-11-22T07:03:21Z");
        assert!(creation_time(Some("yesterday")).is_err());
        assert!(creation_time(None).unwrap().ends_with('Z'));
    }
}
