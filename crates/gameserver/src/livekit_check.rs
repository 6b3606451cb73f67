//! Whether a LiveKit server will do: it answers, takes the key, and is new enough.

use std::time::Duration;

use anyhow::{Context, bail};
use livekit_data::{ConnectOptions, Participant};
use livekit_rooms::{RoomTokens, Rooms};

/// Joins a room of its own on the server, leaves, and judges the version that it named.
///
/// `data_tracks_off` says that we started the server ourselves with data tracks off.
pub(crate) async fn check(
    url: &str,
    rooms: &dyn Rooms,
    tokens: &RoomTokens,
    data_tracks_off: bool,
) -> anyhow::Result<()> {
    let room = format!("check-{}", uuid::Uuid::new_v4().simple());
    rooms.create_room(&room, "check").await?;
    let version = join(url, &room, tokens).await;
    rooms.delete_room(&room).await?;
    match judge(&version?)? {
        Judgement::Good => {}
        Judgement::CrashesOnDataTracks if data_tracks_off => {}
        Judgement::CrashesOnDataTracks => tracing::warn!(
            "this LiveKit server is older than 1.13.6: any player can crash it with one malformed \
             data-track packet; update it, or set `enable_data_tracks: false` in its configuration"
        ),
    }
    Ok(())
}

async fn join(url: &str, room: &str, tokens: &RoomTokens) -> anyhow::Result<String> {
    let token = tokens.authority_token(room)?;
    let mut options = ConnectOptions::new(url, &token.token);
    options.join_timeout = JOIN_TIMEOUT;
    let (participant, _events) = Participant::connect(options)
        .await
        .context("the LiveKit server cannot be joined")?;
    let version = participant.session().server_version.clone();
    participant.close().await;
    Ok(version)
}

#[derive(Debug, PartialEq)]
enum Judgement {
    Good,
    CrashesOnDataTracks,
}

fn judge(version: &str) -> anyhow::Result<Judgement> {
    let numbers: Vec<u32> = version
        .split(['.', '-', '+'])
        .map_while(|n| n.parse().ok())
        .collect();
    let &[major, minor, patch, ..] = numbers.as_slice() else {
        // LiveKit Cloud and builds from source name no version; correctness does not rest on it.
        tracing::warn!(
            version,
            "the LiveKit server names no version that can be judged"
        );
        return Ok(Judgement::Good);
    };
    if (major, minor, patch) < OLDEST {
        bail!(
            "the LiveKit server has version {version}, and {}.{}.{} or newer is needed; update it",
            OLDEST.0,
            OLDEST.1,
            OLDEST.2
        );
    }
    Ok(if (major, minor, patch) < SAFE_DATA_TRACKS {
        Judgement::CrashesOnDataTracks
    } else {
        Judgement::Good
    })
}

const JOIN_TIMEOUT: Duration = Duration::from_secs(10);
/// The oldest that the project is tested with.
const OLDEST: (u32, u32, u32) = (1, 13, 0);
/// Before it, a malformed data-track packet ends the server.
const SAFE_DATA_TRACKS: (u32, u32, u32) = (1, 13, 6);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_server_is_refused_with_what_is_needed() {
        for old in ["0.15.2", "1.8.0", "1.12.9"] {
            let error = judge(old).unwrap_err().to_string();
            assert!(
                error.contains(old) && error.contains("1.13.0 or newer"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_server_that_data_tracks_crash_is_told_from_one_that_is_good() {
        assert_eq!(judge("1.13.5").unwrap(), Judgement::CrashesOnDataTracks);
        assert_eq!(judge("1.13.6").unwrap(), Judgement::Good);
        assert_eq!(judge("2.0.0-rc1").unwrap(), Judgement::Good);
        assert_eq!(judge("unknown").unwrap(), Judgement::Good);
    }
}
