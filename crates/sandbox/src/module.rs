//! A compiled game module: what it is, and instances of it.

use std::fmt::Write;
use std::sync::Arc;

use gs_engine::Manifest;
use gs_engine::abi::ABI_VERSION;
use gs_engine::schema::{ManifestError, Schema};
use gs_engine::simulation::SimulationError;
use sha2::{Digest, Sha256};
use wasmtime::{ExternType, FuncType, Module, ValType};

use crate::instance::ModuleInstance;
use crate::manifest_json;
use crate::runtime::Shared;

/// A game module, compiled and described. Clones share everything.
#[derive(Clone)]
pub struct GameModule {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) shared: Arc<Shared>,
    pub(crate) module: Module,
    pub(crate) manifest: Manifest,
    pub(crate) schema: Schema,
    manifest_json: String,
    sha256: String,
    bytes: Arc<[u8]>,
}

impl std::fmt::Debug for GameModule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GameModule")
            .field("name", &self.inner.manifest.name)
            .field("version", &self.inner.manifest.version)
            .field("sha256", &self.inner.sha256)
            .finish_non_exhaustive()
    }
}

impl GameModule {
    pub(crate) fn compile(shared: Arc<Shared>, bytes: Arc<[u8]>) -> Result<Self, ModuleError> {
        check_head(&bytes, shared.limits.max_module_bytes)?;
        let module =
            Module::from_binary(&shared.engine, &bytes).map_err(|error| ModuleError::Invalid {
                reason: format!("{error:#}"),
            })?;
        check_interface(&module)?;

        let mut caller = crate::instance::Caller::new(&shared, &module)?;
        let found = caller.abi_version()?;
        if found != ABI_VERSION {
            return Err(ModuleError::AbiVersion {
                found,
                expected: ABI_VERSION,
            });
        }
        let described = caller.describe()?;
        if described.len() > MAX_MANIFEST_BYTES {
            let reason = format!("{} bytes, at most {MAX_MANIFEST_BYTES}", described.len());
            return Err(ModuleError::ManifestJson { reason });
        }
        let manifest_json = match std::str::from_utf8(described) {
            Ok(text) => text.to_owned(),
            Err(_) => {
                return Err(ModuleError::ManifestJson {
                    reason: "not UTF-8".into(),
                });
            }
        };
        drop(caller);
        let manifest = manifest_json::parse(&manifest_json, shared.limits.default_tick_rate)?;
        let schema = Schema::new(&manifest)?;
        let sha256 = Sha256::digest(&bytes)
            .iter()
            .fold(String::new(), |mut hex, byte| {
                // Writing to a string cannot fail.
                let _ = write!(hex, "{byte:02x}");
                hex
            });
        let inner = Inner {
            shared,
            module,
            manifest,
            schema,
            manifest_json,
            sha256,
            bytes,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Makes an instance for one match.
    ///
    /// # Errors
    /// [`ModuleError::Instantiate`] where [`Limits::max_instances`](crate::Limits::max_instances)
    /// are in use.
    pub fn instantiate(&self) -> Result<ModuleInstance, ModuleError> {
        ModuleInstance::new(self.inner.clone())
    }

    /// What the game says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.inner.manifest
    }

    /// The manifest as the module wrote it, JSON.
    pub fn manifest_json(&self) -> &str {
        &self.inner.manifest_json
    }

    /// The game's schemas.
    pub fn schema(&self) -> &Schema {
        &self.inner.schema
    }

    /// SHA-256 of the module's bytes, in lower-case hex.
    pub fn sha256(&self) -> &str {
        &self.inner.sha256
    }

    /// The module's bytes, for browsers to run the same.
    pub fn bytes(&self) -> Arc<[u8]> {
        self.inner.bytes.clone()
    }
}

/// Refuses what is no core module before a compiler sees it.
fn check_head(bytes: &[u8], limit: usize) -> Result<(), ModuleError> {
    if bytes.len() > limit {
        return Err(ModuleError::TooLarge {
            found: bytes.len(),
            limit,
        });
    }
    match bytes.first_chunk() {
        Some([0, b'a', b's', b'm', 1, 0, 0, 0]) => Ok(()),
        Some([0, b'a', b's', b'm', _, _, 1, 0]) => Err(ModuleError::Component),
        _ => Err(ModuleError::NotWasm),
    }
}

/// Holds imports and exports against the ABI.
fn check_interface(module: &Module) -> Result<(), ModuleError> {
    if let Some(import) = module.imports().next() {
        let (module, name) = (import.module().to_owned(), import.name().to_owned());
        return Err(ModuleError::Import { module, name });
    }
    match module.get_export("memory") {
        Some(ExternType::Memory(_)) => {}
        Some(other) => return Err(wrong_export("memory", "a memory", &other)),
        None => return Err(missing_export("memory", "a memory")),
    }
    for (name, parameters, expected) in EXPORTS {
        match module.get_export(name) {
            Some(ExternType::Func(function)) if has_type(&function, parameters) => {}
            Some(other) => return Err(wrong_export(name, expected, &other)),
            None => return Err(missing_export(name, expected)),
        }
    }
    Ok(())
}

fn has_type(function: &FuncType, parameters: &[ValType]) -> bool {
    let same = |found: &ValType, expected: &ValType| match expected {
        ValType::I64 => found.is_i64(),
        _ => found.is_i32(),
    };
    function.params().len() == parameters.len()
        && function
            .params()
            .zip(parameters)
            .all(|(found, expected)| same(&found, expected))
        && function.results().len() == 1
        && function.results().all(|result| result.is_i32())
}

fn missing_export(name: &'static str, expected: &'static str) -> ModuleError {
    ModuleError::MissingExport { name, expected }
}

fn wrong_export(name: &'static str, expected: &'static str, found: &ExternType) -> ModuleError {
    let found = match found {
        ExternType::Func(function) => function.to_string(),
        ExternType::Global(_) => "a global".into(),
        ExternType::Table(_) => "a table".into(),
        ExternType::Memory(_) => "a memory".into(),
        _ => "something else".into(),
    };
    ModuleError::WrongExport {
        name,
        expected,
        found,
    }
}

/// Why a module is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModuleError {
    /// Too many bytes.
    #[error("the module has {found} bytes, at most {limit} are allowed")]
    TooLarge {
        /// How many it has.
        found: usize,
        /// How many it may have.
        limit: usize,
    },
    /// No WebAssembly at all.
    #[error("this is not a WebAssembly module: it does not start with `\\0asm` and version 1")]
    NotWasm,
    /// A component.
    #[error(
        "this is a WebAssembly component, expected a core module (target wasm32-unknown-unknown)"
    )]
    Component,
    /// Broken, made with features that are refused, or beyond the limits of memory from the start.
    #[error("the module does not compile: {reason}")]
    Invalid {
        /// The compiler's words.
        reason: String,
    },
    /// It wants something from the host.
    #[error(
        "the module imports `{module}.{name}`, expected no imports: build it for wasm32-unknown-unknown, without WASI or bindings"
    )]
    Import {
        /// The import's module.
        module: String,
        /// The import's name.
        name: String,
    },
    /// An export is missing.
    #[error("the module does not export `{name}`, expected {expected}")]
    MissingExport {
        /// Its name.
        name: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// An export has another type.
    #[error("the module's export `{name}` is {found}, expected {expected}")]
    WrongExport {
        /// Its name.
        name: &'static str,
        /// What it should be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// Another version of the ABI.
    #[error("the module's ABI version: found {found}, this server runs {expected}")]
    AbiVersion {
        /// What the module says.
        found: i32,
        /// What this server runs.
        expected: i32,
    },
    /// The manifest cannot be read.
    #[error("the module's manifest: {reason}")]
    ManifestJson {
        /// What is wrong and where.
        reason: String,
    },
    /// The manifest breaks a bound.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// It failed while it described itself.
    #[error(transparent)]
    Failed(#[from] SimulationError),
    /// There is no room for another instance, or its start failed.
    #[error("cannot instantiate the module: {reason}")]
    Instantiate {
        /// The runtime's words.
        reason: String,
    },
}

type Export = (&'static str, &'static [ValType], &'static str);

/// The functions that a module exports, with what they take; all answer an `i32`.
const EXPORTS: &[Export] = &[
    ("gs_abi_version", &[], "a function () -> i32"),
    ("gs_input", &[ValType::I32], "a function (i32) -> i32"),
    ("gs_output", &[], "a function () -> i32"),
    ("gs_describe", &[], "a function () -> i32"),
    (
        "gs_init",
        &[ValType::I64, ValType::I32],
        "a function (i64, i32) -> i32",
    ),
    ("gs_step", &[ValType::I32], "a function (i32) -> i32"),
    (
        "gs_check",
        &[ValType::I32, ValType::I32],
        "a function (i32, i32) -> i32",
    ),
    ("gs_save", &[], "a function () -> i32"),
    ("gs_load", &[ValType::I32], "a function (i32) -> i32"),
    (
        "gs_load_view",
        &[ValType::I32, ValType::I32],
        "a function (i32, i32) -> i32",
    ),
    ("gs_net_state", &[ValType::I32], "a function (i32) -> i32"),
    ("gs_panic", &[], "a function () -> i32"),
];

/// Largest manifest: some hundred bytes for each of 64 kinds of 32 fields, three times over.
const MAX_MANIFEST_BYTES: usize = 1 << 20;
