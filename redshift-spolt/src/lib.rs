//! redshift-spolt
