//! A game as a host meets it: schemas, refusals, hidden fields, bounds and panics.

use game_sdk::prelude::*;
use game_sdk::{LogLevel, Native, Reader, native};
use gs_engine::Simulation;
use gs_engine::manifest::{Audience, FieldKind, Interpolate, NetFieldKind, Predict};
use gs_engine::simulation::{
    Effects as RawEffects, Happening, HappeningKind, InputStatus, MatchConfig, NetState,
    SimulationError, SlotInput, TickLog, Verdict as RawVerdict,
};

#[derive(Options)]
struct Rules {
    #[option(default = 5, range = 1..=9)]
    size: u8,
    #[option(default = true)]
    open: bool,
    #[option(default = 0.5, range = 0.0..=1.0)]
    speed: f32,
    #[option(default = "plain".to_owned())]
    map: String,
}

#[derive(Input, Clone, Debug, PartialEq)]
struct Pad {
    #[field(range = -1.0..=1.0)]
    x: f32,
    #[field(range = 0..=3)]
    weapon: u8,
    jump: bool,
    r#type: i16,
}

#[derive(Message, Debug, PartialEq)]
enum Order {
    /// Does what the test needs.
    Do {
        what: u32,
    },
    Say {
        #[field(max = 8)]
        text: String,
    },
    StopNow,
}

#[derive(Message, Debug, PartialEq)]
enum Told {
    Did { what: u32 },
}

#[derive(Entities, Debug, PartialEq)]
enum Thing {
    Unit {
        #[net(range = -10.0..=10.0, step = 0.1, predict)]
        x: f32,
        #[net(angle, bits = 8, interpolate = none)]
        heading: f32,
        #[net(quat, bits = 8)]
        turn: [f32; 4],
        #[net(range = -5..=5, owner_only)]
        ammunition: i32,
        #[net(team_only)]
        plan: u8,
    },
    OldTree {},
}

#[derive(State, Debug, Clone, PartialEq)]
struct Toy {
    total: u64,
    size: u8,
    said: Vec<String>,
}

impl Game for Toy {
    const NAME: &'static str = "toy";
    const PLAYERS: std::ops::RangeInclusive<u8> = 2..=4;
    const TEAMS: u8 = 2;
    const MAX_SAVE_BYTES: u32 = 256;

    type Options = Rules;
    type Input = Pad;
    type Command = Order;
    type Event = Told;
    type Entity = Thing;

    fn new(setup: &Setup<Rules>, seed: u64) -> Self {
        assert!(setup.options.open && setup.options.speed <= 1.0 && !setup.options.map.is_empty());
        Self {
            total: seed,
            size: setup.options.size,
            said: Vec::new(),
        }
    }

    fn command(&mut self, slot: Slot, command: Order, out: &mut Effects<Told>) {
        match command {
            Order::Do { what: PANIC } => panic!("told to by slot {slot}"),
            Order::Do { what: FLOOD } => {
                for what in 0..1000 {
                    out.send(Told::Did { what });
                    out.log(LogLevel::Info, "ü".repeat(5000));
                }
            }
            Order::Do { what } => out.send_to(slot, Told::Did { what }),
            Order::Say { text } => self.said.push(text),
            Order::StopNow => out.finish(Outcome::Void, []),
        }
    }

    fn step(&mut self, _: Tick, inputs: &Inputs<Pad>, _: &mut Effects<Told>) {
        for (slot, pad) in inputs.iter() {
            let fresh = u64::from(inputs.is_fresh(slot));
            let looked_at = u64::from(inputs.view_tick(slot).expect("there is an input"));
            self.total += u64::from(slot) * 1000 + u64::from(pad.weapon) * 100 + fresh + looked_at;
        }
    }

    fn check(&self, slot: Slot, input: &Pad) -> Verdict<Pad> {
        match (slot, input.weapon) {
            (3, _) => Verdict::Refuse("slot 3 never plays".to_owned()),
            (_, 3) => Verdict::Amend(Pad {
                weapon: 2,
                ..input.clone()
            }),
            _ => Verdict::Accept,
        }
    }

    fn team(&self, slot: Slot) -> Option<u8> {
        Some(slot % 2)
    }

    fn entities(&self, view: &mut View<Thing>) {
        view.put(9, Thing::OldTree {});
        let turn = [0.0, 0.0, 0.0, 1.0];
        let unit = Thing::Unit {
            x: 1.0,
            heading: 0.0,
            turn,
            ammunition: 3,
            plan: 7,
        };
        view.put_owned(4, 0, unit);
    }

