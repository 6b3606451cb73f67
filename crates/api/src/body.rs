//! Request bodies and query parameters, whose refusal is a problem document.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::problem::{FieldError, Problem};

/// A JSON object. An empty body is an empty object.
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let is_json = request.headers().get(CONTENT_TYPE).is_some_and(is_json);
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(unreadable)?;
        if bytes.is_empty() {
            return parse(b"{}").map(Self);
        }
        if !is_json {
            let detail = "the body has to be JSON, with `Content-Type: application/json`";
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "Unsupported media type",
                detail,
            ));
        }
        parse(&bytes).map(Self)
    }
}

/// The body as it came.
pub(crate) struct RawBody(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for RawBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        Bytes::from_request(request, state)
            .await
            .map(Self)
            .map_err(unreadable)
    }
}

/// Query parameters.
pub(crate) struct Params<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
        serde_path_to_error::deserialize(pairs)
            .map(Self)
            .map_err(|error| refused(&error.path().to_string(), &error.inner().to_string()))
    }
}

/// Parts of a path. Those that are no text name nothing.
pub(crate) struct Segments<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Segments<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(segments)) => Ok(Self(segments)),
            Err(_) => Err(Problem::not_found("there is nothing at this path")),
        }
    }
}

/// An id in a path or query. One that is no UUID names nothing.
pub(crate) fn parse_id(text: &str, what: &str) -> Result<Uuid, Problem> {
    Uuid::parse_str(text).map_err(|_| Problem::not_found(format!("there is no such {what}")))
}

/// How many entries a page of a list has.
pub(crate) fn page_limit(asked: Option<u32>) -> Result<u32, FieldError> {
    let limit = asked.unwrap_or(DEFAULT_PAGE);
    if (1..=MAX_PAGE).contains(&limit) {
        return Ok(limit);
    }
    let message = format!("has to be 1 to {MAX_PAGE}");
    Err(FieldError::new("limit", message))
}

fn is_json(value: &axum::http::HeaderValue) -> bool {
    let essence = value
        .to_str()
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default();
    let essence = essence.trim().to_ascii_lowercase();
    essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn unreadable(rejection: BytesRejection) -> Problem {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let detail = format!("a body may have {} bytes at most", crate::MAX_BODY_BYTES);
        let status = StatusCode::PAYLOAD_TOO_LARGE;
        return Problem::new(status, "too-large", "Body too large", detail);
    }
    Problem::malformed("the body could not be read to its end")
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value: T = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        if !inner.is_data() {
            return Problem::malformed(format!("the body is no JSON: {inner}"));
        }
        refused(&path, &inner.to_string())
    })?;
    json.end()
        .map_err(|error| Problem::malformed(format!("the body is no JSON: {error}")))?;
    Ok(value)
}

/// Names the field that a message of serde is about.
fn refused(path: &str, message: &str) -> Problem {
    // These are reported at the object that lacks the field, or has it and should not.
    let named = [
        ("missing field `", "is missing"),
        ("unknown field `", "is not known to this call"),
        ("duplicate field `", "is there twice"),
    ];
    for (start, what) in named {
        let name = message.strip_prefix(start).and_then(|m| m.split_once('`'));
        if let Some((name, _)) = name {
            // Serde's path of an unknown field ends with the field itself.
            let parent = match path.rsplit_once('.') {
                Some((parent, last)) if last == name => parent,
                _ => path,
            };
            let field = match parent {
                "." | "" | "?" => name.to_owned(),
                parent if parent == name => name.to_owned(),
                parent => format!("{parent}.{name}"),
            };
            return Problem::invalid(vec![FieldError::new(&shortened(&field), what)]);
        }
    }
    let message = message.split(" at line ").next().unwrap_or(message);
    Problem::invalid(vec![FieldError::new(&shortened(path), shortened(message))])
}

/// What a caller sent, as far as an answer repeats it.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_REPEATED_CHARS) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// Enough to know one's own mistake again.
const MAX_REPEATED_CHARS: usize = 100;

const DEFAULT_PAGE: u32 = 20;
/// A page that a reader can take in, and that costs the store one read an entry at most.
const MAX_PAGE: u32 = 100;
