//! How a call goes over the wire: its API version, its time limit, and answers read as they are.
//!
//! bollard's models are closed: one container in a state they do not know fails a whole list. What is
//! read (lists, inspect, events) is therefore taken as bytes and read by the small structs in
//! `answers`. bollard has no public call for that; [`send`] borrows one that hands out the raw body
//! and sets method, path and body of its request.
//! It must not know what any call means.

use std::{fmt, path::Path, pin::Pin, time::Duration};

use bollard::errors::Error;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, TryStreamExt};
use serde::de::DeserializeOwned;

use super::{Docker, errors, open::ApiVersion};
use crate::engine::{EngineError, EngineResult};

/// The body of an answer, as it comes.
pub(super) type Body = Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>;

/// Puts the API version in front of the path; bollard loses the one that it was given.
pub(super) fn with_version(request: bollard::BollardRequest, api: ApiVersion) -> bollard::BollardRequest {
    let path = request.uri().path_and_query().map_or_else(String::new, ToString::to_string);
    with_path(request, &format!("/v{api}{path}"))
}

fn with_path(mut request: bollard::BollardRequest, path: &str) -> bollard::BollardRequest {
    let mut parts = request.uri().clone().into_parts();
    // Both can only fail for a path that is no path; ours are percent-encoded, bollard's are URLs.
    if let Ok(path) = path.parse() {
        parts.path_and_query = Some(path);
        if let Ok(uri) = parts.try_into() {
            *request.uri_mut() = uri;
        }
    }
    request
}

/// Sends a request and gives the body of its answer; any status but success is an error.
pub(super) fn send(client: &bollard::Docker, method: &'static str, path: String, body: Option<Bytes>) -> Body {
    let client = client.clone().with_request_modifier(move |request| {
        let mut request = with_path(request, &path);
        if let Ok(method) = method.parse() {
            *request.method_mut() = method;
        }
        if let Some(body) = &body {
            *request.body_mut() = bollard::body_full(body.clone());
        }
        request
    });
    client.export_image("replaced").boxed()
}

/// The whole body.
pub(super) async fn collect(body: Body) -> Result<BytesMut, Error> {
    body.try_fold(BytesMut::new(), |mut whole, piece| async move {
        whole.extend_from_slice(&piece);
        Ok(whole)
    })
    .await
}

/// Runs a call within its time limit and sorts its error.
pub(super) async fn limited<T>(
    operation: &str,
    limit: Duration,
    call: impl Future<Output = Result<T, Error>>,
    place: errors::Where<'_>,
) -> EngineResult<T> {
    match tokio::time::timeout(limit, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(errors::sort(error, place)),
        Err(_) => Err(EngineError::Timeout { operation: operation.to_string(), limit }),
    }
}

/// A text as one part of a path or query: everything but unreserved characters (RFC 3986, 2.3) encoded.
pub(super) fn encode(text: &str) -> String {
    use fmt::Write;

    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}"); // writing to a String can't fail
        }
        encoded
    })
}

impl Docker {
    pub(super) fn client(&self) -> &bollard::Docker {
        &self.shared.client
    }

    pub(super) fn api(&self) -> ApiVersion {
        self.shared.api
    }

    pub(super) fn socket(&self) -> Option<&Path> {
        self.shared.socket.as_deref()
    }

    pub(super) fn call_limit(&self) -> Duration {
        self.shared.call_limit
    }

    pub(super) fn place(&self) -> errors::Where<'_> {
        errors::Where { address: &self.shared.info.address, origin: &self.shared.origin }
    }

    /// A bollard call within the usual limit.
    pub(super) async fn call<T>(
        &self,
        operation: &str,
        call: impl Future<Output = Result<T, Error>>,
    ) -> EngineResult<T> {
        limited(operation, self.call_limit(), call, self.place()).await
    }

    /// Sends a request to a path of the API, given without its version.
    pub(super) fn send(&self, method: &'static str, path: &str, body: Option<Bytes>) -> Body {
        send(self.client(), method, format!("/v{}{path}", self.shared.api), body)
    }

    /// Gets and reads an answer, within the usual limit.
    pub(super) async fn get<T: DeserializeOwned>(&self, operation: &str, path: &str) -> EngineResult<T> {
        let body = self.call(operation, collect(self.send("GET", path, None))).await?;
        serde_json::from_slice(&body).map_err(|error| EngineError::Other {
            status: None,
            message: format!("{operation}: the engine's answer could not be read: {error}"),
        })
    }

    /// Gets an answer; what is not there is none.
    pub(super) async fn find<T: DeserializeOwned>(&self, operation: &str, path: &str) -> EngineResult<Option<T>> {
        match self.get(operation, path).await {
            Ok(found) => Ok(Some(found)),
            Err(EngineError::NotFound(_) | EngineError::ImageNotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_into_a_path_is_encoded() {
        assert_eq!(encode(r#"{"label":["a=b"]}"#), "%7B%22label%22%3A%5B%22a%3Db%22%5D%7D");
        assert_eq!(encode("my-api_1.2~x"), "my-api_1.2~x");
        assert_eq!(encode("é/?#"), "%C3%A9%2F%3F%23");
    }
}
