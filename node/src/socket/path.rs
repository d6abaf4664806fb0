//! Socket paths that are too long for the system.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Longest path that every Unix takes for a socket, in bytes.
const PATH_BYTES_MAX: usize = 100;

/// A path that names the same socket and is short enough; it holds as long as this value lives.
pub struct ShortPath {
    path: PathBuf,
    _dir: Option<File>,
}

impl ShortPath {
    /// Goes through an open directory when the path is too long (Linux; elsewhere the long path is tried as it is).
    pub fn of(path: &Path) -> io::Result<Self> {
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        if path.as_os_str().len() <= PATH_BYTES_MAX || !cfg!(target_os = "linux") {
            return Ok(Self { path: path.to_owned(), _dir: None });
        }
        Self::through(dir, name)
    }

    #[cfg(target_os = "linux")]
    fn through(dir: &Path, name: &std::ffi::OsStr) -> io::Result<Self> {
        use std::os::fd::AsRawFd as _;
        let dir = File::open(dir)?;
        let path = Path::new("/proc/self/fd").join(dir.as_raw_fd().to_string()).join(name);
        Ok(Self { path, _dir: Some(dir) })
    }

    #[cfg(not(target_os = "linux"))]
    fn through(_: &Path, _: &std::ffi::OsStr) -> io::Result<Self> {
        Err(io::ErrorKind::InvalidInput.into())
    }
}

impl AsRef<Path> for ShortPath {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}
