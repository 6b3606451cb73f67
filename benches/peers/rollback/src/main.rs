//! `peer-rollback PLAYERS FRAMES`: what ggrs takes for each tick that it simulates again, with a
//! game that adds its inputs up, all players local, and a rollback of eight ticks with each frame.

use std::net::SocketAddr;

use cpu_time::ThreadTime;
use ggrs::{Config, GgrsRequest, PredictRepeatLast, SessionBuilder};
use serde::{Deserialize, Serialize};

struct Adding;

#[derive(Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Input(u32);

#[derive(Clone, Copy, Default)]
struct State {
    frame: i32,
    sum: u32,
}

impl Config for Adding {
    type Input = Input;
    type InputPredictor = PredictRepeatLast;
    type State = State;
    type Address = SocketAddr;
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut number = || {
        arguments
            .next()
            .ok_or("usage: peer-rollback PLAYERS FRAMES")
    };
    let (players, frames): (usize, u32) = (number()?.parse()?, number()?.parse()?);
    let mut session = SessionBuilder::<Adding>::new()
        .with_num_players(players)?
        .with_max_prediction_window(24)
        .with_check_distance(CHECK_DISTANCE)
        .start_synctest_session()?;
    let mut state = State::default();
    let (mut began, mut steps) = (ThreadTime::now(), 0_u64);
    for frame in 0..frames + WARM_UP {
        if frame == WARM_UP {
            (began, steps) = (ThreadTime::now(), 0);
        }
        for player in 0..players {
            session.add_local_input(player, Input(frame + player as u32))?;
        }
        for request in session.advance_frame()? {
            match request {
                GgrsRequest::LoadGameState { cell, .. } => {
                    state = cell.load().ok_or("ggrs loads what was never saved")?;
                }
                GgrsRequest::SaveGameState { cell, frame } => {
                    cell.save(frame, Some(state), Some(u128::from(state.sum)));
                }
                GgrsRequest::AdvanceFrame { inputs } => {
                    state.frame += 1;
                    for (input, _) in &inputs {
                        state.sum = state.sum.wrapping_add(input.0);
                    }
                    steps += 1;
                }
            }
        }
    }
    let again = steps - u64::from(frames);
    let ns = began.elapsed().as_nanos() as f64 / again as f64;
    std::hint::black_box(&state);
    println!(r#"{{"ns_per_tick":{ns:.1}}}"#);
    Ok(())
}

const CHECK_DISTANCE: usize = 8;
const WARM_UP: u32 = 200;
