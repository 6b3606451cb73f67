//! The demo's pages, embedded when the binary was built.

use axum::Router;
use axum::http::{HeaderValue, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;

/// Serves the pages beside the API.
pub(crate) fn router() -> Router {
    let mut router = Router::new().route("/", get(index));
    for (name, bytes) in FILES {
        router = router.route(
            &format!("/{name}"),
            get(move |uri: Uri| file(uri, name, bytes)),
        );
    }
    router
}

async fn index() -> Response {
    match FILES.iter().find(|(name, _)| *name == "index.html") {
        Some((_, bytes)) => with_headers("text/html; charset=utf-8", "no-cache", bytes),
        None => Html(MISSING).into_response(),
    }
}

async fn file(_uri: Uri, name: &'static str, bytes: &'static [u8]) -> Response {
    // The bundler puts a hash of the content into the names under assets/.
    let cache = if name.starts_with("assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    with_headers(content_type(name), cache, bytes)
}

fn with_headers(content_type: &'static str, cache: &'static str, bytes: &'static [u8]) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static(cache)),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
    ];
    (headers, bytes).into_response()
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("json" | "map" | "webmanifest") => "application/json",
        Some("wasm") => "application/wasm",
        _ => "application/octet-stream",
    }
}

/// Path and content of each file.
static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/pages.rs"));

const MISSING: &str = "<!doctype html><title>GameServer</title><p>This binary was built without \
    the demo's pages. Build all with <code>cargo xtask build</code>.";
