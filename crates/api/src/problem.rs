//! Problem documents (RFC 9457).

use axum::Json;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use gs_store::{Ban, StoreError};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response as Described, ResponseBuilder};
use utoipa::{ToResponse, ToSchema};

use crate::security;
use crate::timestamp::Timestamp;

/// An error as the caller sees it.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    /// The last part of `type`, for programs.
    kind: &'static str,
    title: &'static str,
    detail: String,
    errors: Option<Vec<FieldError>>,
    members: Map<String, Value>,
    retry_after_seconds: Option<u32>,
}

impl Problem {
    pub(crate) fn new(
        status: StatusCode,
        kind: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        let (detail, members) = (detail.into(), Map::new());
        Self {
            status,
            kind,
            title,
            detail,
            errors: None,
            members,
            retry_after_seconds: None,
        }
    }

    /// Adds a member of this problem's own.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = Some(u32::try_from(seconds).unwrap_or(u32::MAX));
        self
    }

    fn document(self) -> ProblemDocument {
        ProblemDocument {
            kind: format!("urn:gameserver:problem:{}", self.kind),
            title: self.title,
            status: self.status.as_u16(),
            detail: self.detail,
            errors: self.errors,
            members: self.members,
        }
    }

    /// A body that is no JSON.
    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "malformed",
            "Malformed request",
            detail,
        )
    }

    /// Fields that cannot be accepted.
    pub(crate) fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = errors
            .iter()
            .map(|e| format!("{}: {}", e.field, e.message))
            .collect::<Vec<_>>()
            .join("; ");
        let problem = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid",
            "Invalid fields",
            detail,
        );
        Self {
            errors: Some(errors),
            ..problem
        }
    }

    pub(crate) fn unauthorized(detail: &str) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "Not signed in",
            detail,
        )
    }

    pub(crate) fn forbidden(detail: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Not allowed", detail)
    }

    /// A player who may not play.
    pub(crate) fn banned(ban: &Ban) -> Self {
        let detail = match ban.until {
            Some(until) => format!("banned until {}: {}", until.to_rfc3339(), ban.reason),
            None => format!("banned: {}", ban.reason),
        };
        let until = ban.until.map(Timestamp);
        Self::new(StatusCode::FORBIDDEN, "banned", "Banned", detail)
            .with("reason", ban.reason.as_str())
            .with("until", serde_json::json!(until))
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// What was wrong, for people and for the log.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "Not found", detail)
    }

    pub(crate) fn method_not_allowed() -> Self {
        let detail = "this path exists, but not with this method; `Allow` lists those it takes";
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method-not-allowed",
            "Wrong method",
            detail,
        )
    }

    pub(crate) fn conflict(kind: &'static str, detail: &str) -> Self {
        Self::new(StatusCode::CONFLICT, kind, "Conflict", detail)
    }

    pub(crate) fn too_many_requests(retry_after_seconds: u64) -> Self {
        let detail = format!("too many attempts; try again in {retry_after_seconds} s");
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too-many-requests",
            "Too many attempts",
            detail,
        )
        .retry_after(retry_after_seconds)
    }

    pub(crate) fn unavailable(detail: &str) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "Try again later",
            detail,
        )
        .retry_after(RETRY_UNAVAILABLE_SECONDS)
    }

    pub(crate) fn internal() -> Self {
        let detail = "the server failed; its log says why, under this request's id";
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Server error",
            detail,
        )
    }
}

/// What is wrong with one field.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FieldError {
    /// Its name; `a.b` is `b` in `a`.
    pub(crate) field: String,
    pub(crate) message: String,
}

impl FieldError {
    pub(crate) fn new(field: &str, message: impl Into<String>) -> Self {
        Self {
            field: field.to_owned(),
            message: message.into(),
        }
    }
}

