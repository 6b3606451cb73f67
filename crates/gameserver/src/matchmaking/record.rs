//! `gameserver match record`: who queued for a game, without saying who they were.
//!
//! The tickets are the store's own rows, which it keeps for a day after they came to an end.

use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use gs_store::{EmbeddedStore, Store, Ticket, TicketStatus};
use uuid::Uuid;

use super::stream::{Arrival, Player};
use crate::config::Config;
use crate::process;
use crate::services::ConfigArguments;
use crate::wiring::OpenStore;

#[derive(Args)]
pub(crate) struct RecordArguments {
    /// The game.
    #[arg(long)]
    game: String,
    /// How far back: a number with s, m, h or d.
    #[arg(long, default_value = "24h", value_parser = time)]
    since: Duration,
    /// Where `gameserver dev` kept everything, where the configuration names no PostgreSQL. It must
    /// not be running.
    #[arg(long, default_value = ".gameserver")]
    data_dir: PathBuf,
    #[command(flatten)]
    config: ConfigArguments,
}

/// Writes the stream to standard output.
///
/// # Errors
/// Where the store cannot be read, or nobody queued.
pub(crate) async fn record(arguments: RecordArguments) -> anyhow::Result<()> {
    let config = Config::read(&arguments.config.config)?;
    let game = &arguments.game;
    if !config.games.is_empty() && !config.games.contains_key(game) {
        let games: Vec<&str> = config.games.keys().map(String::as_str).collect();
        bail!("no game `{game}`; there are: {}", games.join(", "));
    }
    let (store, _lock): (Arc<dyn Store>, _) = match &config.services {
        Some(services) => (OpenStore::connect(services).await?.store(), None),
        None => {
            let folder = &arguments.data_dir;
            if !folder.is_dir() {
                bail!(
                    "{} names no PostgreSQL, and there is no folder {}; say with --data-dir where \
                     `gameserver dev` keeps everything",
                    arguments.config.config.display(),
                    folder.display()
                );
            }
            let lock = process::lock(folder)?;
            (Arc::new(EmbeddedStore::open(folder).await?), Some(lock))
        }
    };
    let since = Utc::now() - TimeDelta::from_std(arguments.since)?;
    let out = std::io::stdout().lock();
    let count = write(&*store, game, since, out).await?;
    match count {
        0 => bail!("nobody queued for {game} in that time"),
        _ => eprintln!("{count} groups"),
    }
    Ok(())
}

/// Writes a line for each group that queued since then, and answers how many. Private matches are
/// left out: no rules decide over them.
async fn write(
    store: &dyn Store,
    game: &str,
    since: DateTime<Utc>,
    mut out: impl Write,
) -> anyhow::Result<usize> {
    let mut after: Option<(DateTime<Utc>, Uuid)> = None;
    let mut began: Option<DateTime<Utc>> = None;
    let mut groups = Groups::default();
    let mut count = 0;
    loop {
        let page = store.recent_tickets(game, since, after, PAGE).await?;
        let Some(last) = page.last() else {
            break;
        };
        after = Some((last.queued_at, last.id));
        for ticket in page {
            // Tickets of a group were drawn at one time, and so come one after the other.
            if groups.drawn_at.is_some_and(|at| at != ticket.queued_at) {
                count += groups.write(&mut out)?;
            }
            if ticket.code.is_none() {
                let began = *began.get_or_insert(ticket.queued_at);
                groups.add(&ticket, began);
            }
        }
    }
    count += groups.write(&mut out)?;
    out.flush().context("cannot write the stream")?;
    Ok(count)
}

/// Groups that were drawn at the same time.
#[derive(Default)]
struct Groups {
    drawn_at: Option<DateTime<Utc>>,
    places: HashMap<Uuid, usize>,
    arrivals: Vec<Arrival>,
}

impl Groups {
    fn add(&mut self, ticket: &Ticket, began: DateTime<Utc>) {
        self.drawn_at = Some(ticket.queued_at);
        let place = *self.places.entry(ticket.group_id).or_insert_with(|| {
            let waited = Some(milliseconds(ticket.changed_at - ticket.queued_at));
            let when =
                |statuses: &[TicketStatus]| waited.filter(|_| statuses.contains(&ticket.status));
            self.arrivals.push(Arrival {
                arrives_ms: milliseconds(ticket.queued_at - began),
                mode: ticket.mode.clone(),
                members: Vec::new(),
                attributes: ticket.search.attributes.clone(),
                latency_ms: ticket.search.latency_ms.clone(),
                left_after_ms: when(&[TicketStatus::Cancelled, TicketStatus::TimedOut]),
                matched_after_ms: when(&[TicketStatus::Placing, TicketStatus::Matched]),
            });
            self.arrivals.len() - 1
        });
        self.arrivals[place].members.push(Player {
            skill: ticket.search.skill,
            rating: ticket.search.rating.value,
            uncertainty: ticket.search.rating.uncertainty,
            matches: ticket.search.matches,
        });
    }

