//! Rules in words, for whoever checks what was configured.

use std::time::Duration;

use gs_matchmaker::{
    AttributeKind, AttributeRule, PartySkill, Rules, SkillSource, Steps, Teams, Who,
};

/// What the rules say, a sentence for each.
pub(crate) fn in_words(rules: &Rules) -> Vec<String> {
    let mut all = vec![players(rules)];
    all.push(match &rules.skill {
        None => "players of any skill meet".to_owned(),
        Some(skill) => {
            let source = match skill.source {
                SkillSource::Rating => "ratings",
                SkillSource::BestScore => "best scores",
                SkillSource::Matches => "numbers of matches played",
            };
            let party = match skill.party {
                PartySkill::Average => "the mean",
                PartySkill::Maximum => "the best",
            };
            let limit = limit(&skill.tolerance, "");
            format!(
                "{source} differ by less than {limit}; a party counts as {party} of its players"
            )
        }
    });
    if let Some(balance) = &rules.balance {
        let limit = limit(balance, "");
        all.push(format!(
            "mean ratings of the teams differ by at most {limit}"
        ));
    }
    if let Some(latency) = &rules.latency {
        let (regions, limit) = (latency.regions.join(", "), limit(&latency.max_ms, " ms"));
        all.push(format!("all reach one region of {regions} within {limit}"));
    }
    all.extend(rules.attributes.iter().map(attribute));
    for priority in &rules.priorities {
        let who = match priority.who {
            Who::Returned => "those whose match fell apart".to_owned(),
            Who::NewPlayers => "players in their placement matches".to_owned(),
            Who::PartyOf(least) => format!("parties of {least} or more"),
        };
        let head_start = seconds(priority.head_start);
        all.push(format!("{who} have a head start of {head_start}"));
    }
    if rules.backfill {
        all.push("slots that become free in a running match are given to others".to_owned());
    }
    if let Some(acceptance) = rules.acceptance {
        let acceptance = seconds(acceptance);
        all.push(format!("everybody has {acceptance} to accept a match"));
    }
    let timeout = seconds(rules.match_timeout);
    all.push(format!(
        "whoever has waited {timeout} is told that nobody was found"
    ));
    all
}

fn players(rules: &Rules) -> String {
    let (min, max, after) = (
        rules.players.min,
        rules.players.max,
        seconds(rules.players.fewer_after),
    );
    let count = match min == max {
        true if max == 1 => "1 player".to_owned(),
        true => format!("{max} players"),
        false if rules.players.fewer_after.is_zero() => format!("{min} to {max} players"),
        false => format!("{max} players, from {min} on once all have waited {after}"),
    };
    let teams = match &rules.teams {
        Teams::Everyone => "everyone for themselves".to_owned(),
        Teams::Even(1) => "in one team".to_owned(),
        Teams::Even(teams) => format!("in {teams} even teams"),
        Teams::Sizes(sizes) => {
            let sizes: Vec<String> = sizes.iter().map(u8::to_string).collect();
            format!("in teams of {}", sizes.join(" and "))
        }
    };
    format!("{count}, {teams}")
}

fn attribute(rule: &AttributeRule) -> String {
    let name = &rule.name;
    let has = if rule.required {
        ", which everybody has to give"
    } else {
        ""
    };
    match &rule.kind {
        AttributeKind::Equal => format!("`{name}` is the same for all{has}"),
        AttributeKind::Overlap { values } => {
            format!("one `{name}` of {} suits all{has}", values.join(", "))
        }
        AttributeKind::Within { steps } => {
            format!("`{name}` differs by at most {}{has}", limit(steps, ""))
        }
    }
}

/// `100, 200 after 5 s, any after 15 s`.
fn limit(steps: &Steps, unit: &str) -> String {
    let number = |limit: f64| match limit.is_finite() {
        true => format!("{limit}{unit}"),
        false => "any".to_owned(),
    };
    let mut text = number(steps.start);
    for (after, to) in &steps.steps {
        text += &format!(", {} after {}", number(*to), seconds(*after));
    }
    text
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}