impl From<FieldError> for Problem {
    fn from(error: FieldError) -> Self {
        Self::invalid(vec![error])
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!(error = %error, "the store failed");
        match error {
            StoreError::Unavailable(_) | StoreError::Redis(_) | StoreError::Outdated(_) => {
                Self::unavailable("the store cannot be reached")
            }
            _ => Self::internal(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        security::refused(self.status, self.kind);
        let (status, retry_after) = (self.status, self.retry_after_seconds);
        let mut response = (status, Json(self.document())).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_TYPE));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// An error (RFC 9457). Some have further members, such as the `ticket_id` of a ticket in the way.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProblemDocument {
    /// `urn:gameserver:problem:` and a name that programs can tell apart.
    #[serde(rename = "type")]
    kind: String,
    /// The kind of error, for people.
    title: &'static str,
    /// The answer's status.
    status: u16,
    /// What was wrong with this request, for people.
    detail: String,
    /// The fields or parameters that were refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<Vec<FieldError>>,
    #[serde(flatten)]
    members: Map<String, Value>,
}

/// Names an error answer for the OpenAPI document: status, end of `type`, title, and when it comes.
macro_rules! answers {
    ($($name:ident($status:ident, $kind:literal, $title:literal): $text:literal $(, $retry:ident)?;)*) => {
        $(
            #[doc = $text]
            pub(crate) struct $name;

            impl<'r> ToResponse<'r> for $name {
                fn response() -> (&'r str, RefOr<Described>) {
                    let example = Problem::new(StatusCode::$status, $kind, $title, $text);
                    let answer = described($text, example)$(.$retry())?;
                    (stringify!($name), RefOr::T(answer.build()))
                }
            }
        )*
    };
}

answers! {
    Malformed(BAD_REQUEST, "malformed", "Malformed request"): "The body is no JSON.";
    Unauthorized(UNAUTHORIZED, "unauthorized", "Not signed in"):
        "Nobody is signed in, or not as it was tried.";
    Forbidden(FORBIDDEN, "forbidden", "Not allowed"):
        "Not for this player; `banned` where the player may not play at all.";
    NotFound(NOT_FOUND, "not-found", "Not found"): "There is nothing of this name.";
    Conflict(CONFLICT, "conflict", "Conflict"): "It contradicts what is there; `type` says what.";
    BodyTooLarge(PAYLOAD_TOO_LARGE, "too-large", "Body too large"):
        "The body is longer than this call takes.";
    UnsupportedMediaType(UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "Unsupported media type"):
        "The body is not `application/json`.";
    Invalid(UNPROCESSABLE_ENTITY, "invalid", "Invalid fields"):
        "Fields or parameters that cannot be accepted; `errors` names them.";
    TooManyRequests(TOO_MANY_REQUESTS, "too-many-requests", "Too many attempts"):
        "Too many attempts; `Retry-After` says when to try again.", retry_after;
    Internal(INTERNAL_SERVER_ERROR, "internal", "Server error"):
        "The server failed; its log says why, under the request's id.";
    Unavailable(SERVICE_UNAVAILABLE, "unavailable", "Try again later"):
        "Something that the server needs is away; `Retry-After` says when to try again.",
        retry_after;
}

fn described(text: &str, mut example: Problem) -> ResponseBuilder {
    if example.status == StatusCode::UNPROCESSABLE_ENTITY {
        example.errors = Some(vec![FieldError::new("username", "is missing")]);
    }
    let schema = Ref::from_schema_name("ProblemDocument");
    let content = ContentBuilder::new()
        .schema(Some(schema))
        .example(serde_json::to_value(example.document()).ok())
        .build();
    ResponseBuilder::new()
        .description(text)
        .content(PROBLEM_TYPE, content)
}

trait RetryAfter {
    fn retry_after(self) -> Self;
}

impl RetryAfter for ResponseBuilder {
    fn retry_after(self) -> Self {
        let seconds = ObjectBuilder::new().schema_type(Type::Integer).build();
        let header = HeaderBuilder::new()
            .schema(Some(seconds))
            .description(Some("Seconds."))
            .build();
        self.header("Retry-After", header)
    }
}

const PROBLEM_TYPE: &str = "application/problem+json";
/// Long enough for a database to restart without a crowd at its door.
const RETRY_UNAVAILABLE_SECONDS: u64 = 2;
