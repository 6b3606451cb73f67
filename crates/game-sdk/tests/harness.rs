//! The harness finds what would break a match.

use game_sdk::prelude::*;
use game_sdk::testing::Match;

/// A game that breaks one rule, by its option.
struct Broken {
    fault: u8,
    saved: u32,
    forgotten: u32,
}

/// By hand, to leave out a field.
impl State for Broken {
    fn save(&self, out: &mut Vec<u8>) {
        self.fault.save(out);
        self.saved.save(out);
    }

    fn load(input: &mut game_sdk::Reader<'_>) -> Option<Self> {
        Some(Self {
            fault: State::load(input)?,
            saved: State::load(input)?,
            forgotten: 0,
        })
    }
}

#[derive(Options)]
struct Fault {
    #[option(default = 0)]
    fault: u8,
}

#[derive(Entities)]
enum Thing {
    Dot {
        #[net(range = 0.0..=1.0, step = 0.1)]
        x: f32,
    },
}

#[derive(Message, Debug)]
enum Told {
    Number {
        #[field(range = 0..=3)]
        value: u8,
    },
}

impl Game for Broken {
    const NAME: &'static str = "broken";
    const PLAYERS: std::ops::RangeInclusive<u8> = 1..=2;
    type Options = Fault;
    type Input = ();
    type Command = Never;
    type Event = Told;
    type Entity = Thing;

    fn new(setup: &Setup<Fault>, _: u64) -> Self {
        Self {
            fault: setup.options.fault,
            saved: 0,
            forgotten: 0,
        }
    }

    fn step(&mut self, tick: Tick, _: &Inputs<()>, out: &mut Effects<Told>) {
        self.forgotten += 1;
        if self.fault == 1 && tick > 40 {
            self.saved += self.forgotten;
        }
        if self.fault == 2 {
            out.send(Told::Number { value: 4 });
        }
    }

    fn entities(&self, view: &mut View<Thing>) {
        view.put(
            1,
            Thing::Dot {
                x: if self.fault == 3 { 1.5 } else { 0.5 },
            },
        );
        view.put(if self.fault == 4 { 1 } else { 2 }, Thing::Dot { x: 0.0 });
    }

    fn visible(&self, viewer: Option<Slot>, _: &Placed<Thing>) -> bool {
        self.fault != 5 || viewer != Some(1)
    }
}

/// Plays a second and answers what the harness said.
fn complaint(fault: u8) -> Option<String> {
    let play = move || {
        let options = format!(r#"{{"fault": {fault}}}"#);
        Match::<Broken>::with_options(2, 1, &options).run(60);
    };
    let panic = std::panic::catch_unwind(play).err()?;
    panic.downcast_ref::<String>().cloned()
}

#[test]
fn a_sound_game_passes() {
    assert_eq!(complaint(0), None);
}

#[test]
fn each_fault_is_named() {
    for (fault, expected) in [
        (1, "a field is not saved"),
        (2, "`number.value` is 4"),
        (3, "`dot.x` is 1.5"),
        (4, "two entities have the id 1"),
        (5, "set HIDDEN_STATE"),
    ] {
        let complaint = complaint(fault).expect("the harness complains");
        assert!(complaint.contains(expected), "{fault}: {complaint}");
    }
}
