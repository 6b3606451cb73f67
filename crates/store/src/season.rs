//! When boards begin anew, and on which boards a match counts. Pure: no clock, no IO.

use chrono::{
    DateTime, Datelike, Days, Months, NaiveDate, NaiveTime, TimeDelta, Timelike, Utc, Weekday,
};

use crate::{ALL_TIME, BoardRule, CountsOn, MAX_BOARDS};

/// One of a game's leaderboards, as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoardInfo {
    /// Its id, which no other board of the game has.
    pub id: String,
    /// How it keeps several scores of one player.
    pub rule: BoardRule,
    /// The statistic that is the score; the match's score where absent.
    pub statistic: Option<String>,
    /// The modes whose rated matches count; all of them where empty.
    pub modes: Vec<String>,
    /// When it begins anew.
    pub season: Season,
}

/// The board that a game has unless its manifest says otherwise.
pub const DEFAULT_BOARD: &str = "default";

/// The boards that a match of this mode counts on, at most [`MAX_BOARDS`]: it belongs to the season
/// in which it ended.
pub fn counts_on(boards: &[BoardInfo], mode: &str, ended_at: DateTime<Utc>) -> Vec<CountsOn> {
    boards
        .iter()
        .filter(|board| board.modes.is_empty() || board.modes.iter().any(|m| m == mode))
        .take(MAX_BOARDS)
        .map(|board| CountsOn {
            board: board.id.clone(),
            season: board.season.of(ended_at),
            rule: board.rule,
            statistic: board.statistic.clone(),
        })
        .collect()
}

/// When a board begins anew. Times are UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Season {
    /// Never.
    #[default]
    Never,
    /// Each day.
    Daily {
        /// At this time.
        at: NaiveTime,
    },
    /// Each week.
    Weekly {
        /// On this day.
        on: Weekday,
        /// At this time.
        at: NaiveTime,
    },
    /// Each month.
    Monthly {
        /// On this day, 1 to 31; on the last day of a month that has no such day.
        on: u8,
        /// At this time.
        at: NaiveTime,
    },
}

impl Season {
    /// The season at a time, by the day on which it began (`2026-11-23`), or [`ALL_TIME`].
    pub fn of(self, now: DateTime<Utc>) -> String {
        match self.began_on(now) {
            None => ALL_TIME.to_owned(),
            Some(day) => day.format(FORMAT).to_string(),
        }
    }

    /// When the season at a time ends; the next one begins then. None for a board without seasons.
    pub fn next_reset(self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let began = self.began_on(now)?;
        let (next, at) = match self {
            Self::Never => return None,
            Self::Daily { at } => (began.checked_add_days(Days::new(1))?, at),
            Self::Weekly { at, .. } => (began.checked_add_days(Days::new(7))?, at),
            Self::Monthly { on, at } => {
                let next = began.with_day(1)?.checked_add_months(Months::new(1))?;
                (day_of_month(next, on), at)
            }
        };
        Some(next.and_time(at).and_utc())
    }

    /// Whether a text is written as seasons are: a day, or [`ALL_TIME`]. There need not be such a
    /// season.
    pub fn is_well_written(season: &str) -> bool {
        season == ALL_TIME
            || NaiveDate::parse_from_str(season, FORMAT)
                .is_ok_and(|day| day.format(FORMAT).to_string() == season)
    }

    /// The day on which the season at a time began.
    fn began_on(self, now: DateTime<Utc>) -> Option<NaiveDate> {
        // With the time of the reset taken off, a season's days are whole ones.
        let day = |at: NaiveTime| {
            let since_midnight = TimeDelta::seconds(at.num_seconds_from_midnight().into());
            Some(now.checked_sub_signed(since_midnight)?.date_naive())
        };
        match self {
            Self::Never => None,
            Self::Daily { at } => day(at),
            Self::Weekly { on, at } => {
                let day = day(at)?;
                let days = day.weekday().days_since(on);
                day.checked_sub_days(Days::new(days.into()))
            }
            Self::Monthly { on, at } => {
                let day = day(at)?;
                let this = day_of_month(day, on);
                if this <= day {
                    return Some(this);
                }
                let before = day.with_day(1)?.checked_sub_months(Months::new(1))?;
                Some(day_of_month(before, on))
            }
        }
    }
}

/// The day of this number in a day's month, or the month's last.
fn day_of_month(of: NaiveDate, on: u8) -> NaiveDate {
    (1..=u32::from(on).clamp(1, 31))
        .rev()
        .find_map(|day| of.with_day(day))
        .unwrap_or(of)
}

