//! Secrets and certificates from files.
//!
//! They are read once, when the configuration is, so that a node that started has everything it
//! needs. Paths are relative to the directory of the configuration file.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use watertight_plan::Secret;

use super::{
    findings::{Finding, Findings},
    located::{Located, Span},
};

/// Longest file that is read, in bytes.
const LENGTH_MAX: u64 = 1 << 20;
/// Shortest token or API key, in bytes.
const SECRET_MIN: usize = 16;
/// Longest token or API key, in bytes: as long as a header may be by default.
const SECRET_MAX: usize = 4_096;
/// Most API keys in one file.
const KEYS_MAX: usize = 64;

/// The files that a configuration names.
#[derive(Debug)]
pub(super) struct Files<'a> {
    base: &'a Path,
}

impl<'a> Files<'a> {
    pub(super) fn new(base: &'a Path) -> Self {
        Self { base }
    }

    /// `path`, seen from the directory of the configuration file.
    pub(super) fn locate(&self, path: &str) -> PathBuf {
        self.base.join(path)
    }

    /// The content of a file that anybody may read.
    pub(super) fn public(
        &self,
        path: &Located<String>,
        findings: &mut Findings<'_>,
    ) -> Option<Vec<u8>> {
        let (bytes, _) = self.read(path, findings)?;
        Some(bytes)
    }

    /// The content of a file that others should not read.
    pub(super) fn secret(
        &self,
        path: &Located<String>,
        findings: &mut Findings<'_>,
    ) -> Option<Vec<u8>> {
        let (bytes, open_to_others) = self.read(path, findings)?;
        if open_to_others {
            findings.note(
                path.span(),
                "this file is secret, and every user of this machine may read it (chmod o-r)",
            );
        }
        Some(bytes)
    }

    /// The one token in a file.
    pub(super) fn token(
        &self,
        path: &Located<String>,
        findings: &mut Findings<'_>,
    ) -> Option<Secret> {
        let bytes = self.secret(path, findings)?;
        checked("token", trimmed(&bytes), path.span(), findings)
    }

    /// The password in a file, which may be short: somebody else chose it.
    pub(super) fn password(
        &self,
        path: &Located<String>,
        findings: &mut Findings<'_>,
    ) -> Option<Secret> {
        let bytes = self.secret(path, findings)?;
        Some(Secret::new(trimmed(&bytes)))
    }

    /// The API keys in a file, one a line.
    pub(super) fn keys(
        &self,
        path: &Located<String>,
        findings: &mut Findings<'_>,
    ) -> Option<Vec<Secret>> {
        let bytes = self.secret(path, findings)?;
        let lines: Vec<&[u8]> = bytes
            .split(|byte| *byte == b'\n')
            .map(trimmed)
            .filter(|line| !line.is_empty())
            .collect();
        if lines.is_empty() || lines.len() > KEYS_MAX {
            let message = format!(
                "this file has {} API keys, one a line; a file has 1 to {KEYS_MAX}",
                lines.len()
            );
            findings.add(Finding::new(path.span(), message));
            return None;
        }
        lines
            .into_iter()
            .map(|line| checked("API key", line, path.span(), findings))
            .collect()
    }

    fn read(&self, path: &Located<String>, findings: &mut Findings<'_>) -> Option<(Vec<u8>, bool)> {
        match open(&self.locate(path)) {
            Ok(found) => Some(found),
            Err(message) => {
                let finding = Finding::new(path.span(), message);
                findings.add(finding.help(
                    "paths are relative to the directory of the configuration file".to_owned(),
                ));
                None
            }
        }
    }
}

fn open(path: &Path) -> Result<(Vec<u8>, bool), String> {
    let metadata = path.metadata().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        _ => format!("this file cannot be read: {error}"),
    })?;
    if metadata.is_dir() {
        return Err("this is a directory, not a file".to_owned());
    }
    if !metadata.is_file() {
        return Err("this is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LENGTH_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("this file cannot be read: {error}"))?;
    if bytes.len() as u64 > LENGTH_MAX {
        return Err(format!("this file is longer than {LENGTH_MAX} bytes"));
    }
    if trimmed(&bytes).is_empty() {
        return Err("this file is empty".to_owned());
    }
    Ok((bytes, is_open_to_others(&metadata)))
}

#[cfg(unix)]
fn is_open_to_others(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    metadata.mode() & 0o004 != 0
}

#[cfg(not(unix))]
fn is_open_to_others(_: &std::fs::Metadata) -> bool {
    false
}

fn trimmed(bytes: &[u8]) -> &[u8] {
    bytes.trim_ascii_end()
}

/// A secret that can be sent in a header: long enough, and of visible characters.
fn checked(what: &str, bytes: &[u8], span: &Span, findings: &mut Findings<'_>) -> Option<Secret> {
    let message = if !(SECRET_MIN..=SECRET_MAX).contains(&bytes.len()) {
        format!(
            "a {what} in this file has {} bytes; it needs {SECRET_MIN} to {SECRET_MAX}",
            bytes.len()
        )
    } else if !bytes.iter().all(u8::is_ascii_graphic) {
        format!("a {what} in this file has a space or another character that no header can carry")
    } else {
        return Some(Secret::new(bytes));
    };
    let finding = Finding::new(span, message.replace("a API", "an API"));
    findings.add(finding.help("for example `openssl rand -hex 32`".to_owned()));
    None
}