    fn visible(&self, viewer: Option<Slot>, placed: &Placed<Thing>) -> bool {
        viewer != Some(3) || placed.owner.is_some()
    }

    fn priority(&self, _: Option<Slot>, placed: &Placed<Thing>) -> f32 {
        if placed.id == 9 { f32::NAN } else { 2.5 }
    }
}

const PANIC: u32 = 1;
const FLOOD: u32 = 2;

fn config(options: &str) -> MatchConfig {
    MatchConfig {
        players: 4,
        teams: 2,
        options: options.to_owned(),
    }
}

fn started() -> Native<Toy> {
    let mut toy = native::<Toy>();
    toy.init(100, &config("{}")).expect("the options are good");
    toy
}

fn commanding(data: &[u8]) -> TickLog {
    let kind = HappeningKind::Command(data.to_vec());
    TickLog {
        tick: 1,
        happenings: vec![Happening { slot: 1, kind }],
        inputs: vec![],
    }
}

fn do_it(what: u32) -> TickLog {
    let mut data = Vec::new();
    Order::Do { what }.encode(&mut data);
    commanding(&data)
}

#[test]
fn the_manifest_says_what_the_types_say() {
    let toy = native::<Toy>();
    let manifest = toy.manifest();
    assert!(manifest.hidden_state, "a field is for owners only");
    let names: Vec<&str> = manifest
        .input
        .iter()
        .map(|field| field.name.as_str())
        .collect();
    assert_eq!(names, ["x", "weapon", "jump", "type"]);
    assert_eq!(manifest.input[1].kind, FieldKind::U8 { min: 0, max: 3 });
    assert_eq!(
        manifest.input[3].kind,
        FieldKind::I16 {
            min: i16::MIN,
            max: i16::MAX
        }
    );
    let names: Vec<&str> = manifest
        .commands
        .iter()
        .map(|command| command.name.as_str())
        .collect();
    assert_eq!(names, ["do", "say", "stop_now"]);
    assert_eq!(
        manifest.commands[1].fields[0].kind,
        FieldKind::Text { max: 8 }
    );
    assert_eq!(manifest.entities[1].name, "old_tree");
    let unit = &manifest.entities[0].fields;
    assert_eq!(
        (unit[0].interpolate, unit[0].predict),
        (Interpolate::Linear, Predict::Owner)
    );
    assert_eq!(
        (unit[1].interpolate, unit[1].predict),
        (Interpolate::None, Predict::None)
    );
    assert_eq!(unit[2].kind, NetFieldKind::Quat { bits: 8 });
    assert_eq!(unit[3].kind, NetFieldKind::Int { min: -5, max: 5 });
    let audiences: Vec<Audience> = unit.iter().map(|field| field.audience).collect();
    let all = Audience::All;
    assert_eq!(audiences, [all, all, all, Audience::Owner, Audience::Team]);
}

