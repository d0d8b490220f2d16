//! s3-spolt
