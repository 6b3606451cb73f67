//! Sends every packet back to whoever sent it.
//!
//! `LIVEKIT_URL=ws://127.0.0.1:7880 LIVEKIT_TOKEN=… cargo run --example echo`

use livekit_data::{ConnectOptions, Event, Packet, Participant};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let url = std::env::var("LIVEKIT_URL").unwrap_or_else(|_| "ws://127.0.0.1:7880".into());
    let token = std::env::var("LIVEKIT_TOKEN").map_err(|_| {
        anyhow::anyhow!("LIVEKIT_TOKEN is not set; it takes a token that grants roomJoin")
    })?;
    let (participant, mut events) = Participant::connect(ConnectOptions::new(url, token)).await?;
    let session = participant.session();
    eprintln!(
        "{} is in {} on livekit-server {}",
        session.identity, session.room, session.server_version
    );
    while let Some(event) = events.next().await {
        match event {
            Event::Data {
                from,
                topic,
                payload,
                channel,
                ..
            } => {
                let destinations = [from.to_string()];
                let packet = Packet {
                    topic: &topic,
                    payload: &payload,
                    channel,
                    destinations: &destinations,
                };
                if let Err(error) = participant.send(packet) {
                    eprintln!("not sent to {from}: {error}");
                }
            }
            Event::ParticipantJoined { identity, .. } => eprintln!("{identity} joined"),
            Event::ParticipantLeft { identity, .. } => eprintln!("{identity} left"),
            Event::Closed(reason) => eprintln!("closed: {reason}"),
            _ => {}
        }
    }
    Ok(())
}
