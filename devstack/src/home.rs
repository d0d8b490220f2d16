//! The folders of a stack: everything it makes lies in one home, downloads in one cache.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Name of the environment variable that moves the cache.
pub const CACHE_VARIABLE: &str = "SPOLT_CACHE";

/// The one folder in which a stack lives.
#[derive(Debug, Clone)]
pub struct Home {
    root: PathBuf,
    cache: PathBuf,
}

impl Home {
    /// Makes the home at `root`, with the cache at `$SPOLT_CACHE` or inside.
    ///
    /// # Errors
    /// The folders cannot be created.
    pub fn open(root: &Path) -> Result<Self> {
        let cache = std::env::var_os(CACHE_VARIABLE).map_or_else(|| root.join("cache"), PathBuf::from);
        Self::with_cache(root, &cache)
    }

    /// Makes the home at `root` with its cache at `cache`.
    ///
    /// # Errors
    /// The folders cannot be created.
    pub fn with_cache(root: &Path, cache: &Path) -> Result<Self> {
        let make = |path: &Path| -> Result<PathBuf> {
            std::fs::create_dir_all(path).with_context(|| format!("cannot create the folder `{}`", path.display()))?;
            path.canonicalize()
                .with_context(|| format!("cannot resolve the folder `{}`", path.display()))
        };
        let home = Self {
            root: make(root)?,
            cache: make(cache)?,
        };
        for folder in [home.logs(), home.run(), home.data()] {
            make(&folder)?;
        }
        Ok(home)
    }

    /// The home itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Downloads, kept between runs.
    #[must_use]
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// One log file a part.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// Pid files and addresses.
    #[must_use]
    pub fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    /// What the parts store; removed at every start, since a stack begins clean.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// Log file of the part `name`.
    #[must_use]
    pub fn log(&self, name: &str) -> PathBuf {
        self.logs().join(format!("{name}.log"))
    }
}
