//! Tic-tac-toe: three in a row win, and a move takes 30 seconds at most.
//!
//! Slot 0 plays crosses (1 on the board) and begins; slot 1 plays noughts (2). The cells are
//! numbered row by row from the top left, 0 to 8.

use game_sdk::prelude::*;

/// One match.
#[derive(State, Clone, Debug)]
pub struct TicTacToe {
    cells: [u8; 9],
    /// Whose turn it is: 0 or 1.
    turn: Slot,
    ticks_left: u32,
    present: [bool; 2],
    /// Set by the move or the tick that ends the match.
    ending: Option<Ending>,
}

/// How a match ends.
#[derive(State, Clone, Copy, Debug, PartialEq)]
enum Ending {
    Won { by: Slot },
    Draw,
    NobodyLeft,
}

/// What a player sends.
#[derive(Message, Clone, Debug, PartialEq)]
pub enum Command {
    /// Puts the player's sign on a cell.
    Place {
        /// The cell, 0 to 8.
        #[field(range = 0..=8)]
        cell: u8,
    },
}

/// What players are told.
#[derive(Message, Clone, Debug, PartialEq)]
pub enum Event {
    /// A sign was put on a cell.
    Placed {
        /// The cell, 0 to 8.
        #[field(range = 0..=8)]
        cell: u8,
        /// The slot that did it.
        #[field(range = 0..=1)]
        by: u8,
    },
    /// The command was not allowed: not the player's turn, or the cell is taken. Only that player
    /// is told.
    Illegal {},
}

/// What players see.
#[derive(Entities, Clone, Debug, PartialEq)]
pub enum Thing {
    /// The board: 0 free, 1 cross, 2 nought.
    #[allow(missing_docs, reason = "nine cells need no nine sentences")]
    Board {
        #[net(range = 0..=2)]
        cell_0: u8,
        #[net(range = 0..=2)]
        cell_1: u8,
        #[net(range = 0..=2)]
        cell_2: u8,
        #[net(range = 0..=2)]
        cell_3: u8,
        #[net(range = 0..=2)]
        cell_4: u8,
        #[net(range = 0..=2)]
        cell_5: u8,
        #[net(range = 0..=2)]
        cell_6: u8,
        #[net(range = 0..=2)]
        cell_7: u8,
        #[net(range = 0..=2)]
        cell_8: u8,
    },
    /// Whose turn it is.
    Turn {
        /// The slot.
        #[net(range = 0..=1)]
        slot: u8,
        /// Seconds left for the move, rounded up.
        #[net(range = 0..=30)]
        seconds: u8,
    },
}

impl Game for TicTacToe {
    const NAME: &'static str = "tic-tac-toe";
    const TITLE: &'static str = "Tic-tac-toe";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const TICK_RATE: u32 = 10;
    const PLAYERS: std::ops::RangeInclusive<u8> = 2..=2;
    const MAX_SAVE_BYTES: u32 = 64;
    const LEADERBOARD: LeaderboardRule = LeaderboardRule::Sum;

    type Options = ();
    type Input = ();
    type Command = Command;
    type Event = Event;
    type Entity = Thing;

    fn new(_: &Setup<()>, _seed: u64) -> Self {
        Self {
            cells: [FREE; 9],
            turn: 0,
            ticks_left: MOVE_TICKS,
            present: [true; 2],
            ending: None,
        }
    }

    fn leave(&mut self, slot: Slot, _: &mut Effects<Event>) {
        if let Some(present) = self.present.get_mut(usize::from(slot)) {
            *present = false;
        }
    }

    fn command(&mut self, slot: Slot, command: Command, out: &mut Effects<Event>) {
        let Command::Place { cell } = command;
        let index = usize::from(cell);
        if self.ending.is_some() || slot != self.turn || self.cells[index] != FREE {
            out.send_to(slot, Event::Illegal {});
            return;
        }
        self.cells[index] = slot + 1;
        out.send(Event::Placed { cell, by: slot });
        if self.line().is_some() {
            self.ending = Some(Ending::Won { by: slot });
        } else if !self.cells.contains(&FREE) {
            self.ending = Some(Ending::Draw);
        }
        self.turn = 1 - slot;
        self.ticks_left = MOVE_TICKS;
    }

    fn step(&mut self, _tick: Tick, _: &Inputs<()>, out: &mut Effects<Event>) {
        self.ticks_left = self.ticks_left.saturating_sub(1);
        // A move that ended the match counts, whoever leaves in the same tick.
        let Some(ending) = self.ending.or_else(|| self.ending_without_a_move()) else {
            return;
        };
        self.ending = Some(ending);
        let outcome = match ending {
            Ending::NobodyLeft => Outcome::Abandoned,
            Ending::Won { .. } | Ending::Draw => Outcome::Finished,
        };
        out.finish(
            outcome,
            [0, 1].map(|slot| {
                let won = ending == Ending::Won { by: slot };
                let drawn = ending == Ending::Draw;
                Standing::new(slot, if won { 2 } else { i32::from(drawn) })
                    .statistic("wins", i32::from(won))
                    .statistic("draws", i32::from(drawn))
            }),
        );
    }

    fn entities(&self, view: &mut View<Thing>) {
        let [
            cell_0,
            cell_1,
            cell_2,
            cell_3,
            cell_4,
            cell_5,
            cell_6,
            cell_7,
            cell_8,
        ] = self.cells;
        view.put(
            0,
            Thing::Board {
                cell_0,
                cell_1,
                cell_2,
                cell_3,
                cell_4,
                cell_5,
                cell_6,
                cell_7,
                cell_8,
            },
        );
        let seconds = self.ticks_left.div_ceil(Self::TICK_RATE) as u8;
        view.put_owned(
            1,
            self.turn,
            Thing::Turn {
                slot: self.turn,
                seconds,
            },
        );
    }
}

impl TicTacToe {
    fn ending_without_a_move(&self) -> Option<Ending> {
        match self.present {
            [true, true] if self.ticks_left > 0 => None,
            [true, true] => Some(Ending::Won { by: 1 - self.turn }),
            [true, false] => Some(Ending::Won { by: 0 }),
            [false, true] => Some(Ending::Won { by: 1 }),
            [false, false] => Some(Ending::NobodyLeft),
        }
    }

    /// The sign that has three in a row.
    fn line(&self) -> Option<u8> {
        let is_whole = |line: &&[usize; 3]| {
            let [a, b, c] = line.map(|cell| self.cells[cell]);
            a != FREE && a == b && b == c
        };
        LINES.iter().find(is_whole).map(|line| self.cells[line[0]])
    }
}

const FREE: u8 = 0;
/// 30 s.
const MOVE_TICKS: u32 = 30 * TicTacToe::TICK_RATE;
const LINES: [[usize; 3]; 8] = [
    [0, 1, 2],
    [3, 4, 5],
    [6, 7, 8],
    [0, 3, 6],
    [1, 4, 7],
    [2, 5, 8],
    [0, 4, 8],
    [2, 4, 6],
];

game_sdk::export_game!(TicTacToe);