const FORMAT: &str = "%Y-%m-%d";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn time(hour: u32, minute: u32) -> NaiveTime {
        NaiveTime::from_hms_opt(hour, minute, 0).unwrap()
    }

    #[test]
    fn seasons_are_named_by_the_day_on_which_they_began() {
        let check = |season: Season, now: &str, name: &str, reset: &str| {
            assert_eq!(season.of(at(now)), name, "{season:?} {now}");
            assert_eq!(
                season.next_reset(at(now)),
                Some(at(reset)),
                "{season:?} {now}"
            );
        };
        let daily = Season::Daily { at: time(4, 30) };
        check(
            daily,
            "2026-11-23T04:29:59.999Z",
            "2026-11-22",
            "2026-11-23T04:30:00Z",
        );
        check(
            daily,
            "2026-11-23T04:30:00Z",
            "2026-11-23",
            "2026-11-24T04:30:00Z",
        );
        let (on, at) = (Weekday::Mon, time(0, 0));
        let weekly = Season::Weekly { on, at };
        check(
            weekly,
            "2026-11-22T23:59:59Z",
            "2026-11-16",
            "2026-11-23T00:00:00Z",
        );
        check(
            weekly,
            "2026-11-23T00:00:00Z",
            "2026-11-23",
            "2026-11-30T00:00:00Z",
        );
        let monthly = Season::Monthly {
            on: 31,
            at: time(12, 0),
        };
        check(
            monthly,
            "2026-02-28T11:00:00Z",
            "2026-01-31",
            "2026-02-28T12:00:00Z",
        );
        check(
            monthly,
            "2026-02-28T12:00:00Z",
            "2026-02-28",
            "2026-03-31T12:00:00Z",
        );
        check(
            monthly,
            "2028-02-29T12:00:00Z",
            "2028-02-29",
            "2028-03-31T12:00:00Z",
        );
        let first = Season::Monthly {
            on: 1,
            at: time(0, 0),
        };
        check(
            first,
            "2026-12-31T23:59:59Z",
            "2026-12-01",
            "2027-01-01T00:00:00Z",
        );
        assert_eq!(Season::Never.of(self::at("2026-11-23T00:00:00Z")), ALL_TIME);
        assert_eq!(
            Season::Never.next_reset(self::at("2026-11-23T00:00:00Z")),
            None
        );
    }

    #[test]
    fn only_days_and_all_are_well_written() {
        for good in ["all", "2026-11-23", "2028-02-29", "0001-01-01"] {
            assert!(Season::is_well_written(good), "{good}");
        }
        for bad in [
            "",
            "All",
            "2026-11",
            "2026-11-31",
            "2026-2-3",
            "2027-02-29",
            " 2026-11-23",
            "2026-11-23 ",
            "+2026-11-23",
            "-001-01-01",
            "2026-11-23T00:00:00Z",
            "99999-01-01",
            "２０２６-11-23",
            "2026-11-23\0",
        ] {
            assert!(!Season::is_well_written(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_match_counts_on_the_boards_of_its_mode() {
        let board = |id: &str, modes: &[&str], season: Season| BoardInfo {
            id: id.to_owned(),
            rule: BoardRule::Best,
            statistic: None,
            modes: modes.iter().map(|&m| m.to_owned()).collect(),
            season,
        };
        let boards = [
            board("default", &[], Season::Never),
            board("daily", &["duel"], Season::Daily { at: time(0, 0) }),
            board("other", &["four"], Season::Never),
        ];
        let now = at("2026-11-23T08:00:00Z");
        let named = |mode: &str| -> Vec<(String, String)> {
            let boards = counts_on(&boards, mode, now).into_iter();
            boards.map(|b| (b.board, b.season)).collect()
        };
        let pair = |board: &str, season: &str| (board.to_owned(), season.to_owned());
        assert_eq!(
            named("duel"),
            [pair("default", "all"), pair("daily", "2026-11-23")]
        );
        assert_eq!(named("none"), [pair("default", "all")]);
        let many: Vec<BoardInfo> = (0..MAX_BOARDS + 1)
            .map(|n| board(&n.to_string(), &[], Season::Never))
            .collect();
        assert_eq!(counts_on(&many, "duel", now).len(), MAX_BOARDS);
    }

    fn season() -> impl Strategy<Value = Season> {
        let at = || (0..24u32, 0..60u32).prop_map(|(hour, minute)| time(hour, minute));
        let weekday = (0..7u8).prop_map(|n| Weekday::try_from(n).unwrap());
        prop_oneof![
            at().prop_map(|at| Season::Daily { at }),
            (weekday, at()).prop_map(|(on, at)| Season::Weekly { on, at }),
            (1..=31u8, at()).prop_map(|(on, at)| Season::Monthly { on, at }),
        ]
    }

    /// 1970 to 2100, to the millisecond.
    fn moment() -> impl Strategy<Value = DateTime<Utc>> {
        (0..4_102_444_800_000i64).prop_map(|ms| DateTime::from_timestamp_millis(ms).unwrap())
    }

    proptest! {
        #[test]
        fn a_season_lasts_until_its_reset_and_no_longer(season in season(), now in moment()) {
            let reset = season.next_reset(now).unwrap();
            prop_assert!(reset > now);
            let last = reset - TimeDelta::milliseconds(1);
            prop_assert_eq!(season.of(last), season.of(now));
            prop_assert_eq!(season.next_reset(last), Some(reset));
            prop_assert_ne!(season.of(reset), season.of(now));
            // It is named by the day on which it began.
            prop_assert_eq!(season.of(reset), reset.date_naive().to_string());
            prop_assert!(Season::is_well_written(&season.of(now)));
        }

        #[test]
        fn later_is_never_an_earlier_season(season in season(), a in moment(), b in moment()) {
            let (earlier, later) = (a.min(b), a.max(b));
            prop_assert!(season.of(earlier) <= season.of(later));
            let reset = season.next_reset(earlier).unwrap();
            prop_assert_eq!(season.of(earlier) == season.of(later), later < reset);
        }

        #[test]
        fn no_text_and_no_time_panics(text in ".*", season in season(), seconds in any::<i64>()) {
            Season::is_well_written(&text);
            if let Some(now) = DateTime::from_timestamp(seconds, 0) {
                season.of(now);
                season.next_reset(now);
            }
        }
    }
}
