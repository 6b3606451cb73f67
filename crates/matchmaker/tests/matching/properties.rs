//! What holds of all rules and all who wait.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use gs_matchmaker::{Effort, Group, Queue, match_batch_with, total};
use proptest::prelude::*;
use uuid::Uuid;

use crate::checker::{faults, possible};
use crate::world::{HEURISTIC, at, groups, rules};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_match_breaks_a_rule(groups in groups(30), rules in rules()) {
        prop_assert_eq!(rules.check(), Ok(()));
        for effort in [Effort::default(), HEURISTIC, Effort { evaluations: 0, ..HEURISTIC }] {
            let matches = match_batch_with(&groups, &rules, at(30.0), effort);
            let faults = faults(&matches, &groups, &rules, at(30.0));
            prop_assert!(faults.is_empty(), "{:?}", faults);
        }
    }

    #[test]
    fn the_order_in_which_groups_come_changes_nothing(
        (groups, shuffled) in groups(24).prop_flat_map(|g| (Just(g.clone()), Just(g).prop_shuffle())),
        rules in rules(),
    ) {
        for effort in [Effort::default(), HEURISTIC] {
            prop_assert_eq!(
                match_batch_with(&groups, &rules, at(30.0), effort),
                match_batch_with(&shuffled, &rules, at(30.0), effort)
            );
        }
    }

    #[test]
    fn exactly_what_may_be_played_is_proposed(groups in groups(4), rules in rules()) {
        let together: Vec<&Group> = groups.iter().collect();
        let proposed = rules.propose(&together, at(30.0));
        prop_assert_eq!(proposed.is_some(), possible(&together, &rules, at(30.0)));
        let faults = faults(proposed.as_slice(), &groups, &rules, at(30.0));
        prop_assert!(faults.is_empty(), "{:?}", faults);
    }

    #[test]
    fn what_may_be_played_may_be_played_later(
        groups in groups(14), rules in rules(), later in 0.0..60.0f64,
    ) {
        for proposed in match_batch_with(&groups, &rules, at(30.0), Effort::default()) {
            let playing: Vec<&Group> =
                groups.iter().filter(|g| proposed.groups.contains(&g.id)).collect();
            let again = rules.propose(&playing, at(30.0 + later));
            // Those who have waited longer may use more regions, and so a better one.
            prop_assert!(again.is_some_and(|m| m.quality.value >= proposed.quality.value - 1e-9));
        }
    }

    #[test]
    fn a_clock_that_jumps_breaks_nothing(groups in groups(14), rules in rules(), years in -400i64..400) {
        let now = at(30.0) + TimeDelta::days(years * 365);
        let matches = match_batch_with(&groups, &rules, now, Effort::default());
        if years < 0 {
            prop_assert!(matches.is_empty());
        }
        let faults = faults(&matches, &groups, &rules, now);
        prop_assert!(faults.is_empty(), "{:?}", faults);
        let queue = Queue::new(&groups, &rules);
        for group in &groups {
            prop_assert!(queue.explain(group.id, now).is_some());
        }
    }

    #[test]
    fn whoever_is_there_twice_plays_once(groups in groups(10), rules in rules(), again in 0usize..10) {
        let mut groups = groups;
        if let Some(group) = groups.get(again) {
            let mut other = group.clone();
            other.id = Uuid::from_u128(77);
            groups.extend([group.clone(), other]);
        }
        let mut seen = BTreeSet::new();
        for proposed in match_batch_with(&groups, &rules, at(30.0), Effort::default()) {
            for slot in proposed.slots {
                prop_assert!(seen.insert(slot.player_id));
            }
        }
    }

    #[test]
    fn more_effort_is_never_worth_less(groups in groups(40), rules in rules()) {
        let worth = |evaluations| {
            let effort = Effort { evaluations, ..HEURISTIC };
            total(&match_batch_with(&groups, &rules, at(30.0), effort))
        };
        prop_assert!(worth(0) <= worth(HEURISTIC.evaluations) + 1e-9);
    }
}
