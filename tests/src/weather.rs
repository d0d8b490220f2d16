//! A proxy in front of an object store that has weather: clear, a storm of errors, or requests that arrive late.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};

/// Bodies larger than this are none of the tests'.
const BODY_MAX: usize = 64 << 20;

/// What happens to requests until it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// They pass.
    Clear,
    /// All are answered with this status and do not arrive.
    Status(u16),
    /// They arrive so much later, whether or not the client still waits.
    Late(Duration),
}

struct Sky {
    upstream: String,
    client: reqwest::Client,
    weather: Mutex<Weather>,
    struck: AtomicUsize,
}

/// See the module. It ends with the runtime.
pub struct WeatherProxy {
    sky: Arc<Sky>,
    url: String,
}

impl WeatherProxy {
    /// Listens in front of the store at `upstream` (a URL without a path).
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(upstream: &str) -> Result<WeatherProxy> {
        let sky = Arc::new(Sky {
            upstream: upstream.trim_end_matches('/').to_owned(),
            client: reqwest::Client::new(),
            weather: Mutex::new(Weather::Clear),
            struck: AtomicUsize::new(0),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .context("a port for a proxy")?;
        let url = format!("http://{}", listener.local_addr()?);
        let router = Router::new().fallback(answer).with_state(Arc::clone(&sky));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(WeatherProxy { sky, url })
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Changes the weather for requests that come from now on.
    pub fn set(&self, weather: Weather) {
        self.sky.struck.store(0, Ordering::SeqCst);
        *self.sky.weather.lock().unwrap_or_else(PoisonError::into_inner) = weather;
    }

    /// Requests that did not pass as in clear weather since it last changed.
    #[must_use]
    pub fn struck(&self) -> usize {
        self.sky.struck.load(Ordering::SeqCst)
    }
}

async fn answer(State(sky): State<Arc<Sky>>, request: Request) -> Response<Body> {
    let weather = *sky.weather.lock().unwrap_or_else(PoisonError::into_inner);
    if weather != Weather::Clear {
        sky.struck.fetch_add(1, Ordering::SeqCst);
    }
    match weather {
        Weather::Status(code) => status(StatusCode::from_u16(code).unwrap_or(StatusCode::SERVICE_UNAVAILABLE)),
        Weather::Clear => forward(sky, request, Duration::ZERO).await,
        Weather::Late(delay) => forward(sky, request, delay).await,
    }
}

fn status(code: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = code;
    response
}

/// In a task of its own: a client that gives up does not call its request back.
async fn forward(sky: Arc<Sky>, request: Request, delay: Duration) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_MAX).await else {
        return status(StatusCode::BAD_GATEWAY);
    };
    let sent = tokio::spawn(async move {
        tokio::time::sleep(delay).await;
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let request = sky
            .client
            .request(parts.method, format!("{}{path}", sky.upstream))
            .headers(parts.headers)
            .body(body);
        let answer = request.send().await.map_err(|error| error.to_string())?;
        let (code, headers) = (answer.status(), answer.headers().clone());
        let bytes = answer.bytes().await.map_err(|error| error.to_string())?;
        Ok::<_, String>((code, headers, bytes))
    });
    let Ok(Ok((code, headers, bytes))) = sent.await else {
        return status(StatusCode::BAD_GATEWAY);
    };
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = code;
    for (name, value) in &headers {
        if name != "transfer-encoding" && name != "content-length" {
            response.headers_mut().append(name, value.clone());
        }
    }
    response
}
