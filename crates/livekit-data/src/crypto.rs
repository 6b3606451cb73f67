//! Who does the cryptography: chosen by name, never by what else happens to be built in.

use std::sync::{Arc, OnceLock};
use str0m::crypto::CryptoProvider;

#[cfg(all(feature = "rust-crypto", not(feature = "aws-lc-rs")))]
mod rust;

#[cfg(not(any(feature = "aws-lc-rs", feature = "rust-crypto")))]
compile_error!(
    "livekit-data needs cryptography: switch on its feature `aws-lc-rs` (a default feature) or `rust-crypto`"
);

/// For DTLS, certificates and STUN.
pub(crate) fn transport() -> &'static Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| {
        #[cfg(feature = "aws-lc-rs")]
        let provider = str0m_aws_lc_rs::default_provider();
        #[cfg(all(feature = "rust-crypto", not(feature = "aws-lc-rs")))]
        let provider = rust::provider();
        #[cfg(not(any(feature = "aws-lc-rs", feature = "rust-crypto")))]
        let provider: CryptoProvider = unreachable!();
        Arc::new(provider)
    })
}

/// For TLS under `wss`.
#[cfg(feature = "tokio")]
pub(crate) fn tls() -> Arc<rustls::crypto::CryptoProvider> {
    #[cfg(feature = "aws-lc-rs")]
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    #[cfg(all(feature = "rust-crypto", not(feature = "aws-lc-rs")))]
    let provider = rustls::crypto::ring::default_provider();
    #[cfg(not(any(feature = "aws-lc-rs", feature = "rust-crypto")))]
    let provider: rustls::crypto::CryptoProvider = unreachable!();
    Arc::new(provider)
}
