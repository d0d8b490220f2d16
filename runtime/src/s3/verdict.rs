//! What an answer of S3 means (protocol rule 8, failure table 50 and 53).

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use common::failure::Failure;

use crate::registry::causes;

/// Kinds of answers that are acted on differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// 412 (older MinIO: 304): the key is taken, and with it our content.
    Existed,
    /// There is no such key.
    NoSuchKey,
    /// The store does not know conditional writes.
    ConditionUnknown,
    /// 409, 429, 5xx, time-outs, lost connections, expired credentials, damage on the way: the same request again.
    Again,
    /// 403: wrong keys or missing rights.
    Forbidden,
    /// There is no such bucket.
    NoSuchBucket,
    /// The bucket lies elsewhere.
    WrongRegion,
    /// The default chain has no credentials.
    NoCredentials,
    /// Any other refusal.
    Refused,
}

/// An answer with its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) answer: Answer,
    text: String,
    region: Option<String>,
}

/// Judges an answer.
pub(super) fn verdict<E>(error: &SdkError<E>) -> Verdict
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let response = error.raw_response();
    let region = response
        .and_then(|response| response.headers().get("x-amz-bucket-region"))
        .map(str::to_owned);
    let status = response.map(|response| response.status().as_u16());
    let code = error.code().unwrap_or_default();
    let text = match (status, error.message()) {
        (Some(status), Some(message)) => format!("{status} {code}: {message}"),
        (Some(status), None) => format!("{status} {code}").trim_end().to_owned(),
        (None, _) => causes(error),
    };
    let answer = match status {
        Some(status) => of_response(status, code),
        None if text.contains("no providers in chain provided credentials") => Answer::NoCredentials,
        None if matches!(error, SdkError::ConstructionFailure(_)) => Answer::Refused,
        None => Answer::Again,
    };
    Verdict { answer, text, region }
}

fn of_response(status: u16, code: &str) -> Answer {
    match (status, code) {
        (412 | 304, _) => Answer::Existed,
        (
            _,
            "ExpiredToken"
            | "RequestTimeout"
            | "BadDigest"
            | "XAmzContentSHA256Mismatch"
            | "XAmzContentChecksumMismatch",
        ) => Answer::Again,
        (_, "NoSuchBucket") => Answer::NoSuchBucket,
        (_, "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException")
        | (301 | 307, _) => Answer::WrongRegion,
        (404, "NoSuchKey") => Answer::NoSuchKey,
        // HEAD has no body and so no code; only HeadBucket comes here without one.
        (404, _) => Answer::NoSuchBucket,
        (501, _) => Answer::ConditionUnknown,
        (401 | 403, _) => Answer::Forbidden,
        (408 | 409 | 429 | 500.., _) => Answer::Again,
        (200..=299, _) => Answer::Again,
        _ => Answer::Refused,
    }
}

impl Verdict {
    /// Value of the metric's label.
    pub(super) fn label(&self) -> &'static str {
        match self.answer {
            Answer::Existed => "existed",
            Answer::NoSuchKey => "absent",
            Answer::Again => "again",
            _ => "refused",
        }
    }

    /// What the caller may do about it.
    pub(super) fn failure(&self, doing: &str, bucket: &str, region: &str) -> Failure {
        let message = format!("{doing} in bucket `{bucket}`: {}", self.text);
        let right = "grant s3:PutObject, s3:GetObject and s3:DeleteObject below the prefix and s3:ListBucket on the bucket, and check \
                     which credentials the default chain finds (`aws sts get-caller-identity`)";
        match self.answer {
            Answer::Again | Answer::ConditionUnknown | Answer::Existed => Failure::retry(message),
            Answer::NoSuchKey => Failure::halt(message),
            Answer::Forbidden => Failure::stop(message).hint(right),
            Answer::NoSuchBucket => Failure::stop(message).hint("create the bucket, or correct s3.bucket and s3.endpoint"),
            Answer::WrongRegion => {
                let place = self.region.as_deref().unwrap_or("another region");
                Failure::stop(message).hint(format!("the bucket is in {place}, not in `{region}`: write s3.region"))
            }
            Answer::NoCredentials => Failure::stop(message)
                .hint("give credentials by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or the role of this machine"),
            Answer::Refused => Failure::stop(message).hint("check [s3] against what this store supports"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_means_what_the_protocol_says() {
        for (status, code, answer) in [
            (412, "PreconditionFailed", Answer::Existed),
            (409, "ConditionalRequestConflict", Answer::Again),
            (503, "SlowDown", Answer::Again),
            (500, "InternalError", Answer::Again),
            (400, "RequestTimeout", Answer::Again),
            (400, "ExpiredToken", Answer::Again),
            (400, "BadDigest", Answer::Again),
            (403, "AccessDenied", Answer::Forbidden),
            (403, "SignatureDoesNotMatch", Answer::Forbidden),
            (404, "NoSuchBucket", Answer::NoSuchBucket),
            (404, "NoSuchKey", Answer::NoSuchKey),
            (404, "", Answer::NoSuchBucket),
            (301, "PermanentRedirect", Answer::WrongRegion),
            (400, "AuthorizationHeaderMalformed", Answer::WrongRegion),
            (501, "NotImplemented", Answer::ConditionUnknown),
            (400, "InvalidArgument", Answer::Refused),
        ] {
            assert_eq!(of_response(status, code), answer, "{status} {code}");
        }
    }
}
