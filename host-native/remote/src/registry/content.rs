//! The body of an answer: with its content encoding undone, and given up on where it comes too slowly.
//!
//! Nobody asks for an encoding; proxies compress all the same. What comes out is verified by its digest wherever it has one.

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use flate2::write::{MultiGzDecoder, ZlibDecoder};
use reqwest::Response;
use reqwest::header::{CONTENT_ENCODING, HeaderMap};

use super::address;
use super::http::Http;
use super::request::{text, unreachable};
use crate::RemoteError;
use crate::error::{BlobError, ConnectionError, RegistryError};
use crate::text::harmless;

/// How much is decoded at a time: a thousand times as much may come out.
const STEP_BYTES: usize = 4 << 10;

/// Fewer bytes than these within one time limit are as good as none.
const LEAST_BYTES: u64 = 1 << 10;

/// A document may take two time limits, and a second more for so many bytes.
const DOCUMENT_BYTES_PER_SECOND: u64 = 16 << 10;

/// A body that is on its way here.
pub(super) struct Content {
    response: Response,
    what: String,
    decoder: Option<Decoder>,
    /// What came and is not decoded yet.
    encoded: Bytes,
    pace: Pace,
}

/// What a body is, which decides how long it may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Any number of bytes.
    Blob,
    /// A few, which are of use only together.
    Document,
}

impl Content {
    /// The body of `response`, which errors call `what`.
    ///
    /// # Errors
    ///
    /// [`RegistryError::Encoding`] for an encoding that cannot be undone.
    pub(super) fn of(
        response: Response,
        what: &str,
        kind: Kind,
        timeout: Duration,
    ) -> Result<Self, RemoteError> {
        let decoder = encoding(response.headers()).map(|name| {
            Decoder::of(name).ok_or_else(|| {
                RemoteError::Registry(RegistryError::Encoding {
                    what: what.to_owned(),
                    encoding: harmless(name),
                })
            })
        });
        let decoder = decoder.transpose()?;
        let pace = Pace::new(kind, timeout);
        Ok(Self { response, what: what.to_owned(), decoder, encoded: Bytes::new(), pace })
    }

    /// The next piece of it; `None` at its end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, RemoteError> {
        loop {
            if !self.encoded.is_empty() {
                let step = self.encoded.split_to(self.encoded.len().min(STEP_BYTES));
                let decoded = self.decode(|decoder| decoder.step(&step))?;
                if decoded.is_empty() {
                    continue;
                }
                return Ok(Some(decoded));
            }
            match self.receive().await? {
                Some(piece) if self.decoder.is_some() => self.encoded = piece,
                None if self.decoder.is_some() => {
                    let rest = self.decode(Decoder::finish)?;
                    self.decoder = None;
                    if !rest.is_empty() {
                        return Ok(Some(rest));
                    }
                }
                piece => return Ok(piece),
            }
        }
    }

    fn decode(&mut self, step: impl FnOnce(&mut Decoder) -> io::Result<Bytes>) -> Result<Bytes, RemoteError> {
        let Some(decoder) = &mut self.decoder else { return Ok(Bytes::new()) };
        let name = decoder.name();
        step(decoder).map_err(|_| {
            RemoteError::Registry(RegistryError::Encoding {
                what: self.what.clone(),
                encoding: name.to_owned(),
            })
        })
    }

    async fn receive(&mut self) -> Result<Option<Bytes>, RemoteError> {
        let host = address::authority(self.response.url());
        let begun = Instant::now();
        let piece = match tokio::time::timeout(self.pace.left(), self.response.chunk()).await {
            Ok(piece) => piece.map_err(|error| unreachable(&host, error))?,
            Err(_) => {
                return Err(RemoteError::Connection(ConnectionError::Stalled {
                    host,
                    after: self.pace.timeout,
                }));
            }
        };
        self.pace.note(piece.as_ref().map_or(0, Bytes::len), begun.elapsed());
        Ok(piece)
    }
}

/// The encoding of a body, where it has one.
pub(super) fn encoding(headers: &HeaderMap) -> Option<&str> {
    text(headers, CONTENT_ENCODING).map(str::trim).filter(|name| !matches!(*name, "" | "identity"))
}

/// Undoes one encoding.
enum Decoder {
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    Deflate(Box<ZlibDecoder<Vec<u8>>>),
}

