//! What reading any value takes: the environment filled in, numbers checked, errors with a line.

use std::fmt::Display;
use std::path::Path;
use std::str::FromStr;

use serde_saphyr::Spanned;

/// Why a configuration was refused; reads `FILE:LINE: KEY: what is wrong and what to do`.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{file}{}: {message}", .line.map(|l| format!(":{l}")).unwrap_or_default())]
pub(crate) struct ConfigError {
    /// The file.
    pub(crate) file: String,
    /// Its line, from 1.
    pub(crate) line: Option<u64>,
    /// The key, what is wrong, and what to do.
    pub(crate) message: String,
}

/// Where something was chosen, for what turns out only later to be wrong with it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Place(ConfigError);

impl Place {
    /// Why this choice cannot be, with its line.
    pub(crate) fn refuse(&self, message: impl Display) -> ConfigError {
        let key = &self.0.message;
        ConfigError {
            message: format!("{key}: {message}"),
            ..self.0.clone()
        }
    }
}

/// A scalar that may be left out.
pub(super) type Setting = Option<Spanned<String>>;

/// Reads values of one file.
pub(super) struct Reader<'a> {
    pub(super) file: &'a str,
    /// What paths in the file are relative to.
    pub(super) folder: &'a Path,
    pub(super) env: &'a dyn Fn(&str) -> Option<String>,
}

impl Reader<'_> {
    /// A number from `min` to `max`, which `expected` names for people.
    pub(super) fn number<T>(
        &self,
        key: &str,
        raw: &Spanned<String>,
        (min, max): (T, T),
        expected: &str,
    ) -> Result<T, ConfigError>
    where
        T: FromStr + PartialOrd,
    {
        match self.text(key, raw)?.parse::<T>() {
            Ok(value) if value >= min && value <= max => Ok(value),
            _ => Err(self.error(
                raw,
                key,
                format!("expected {expected}, found `{}`", raw.value),
            )),
        }
    }

    /// The same, or a default where it is left out.
    pub(super) fn number_or<T>(
        &self,
        key: &str,
        raw: &Setting,
        otherwise: T,
        bounds: (T, T),
        expected: &str,
    ) -> Result<T, ConfigError>
    where
        T: FromStr + PartialOrd,
    {
        match raw {
            Some(raw) => self.number(key, raw, bounds, expected),
            None => Ok(otherwise),
        }
    }

    /// A scalar that may not be empty.
    pub(super) fn text(&self, key: &str, raw: &Spanned<String>) -> Result<String, ConfigError> {
        let text = self.expand(key, raw, &raw.value)?;
        if text.is_empty() {
            return Err(self.error(raw, key, "is empty; give a value, or leave the key out"));
        }
        Ok(text)
    }

    /// Fills in the texts within a game's options.
    pub(super) fn fill<T>(
        &self,
        key: &str,
        at: &Spanned<T>,
        value: &mut serde_json::Value,
    ) -> Result<(), ConfigError> {
        match value {
            serde_json::Value::String(text) => *text = self.expand(key, at, text)?,
            serde_json::Value::Array(values) => {
                for value in values {
                    self.fill(key, at, value)?;
                }
            }
            serde_json::Value::Object(values) => {
                for (name, value) in values {
                    self.fill(&format!("{key}.{name}"), at, value)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Fills in `${NAME}` and `${NAME:-default}`; `$$` stands for one dollar sign.
    pub(super) fn expand<T>(
        &self,
        key: &str,
        at: &Spanned<T>,
        raw: &str,
    ) -> Result<String, ConfigError> {
        let mut out = String::new();
        let mut rest = raw;
        while let Some(dollar) = rest.find('$') {
            out.push_str(&rest[..dollar]);
            rest = &rest[dollar + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                out.push('$');
                rest = after;
            } else if let Some(after) = rest.strip_prefix('{') {
                let Some(end) = after.find('}') else {
                    let message = "`${` without `}`; write ${NAME}, or $$ for a dollar sign";
                    return Err(self.error(at, key, message));
                };
                let (name, default) = match after[..end].split_once(":-") {
                    Some((name, default)) => (name, Some(default)),
                    None => (&after[..end], None),
                };
                let value = (self.env)(name).filter(|v| !v.is_empty());
                let Some(value) = value.as_deref().or(default) else {
                    let message = format!(
                        "the environment variable {name} is not set; set it, or write \
                         ${{{name}:-default}}"
                    );
                    return Err(self.error(at, key, message));
                };
                out.push_str(value);
                rest = &after[end + 1..];
            } else {
                out.push('$');
            }
        }
        out.push_str(rest);
        Ok(out)
    }

    pub(super) fn error<T>(
        &self,
        at: &Spanned<T>,
        key: &str,
        message: impl Display,
    ) -> ConfigError {
        ConfigError {
            file: self.file.to_owned(),
            line: Some(at.defined.line()),
            message: format!("{key}: {message}"),
        }
    }

    pub(super) fn place<T>(&self, at: &Spanned<T>, key: &str) -> Place {
        Place(ConfigError {
            message: key.to_owned(),
            ..self.error(at, key, "")
        })
    }
}
