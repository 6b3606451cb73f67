//! `/docs`: the OpenAPI document as a page. Everything it needs is in the binary.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use utoipa_swagger_ui::Config;

use crate::body::Segments;
use crate::problem::Problem;

/// The page and its files.
pub(crate) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        // The page names its files, and the document, relative to the folder.
        .route("/docs", get(|| async { Redirect::permanent("docs/") }))
        .route("/docs/", get(page))
        .route("/docs/{file}", get(file))
}

async fn page() -> Response {
    answer("text/html; charset=utf-8", Cow::Borrowed(PAGE.as_bytes()))
}

async fn file(Segments(name): Segments<String>) -> Result<Response, Problem> {
    let gone = || Problem::not_found("there is nothing at this path");
    match name.as_str() {
        "start.js" => {
            return Ok(answer(
                "text/javascript; charset=utf-8",
                Cow::Borrowed(START.as_bytes()),
            ));
        }
        "style.css" => {
            return Ok(answer(
                "text/css; charset=utf-8",
                Cow::Borrowed(STYLE.as_bytes()),
            ));
        }
        "swagger-ui.css" | "swagger-ui-bundle.js" | "favicon-32x32.png" => {}
        _ => return Err(gone()),
    }
    let found = utoipa_swagger_ui::serve(&name, CONFIG.clone())
        .ok()
        .flatten();
    let found = found.ok_or_else(gone)?;
    Ok(answer(&found.content_type, found.bytes))
}

fn answer(content_type: &str, bytes: Cow<'static, [u8]>) -> Response {
    let headers = [
        (CONTENT_TYPE, content_type),
        (CACHE_CONTROL, "public, max-age=3600"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, bytes).into_response()
}

static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| Arc::new(Config::from("")));

/// The page's own files and calls to its own server, and nothing else; Swagger UI sets styles of
/// elements and draws its icons from data.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; connect-src 'self'; font-src 'self'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'";
const PAGE: &str = include_str!("docs/page.html");
const START: &str = include_str!("docs/start.js");
const STYLE: &str = include_str!("docs/style.css");
