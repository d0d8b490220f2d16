//! redshift-local
