//! Secrets: where they come from is configured, what they are is read when used and never shown.

use std::fmt;
use std::path::PathBuf;

use common::failure::Failure;
pub use secrecy::{ExposeSecret, SecretString};

/// Where a secret comes from. A file is read anew on every use, so that a rotated secret is taken up without a restart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Secret {
    /// Name of an environment variable.
    Env(String),
    /// A file that holds it; white space at its end does not count.
    File(PathBuf),
}

impl Secret {
    /// The secret itself.
    ///
    /// # Errors
    /// Of class stop, when the variable or the file is missing or empty: it will not come by itself.
    pub fn read(&self) -> Result<SecretString, Failure> {
        let value = match self {
            Secret::Env(name) => std::env::var(name).map_err(|_| {
                Failure::stop(format!("read the environment variable `{name}`: it is not set")).hint(format!(
                    "set `{name}` for this process, or name another variable or a file in the configuration"
                ))
            })?,
            Secret::File(path) => std::fs::read_to_string(path).map_err(|error| {
                Failure::stop(format!("read the secret file `{}`: {error}", path.display()))
                    .hint("check the path in the configuration and that this user may read it")
            })?,
        };
        let value = value.trim_end();
        if value.is_empty() {
            return Err(Failure::stop(format!("the secret of {self} is empty")).hint("write the secret there"));
        }
        Ok(SecretString::from(value))
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Secret::Env(name) => write!(f, "environment variable `{name}`"),
            Secret::File(path) => write!(f, "file `{}`", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_anew_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        std::fs::write(&path, "one\n").unwrap();
        let secret = Secret::File(path.clone());
        assert_eq!(secret.read().unwrap().expose_secret(), "one");
        std::fs::write(&path, "two").unwrap();
        let read = secret.read().unwrap();
        assert_eq!(read.expose_secret(), "two");
        assert!(!format!("{read:?} {secret:?} {secret}").contains("two"));
        std::fs::write(&path, " \n").unwrap();
        assert!(secret.read().unwrap_err().message.contains("empty"));
    }

    #[test]
    fn a_missing_variable_says_its_name() {
        let failure = Secret::Env("SPOLT_NO_SUCH_VARIABLE".into()).read().unwrap_err();
        assert!(failure.to_string().contains("SPOLT_NO_SUCH_VARIABLE"));
        assert_eq!(failure.class, common::failure::Class::Stop);
    }
}
