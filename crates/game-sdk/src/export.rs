//! The exports of a module.

/// Makes a module of a [`Game`](crate::Game): exports the functions of the ABI for it.
///
/// Call it once, at the top of the game's crate, whose `crate-type` is `["cdylib", "rlib"]`. Where
/// the crate is not built for WebAssembly it only checks that the type is a game.
// The attributes `#[unsafe(no_mangle)]` are all that is unsafe here: they promise that no other
// symbol has the same name, which holds because a module is one game. A lint does not look into
// another crate's macros, so that games may forbid unsafe code.
#[macro_export]
macro_rules! export_game {
    ($game:ty) => {
        const _: fn() = || {
            fn is_a_game<G: $crate::Game>() {}
            is_a_game::<$game>();
        };

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            ::std::thread_local! {
                static EXPORTS: $crate::__private::Exports<$game> = ::std::default::Default::default();
            }

            #[unsafe(no_mangle)]
            extern "C" fn gs_abi_version() -> i32 {
                1
            }

            #[unsafe(no_mangle)]
            extern "C" fn gs_input(len: i32) -> usize {
                EXPORTS.with(|exports| exports.input(len))
            }

            #[unsafe(no_mangle)]
            extern "C" fn gs_output() -> usize {
                EXPORTS.with(|exports| exports.output())
            }

            #[unsafe(no_mangle)]
            extern "C" fn gs_describe() -> i32 {
                EXPORTS.with(|exports| exports.describe())
            }

            #[unsafe(no_mangle)]
            extern "C" fn gs_init(seed: i64, len: i32) -> i32 {
                EXPORTS.with(|exports| exports.init(seed, len))
            }

            #[unsafe(no_mangle)]
            extern "C" fn gs_step(len: i32) -> i32 {
                EXPORTS.with(|exports| exports.step(len))
            }

            #[unsafe(no_mangle)]
            extern "C" fn gs_check(slot: i32, len: i32) -> i32 {
                EXPORTS.with(|exports| exports.check(slot, len))
            }

            #[unsafe(no_mangle)]
            extern "C" fn gs_save() -> i32 {
                EXPORTS.with(|exports| exports.save())
            }

            #[unsafe(no_mangle)]
            extern "C" fn gs_load(len: i32) -> i32 {
                EXPORTS.with(|exports| exports.load(len))
            }

            #[unsafe(no_mangle)]
            extern "C" fn gs_load_view(viewer: i32, len: i32) -> i32 {
                EXPORTS.with(|exports| exports.load_view(viewer, len))
            }

            #[unsafe(no_mangle)]
            extern "C" fn gs_net_state(viewer: i32) -> i32 {
                EXPORTS.with(|exports| exports.net_state(viewer))
            }

            #[unsafe(no_mangle)]
            extern "C" fn gs_panic() -> i32 {
                EXPORTS.with(|exports| exports.panic_text())
            }
        };
    };
}