impl Decoder {
    fn of(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Some(Self::Gzip(Box::new(MultiGzDecoder::new(Vec::new())))),
            "deflate" => Some(Self::Deflate(Box::new(ZlibDecoder::new(Vec::new())))),
            _ => None,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Gzip(_) => "gzip",
            Self::Deflate(_) => "deflate",
        }
    }

    fn step(&mut self, piece: &[u8]) -> io::Result<Bytes> {
        match self {
            Self::Gzip(decoder) => decoder.write_all(piece)?,
            Self::Deflate(decoder) => decoder.write_all(piece)?,
        }
        Ok(self.take())
    }

    fn finish(&mut self) -> io::Result<Bytes> {
        match self {
            Self::Gzip(decoder) => decoder.try_finish()?,
            Self::Deflate(decoder) => decoder.try_finish()?,
        }
        Ok(self.take())
    }

    fn take(&mut self) -> Bytes {
        let decoded = match self {
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Deflate(decoder) => decoder.get_mut(),
        };
        Bytes::from(std::mem::take(decoded))
    }
}

/// Whether bytes come fast enough. Only the time that was waited for them counts.
struct Pace {
    kind: Kind,
    timeout: Duration,
    /// How long was waited for what counts.
    waited: Duration,
    /// How many bytes came of it.
    bytes: u64,
}

impl Pace {
    fn new(kind: Kind, timeout: Duration) -> Self {
        Self { kind, timeout, waited: Duration::ZERO, bytes: 0 }
    }

    /// How much longer may be waited for the next byte.
    fn left(&self) -> Duration {
        let allowed = match self.kind {
            Kind::Blob => self.timeout,
            Kind::Document => {
                let millis = self.bytes.saturating_mul(1000) / DOCUMENT_BYTES_PER_SECOND;
                self.timeout.saturating_mul(2).saturating_add(Duration::from_millis(millis))
            }
        };
        allowed.saturating_sub(self.waited).min(self.timeout)
    }

    fn note(&mut self, bytes: usize, waited: Duration) {
        self.waited += waited;
        self.bytes += bytes as u64;
        if self.kind == Kind::Blob && self.bytes >= LEAST_BYTES {
            (self.waited, self.bytes) = (Duration::ZERO, 0);
        }
    }
}

impl Http {
    /// The body of `response`, as it comes.
    pub(super) fn content(&self, response: Response, what: &str, kind: Kind) -> Result<Content, RemoteError> {
        Content::of(response, what, kind, self.timeout)
    }

    /// The whole body of an answer, if it has no more than `limit` bytes.
    pub(super) async fn body(
        &self,
        response: Response,
        limit: u64,
        what: &str,
    ) -> Result<Bytes, RemoteError> {
        let too_large = || RemoteError::Blob(BlobError::TooLarge { what: what.to_owned(), limit });
        if response.content_length().is_some_and(|length| length > limit) {
            return Err(too_large());
        }
        let mut content = self.content(response, what, Kind::Document)?;
        let mut body = BytesMut::new();
        while let Some(piece) = content.next().await? {
            body.extend_from_slice(&piece);
            if body.len() as u64 > limit {
                return Err(too_large());
            }
        }
        Ok(body.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    #[test]
    fn a_blob_that_drips_is_silent() {
        let mut pace = Pace::new(Kind::Blob, LIMIT);
        assert_eq!(pace.left(), LIMIT);
        pace.note(1023, Duration::from_secs(29));
        assert_eq!(pace.left(), Duration::from_secs(1));
        pace.note(1, Duration::from_secs(1));
        assert_eq!(pace.left(), LIMIT);
        pace.note(1, LIMIT * 2);
        assert_eq!(pace.left(), Duration::ZERO);
    }

    #[test]
    fn a_document_has_a_time_limit_as_a_whole() {
        let mut pace = Pace::new(Kind::Document, LIMIT);
        pace.note(1, Duration::from_secs(29));
        assert_eq!(pace.left(), LIMIT);
        pace.note(1, Duration::from_secs(29));
        assert_eq!(pace.left(), Duration::from_secs(2));
        // What comes fast enough may take its time.
        pace.note(16 << 10, Duration::from_secs(1));
        assert_eq!(pace.left(), Duration::from_secs(2));
        pace.note(10 << 20, Duration::from_secs(1));
        assert_eq!(pace.left(), LIMIT);
    }

    #[test]
    fn encodings_are_undone_or_named() {
        for none in ["", "identity", " identity "] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_ENCODING, none.parse().unwrap());
            assert_eq!(encoding(&headers), None, "{none}");
        }
        assert!(Decoder::of("br").is_none() && Decoder::of("gzip, gzip").is_none());
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packed.write_all(b"content").unwrap();
        let packed = packed.finish().unwrap();
        let mut decoder = Decoder::of("X-Gzip").unwrap();
        let mut content = Vec::new();
        for byte in &packed {
            content.extend_from_slice(&decoder.step(&[*byte]).unwrap());
        }
        content.extend_from_slice(&decoder.finish().unwrap());
        assert_eq!(content, b"content");
        let mut cut = Decoder::of("gzip").unwrap();
        let _ = cut.step(&packed[..packed.len() - 1]).unwrap();
        assert!(cut.finish().is_err());
    }
}
