//! Nobody starves.

use chrono::{DateTime, Utc};
use gs_matchmaker::{
    AttributeKind, AttributeRule, AttributeValue, Effort, Group, Rules, match_batch,
    match_batch_with,
};
use proptest::prelude::*;
use uuid::Uuid;

use crate::checker::{counts_since, is_widest, possible};
use crate::world::{HEURISTIC, at, group, groups, open_rules, rules};

/// The oldest of those whose limits are at their widest that has a legal match, by trying all.
fn oldest_with_a_match<'a>(
    groups: &'a [Group],
    rules: &Rules,
    now: DateTime<Utc>,
) -> Option<&'a Group> {
    let mut widest: Vec<&Group> = groups.iter().filter(|g| is_widest(g, rules, now)).collect();
    widest.retain(|g| g.queued_at <= now);
    widest.sort_by_key(|g| (counts_since(g, rules), g.id));
    widest.into_iter().find(|oldest| {
        (0u32..1 << groups.len()).any(|set| {
            let together: Vec<&Group> = groups
                .iter()
                .enumerate()
                .filter(|(index, _)| set & 1 << index != 0)
                .map(|(_, group)| group)
                .collect();
            together.iter().any(|g| g.id == oldest.id) && possible(&together, rules, now)
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_oldest_with_the_widest_limits_that_has_a_match_is_in_one(
        groups in groups(8), rules in rules(), now in 15.0..60.0f64,
    ) {
        let now = at(now);
        if let Some(oldest) = oldest_with_a_match(&groups, &rules, now) {
            for effort in [Effort::default(), HEURISTIC] {
                let matches = match_batch_with(&groups, &rules, now, effort);
                prop_assert!(
                    matches.iter().any(|m| m.groups.contains(&oldest.id)),
                    "{} is left out with {:?}", oldest.id, effort
                );
            }
        }
    }
}

#[test]
fn an_outsider_is_matched_before_two_who_would_be_a_better_match() {
    let rules = Rules::default();
    let waiting = [(1, 3_000.0, 0.0), (2, 1_500.0, 1.0), (3, 1_501.0, 2.0)];
    let waiting = waiting.map(|(id, skill, since)| Group {
        queued_at: at(since),
        ..group(id, &[skill])
    });
    // Until the limits of the other two are at their widest as well, nobody fits the outsider.
    let players = |now| {
        let matches = match_batch(&waiting, &rules, at(now));
        let groups = matches.iter().flat_map(|m| &m.groups);
        groups.map(Uuid::as_u128).collect::<Vec<u128>>()
    };
    assert_eq!(players(15.5), [2, 3]);
    assert_eq!(players(60.0), [1, 2]);
}

/// Three of five hundred want what the oldest wants, and they are far apart in skill.
#[test]
fn the_few_who_fit_the_oldest_are_found_among_many() {
    let values = ["dust", "ice"].map(str::to_owned).to_vec();
    let rules = Rules {
        attributes: vec![AttributeRule {
            name: "map".to_owned(),
            kind: AttributeKind::Overlap { values },
            required: true,
        }],
        ..open_rules(4, 2)
    };
    let wants = |id: u128, map: &str| {
        let mut group = group(id, &[1_000.0 + 2.0 * id as f64]);
        let map = AttributeValue::Text(map.to_owned());
        group.attributes.insert("map".to_owned(), map);
        group.queued_at = at(id as f64 / 100.0);
        group
    };
    let rare = [1, 17, 260, 499];
    let map = |id: u128| if rare.contains(&id) { "ice" } else { "dust" };
    let waiting: Vec<Group> = (1..=500).map(|id| wants(id, map(id))).collect();
    let matches = match_batch(&waiting, &rules, at(30.0));
    let first: Vec<u128> = matches[0].groups.iter().map(Uuid::as_u128).collect();
    assert_eq!(first, rare);
    assert_eq!(matches.len(), 125);
}