    fn write(&mut self, out: &mut impl Write) -> anyhow::Result<usize> {
        let Self { arrivals, .. } = std::mem::take(self);
        for arrival in &arrivals {
            serde_json::to_writer(&mut *out, arrival).context("cannot write the stream")?;
            writeln!(out).context("cannot write the stream")?;
        }
        Ok(arrivals.len())
    }
}

fn milliseconds(time: TimeDelta) -> u64 {
    // Clocks may have jumped back.
    u64::try_from(time.num_milliseconds()).unwrap_or_default()
}

fn time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("expected a time such as 90m, 24h or 7d, found `{text}`");
    let seconds = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3_600,
        Some('d') => 86_400,
        _ => return Err(wrong()),
    };
    let number: u32 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    let seconds = u64::from(number) * seconds;
    if seconds == 0 || seconds > MOST_SECONDS {
        return Err(wrong());
    }
    Ok(Duration::from_secs(seconds))
}

const PAGE: u32 = 1_000;
/// As long as a stream may be.
const MOST_SECONDS: u64 = 31 * 86_400;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use gs_matchmaker::{AttributeValue, Rating, Rules};
    use gs_store::{Accounts, NewGroup, NewPlayer, NewTicket, Search, Tickets};

    use super::super::{simulation, stream};
    use super::*;

    #[test]
    fn times_are_read_with_their_unit() {
        assert_eq!(time("90m"), Ok(Duration::from_secs(5_400)));
        assert_eq!(time("7d"), Ok(Duration::from_secs(604_800)));
        for wrong in ["", "7", "h", "-1h", "1.5h", "1é", "0s", "32d"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_recording_replays_and_names_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(folder.path()).await.unwrap();
        let began = Utc::now() - TimeDelta::minutes(5);
        let mut cancelled = None;
        // Two alone, who differ by 150; a private match's; one who leaves after 20 s; and a party.
        let groups: [(&str, i64, &[f64], Option<&str>); 5] = [
            ("ann", 0, &[1_500.0], None),
            ("ben", 1, &[1_650.0], None),
            ("cid", 2, &[1_500.0], Some("SECRET")),
            ("dan", 3, &[2_900.0], None),
            ("eve", 4, &[1_000.0, 1_100.0], None),
        ];
        for (name, at, ratings, code) in groups {
            let queued_at = began + TimeDelta::seconds(at);
            let mut tickets = Vec::new();
            for (index, rating) in ratings.iter().enumerate() {
                let id = Uuid::now_v7();
                let new = NewPlayer {
                    id,
                    username: format!("{name}{index}"),
                    email: None,
                    password_hash: None,
                    created_at: queued_at,
                };
                store.create_player(new).await.unwrap();
                tickets.push(NewTicket {
                    id: Uuid::now_v7(),
                    player_id: id,
                    search: Search {
                        skill: *rating,
                        rating: Rating {
                            value: *rating,
                            uncertainty: 80.0,
                        },
                        matches: 20,
                        attributes: BTreeMap::from([(
                            "map".to_owned(),
                            AttributeValue::Text("dust".to_owned()),
                        )]),
                        latency_ms: BTreeMap::from([("eu".to_owned(), 30)]),
                    },
                });
            }
            let group = NewGroup {
                id: tickets[0].id,
                party_id: None,
                game: "arena".to_owned(),
                mode: "default".to_owned(),
                code: code.map(str::to_owned),
                tickets,
                queued_at,
            };
            if name == "dan" {
                cancelled = Some((group.id, queued_at + TimeDelta::seconds(20)));
            }
            store.enqueue(group).await.unwrap();
        }
        let (id, at) = cancelled.unwrap();
        store.cancel_ticket(id, at).await.unwrap();

        let mut written = Vec::new();
        let since = began - TimeDelta::minutes(1);
        let count = write(&store, "arena", since, &mut written).await.unwrap();
        let text = String::from_utf8(written.clone()).unwrap();
        assert_eq!((count, text.lines().count()), (4, 4), "{text}");
        for secret in ["ann", "SECRET", &id.to_string()] {
            assert!(!text.contains(secret), "{text}");
        }
        let arrivals = stream::read(&written[..], None).unwrap();
        let sizes: Vec<usize> = arrivals.iter().map(|a| a.members.len()).collect();
        assert_eq!(sizes, [1, 1, 1, 2]);
        assert_eq!(arrivals[1].arrives_ms, 1_000);
        assert_eq!(arrivals[2].left_after_ms, Some(20_000));
        assert_eq!(arrivals[0].latency_ms["eu"], 30);

        let end = stream::end_ms(&arrivals);
        let outcome = simulation::play(&arrivals, end, &Rules::default(), &mut |_| {});
        // The party of two are a match among themselves, at once; the first two are one as soon as
        // both have a tolerance of 200.
        assert_eq!(outcome.waits, [0.0, 0.0, 6.0, 5.0]);
        assert_eq!(outcome.gave_up, 1);
    }
}
