//! Problem documents (RFC 9457).

use axum::Json;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use gs_store::StoreError;
use serde_json::{Map, Value, json};

/// An error as the caller sees it.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    /// The last part of `type`, for programs.
    kind: &'static str,
    title: &'static str,
    detail: String,
    members: Map<String, Value>,
    retry_after_seconds: Option<u64>,
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
        self.retry_after_seconds = Some(seconds);
        self
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
        let list: Vec<Value> = errors
            .into_iter()
            .map(|e| json!({"field": e.field, "message": e.message}))
            .collect();
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid",
            "Invalid fields",
            detail,
        )
        .with("errors", list)
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
#[derive(Debug)]
pub(crate) struct FieldError {
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

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!(error = %error, "the store failed");
        match error {
            StoreError::Unavailable(_) => Self::unavailable("the store cannot be reached"),
            _ => Self::internal(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut document = Map::new();
        document.insert(
            "type".to_owned(),
            format!("urn:gameserver:problem:{}", self.kind).into(),
        );
        document.insert("title".to_owned(), self.title.into());
        document.insert("status".to_owned(), self.status.as_u16().into());
        document.insert("detail".to_owned(), self.detail.into());
        document.extend(self.members);
        let mut response = (self.status, Json(Value::Object(document))).into_response();
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Long enough for a database to restart without a crowd at its door.
const RETRY_UNAVAILABLE_SECONDS: u64 = 2;
