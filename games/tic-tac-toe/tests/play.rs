//! Tic-tac-toe as its players meet it.

use game_sdk::Outcome;
use game_sdk::testing::Match;
use tic_tac_toe::{Command, Event, Thing, TicTacToe};

fn play(cells: &[u8]) -> Match<TicTacToe> {
    let mut game = Match::new(2);
    game.run(1);
    for (turn, cell) in cells.iter().enumerate() {
        game.command(turn as u8 % 2, Command::Place { cell: *cell });
        game.run(1);
    }
    game
}

#[test]
fn three_in_a_row_win() {
    let game = play(&[0, 3, 1, 4, 2]);
    assert_eq!((game.placement(0), game.placement(1)), (1, 2));
    let result = game.result().unwrap();
    assert_eq!(result.outcome, Outcome::Finished);
    assert_eq!(result.slots[0].score, 2);
    assert_eq!(
        result.slots[0].statistics,
        [("wins".to_owned(), 1), ("draws".to_owned(), 0)]
    );
    assert_eq!(game.events().len(), 5);
}

#[test]
fn noughts_can_win_on_a_diagonal() {
    let game = play(&[0, 2, 1, 4, 8, 6]);
    assert_eq!((game.placement(0), game.placement(1)), (2, 1));
}

#[test]
fn a_full_board_without_a_line_is_a_draw() {
    let game = play(&[0, 1, 2, 4, 3, 5, 7, 6, 8]);
    assert_eq!((game.placement(0), game.placement(1)), (1, 1));
    assert_eq!(game.result().unwrap().slots[1].score, 1);
}

#[test]
fn the_last_cell_can_win() {
    let game = play(&[0, 1, 2, 3, 4, 5, 7, 6, 8]);
    assert_eq!((game.placement(0), game.placement(1)), (1, 2));
}

#[test]
fn only_the_player_at_fault_is_told_of_an_illegal_move() {
    let mut game = play(&[4]);
    game.command(0, Command::Place { cell: 0 });
    game.command(1, Command::Place { cell: 4 });
    game.run(1);
    let placed = Event::Placed { cell: 4, by: 0 };
    let told = |slot| {
        game.events_for(slot)
            .into_iter()
            .map(|(_, e)| e)
            .collect::<Vec<_>>()
    };
    assert_eq!(told(0), [placed.clone(), Event::Illegal {}]);
    assert_eq!(told(1), [placed, Event::Illegal {}]);
    assert_eq!(game.events().len(), 3);
    assert!(game.result().is_none());
}

#[test]
fn a_move_takes_thirty_seconds_at_most() {
    let mut game = play(&[4]);
    game.run(298);
    assert!(game.result().is_none());
    game.run(2);
    assert_eq!((game.placement(0), game.placement(1)), (1, 2));
}

#[test]
fn whoever_stays_wins_and_nobody_left_is_abandoned() {
    let mut game = play(&[4]);
    game.leave(0);
    game.run(1);
    assert_eq!((game.placement(0), game.placement(1)), (2, 1));

    let mut game = play(&[4]);
    game.leave(0);
    game.leave(1);
    game.run(1);
    assert_eq!(game.result().unwrap().outcome, Outcome::Abandoned);
    assert_eq!((game.placement(0), game.placement(1)), (1, 1));
}

#[test]
fn everyone_sees_the_board_and_the_turn() {
    let mut game = play(&[8, 0]);
    let seen = game.seen_by(None);
    let Thing::Board {
        cell_0: 2,
        cell_8: 1,
        cell_4: 0,
        ..
    } = seen[0].entity
    else {
        panic!("{seen:?}");
    };
    assert_eq!(
        seen[1].entity,
        Thing::Turn {
            slot: 0,
            seconds: 30
        }
    );
    assert_eq!(seen[1].owner, Some(0));
}
