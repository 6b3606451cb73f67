//! A heap whose image is the game's canonical state.
//!
//! Everything that a step can read lies in [`IMAGE`]: the game, its collections, and the free lists
//! that decide where the next block goes. So the used part of it says all, saving is answering
//! where it is, and loading is writing it back; nothing is serialised. Two instances that ran the
//! same ticks have the same image, since addresses in a module are the same everywhere.

use std::alloc::{GlobalAlloc, Layout};

use crate::Game;

/// The heap, and what describes it, in front of it.
#[repr(C)]
pub struct Image {
    /// Bytes of the heap that were ever used.
    top: usize,
    /// The game, on the heap.
    root: *mut Game,
    /// The first free block of each class; each free block begins with the address of the next.
    free: [usize; CLASSES],
    heap: [Line; HEAP_BYTES / LINE],
}

#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct Line([u8; LINE]);

/// The module's state.
pub static mut IMAGE: Image = Image {
    top: 0,
    root: std::ptr::null_mut(),
    free: [0; CLASSES],
    heap: [Line([0; LINE]); HEAP_BYTES / LINE],
};

/// Empties the heap, whatever is on it.
pub fn clear() {
    // SAFETY: a module has one thread, and the caller forgets all that was allocated.
    unsafe {
        IMAGE.top = 0;
        IMAGE.root = std::ptr::null_mut();
        IMAGE.free = [0; CLASSES];
    }
}

/// Makes a game on the heap the state.
pub fn set_root(game: *mut Game) {
    // SAFETY: a module has one thread.
    unsafe { IMAGE.root = game };
}

/// The game, once there is one.
pub fn root() -> Option<&'static mut Game> {
    // SAFETY: it was made by `set_root`, here or in the instance that saved this image, and each
    // call of the module asks for it once.
    unsafe { IMAGE.root.as_mut() }
}

/// Where the used part of the image is, and how long it is.
pub fn used() -> (usize, usize) {
    let start = &raw const IMAGE;
    // SAFETY: a module has one thread.
    let top = unsafe { IMAGE.top };
    (start.addr(), std::mem::offset_of!(Image, heap) + top)
}

struct Heap;

#[global_allocator]
static HEAP: Heap = Heap;

// SAFETY: blocks of different classes never overlap, a block is handed out again only after it was
// given back, and every block is aligned to a line, which is checked to be enough.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some((class, size)) = class(layout) else {
            return std::ptr::null_mut();
        };
        // SAFETY: a module has one thread; free blocks are within the heap and hold an address.
        unsafe {
            let free = IMAGE.free[class];
            if free != 0 {
                IMAGE.free[class] = *(free as *const usize);
                return free as *mut u8;
            }
            if HEAP_BYTES - IMAGE.top < size {
                return std::ptr::null_mut();
            }
            let block = (&raw mut IMAGE.heap).cast::<u8>().add(IMAGE.top);
            IMAGE.top += size;
            block
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some((class, _)) = class(layout) else {
            return;
        };
        // SAFETY: the block came from `alloc` and has at least a line's bytes.
        unsafe {
            *block.cast::<usize>() = IMAGE.free[class];
            IMAGE.free[class] = block.addr();
        }
    }
}

/// The class of a block and its size: four to each power of two, so that at most a fifth is lost.
fn class(layout: Layout) -> Option<(usize, usize)> {
    if layout.align() > LINE || layout.size() > HEAP_BYTES {
        return None;
    }
    let size = layout.size().max(LINE);
    let shift = (size - 1).ilog2() - 2;
    let quarter = (size - 1) >> shift;
    let class = (shift as usize) * 4 + quarter - 3;
    Some((class, ((quarter + 1) << shift).next_multiple_of(LINE)))
}

/// What the scene needs, several times over.
const HEAP_BYTES: usize = 12 << 20;
const CLASSES: usize = 128;
/// What blocks are aligned to.
const LINE: usize = 64;