#[test]
fn options_that_the_game_does_not_have_or_allow_are_refused_with_the_reason() {
    let mut toy = native::<Toy>();
    for (options, reason) in [
        (r#"{"size": 10}"#, "option `size` is 10, expected 1 to 9"),
        (
            r#"{"size": 2.5}"#,
            "option `size` is 2.5, expected a whole number from 0 to 255",
        ),
        (
            r#"{"open": 1}"#,
            "option `open` is 1, expected true or false",
        ),
        (r#"{"map": null}"#, "option `map` is null, expected a text"),
        (
            r#"{"speed": -0.1}"#,
            "option `speed` is -0.1, expected 0 to 1",
        ),
        (r#"{"sise": 3}"#, "the game has no option `sise`"),
        ("[]", "options are no JSON object"),
        ("{", "expected a name in quotes at byte 1"),
    ] {
        let refused = SimulationError::Refused {
            call: "gs_init",
            code: -1,
        };
        assert_eq!(toy.init(1, &config(options)), Err(refused), "{options}");
        assert_eq!(toy.fault(), reason);
    }
    toy.init(1, &config(r#"{"size": 9, "speed": 1, "map": "cave"}"#))
        .unwrap();
    assert_eq!(toy.game().unwrap().size, 9);
    toy.init(1, &config(" ")).unwrap();
    assert_eq!(toy.game().unwrap().size, 5);
}

#[test]
fn inputs_arrive_with_their_slot_status_and_view_tick() {
    let mut toy = started();
    let mut data = Vec::new();
    Pad {
        x: 0.5,
        weapon: 2,
        jump: true,
        r#type: -3,
    }
    .encode(&mut data);
    assert_eq!(data.len(), 4 + 1 + 1 + 2);
    let present = |status| SlotInput {
        status,
        view_tick: 10,
        data: data.clone(),
    };
    let inputs = vec![
        SlotInput::default(),
        present(InputStatus::Fresh),
        present(InputStatus::Repeated),
    ];
    let log = TickLog {
        tick: 1,
        happenings: vec![],
        inputs,
    };
    toy.step(&log, &mut RawEffects::default()).unwrap();
    assert_eq!(
        toy.game().unwrap().total,
        100 + (1000 + 200 + 1 + 10) + (2000 + 200 + 10)
    );
}

#[test]
fn bytes_that_follow_no_schema_are_refused_and_change_nothing() {
    let mut toy = started();
    let before = toy.game().unwrap().clone();
    let malformed = Err(SimulationError::Refused {
        call: "gs_step",
        code: -1,
    });
    let long_text = [&[1, 9, 0][..], b"nine char"].concat();
    let not_utf8 = [1, 1, 0, 0xff];
    for command in [
        &[][..],
        &[3],
        &[0, 1, 2],
        &[0, 1, 0, 0, 0, 0],
        &long_text,
        &not_utf8,
    ] {
        let mut log = do_it(7);
        log.happenings.extend(commanding(command).happenings);
        assert_eq!(
            toy.step(&log, &mut RawEffects::default()),
            malformed,
            "{command:?}"
        );
    }
    let mut good = Vec::new();
    Pad {
        x: 0.5,
        weapon: 2,
        jump: true,
        r#type: 0,
    }
    .encode(&mut good);
    let with = |at: usize, bytes: &[u8]| {
        let mut data = good.clone();
        data[at..at + bytes.len()].copy_from_slice(bytes);
        data
    };
    for data in [
        vec![],
        good[..7].to_vec(),
        [&good[..], &[0]].concat(),
        with(0, &f32::NAN.to_le_bytes()),
        with(0, &f32::INFINITY.to_le_bytes()),
        with(0, &1.001_f32.to_le_bytes()),
        with(4, &[4]),
        with(5, &[2]),
    ] {
        let status = InputStatus::Fresh;
        let input = SlotInput {
            status,
            view_tick: 0,
            data: data.clone(),
        };
        let log = TickLog {
            tick: 1,
            happenings: vec![],
            inputs: vec![input],
        };
        assert_eq!(
            toy.step(&log, &mut RawEffects::default()),
            malformed,
            "{data:?}"
        );
        assert!(toy.check(0, &data).is_err(), "{data:?}");
    }
    assert_eq!(*toy.game().unwrap(), before);
}

#[test]
fn an_input_is_accepted_amended_or_refused() {
    let mut toy = started();
    let packed = |weapon| {
        let mut data = Vec::new();
        Pad {
            x: 0.0,
            weapon,
            jump: false,
            r#type: 1,
        }
        .encode(&mut data);
        data
    };
    assert_eq!(toy.check(0, &packed(1)), Ok(RawVerdict::Accept));
    assert_eq!(toy.check(0, &packed(3)), Ok(RawVerdict::Amend(packed(2))));
    let refused = RawVerdict::Refuse("slot 3 never plays".to_owned());
    assert_eq!(toy.check(3, &packed(1)), Ok(refused));
}

#[test]
fn what_is_encoded_out_of_range_becomes_the_nearest_that_is_within() {
    let mut data = Vec::new();
    Pad {
        x: 7.0,
        weapon: 9,
        jump: false,
        r#type: 0,
    }
    .encode(&mut data);
    let back = Pad::decode(&mut Reader::new(&data)).unwrap();
    assert_eq!((back.x, back.weapon), (1.0, 3));
    let order = Order::Say {
        text: "seven €".to_owned(),
    };
    assert!(order.check_ranges().unwrap_err().contains("`say.text`"));
    data.clear();
    order.encode(&mut data);
    let cut = Order::Say {
        text: "seven ".to_owned(),
    };
    assert_eq!(Order::decode(&mut Reader::new(&data)), Some(cut));
    let unit = Thing::Unit {
        x: 11.0,
        heading: 0.0,
        turn: [0.0; 4],
        ammunition: 0,
        plan: 0,
    };
    assert!(unit.check_ranges().unwrap_err().contains("`unit.x` is 11"));
}

#[test]
fn a_viewer_sees_no_more_than_it_may() {
    let mut toy = started();
    let mut state = NetState::default();
    // Columns: x, heading, four of the quaternion, ammunition, plan.
    for (viewer, ammunition, plan) in [
        (Some(0), 3, 7),
        (Some(1), -5, 0),
        (Some(2), -5, 7),
        (None, -5, 0),
    ] {
        toy.net_state(viewer, &mut state).unwrap();
        let ids: Vec<u32> = state.entities.iter().map(|entity| entity.id).collect();
        assert_eq!(
            ids,
            [4, 9],
            "ascending, whatever the order in which they were put"
        );
        let unit = state.columns_of(&state.entities[0]);
        assert_eq!((unit.len(), unit[0]), (8, 110));
        assert_eq!((unit[6], unit[7]), (ammunition, plan), "{viewer:?}");
        let priorities = [state.entities[0].priority, state.entities[1].priority];
        assert_eq!(
            priorities,
            [2.5, 1.0],
            "a priority that is no number counts as the usual one"
        );
    }
    toy.net_state(Some(3), &mut state).unwrap();
    assert_eq!(state.entities.len(), 1, "the tree is hidden from slot 3");
}

#[test]
fn a_flood_of_effects_keeps_the_bounds_of_a_tick_and_says_so() {
    let mut toy = started();
    let mut effects = RawEffects::default();
    toy.step(&do_it(FLOOD), &mut effects).unwrap();
    let mut bytes = Vec::new();
    gs_engine::abi::encode_effects(&effects, &mut bytes).unwrap();
    let last = &effects.log.last().unwrap().text;
    assert!(
        last.ends_with("events or log lines did not fit the tick"),
        "{last}"
    );
    toy.step(&do_it(3), &mut effects).unwrap();
    assert_eq!((effects.events.len(), effects.log.len()), (1, 0));
}

#[test]
fn a_panic_ends_the_match_with_its_text_and_nothing_else() {
    let mut toy = started();
    let reason = "told to by slot 1".to_owned();
    let trapped = SimulationError::Trapped {
        call: "gs_step",
        reason,
    };
    assert_eq!(
        toy.step(&do_it(PANIC), &mut RawEffects::default()),
        Err(trapped)
    );
    let gone = SimulationError::Refused {
        call: "gs_step",
        code: -2,
    };
    assert_eq!(toy.step(&do_it(3), &mut RawEffects::default()), Err(gone));
    toy.init(1, &config("{}")).unwrap();
    toy.step(&do_it(3), &mut RawEffects::default()).unwrap();
}

#[test]
fn a_state_is_taken_back_and_bytes_that_are_none_change_nothing() {
    let mut toy = started();
    let mut said = Vec::new();
    Order::Say {
        text: "hello".to_owned(),
    }
    .encode(&mut said);
    toy.step(&commanding(&said), &mut RawEffects::default())
        .unwrap();
    let mut state = Vec::new();
    toy.save(&mut state).unwrap();

    let mut other = native::<Toy>();
    other.load(&state).unwrap();
    assert_eq!(other.game(), toy.game());
    let malformed = Err(SimulationError::Refused {
        call: "gs_load",
        code: -1,
    });
    for len in 0..state.len() {
        assert_eq!(other.load(&state[..len]), malformed, "{len} bytes");
    }
    assert_eq!(other.load(&[&state[..], &[0]].concat()), malformed);
    assert_eq!(other.game(), toy.game());
}

#[test]
fn a_state_beyond_its_bound_ends_the_match() {
    let mut toy = started();
    toy.game_mut().unwrap().said = vec!["long".repeat(100)];
    let error = toy.save(&mut Vec::new()).unwrap_err();
    assert!(
        error.to_string().contains("more than MAX_SAVE_BYTES"),
        "{error}"
    );
}

#[test]
fn calls_before_a_match_and_views_that_the_game_does_not_load_are_refused() {
    let code = |answer| match answer {
        Err(SimulationError::Refused { code, .. }) => code,
        other => panic!("{other:?}"),
    };
    let mut toy = native::<Toy>();
    assert_eq!(code(toy.save(&mut Vec::new())), -2);
    assert_eq!(code(toy.net_state(None, &mut NetState::default())), -2);
    assert_eq!(code(toy.load_view(None, &NetState::default())), -2);
    let mut toy = started();
    let mut state = NetState::default();
    toy.net_state(None, &mut state).unwrap();
    assert_eq!(code(toy.load_view(None, &state)), -3);
    state.columns[0] = 9999;
    assert_eq!(code(toy.load_view(None, &state)), -1);
    state.entities[0].first_column = 9999;
    assert_eq!(code(toy.load_view(None, &state)), -1);
}

#[test]
fn a_result_can_be_void_and_empty() {
    let mut toy = started();
    let mut effects = RawEffects::default();
    toy.step(&commanding(&[2]), &mut effects).unwrap();
    assert!(effects.result.is_some_and(|result| result.slots.is_empty()));
}
